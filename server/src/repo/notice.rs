//! What this server itself says in ephemeral messages.

use bytes::Bytes;
use syncline_core::repo::{DocumentId, Message, PeerId, SessionId, message::Ephemeral};

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A change was refused, and no further ones of the document are taken from this peer.
    Refused,
    /// The document is kept, but is no record yet.
    Draft,
}

/// Tells the one who made a change what became of it: `{ syncline: { kind, reason } }` in CBOR, as an ephemeral message of the
/// document. Clients that do not know it ignore it.
pub(super) fn notice(
    kind: Kind,
    from: &PeerId,
    to: &PeerId,
    document: DocumentId,
    count: u64,
    reason: &str,
) -> Message {
    let session =
        SessionId::new(from.as_str()).unwrap_or_else(|_| unreachable!("a peer's name is as short as a session's"));
    Message::Ephemeral(Ephemeral {
        sender: from.clone(),
        target: to.clone(),
        document,
        session,
        count,
        data: Bytes::from(cbor(kind, reason)),
    })
}

fn cbor(kind: Kind, reason: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(64 + reason.len());
    let kind = match kind {
        Kind::Refused => "refused",
        Kind::Draft => "draft",
    };
    let mut encoder = minicbor::Encoder::new(&mut data);
    let written = encoder
        .map(1)
        .and_then(|encoder| encoder.str("syncline")?.map(2))
        .and_then(|encoder| encoder.str("kind")?.str(kind)?.str("reason")?.str(reason));
    // Memory takes everything.
    debug_assert!(written.is_ok());
    data
}
