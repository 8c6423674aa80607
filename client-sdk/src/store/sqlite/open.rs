//! Opening the file: claim it, look before anything is changed, make the tables where there are none.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{StoreError, schema};

/// Memory for pages of the file. A working set of some thousand records fits.
const CACHE_KIB: i64 = 8 * 1024;
/// The log file is cut to this size after a checkpoint.
const LOG_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Claims the file for this client by a lock on a file beside it; the system lets go of it when the process ends,
/// however it ends.
pub(super) fn claim(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().create(true).append(true).open(&name).map_err(|error| cannot_open(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(cannot_open(path, &error)),
    }
}

/// Opens the file and brings its schema up to date.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .pragma("journal_size_limit", LOG_BYTES_MAX.to_string())
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| cannot_open(path, &error))?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| cannot_open(path, &error))?;
    match found {
        0 => make(&mut connection).await.map_err(|error| cannot_open(path, &error))?,
        schema::VERSION => {}
        found => return Err(StoreError::Newer { path: path.into(), found, known: schema::VERSION }),
    }
    Ok(connection)
}

/// Makes the tables, all of them or none.
async fn make(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for statement in schema::TABLES {
        transaction.execute(statement).await?;
    }
    transaction.commit().await
}

fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Open { path: path.into(), reason: error.to_string() }
}
