//! A store in one SQLite file: write-ahead logging and `synchronous=FULL`, so that what is committed survives the loss
//! of power, and one connection, so that a commit and a reading never see halves of each other.

mod open;
mod read;
mod schema;
mod values;
mod write;

use std::{fmt, fs::File, path::Path, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};
use syncline_core::{
    ids::{ModelName, RecordId},
    repo::DocumentId,
};
use tokio::sync::Mutex;

use super::{Row, RowQuery, SetFields, Store, StoreError, StoredDocument, SubsetState, Tally, Write};

/// A store in one SQLite file. A file beside it, with the ending `.lock`, keeps a second process out: two processes
/// would write under one Automerge actor, which loses edits.
#[derive(Clone)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Arc<Mutex<SqliteConnection>>,
    /// Held for as long as any clone of the store lives.
    _claim: Arc<File>,
}

impl SqliteStore {
    /// Opens the file, and creates it where it does not exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Open`] and [`StoreError::Newer`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let claim = open::claim(&path)?;
        let connection = open::connect(&path).await?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)), _claim: Arc::new(claim) })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for write in &writes {
            write::apply(&mut transaction, write).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn row(&self, record: RecordId) -> Result<Option<Row>, StoreError> {
        read::row(&mut *self.connection.lock().await, record).await
    }

    async fn owner(&self, document: DocumentId) -> Result<Option<Row>, StoreError> {
        read::owner(&mut *self.connection.lock().await, document).await
    }

    async fn mover(&self, document: DocumentId) -> Result<Option<Row>, StoreError> {
        read::mover(&mut *self.connection.lock().await, document).await
    }

    async fn rows(&self, query: RowQuery<'_>) -> Result<Vec<Row>, StoreError> {
        read::rows(&mut *self.connection.lock().await, query).await
    }

    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>, StoreError> {
        read::document(&mut *self.connection.lock().await, id).await
    }

    async fn stale(&self, after: Option<RecordId>, limit: usize) -> Result<Vec<(RecordId, DocumentId)>, StoreError> {
        read::stale(&mut *self.connection.lock().await, after, limit).await
    }

    async fn unlisted(
        &self,
        model: &ModelName,
        listing: u64,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError> {
        read::unlisted(&mut *self.connection.lock().await, model, listing, after, limit).await
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        read::tally(&mut *self.connection.lock().await).await
    }

    async fn subsets(&self) -> Result<Vec<SubsetState>, StoreError> {
        read::subsets(&mut *self.connection.lock().await).await
    }

    async fn set_fields(&self) -> Result<SetFields, StoreError> {
        read::set_fields(&mut *self.connection.lock().await).await
    }
}
