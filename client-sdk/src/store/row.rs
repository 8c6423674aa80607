//! What is kept of a record.

use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::{ModelName, RecordId},
    live::{Cursor, Filter, JsonFields},
    repo::DocumentId,
    time::Millis,
};

/// A record as the client shows it, and how it stands with the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The record's id.
    pub record: RecordId,
    /// Its model.
    pub model: ModelName,
    /// The document that holds it.
    pub document: DocumentId,
    /// Its fields in the form of the API: the document's once that is held, before that the server's.
    pub fields: JsonFields,
    /// Since when it is deleted.
    pub deleted: Option<Millis>,
    /// The highest version that the server told; 0 where it told none.
    pub version: u64,
    /// Whether the document is in the store.
    pub held: bool,
    /// Whether the document has to be synced: it was never fetched, the server has news, or changes wait to be sent.
    pub stale: bool,
    /// How many local changes the server has not acknowledged.
    pub pending: u32,
    /// Why the server refused the local changes; they are kept and not sent again until somebody decides.
    pub refused: Option<String>,
    /// The document that is to take this one's place, once it has been fetched.
    pub moving_to: Option<DocumentId>,
    /// The number of the last listing that showed the record; 0 where none did.
    pub listed: u64,
}

/// A document as it is stored. It is loaded by reading the snapshot and then the changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredDocument {
    /// The Automerge actor of this client's changes in this document, drawn once and used by nobody else.
    pub actor: [u8; 16],
    /// The document in Automerge's file format; empty for none.
    pub saved: Vec<u8>,
    /// Changes since, in the order of their arrival.
    pub changes: Vec<Vec<u8>>,
    /// The heads that the server is known to have: what they cover is acknowledged.
    pub acked: Vec<[u8; 32]>,
}

/// A part of the server's records: one model, and the values that fields must have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subset {
    /// The model.
    pub model: ModelName,
    /// Only records whose fields have these values.
    #[serde(default)]
    pub filter: Filter,
}

impl Subset {
    /// Whether a record belongs to the subset.
    pub fn holds(&self, model: &ModelName, fields: &JsonFields) -> bool {
        self.model == *model && self.filter.matches(fields)
    }
}

/// A subset that is replicated.
#[derive(Clone, Debug, PartialEq)]
pub struct SubsetState {
    /// The subset.
    pub subset: Subset,
    /// How far its changes have been heard; `None` before it was listed as a whole.
    pub cursor: Option<Cursor>,
    /// The number of its last complete listing; 0 for none.
    pub listing: u64,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that are not deleted.
    pub records: u64,
    /// Local changes that the server has not acknowledged, refused ones apart.
    pub pending: u64,
    /// Local changes that the server refused.
    pub refused: u64,
    /// Documents that have to be synced.
    pub stale: u64,
}

impl Tally {
    /// What one record counts for.
    pub(crate) fn of(row: &Row) -> Self {
        let pending = u64::from(row.pending);
        let (pending, refused) = if row.refused.is_some() { (0, pending) } else { (pending, 0) };
        Self {
            records: u64::from(row.deleted.is_none()),
            pending,
            refused,
            stale: u64::from(row.stale && row.refused.is_none()),
        }
    }

    /// The count after a record changed from `before` to `after`.
    pub(crate) fn replaced(self, before: Option<&Row>, after: Option<&Row>) -> Self {
        let (before, after) = (before.map(Self::of).unwrap_or_default(), after.map(Self::of).unwrap_or_default());
        let step = |all: u64, before: u64, after: u64| (all + after).saturating_sub(before);
        Self {
            records: step(self.records, before.records, after.records),
            pending: step(self.pending, before.pending, after.pending),
            refused: step(self.refused, before.refused, after.refused),
            stale: step(self.stale, before.stale, after.stale),
        }
    }
}
