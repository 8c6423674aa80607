//! One WebSocket of `/v1/repo`: who is on it, how it begins, and how it ends.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade};
use bytes::Bytes;
use syncline_core::{
    ids::ModelName,
    model::Model,
    repo::{DocumentId, Limits, Message, PROTOCOL_VERSION, PeerId, PeerMetadata, StorageId, WireError},
};
use tokio::time::{Instant, timeout};

use super::{
    Holder, RepoHub,
    conversation::Conversation,
    hub::{Named, Place},
    limits,
};
use crate::{engine::documents::Documents, store::TenantStore};

/// Sets a socket's bounds before it is upgraded.
pub(crate) fn configure(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(limits::FRAME_BYTES_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::WRITE_BUFFER_BYTES_MAX)
}

/// Whoever is on a socket, and what it may reach.
pub(crate) struct Visitor {
    /// Who it is.
    pub(crate) holder: Holder,
    /// What it was let in by, for counting what it does: a key's own bearer is not to suffer for the tokens that it made.
    pub(crate) credential: String,
    /// Until when it may stay.
    pub(crate) until: Option<Instant>,
    /// The tenant's documents.
    pub(crate) store: Arc<dyn TenantStore>,
    /// Takes changes in.
    pub(crate) documents: Arc<dyn Documents>,
    /// Tells what happens.
    pub(crate) hub: Arc<RepoHub>,
    /// How much a message about a document that is no record may hold.
    pub(crate) own_limits: Limits,
    /// The models, which bound what a message about a record may hold.
    pub(crate) models: Arc<BTreeMap<ModelName, Model>>,
    /// Held while the socket is open.
    pub(crate) place: Place,
}

/// Why a socket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed, or its connection broke.
    Gone,
    /// The peer broke the protocol: the code by RFC 6455, and the reason.
    Protocol(u16, String),
    /// Who it is was not said, or the token has expired.
    Unauthorised(&'static str),
    /// It may not do what it keeps doing.
    Forbidden(&'static str),
    /// It took too long to read, or was silent for too long.
    TooSlow,
    /// A bound is reached.
    TooMany(&'static str),
    /// The service cannot go on.
    Broken(String),
    /// The service shuts down.
    Closing,
}

impl End {
    fn frame(&self) -> Option<CloseFrame> {
        let (code, reason): (u16, &str) = match self {
            Self::Gone => return None,
            Self::Protocol(code, reason) => (*code, reason),
            Self::Unauthorised(reason) => (4401, reason),
            Self::Forbidden(reason) => (4403, reason),
            Self::TooSlow => (4408, "too slow or silent for too long: reconnect"),
            Self::TooMany(reason) => (4429, reason),
            Self::Broken(reason) => (1011, reason),
            Self::Closing => (1001, "the service restarts: reconnect"),
        };
        // A close frame carries at most 123 bytes of reason.
        let end = (0..=reason.len().min(123)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        Some(CloseFrame { code, reason: Utf8Bytes::from(&reason[..end]) })
    }
}

/// Closes a socket that is not let in. It is accepted first: some clients end their whole process where the handshake
/// itself is refused.
pub(crate) async fn turn_away(mut socket: WebSocket, end: End) {
    close(&mut socket, &end).await;
}

/// Serves a socket until it ends.
pub(crate) async fn serve(mut socket: WebSocket, visitor: Visitor) {
    let closing = visitor.hub.closing();
    let end = match timeout(visitor.hub.limits().join_timeout, introduce(&mut socket, &visitor)).await {
        Err(_) => End::TooSlow,
        Ok(Err(end)) => end,
        Ok(Ok(peer)) => {
            let ear = visitor.hub.listen(&visitor.place);
            let mut conversation = Conversation::new(&mut socket, &visitor, peer);
            let end = tokio::select! {
                end = conversation.run(ear) => end,
                () = closing.cancelled() => End::Closing,
            };
            let documents: Vec<DocumentId> = conversation.threads.keys().copied().collect();
            visitor.hub.leave(&visitor.holder.principal.tenant, documents.into_iter(), visitor.place.socket);
            end
        }
    };
    let principal = &visitor.holder.principal;
    tracing::debug!(tenant = %principal.tenant, ?end, "a repo session ended");
    if matches!(end, End::Protocol(1009, _)) {
        // It will come back with the same frame, and must not do so for ever.
        visitor.hub.refused(&principal.tenant, &visitor.credential);
    }
    close(&mut socket, &end).await;
}

async fn close(socket: &mut WebSocket, end: &End) {
    let Some(frame) = end.frame() else { return };
    // A peer that does not even take the close frame is dropped with its connection.
    let farewell = async {
        if socket.send(Frame::Close(Some(frame))).await.is_ok() {
            // The peer's own close frame ends the connection in order.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = timeout(limits::CLOSE_TIMEOUT, farewell).await;
}

/// Waits for the peer to say who it is, and answers.
async fn introduce(socket: &mut WebSocket, visitor: &Visitor) -> Result<Peer, End> {
    loop {
        let frame = binary(socket.recv().await)?;
        let Some(frame) = frame else { continue };
        let Message::Join { sender, metadata, versions } = decode(&frame)? else {
            return Err(End::Protocol(1002, "the first message must be a join".into()));
        };
        let name = visitor.hub.name().clone();
        if !versions.iter().any(|version| version == PROTOCOL_VERSION) {
            let message = format!("this server speaks version {PROTOCOL_VERSION} of the protocol");
            let error = Message::Error { sender: Some(name), target: Some(sender), message: message.clone() };
            let _ = socket.send(Frame::Binary(error.encode().into())).await;
            return Err(End::Protocol(1002, message));
        }
        let principal = &visitor.holder.principal;
        let Some(named) = visitor.hub.name_for(&principal.tenant, &principal.name, &sender) else {
            return Err(End::Forbidden("another user speaks under this peer id: take a random one"));
        };
        let ours = PeerMetadata { storage_id: Some(visitor.hub.store().clone()), ephemeral: false };
        let answer = Message::Peer {
            sender: name,
            target: sender.clone(),
            metadata: ours,
            version: PROTOCOL_VERSION.to_owned(),
        };
        socket.send(Frame::Binary(answer.encode().into())).await.map_err(|_| End::Gone)?;
        return Ok(Peer { name: sender, store: metadata.storage_id, _named: named });
    }
}

/// The bytes of a binary frame; `None` for a ping or pong.
pub(super) fn binary(received: Option<Result<Frame, axum::Error>>) -> Result<Option<Bytes>, End> {
    match received {
        None | Some(Ok(Frame::Close(_))) => Err(End::Gone),
        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(None),
        Some(Ok(Frame::Binary(bytes))) => Ok(Some(bytes)),
        Some(Ok(Frame::Text(_))) => Err(End::Protocol(1003, "messages are CBOR in binary frames, not text".into())),
        Some(Err(error)) => Err(broken(&error.to_string())),
    }
}

/// The code for a broken frame. The library's error is not public; its words are.
fn broken(words: &str) -> End {
    let code = match words {
        words if words.contains("ontrol frame") => 1002,
        words if words.contains("too long") || words.contains("too big") => 1009,
        words if words.contains("UTF-8") || words.contains("utf-8") => 1007,
        words if words.contains("rotocol") => 1002,
        _ => return End::Gone,
    };
    End::Protocol(code, words.to_owned())
}

pub(super) fn decode(frame: &Bytes) -> Result<Message, End> {
    Message::decode(frame, limits::FRAME_BYTES_MAX).map_err(|error| match error {
        WireError::TooLarge { .. } => End::Protocol(1009, error.to_string()),
        error => End::Protocol(1007, error.to_string()),
    })
}

/// The program at the other end.
pub(super) struct Peer {
    pub(super) name: PeerId,
    pub(super) store: Option<StorageId>,
    _named: Named,
}
