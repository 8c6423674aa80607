//! The space that a database's files take.

use std::{io, path::PathBuf};

use sqlx::SqlitePool;

use crate::store::{StoreError, StoreSize};

/// Asks the system, which knows of the log as well; SQLite counts the pages of the database alone.
pub(super) async fn of(readers: &SqlitePool) -> Result<StoreSize, StoreError> {
    let path: String =
        sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'").fetch_one(readers).await?;
    let bytes = async |suffix: &str| {
        let path = PathBuf::from(format!("{path}{suffix}"));
        match tokio::fs::metadata(&path).await {
            Ok(file) => Ok(file.len()),
            // There is no log before the first write.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(StoreError::Open { path, reason: error.to_string() }),
        }
    };
    Ok(StoreSize { database_bytes: bytes("").await?, log_bytes: bytes("-wal").await? })
}
