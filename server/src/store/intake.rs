//! What `reconcile` needs before it can run: which record is meant, and everything known of it.

use std::collections::HashMap;

use async_trait::async_trait;
use syncline_core::{
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId},
    matching::MatchKey,
    record::RecordState,
};

use super::StoreError;

/// Finds and loads records for a change.
#[async_trait]
pub trait Intake {
    /// The records with these ids, in no particular order; unknown ids are left out. Documents are not decoded.
    async fn load(&self, ids: &[RecordId]) -> Result<Vec<RecordState>, StoreError>;

    /// The same without what grows with a record's history: the journal is empty, and the document knows its heads and
    /// nothing else.
    async fn load_surface(&self, ids: &[RecordId]) -> Result<Vec<RecordState>, StoreError>;

    /// The records that these objects of a connection belong to, by present id or alias; unknown objects are left out.
    async fn find_replicas(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, RecordId>, StoreError>;

    /// The ids of the records that these objects of a connection belonged to before the store was restored, where the restored store had
    /// forgotten the record; other objects are left out.
    async fn former_records(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, RecordId>, StoreError>;

    /// Ids of objects that belong to records, ascending, after `after`; of objects that were deleted and merged as well. At
    /// most `limit`.
    async fn linked_ids(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        after: Option<&ExternalId>,
        limit: u32,
    ) -> Result<Vec<ExternalId>, StoreError>;

    /// The live (not deleted) records of a model that have these match keys, at most [`MATCHES_MAX`] a key; keys that
    /// nobody has are left out. Keys are stored as 128-bit hashes that are bound to tenant and model.
    async fn find_matches(
        &self,
        model: &ModelName,
        keys: &[MatchKey],
    ) -> Result<HashMap<MatchKey, Vec<RecordId>>, StoreError>;
}

/// The most records found by one match key: a key that more records share identifies nobody.
pub const MATCHES_MAX: usize = 64;
