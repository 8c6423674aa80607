//! One WebSocket of `/v1/live`.
//!
//! Two halves run side by side: one reads what the client says, one writes what it is to hear. The session ends with the
//! first of them, or when the service shuts down.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use futures_util::{SinkExt, Stream, StreamExt};
use syncline_core::{ids::ModelName, live::ClientMessage, model::Model};
use tokio::{sync::mpsc, time::timeout};

use super::{FeedHub, Seat, limits, writer::Writer};
use crate::store::TenantStore;

/// Sets a socket's bounds before it is upgraded.
pub(crate) fn configure(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(limits::MESSAGE_BYTES_MAX)
        .max_frame_size(limits::MESSAGE_BYTES_MAX)
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::WRITE_BUFFER_BYTES_MAX)
}

/// Whoever listens on a socket, and what it may reach.
pub(crate) struct Listener {
    /// The tenant's data.
    pub(crate) store: Arc<dyn TenantStore>,
    /// The announcements.
    pub(crate) hub: Arc<FeedHub>,
    /// The models there are.
    pub(crate) models: Arc<BTreeMap<ModelName, Model>>,
    /// Held while the socket is open.
    pub(crate) seat: Seat,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed, or its connection broke.
    Gone,
    /// The client broke the protocol or sent a message beyond the bound.
    Protocol,
    /// The client took too long to read, or was silent for too long.
    TooSlow,
    /// The service shuts down.
    Closing,
}

impl End {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone => return None,
            Self::Protocol => (1009, "the frame was malformed or longer than 64 KiB"),
            Self::TooSlow => (4408, "too slow: reconnect, and go on after the last cursor"),
            Self::Closing => (1001, "the service restarts: reconnect, and go on after the last cursor"),
        };
        Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
    }
}

/// Serves a socket until it ends.
pub(crate) async fn serve(socket: WebSocket, listener: Listener) {
    let closing = listener.hub.closing();
    let (mut sink, stream) = socket.split();
    let (requests, inbox) = mpsc::channel(limits::REQUESTS_WAITING_MAX);
    let end = tokio::select! {
        end = read(stream, requests, listener.hub.limits().idle_timeout) => end,
        end = Writer::new(&mut sink, &listener).run(inbox) => end,
        () = closing.cancelled() => End::Closing,
    };
    tracing::debug!(tenant = %listener.store.tenant(), ?end, "a live session ended");
    if let Some(frame) = end.frame() {
        let patience = limits::CLOSE_TIMEOUT.min(listener.hub.limits().send_timeout);
        // A peer that does not even take the close frame is dropped with its connection.
        let _ = timeout(patience, sink.send(Message::Close(Some(frame)))).await;
    }
    drop(listener.seat);
}

/// A message of the client, or why it was not understood.
pub(super) type Request = Result<ClientMessage, String>;

/// Reads what the client says until it ends or says nothing, not even a pong, for too long.
async fn read(
    mut stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    requests: mpsc::Sender<Request>,
    patience: Duration,
) -> End {
    loop {
        let request = match timeout(patience, stream.next()).await {
            Err(_) => return End::TooSlow,
            Ok(None | Some(Ok(Message::Close(_)))) => return End::Gone,
            Ok(Some(Err(_))) => return End::Protocol,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str(&text).map_err(|error| error.to_string()),
            Ok(Some(Ok(Message::Binary(_)))) => Err("messages are JSON texts, not binary".to_owned()),
        };
        if requests.send(request).await.is_err() {
            return End::Gone;
        }
    }
}
