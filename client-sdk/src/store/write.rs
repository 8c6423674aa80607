//! The one way to change a store.

use syncline_core::{
    ids::{ModelName, RecordId},
    live::Cursor,
    repo::DocumentId,
};

use super::{Row, Subset};

/// One change of a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Keeps a record, in place of what was kept of it.
    PutRow(Box<Row>),
    /// Forgets a record. Its document is another write.
    DropRow(RecordId),
    /// Keeps a document as a whole, in place of what was kept of it.
    PutDocument {
        /// The document.
        id: DocumentId,
        /// This client's actor in it.
        actor: [u8; 16],
        /// Its bytes.
        saved: Vec<u8>,
        /// The heads that the server is known to have.
        acked: Vec<[u8; 32]>,
    },
    /// Adds changes to a document.
    Append {
        /// The document.
        id: DocumentId,
        /// The changes.
        changes: Vec<u8>,
    },
    /// The server is known to have these heads.
    Acknowledge {
        /// The document.
        id: DocumentId,
        /// The heads.
        acked: Vec<[u8; 32]>,
    },
    /// Forgets a document.
    DropDocument(DocumentId),
    /// Replicates a subset, or moves on in it.
    PutSubset {
        /// The subset.
        subset: Subset,
        /// How far its changes have been heard.
        cursor: Option<Cursor>,
        /// The number of its last complete listing.
        listing: u64,
    },
    /// Replicates a subset no longer. Its records are other writes.
    DropSubset(Subset),
    /// A field is a set.
    PutSetField {
        /// The model.
        model: ModelName,
        /// The field.
        field: String,
    },
}
