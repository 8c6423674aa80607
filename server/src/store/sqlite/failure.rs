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
