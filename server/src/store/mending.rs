//! Damaged documents of records: what they are rebuilt from, and those that could not be.

use async_trait::async_trait;
use syncline_core::{
    ids::{ModelName, RecordId},
    time::Millis,
};

use super::StoreError;

/// The most records in one answer.
pub const DAMAGED_PAGE_MAX: u32 = 1_000;

/// Reads what documents are rebuilt from, and keeps the list of those that could not be. A commit that makes a document
/// again takes its record off the list.
#[async_trait]
pub trait Mending {
    /// The changes of the record's document as the log has them, in Automerge's format; empty where the log has none, because
    /// nobody has edited the document since it was begun.
    async fn log_of(&self, record: RecordId) -> Result<Vec<u8>, StoreError>;

    /// Notes that the record's document is damaged and could not be rebuilt. One that is noted already keeps its first time.
    async fn note_damage(&self, record: RecordId, what: &str, at: Millis) -> Result<(), StoreError>;

    /// How many records are noted as damaged.
    async fn count_damaged(&self) -> Result<u64, StoreError>;

    /// One record, if it is noted as damaged.
    async fn damaged_record(&self, record: RecordId) -> Result<Option<DamagedRecord>, StoreError>;

    /// The records that are noted as damaged, by id, after `after`, at most `limit` (clamped to 1..=[`DAMAGED_PAGE_MAX`]).
    async fn damaged_records(&self, after: Option<RecordId>, limit: u32) -> Result<Vec<DamagedRecord>, StoreError>;
}

/// A record whose document is damaged. Nothing is written of it, to no account and by nobody, until the document has been
/// made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// The record.
    pub record: RecordId,
    /// Its model.
    pub model: ModelName,
    /// When the damage was found.
    pub found_at: Millis,
    /// What is wrong.
    pub what: String,
}
