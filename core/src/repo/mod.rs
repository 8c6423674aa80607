//! The automerge-repo protocol, version "1", as data: frames in, messages out, and the other way round. Nothing here
//! reads a socket; server and client share it.
//!
//! * [`id`]: a document's id and its URL; [`peer`]: the names that peers give themselves.
//! * [`message`]: what a frame says; [`envelope`] wraps one payload for many receivers.
//! * [`thread`]: what one peer has been told of one document, and what it is told next.

mod cbor;
mod decode;
mod encode;
pub mod envelope;
pub mod id;
pub mod message;
pub mod peer;
pub mod thread;

pub use decode::WireError;
pub use envelope::Envelope;
pub use id::DocumentId;
pub use message::{Message, PROTOCOL_VERSION};
pub use peer::{PeerId, PeerMetadata, SessionId, StorageId};
