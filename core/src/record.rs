//! A record: its document, its journal and its replicas, as the store keeps them and as `reconcile` changes them.

use std::collections::BTreeMap;

use crate::{
    document::Document,
    ids::{ConnectionId, ModelName, RecordId, TenantId},
    journal::ChangeEntry,
    replica::Replica,
    repo::DocumentId,
    time::Millis,
    value::Fields,
};

/// Everything known of one record.
#[derive(Clone, Debug)]
pub struct RecordState {
    /// Whose record it is.
    pub tenant: TenantId,
    /// Which record.
    pub id: RecordId,
    /// Its model.
    pub model: ModelName,
    /// Counts every commit of this record, replicas included; a commit names the revision it was computed from.
    pub revision: u64,
    /// How often the record's history has begun anew.
    pub epoch: u32,
    /// Counts the changes of the document that users see.
    pub version: u64,
    /// The values that the document shows, kept beside it so that most readings need not load it.
    pub fields: Fields,
    /// Since when the record is deleted.
    pub deleted: Option<Millis>,
    /// The record that this one was merged into; such a record is deleted, and has no linked object.
    pub merged_into: Option<RecordId>,
    /// The Automerge document.
    pub document: Document,
    /// The journal since the document's epoch began, oldest first.
    pub journal: Vec<ChangeEntry>,
    /// The copies by connection.
    pub replicas: BTreeMap<ConnectionId, Replica>,
    /// When the record was first committed.
    pub first_seen_at: Millis,
    /// When the document last changed.
    pub last_modified_at: Millis,
}

impl RecordState {
    /// The id under which clients have the record's document. It is another one in each epoch.
    pub fn document_id(&self) -> DocumentId {
        DocumentId::of_epoch(self.id, self.epoch)
    }
}
