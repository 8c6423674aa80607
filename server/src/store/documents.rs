//! Documents as clients of the automerge-repo protocol hold them: those of records, and those that are no record's own.

use std::collections::HashMap;

use async_trait::async_trait;
use syncline_core::{
    ids::{ModelName, RecordId},
    journal::Heads,
    repo::DocumentId,
    time::Millis,
};

use super::StoreError;

/// The most chunks that a document is kept in; then it is written anew as one.
pub const CHUNKS_MAX: u32 = 64;

/// Finds and reads documents. They are written by [`super::CommitBatch`].
#[async_trait]
pub trait Documents {
    /// What these documents are and where they stand; unknown ones are left out.
    async fn find_documents(&self, ids: &[DocumentId]) -> Result<HashMap<DocumentId, Found>, StoreError>;

    /// A document in Automerge's file format, with what it is at that moment.
    async fn saved_document(&self, id: DocumentId) -> Result<Option<SavedDocument>, StoreError>;

    /// The documents whose content moved into this record.
    async fn moved_into(&self, record: RecordId) -> Result<Vec<DocumentId>, StoreError>;

    /// How much the tenant's documents take that are no record's own.
    async fn documents_usage(&self) -> Result<DocumentsUsage, StoreError>;

    /// Notes that a client's change was refused. The newest [`REFUSALS_MAX`] are kept.
    async fn note_refusal(&self, refusal: &Refusal) -> Result<(), StoreError>;

    /// Refused changes, newest first, before this place.
    async fn refusals(&self, before: Option<RefusalId>, limit: u32) -> Result<Vec<(RefusalId, Refusal)>, StoreError>;

    /// Which principal these Automerge actors belong to; actors that nobody has used are left out.
    async fn actor_owners(&self, actors: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, String>, StoreError>;
}

/// How many refused changes are kept of a tenant.
pub const REFUSALS_MAX: u32 = 10_000;

/// Names a refusal of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusalId(pub i64);

/// A client's change that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: Millis,
    /// Whose change it was.
    pub principal: String,
    /// Of which document.
    pub document: DocumentId,
    /// Why, as the client was told.
    pub reason: String,
}

/// A document and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: DocumentKind,
    /// Its heads.
    pub heads: Heads,
}

/// What a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// A record's own.
    Record {
        /// The record.
        record: RecordId,
        /// Its model.
        model: ModelName,
    },
    /// Of no model; never synced anywhere.
    Free,
    /// Of a model, but not yet fit to become a record.
    Draft,
    /// Its content went into a record, and what clients write into it still goes there.
    Moved {
        /// The record.
        record: RecordId,
        /// Its model.
        model: ModelName,
    },
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedDocument {
    /// What it is and where it stands.
    pub found: Found,
    /// Automerge's file format, possibly in several chunks, one after the other.
    pub saved: Vec<u8>,
    /// In how many chunks it is kept.
    pub chunks: u32,
}

/// How much a tenant's documents take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DocumentsUsage {
    /// How many they are.
    pub documents: u64,
    /// Their saved bytes.
    pub bytes: u64,
}

/// A change to a document that is no record's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentWrite {
    /// The whole document, in place of what was kept of it.
    Put {
        /// Which document.
        id: DocumentId,
        /// What it is; never a record's own.
        kind: DocumentKind,
        /// Who began it.
        principal: String,
        /// Its heads.
        heads: Heads,
        /// The document in Automerge's file format.
        saved: Vec<u8>,
        /// How many ops it holds.
        ops: u64,
    },
    /// What came since.
    Append {
        /// Which document.
        id: DocumentId,
        /// Its heads now.
        heads: Heads,
        /// The changes since, in Automerge's format.
        chunk: Vec<u8>,
        /// How many ops it holds now.
        ops: u64,
    },
    /// The document became a record's own.
    Drop {
        /// Which document.
        id: DocumentId,
    },
}

/// An Automerge actor and the principal that uses it from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorClaim {
    /// The actor.
    pub actor: Vec<u8>,
    /// The principal.
    pub principal: String,
}
