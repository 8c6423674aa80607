//! What the engine is told, and what it must be shown before it can act on that.

use syncline_core::{
    ids::{ModelName, RecordId},
    journal::Origin,
    live::{Cursor, JsonFields},
    repo::{DocumentId, Message},
    time::Millis,
};

use crate::{
    fields::{FieldEdit, FieldValues},
    store::{Row, StoredDocument, Subset},
};

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The application creates a record.
    Create { model: ModelName, record: RecordId, fields: FieldValues },
    /// The application edits a record, deletes it or restores it.
    Edit { record: RecordId, edits: Vec<FieldEdit>, deleted: Option<bool> },
    /// The application wants a record's document kept in sync, whether or not it changes.
    Attend { record: RecordId, on: bool },
    /// The application says something about a record to whoever has it open.
    Say { record: RecordId, data: Vec<u8> },
    /// Refused edits are to be sent once more.
    Retry { record: RecordId },
    /// Local edits that were not acknowledged are to be taken back.
    Discard { record: RecordId },
    /// A connection stands; nothing was said yet.
    Connected,
    /// The connection ended.
    Lost,
    /// The server said something.
    Frame(Message),
    /// A subset is to be replicated.
    Hold { subset: Subset },
    /// A subset is no longer to be replicated; its records follow as [`Input::Unwanted`].
    Release { subset: Subset },
    /// A page of a subset's listing.
    Listed { subset: Subset, listing: u64, rows: Vec<Told> },
    /// The listing is complete; changes after the cursor follow.
    ListEnd { subset: Subset, listing: u64, cursor: Cursor },
    /// A change of the feed; `None` for the record of one that only moves the cursor.
    Change { subset: Subset, cursor: Cursor, told: Option<Told> },
    /// Records of which the listing of a subset showed nothing.
    Unwanted { subset: Subset, listing: u64, records: Vec<RecordId> },
    /// Documents that have to be synced, and whether there may be more above the last one.
    Stale { documents: Vec<(RecordId, DocumentId)>, more: bool },
    /// A document's turn to be synced has come.
    Sync { document: DocumentId },
    /// A record's new document may be there by now.
    Move { record: RecordId },
    /// Time has passed.
    Tick,
}

/// What the server's HTTP side tells of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// The record.
    pub(crate) record: RecordId,
    /// Its document, where the server named it.
    pub(crate) document: Option<DocumentId>,
    /// Its version.
    pub(crate) version: u64,
    /// Its fields.
    pub(crate) fields: JsonFields,
    /// Since when it is deleted.
    pub(crate) deleted: Option<Millis>,
    /// Who wrote the fields that changed, where that is told.
    pub(crate) origins: Vec<(String, Origin)>,
    /// The record was removed for good: nothing of it may stay here.
    pub(crate) erased: bool,
}

/// What has to be read from the store before an input can be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A record.
    Row(RecordId),
    /// The record to which a document belongs.
    Owner(DocumentId),
    /// A record that is about to move to a document.
    Mover(DocumentId),
    /// A document.
    Document(DocumentId),
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) enum Brought {
    /// A record, if there is one.
    Row(RecordId, Option<Row>),
    /// The record to which a document belongs, if to any.
    Owner(DocumentId, Option<Row>),
    /// A record that is about to move to a document, if any is.
    Mover(DocumentId, Option<Row>),
    /// A document, if it is there.
    Document(DocumentId, Option<StoredDocument>),
}
