//! What is kept for a while only.

use async_trait::async_trait;
use syncline_core::{repo::DocumentId, time::Millis};

use super::StoreError;

/// Drops what is older than it has to be.
#[async_trait]
pub trait Retention {
    /// Drops what became old before `before`, at most `limit` rows in one short transaction; returns how many.
    async fn drop_old(&self, what: Old, before: Millis, limit: u32) -> Result<u64, StoreError>;

    /// Documents that moved before `before` and are still kept in full, at most `limit`.
    async fn old_moved_documents(&self, before: Millis, limit: u32) -> Result<Vec<DocumentId>, StoreError>;

    /// Drops what moved documents hold. That they moved, and into which record, stays known.
    async fn empty_documents(&self, documents: &[DocumentId]) -> Result<u64, StoreError>;

    /// The place in the feed up to which every change was committed before `before`.
    async fn feed_before(&self, before: Millis) -> Result<u64, StoreError>;
}

/// What can be dropped by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// Journal entries of records' earlier epochs, which nothing but the history shows.
    History,
    /// Conflicts that a person has closed.
    Conflicts,
    /// Rows in quarantine that were not tried again.
    Quarantine,
    /// Receipts of erasures; what they keep out stays out.
    Erasures,
}
