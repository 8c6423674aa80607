//! Scripts: several statements in one trip. Each trip to SQLite's thread and back costs more than a row, so rows go into
//! statements and statements into scripts as far as possible.

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type,
    sqlite::{SqliteArguments, SqliteRow},
};

/// A statement with a list of rows in its middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowsStatement {
    /// The text before the rows.
    pub(super) head: &'static str,
    /// One row: a parenthesised list of question marks.
    pub(super) row: &'static str,
    /// The text after the rows.
    pub(super) tail: &'static str,
}

/// The most rows in one statement; with up to 20 columns that stays far below SQLite's 32,766 parameters.
const ROWS_MAX: usize = 128;

/// A statement of so many rows is worth a trip of its own. Shorter ones travel together: their texts are prepared once for
/// each combination that occurs, which must stay few and small.
const ROWS_ALONE: usize = 16;

/// Statements on their way to the database.
pub(super) struct Script<'c> {
    connection: &'c mut SqliteConnection,
    text: String,
    values: Values,
    shown: Vec<SqliteRow>,
    affected: u64,
}

/// The values of a script's question marks, in order.
#[derive(Default)]
pub(super) struct Values {
    arguments: SqliteArguments,
    refused: Option<sqlx::error::BoxDynError>,
}

impl Values {
    /// The value of the next question mark.
    pub(super) fn bind<'q, T: Encode<'q, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = sqlx::Arguments::add(&mut self.arguments, value) {
            self.refused.get_or_insert(error);
        }
        self
    }
}

/// What a script did.
#[derive(Default)]
pub(super) struct Done {
    /// The rows that `RETURNING` showed, statement by statement.
    pub(super) shown: Vec<SqliteRow>,
    /// How many rows were inserted, updated or deleted.
    pub(super) affected: u64,
}

impl<'c> Script<'c> {
    /// An empty script.
    pub(super) fn new(connection: &'c mut SqliteConnection) -> Self {
        Self { connection, text: String::new(), values: Values::default(), shown: Vec::new(), affected: 0 }
    }

    /// Adds a statement; whoever calls binds its values to what is returned, as many as the text has question marks.
    pub(super) fn add(&mut self, text: &str) -> &mut Values {
        self.text.push_str(text);
        self.text.push(';');
        &mut self.values
    }

    /// Adds a statement over rows; without any, nothing is added.
    pub(super) async fn rows<T>(
        &mut self,
        statement: &RowsStatement,
        rows: Vec<T>,
        bind: impl Fn(&mut Values, T),
    ) -> Result<(), sqlx::Error> {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            // A power of two of them, so that few texts exist and each is prepared once.
            let count = if rows.len() >= ROWS_MAX { ROWS_MAX } else { 1 << rows.len().ilog2() };
            if count >= ROWS_ALONE {
                self.send().await?;
            }
            self.push(statement, count);
            rows.by_ref().take(count).for_each(|row| bind(&mut self.values, row));
            if count >= ROWS_ALONE {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Sends what has not been sent, and tells what the script has done since it was last run.
    pub(super) async fn run(&mut self) -> Result<Done, sqlx::Error> {
        self.send().await?;
        Ok(Done { shown: std::mem::take(&mut self.shown), affected: std::mem::take(&mut self.affected) })
    }

    /// The connection, when everything has been sent.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }

    fn push(&mut self, statement: &RowsStatement, count: usize) {
        self.text.reserve(statement.head.len() + count * (statement.row.len() + 1) + statement.tail.len());
        self.text.push_str(statement.head);
        for n in 0..count {
            if n > 0 {
                self.text.push(',');
            }
            self.text.push_str(statement.row);
        }
        self.text.push_str(statement.tail);
        self.text.push(';');
    }

    async fn send(&mut self) -> Result<(), sqlx::Error> {
        if self.text.is_empty() {
            return Ok(());
        }
        let Values { arguments, refused } = std::mem::take(&mut self.values);
        let query = sqlx::query_with(AssertSqlSafe(std::mem::take(&mut self.text)), arguments);
        if let Some(error) = refused {
            return Err(sqlx::Error::Encode(error));
        }
        let mut results = self.connection.fetch_many(query);
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Left(done) => self.affected += done.rows_affected(),
                Either::Right(row) => self.shown.push(row),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl RowsStatement {
    /// The statement over one row, for tests that look at its plan.
    pub(super) fn over_one_row(&self) -> String {
        [self.head, self.row, self.tail].concat()
    }
}
