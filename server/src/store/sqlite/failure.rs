//! What SQLite's result codes mean for the one who runs the service.

use sqlx::{Error, error::DatabaseError};

use crate::store::StoreError;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOTADB: i32 = 26;
const CONSTRAINT_NOTNULL: i32 = 1299;
const CONSTRAINT_PRIMARYKEY: i32 = 1555;
const CONSTRAINT_UNIQUE: i32 = 2067;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Database(inner) => of_code(inner.as_ref()),
            Error::PoolClosed | Error::WorkerCrashed => Self::Closed,
            Error::PoolTimedOut => Self::Busy("all readers are at work".into()),
            Error::ColumnDecode { .. } | Error::Decode(_) => Self::Corrupt(error.to_string()),
            _ => Self::Database(error.to_string()),
        }
    }
}

fn of_code(error: &dyn DatabaseError) -> StoreError {
    let message = error.to_string();
    // The low byte is the primary code, the rest tells variants of it apart.
    match code(error) & 0xff {
        BUSY | LOCKED => StoreError::Busy(message),
        FULL => StoreError::Full(message),
        READONLY => StoreError::ReadOnly(message),
        CORRUPT | NOTADB => StoreError::Corrupt(message),
        IOERR => StoreError::Database(format!("{message}; check the disk and the system's log")),
        _ => StoreError::Database(message),
    }
}

fn code(error: &dyn DatabaseError) -> i32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// Whether a unique index refused a row.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(error, Error::Database(inner) if matches!(code(inner.as_ref()), CONSTRAINT_UNIQUE | CONSTRAINT_PRIMARYKEY))
}

/// Whether a column refused to be null.
pub(super) fn is_null(error: &Error) -> bool {
    matches!(error, Error::Database(inner) if code(inner.as_ref()) == CONSTRAINT_NOTNULL)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use sqlx::{
        ConnectOptions, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode},
    };

    use super::*;

    fn options(file: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(file).busy_timeout(Duration::ZERO).journal_mode(SqliteJournalMode::Wal)
    }

    async fn run(connection: &mut SqliteConnection, statements: &[&'static str]) -> Result<(), Error> {
        for statement in statements {
            sqlx::query(*statement).execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Runs the statements on a fresh connection to the file and tells what the last of them failed with.
    async fn failure_of(file: &Path, options: SqliteConnectOptions, statements: &[&'static str]) -> Error {
        let mut connection = options.connect().await.unwrap();
        run(&mut connection, statements).await.expect_err(&format!("{statements:?} on {}", file.display()))
    }

    #[tokio::test]
    async fn each_failure_has_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.db");
        let mut holder = options(&file).create_if_missing(true).connect().await.unwrap();
        run(&mut holder, &["CREATE TABLE t (a UNIQUE, b BLOB)", "INSERT INTO t VALUES (1, NULL)"]).await.unwrap();

        let read_only = options(&file).read_only(true);
        let error = failure_of(&file, read_only, &["INSERT INTO t VALUES (2, NULL)"]).await;
        assert!(matches!(StoreError::from(error), StoreError::ReadOnly(_)));

        let limited = options(&file).pragma("max_page_count", "4");
        let error = failure_of(&file, limited, &["INSERT INTO t VALUES (2, zeroblob(100000))"]).await;
        assert!(matches!(StoreError::from(error), StoreError::Full(_)));

        run(&mut holder, &["BEGIN IMMEDIATE"]).await.unwrap();
        let error = failure_of(&file, options(&file), &["BEGIN IMMEDIATE"]).await;
        assert!(matches!(StoreError::from(error), StoreError::Busy(_)));
        run(&mut holder, &["ROLLBACK"]).await.unwrap();

        let error = failure_of(&file, options(&file), &["INSERT INTO t VALUES (1, NULL)"]).await;
        assert!(is_duplicate(&error) && !is_null(&error), "{error}");
        let error =
            failure_of(&file, options(&file), &["CREATE TABLE n (a NOT NULL)", "INSERT INTO n VALUES (NULL)"]).await;
        assert!(is_null(&error) && !is_duplicate(&error), "{error}");
        let error = failure_of(&file, options(&file), &["SELECT * FROM nothing"]).await;
        assert!(matches!(StoreError::from(error), StoreError::Database(_)));

        let garbage = folder.path().join("garbage.db");
        std::fs::write(&garbage, vec![b'x'; 8_192]).unwrap();
        let plain = SqliteConnectOptions::new().filename(&garbage);
        let error = failure_of(&garbage, plain, &["SELECT * FROM sqlite_schema"]).await;
        assert!(matches!(StoreError::from(error), StoreError::Corrupt(_)));
    }
}
