//! What a frame says.

use std::collections::BTreeMap;

use automerge::ChangeHash;
use bytes::Bytes;

use super::{
    id::DocumentId,
    peer::{PeerId, PeerMetadata, SessionId, StorageId},
};

/// The one version of the protocol that exists.
pub const PROTOCOL_VERSION: &str = "1";

/// One frame of the protocol. Which of them a peer may send at which time is the receiver's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A client introduces itself: its first frame.
    Join {
        /// Who speaks.
        sender: PeerId,
        /// What it tells of itself.
        metadata: PeerMetadata,
        /// The versions it speaks. A client that names none speaks [`PROTOCOL_VERSION`], and is read so.
        versions: Vec<String>,
    },
    /// The server's answer to [`Message::Join`].
    Peer {
        /// Who speaks.
        sender: PeerId,
        /// The client.
        target: PeerId,
        /// What the server tells of itself.
        metadata: PeerMetadata,
        /// The version that the server chose.
        version: String,
    },
    /// Something went wrong, and the sender closes the connection.
    Error {
        /// Who speaks; some peers leave it out.
        sender: Option<PeerId>,
        /// Whom it concerns; some peers leave it out.
        target: Option<PeerId>,
        /// What went wrong, for people.
        message: String,
    },
    /// The sender is about to go.
    Leave {
        /// Who speaks.
        sender: PeerId,
    },
    /// A first sync message, by a peer that does not have the document and asks for it.
    Request(Sync),
    /// A sync message.
    Sync(Sync),
    /// The sender does not have the document, and none of its peers does.
    DocUnavailable {
        /// Who speaks.
        sender: PeerId,
        /// Whom it concerns.
        target: PeerId,
        /// The document.
        document: DocumentId,
    },
    /// A message that is passed on and never kept, such as a cursor's position.
    Ephemeral(Ephemeral),
    /// The sender wants to hear, or no longer to hear, of the heads in other stores.
    RemoteSubscriptionChange {
        /// Who speaks.
        sender: PeerId,
        /// Whom it concerns.
        target: PeerId,
        /// The stores to hear of, at most [`STORES_MAX`].
        add: Vec<StorageId>,
        /// The stores to hear of no more, at most [`STORES_MAX`].
        remove: Vec<StorageId>,
    },
    /// The heads of a document changed in some stores.
    RemoteHeadsChanged {
        /// Who speaks.
        sender: PeerId,
        /// Whom it concerns.
        target: PeerId,
        /// The document.
        document: DocumentId,
        /// The heads by store, at most [`STORES_MAX`].
        heads: BTreeMap<StorageId, RemoteHeads>,
    },
    /// A type that this version does not know. Receivers ignore it.
    Unknown {
        /// The type's name.
        kind: String,
    },
}

/// A message of Automerge's own sync protocol about one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Who speaks.
    pub sender: PeerId,
    /// Whom it concerns.
    pub target: PeerId,
    /// The document.
    pub document: DocumentId,
    /// The sync message as Automerge encodes it. It has not been looked at: vet it first.
    pub data: Bytes,
}

/// A message that is passed on and never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// Who sent it first.
    pub sender: PeerId,
    /// Whom it concerns.
    pub target: PeerId,
    /// The document.
    pub document: DocumentId,
    /// The sender's run.
    pub session: SessionId,
    /// Its number in that run. Whoever has seen a higher one drops the message, which ends loops.
    pub count: u64,
    /// What it says; the application's business.
    pub data: Bytes,
}

/// A document's heads in one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteHeads {
    /// The heads, at most [`HEADS_MAX`].
    pub heads: Vec<ChangeHash>,
    /// When that store's peer saw them, in milliseconds since 1970 by its own clock.
    pub at_ms: u64,
}

/// How many stores one message may name. Peers name the stores of the servers that they know, which are few.
pub const STORES_MAX: usize = 1024;

/// How many heads a message may name for one store. A document has one head for each writer who has not yet seen the
/// others.
pub const HEADS_MAX: usize = 1024;

/// How many bytes of prose an [`Message::Error`] may carry. Longer ones are refused when read and cut when written.
pub const PROSE_BYTES_MAX: usize = 4096;
