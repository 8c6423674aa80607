//! Erasures: records that are removed with everything that was kept of them, and what proves it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::RecordId,
    live::{Change, Cursor},
    repo::DocumentId,
    time::Millis,
};

use super::{CommitError, ExternalRef, StoreError};

/// Removes records for good, and keeps the receipts.
#[async_trait]
pub trait Erasures {
    /// What is kept under other names than the record's; `None` where there is no such record.
    async fn kept_of(&self, record: RecordId) -> Result<Option<KeptOf>, StoreError>;

    /// The record's places in the feed after `after`, and the feed's head as far as was looked.
    async fn feed_places(&self, record: RecordId, after: Cursor) -> Result<(Vec<Cursor>, Cursor), StoreError>;

    /// Removes the record in one transaction, whatever its revision, and tells subscribers so: its entries in the feed stay at their
    /// places without values, and another one says that it is gone.
    async fn erase(&self, order: EraseOrder) -> Result<Erased, CommitError>;

    /// Removes documents that somebody wrote back while their record was being erased.
    async fn drop_documents(&self, documents: &[DocumentId]) -> Result<(), StoreError>;

    /// Searches the database's files for texts, after everything has been folded into them that was written. With `rewrite`, the file
    /// is written anew first, so that nothing is left in it but what rows hold.
    async fn search_files(&self, texts: &[String], rewrite: bool) -> Result<FileSearch, StoreError>;

    /// Which tables hold rows with one of the texts, and how many of the texts each holds.
    async fn search_rows(&self, texts: &[String]) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError>;

    /// Those of the marks that an erased record left.
    async fn find_erased(&self, marks: &[ErasedMark]) -> Result<BTreeSet<ErasedMark>, StoreError>;

    /// Whether any erased record left a mark.
    async fn has_erased(&self) -> Result<bool, StoreError>;

    /// Stores a new receipt; `record` while its objects are still being deleted elsewhere. Returns the receipt's name.
    async fn open_erasure(&self, receipt: &Receipt, record: Option<RecordId>) -> Result<ErasureId, StoreError>;

    /// Stores what became of an erasure that is over.
    async fn close_erasure(&self, id: ErasureId, receipt: &Receipt) -> Result<(), StoreError>;

    /// Erasures that wait until the record's objects are deleted elsewhere, at most 100.
    async fn erasures_under_way(&self) -> Result<Vec<(ErasureId, RecordId, Receipt)>, StoreError>;

    /// A receipt.
    async fn get_erasure(&self, id: ErasureId) -> Result<Option<Receipt>, StoreError>;

    /// Receipts, newest first, before this place; at most `limit` (clamped to 1..=1000).
    async fn list_erasures(
        &self,
        before: Option<ErasureId>,
        limit: u32,
    ) -> Result<Vec<(ErasureId, Receipt)>, StoreError>;

    /// Forgets the marks of an erasure, so that what it removed may come back; stores the receipt that says so.
    async fn readmit(&self, id: ErasureId, receipt: &Receipt) -> Result<(), StoreError>;
}

/// Names an erasure of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErasureId(pub i64);

/// A keyed hash of an id that an erased record had. Without the key, which is not in the database, it says nothing of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErasedMark(pub [u8; 32]);

/// What is kept of a record under other names than its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptOf {
    /// The objects that it is or was linked to.
    pub objects: Vec<ExternalRef>,
    /// Its document, and those that it left or that went into it.
    pub documents: Vec<DocumentId>,
}

/// What is to be removed.
#[derive(Clone, Debug, PartialEq)]
pub struct EraseOrder {
    /// The record.
    pub record: RecordId,
    /// The objects that it is or was linked to.
    pub objects: Vec<ExternalRef>,
    /// Its documents.
    pub documents: Vec<DocumentId>,
    /// Its places in the feed.
    pub feed: Vec<Cursor>,
    /// Texts that name it: quarantined rows that hold one are removed as well.
    pub names: Vec<String>,
    /// The marks that it leaves.
    pub marks: Vec<ErasedMark>,
    /// When.
    pub at: Millis,
    /// The erasure that this carries out.
    pub erasure: ErasureId,
    /// Its receipt, to which the numbers of rows are added.
    pub receipt: Receipt,
}

/// What was removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Erased {
    /// The receipt with the numbers of rows, as it was stored with the erasure.
    pub receipt: Receipt,
    /// What subscribers are told.
    pub change: Change,
}

/// What a search of the files found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSearch {
    /// The texts that were found.
    pub found: BTreeSet<String>,
    /// How many files were read.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// What is kept of an erasure, without personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The record's model.
    pub model: String,
    /// When it was asked for.
    pub asked_at: Millis,
    /// Who asked.
    pub asked_by: String,
    /// Whether the objects in connected systems were to be deleted first.
    pub everywhere: bool,
    /// When the record was erased; `None` while its objects are still being deleted.
    pub erased_at: Option<Millis>,
    /// Rows removed, or emptied, by table.
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// What a search of the database's files showed afterwards.
    pub proof: Option<Proof>,
    /// When a person let come back what was erased, and who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readmitted: Option<(Millis, String)>,
}

/// What a search of the database's files for the record's own texts showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How many texts of the record were searched for: external ids and values of at least six bytes, present and past.
    pub texts: u64,
    /// Shorter ones, which are found everywhere by chance.
    pub too_short: u64,
    /// Files searched.
    pub files: u64,
    /// Bytes searched.
    pub bytes: u64,
    /// Texts that are in the files though no row holds them. Zero, or the erasure is not complete.
    pub left: u64,
    /// Texts that rows of others hold as well, such as the name of a city, by table.
    pub shared: BTreeMap<String, u64>,
    /// Whether the file had to be written anew.
    pub rewritten: bool,
}
