//! What a client keeps on its own machine: records, their documents, and how far it has heard.
//!
//! A [`Store`] is a small set of tables with one way to write: [`Store::commit`] makes a list of [`Write`]s durable
//! together or not at all. [`SqliteStore`] keeps them in a file, [`MemoryStore`] for as long as it lives; one suite of
//! stories holds both to the same behaviour (`client-sdk/tests/store`).

mod memory;
mod row;
mod sqlite;
mod write;

pub use memory::MemoryStore;
pub use row::{Row, StoredDocument, Subset, SubsetState, Tally};
pub use sqlite::SqliteStore;
pub use write::Write;

use std::{collections::BTreeMap, collections::BTreeSet, path::PathBuf};

use async_trait::async_trait;
use syncline_core::{
    ids::{ModelName, RecordId},
    live::Filter,
    repo::DocumentId,
};

/// The names of the fields that are sets, by model: a document may hold a set as a text, and only the server's JSON tells.
pub type SetFields = BTreeMap<ModelName, BTreeSet<String>>;

/// Which records to read: those of one model, in the order of their ids.
#[derive(Clone, Debug, PartialEq)]
pub struct RowQuery<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// Only records whose fields have these values.
    pub filter: &'a Filter,
    /// Only ids above this one.
    pub after: Option<RecordId>,
    /// The most rows in the answer.
    pub limit: usize,
}

/// Where a client keeps its records. Every method may be called at any time, also beside a commit, and sees either all
/// of a commit or nothing of it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes the writes durable, all of them or none; in order.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// A record.
    async fn row(&self, record: RecordId) -> Result<Option<Row>, StoreError>;

    /// The record that a document belongs to.
    async fn owner(&self, document: DocumentId) -> Result<Option<Row>, StoreError>;

    /// A record that is about to move to a document.
    async fn mover(&self, document: DocumentId) -> Result<Option<Row>, StoreError>;

    /// Records that are not deleted.
    async fn rows(&self, query: RowQuery<'_>) -> Result<Vec<Row>, StoreError>;

    /// A document.
    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>, StoreError>;

    /// Documents that have to be synced, in the order of their records' ids, of records above `after`.
    async fn stale(&self, after: Option<RecordId>, limit: usize) -> Result<Vec<(RecordId, DocumentId)>, StoreError>;

    /// Records of a model that a listing with this number did not show, above `after`.
    async fn unlisted(
        &self,
        model: &ModelName,
        listing: u64,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError>;

    /// How much there is.
    async fn tally(&self) -> Result<Tally, StoreError>;

    /// What is replicated.
    async fn subsets(&self) -> Result<Vec<SubsetState>, StoreError>;

    /// Which fields are sets.
    async fn set_fields(&self) -> Result<SetFields, StoreError>;
}

/// A store that fails, one variant per remedy.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another client of this one, has the file open.
    #[error("{} is in use by another client; close that one, or give each its own file", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or created.
    #[error("{} cannot be opened: {reason}; check the path, its permissions and that the disk is not full", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The file was written by a later version of this library.
    #[error("{} was written by a later version (schema {found}, this one knows {known}); update this program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// Reading or writing failed. Nothing of the write was kept.
    #[error("the local store failed: {0}; nothing of this write was kept: check the disk and try again")]
    Failed(String),
    /// What is stored makes no sense.
    #[error(
        "the local store holds something unreadable ({0}); restore the file, or delete it to fetch everything anew"
    )]
    Damaged(String),
}
