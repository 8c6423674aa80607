//! Statements over many rows. Each statement is a trip to SQLite's thread and back, which costs more than a row, so rows
//! go in one statement as far as possible.

use sqlx::{
    AssertSqlSafe, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

/// A statement to which values are bound.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

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

impl RowsStatement {
    /// Runs the statement over all rows; returns how many rows of the table it inserted, updated or deleted.
    pub(super) async fn execute<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: Vec<T>,
        bind: impl Fn(Statement, T) -> Statement,
    ) -> Result<u64, sqlx::Error> {
        let mut affected = 0;
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            affected += self.next(&mut rows, &bind).execute(&mut *connection).await?.rows_affected();
        }
        Ok(affected)
    }

    /// Runs the statement over all rows and returns what its `RETURNING` shows.
    pub(super) async fn fetch<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: Vec<T>,
        bind: impl Fn(Statement, T) -> Statement,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut fetched = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            fetched.extend(self.next(&mut rows, &bind).fetch_all(&mut *connection).await?);
        }
        Ok(fetched)
    }

    /// The statement over the next rows: a power of two of them, so that few texts exist and each is prepared once.
    fn next<T>(&self, rows: &mut std::vec::IntoIter<T>, bind: impl Fn(Statement, T) -> Statement) -> Statement {
        let count = if rows.len() >= ROWS_MAX { ROWS_MAX } else { 1 << rows.len().ilog2() };
        let statement = sqlx::query(AssertSqlSafe(self.text(count)));
        rows.take(count).fold(statement, bind)
    }

    fn text(&self, count: usize) -> String {
        let mut text = String::with_capacity(self.head.len() + count * (self.row.len() + 1) + self.tail.len());
        text.push_str(self.head);
        for n in 0..count {
            if n > 0 {
                text.push(',');
            }
            text.push_str(self.row);
        }
        text.push_str(self.tail);
        text
    }
}
