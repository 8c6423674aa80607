//! What people decided about which object is which record.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use syncline_core::{
    identity::{Operation, OperationId},
    ids::{ConnectionId, ExternalId, ObjectName, RecordId},
};

use super::StoreError;

/// How many operations are kept of a tenant; older ones can no longer be taken back.
pub const OPERATIONS_MAX: u32 = 100_000;

/// The most operations in one page.
pub const OPERATIONS_PAGE_MAX: u32 = 1_000;

/// The most records that are told to have gone into one.
pub const MERGED_MAX: u32 = 10_000;

/// Reads operations on identity, and what they forbid. A commit adds them.
#[async_trait]
pub trait Identity {
    /// One operation.
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// Operations, newest first.
    async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>, StoreError>;

    /// The records that went into this one, and those that went into them before: at most [`MERGED_MAX`].
    async fn merged_into(&self, record: RecordId) -> Result<Vec<RecordId>, StoreError>;

    /// The records that these objects may not be linked to but by a person; objects without any are left out.
    async fn not_same(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, BTreeSet<RecordId>>, StoreError>;
}

/// Which operations to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationQuery {
    /// Only those that concern this record, as either side.
    pub record: Option<RecordId>,
    /// Only operations before this one.
    pub before: Option<OperationId>,
    /// The most operations in the page; clamped to 1..=[`OPERATIONS_PAGE_MAX`].
    pub limit: u32,
}
