//! What the engine wants done. The order is the contract: first the writes are committed, then messages are sent and
//! everybody is told.

use std::collections::BTreeMap;

use syncline_core::{
    ids::{ModelName, RecordId},
    journal::Origin,
    repo::Message,
};

use crate::store::{Row, Subset, Write};

/// What follows from one or several inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    /// To be made durable together, before anything else.
    pub(crate) writes: Vec<Write>,
    /// To be sent, in order.
    pub(crate) messages: Vec<Message>,
    /// Records that changed.
    pub(crate) touched: Vec<Touched>,
    /// What else the application may want to know.
    pub(crate) notices: Vec<Notice>,
    /// What the engine wants to be told from the store.
    pub(crate) asks: Vec<Ask>,
    /// The connection is of no use, for this reason.
    pub(crate) close: Option<String>,
}

/// A record that changed.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    /// The record as it was.
    pub(crate) before: Option<Row>,
    /// The record as it is; `None` where the client no longer holds it.
    pub(crate) after: Option<Row>,
    /// Who wrote the fields that changed.
    pub(crate) sources: BTreeMap<String, Source>,
}

/// Who wrote a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This client.
    Here,
    /// Somebody else; who, is known where the server's feed told it before the document arrived.
    Elsewhere(Option<Origin>),
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    /// The server has answered: messages are exchanged.
    Joined,
    /// The server refused local changes.
    Refused { model: ModelName, record: RecordId, reason: String },
    /// The server keeps the document, but it is no record yet.
    Draft { model: ModelName, record: RecordId, reason: String },
    /// The server does not give out the document, or does not take it.
    Unavailable { model: ModelName, record: RecordId },
    /// The record turned out to be another one, whose id it has now.
    Merged { model: ModelName, from: RecordId, into: RecordId },
    /// The record's documents point at each other, or at too many others in a row.
    Astray { model: ModelName, record: RecordId },
    /// A document cannot be read.
    Damaged { record: RecordId, reason: String },
    /// Somebody said something about a record.
    Said { record: RecordId, by: String, data: Vec<u8> },
}

/// What the engine wants to be told from the store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Documents that have to be synced, of records above this one.
    Stale { after: Option<RecordId> },
    /// Records of a subset that its listing did not show.
    Unlisted { subset: Subset, listing: u64 },
}
