//! The automerge-repo protocol, version "1", as data: frames in, messages out, and the other way round. Nothing here
//! reads a socket; server and client share it.
//!
//! * [`id`]: a document's id and its URL; [`peer`]: the names that peers give themselves.
//! * [`message`]: what a frame says; [`envelope`] wraps one payload for many receivers.
//! * [`limits`]: how much is taken at once; [`refusal`]: why something is not taken.
//! * [`inbound`]: a sync message, counted first and then taken apart into changes.
//! * [`mod@vet`]: which of those changes may enter the document; [`ledger`]: what is known of the document for that.
//! * [`apply`]: the changes that may, entered.
//! * [`thread`]: what one peer has been told of one document, and what it is told next.

pub mod apply;
mod cbor;
mod chunk;
mod decode;
mod encode;
pub mod envelope;
pub mod id;
pub mod inbound;
pub mod ledger;
pub mod limits;
pub mod message;
mod objects;
pub mod peer;
pub mod refusal;
pub mod thread;
pub mod vet;

pub use decode::WireError;
pub use envelope::Envelope;
pub use id::DocumentId;
pub use inbound::Inbound;
pub use ledger::{Known, Ledger};
pub use limits::{Census, Limits};
pub use message::{Message, PROTOCOL_VERSION};
pub use peer::{PeerId, PeerMetadata, SessionId, StorageId};
pub use refusal::{Refusal, RefusedChange};
pub use vet::{Facts, Use, Verdict, vet};
