//! Why the store could not do what it was asked; one variant per remedy.

use std::path::PathBuf;

use syncline_core::{
    ids::{ConnectionId, ExternalId, ObjectName, RecordId},
    repo::DocumentId,
};

/// Why the store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process of this service has the database open.
    #[error(
        "the database {path} is in use by another syncline process: stop that process, or give this one a database of its own (`server.database`)"
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// Another program holds the write lock for longer than we wait.
    #[error(
        "the database is locked by another program ({0}): close the program that has it open (a database browser, a backup); nothing was written"
    )]
    Busy(String),
    /// The disk, or the database's size limit, is full.
    #[error(
        "the disk that holds the database is full ({0}): free some space; nothing was written and service goes on by itself"
    )]
    Full(String),
    /// The file or its folder cannot be written.
    #[error(
        "the database cannot be written ({0}): check the permissions and mount options of the file and of its folder"
    )]
    ReadOnly(String),
    /// The database was last opened by a newer version of this service.
    #[error(
        "the database {path} has schema version {found}, but this version of syncline knows only {known}: use the newer version again, or restore the backup made before the upgrade; nothing was changed"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The newest migration found in it.
        found: i64,
        /// The newest migration that this version knows.
        known: i64,
    },
    /// The file is damaged, or is no database of this service.
    #[error(
        "the database is damaged or not a syncline database ({0}): see what `syncline check --store` finds, restore it from a backup (`syncline store restore`), or point `server.database` elsewhere"
    )]
    Corrupt(String),
    /// A stored document is not what was stored.
    #[error(
        "document {document} is damaged ({what}): see `syncline quarantine list`, and `syncline check --store` for what else may be"
    )]
    Damaged {
        /// Which document.
        document: DocumentId,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be opened or created.
    #[error("the database {path} cannot be opened ({reason}): check that its folder exists and may be written")]
    Open {
        /// The database.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// More waits to be stored than is taken in.
    #[error("too much waits already ({0}): try again a little later; nothing was written")]
    Overloaded(String),
    /// The store was closed.
    #[error("the store is closed: the service is shutting down")]
    Closed,
    /// A value cannot be stored as it is.
    #[error("{0}")]
    Value(String),
    /// Anything else the database says.
    #[error("the database failed: {0}")]
    Database(String),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's changing the call: answer 503 and try again.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full(_) | Self::ReadOnly(_) | Self::Overloaded(_) | Self::Closed)
    }
}

/// Why a batch was not committed. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// These records were committed by somebody else since they were loaded, or, where they were to be created, exist
    /// already: load them and reconcile again.
    #[error("{} record(s) changed since they were loaded: load them again and repeat", .0.len())]
    Stale(Vec<RecordId>),
    /// An external id belongs to another record already.
    #[error(
        "object `{object}` `{id}` of connection `{connection}` belongs to record {holder} already: two records cannot share one object"
    )]
    Taken {
        /// The connection.
        connection: ConnectionId,
        /// The provider's object name.
        object: ObjectName,
        /// The provider's id.
        id: ExternalId,
        /// The record that holds it.
        holder: RecordId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
