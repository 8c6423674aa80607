//! One WebSocket of `/v1/live`.
//!
//! Two halves run side by side: one reads what the client says, one writes what it is to hear. The session ends with the
//! first of them, or when the service shuts down.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use futures_util::{SinkExt, Stream, StreamExt, stream::SplitSink};
use syncline_core::{
    ids::ModelName,
    live::{ClientMessage, Cursor, ErrorCode, ServerMessage, Subscribe},
    model::Model,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    FeedHub, Seat, Tail, limits,
    snapshot::Snapshot,
    subscription::{Interest, Refused, Subscription},
};
use crate::store::{StoreError, TenantStore, feed::Changes};

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
enum End {
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
        end = read(stream, requests) => end,
        end = Writer::new(&mut sink, &listener).run(inbox) => end,
        () = closing.cancelled() => End::Closing,
    };
    tracing::debug!(tenant = %listener.store.tenant(), ?end, "a live session ended");
    if let Some(frame) = end.frame() {
        // A peer that does not even take the close frame is dropped with its connection.
        let _ = timeout(limits::CLOSE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    }
    drop(listener.seat);
}

type Request = Result<ClientMessage, String>;

/// Reads what the client says until it ends or says nothing, not even a pong, for too long.
async fn read(
    mut stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    requests: mpsc::Sender<Request>,
) -> End {
    loop {
        let request = match timeout(limits::IDLE_TIMEOUT, stream.next()).await {
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

/// The writing half.
struct Writer<'a> {
    sink: &'a mut SplitSink<WebSocket, Message>,
    listener: &'a Listener,
    tail: Tail,
    subscription: Option<Subscription>,
    snapshot: Option<Snapshot>,
    ping_at: Instant,
}

/// Whether there is more to send at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

impl<'a> Writer<'a> {
    fn new(sink: &'a mut SplitSink<WebSocket, Message>, listener: &'a Listener) -> Self {
        Self {
            tail: listener.hub.listen(listener.store.tenant()),
            sink,
            listener,
            subscription: None,
            snapshot: None,
            ping_at: Instant::now() + limits::PING_INTERVAL,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) -> End {
        loop {
            match self.turn(&mut inbox).await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Sends the next batch, or waits for a reason to send one.
    async fn turn(&mut self, inbox: &mut mpsc::Receiver<Request>) -> Result<(), End> {
        if Instant::now() >= self.ping_at {
            self.ping_at = Instant::now() + limits::PING_INTERVAL;
            self.send([Message::Ping(bytes::Bytes::new())]).await?;
        }
        if self.step().await? == More::Yes {
            return match inbox.try_recv() {
                Ok(request) => self.answer(request).await,
                Err(mpsc::error::TryRecvError::Empty) => Ok(()),
                Err(mpsc::error::TryRecvError::Disconnected) => Err(End::Gone),
            };
        }
        tokio::select! {
            request = inbox.recv() => self.answer(request.ok_or(End::Gone)?).await,
            () = self.tail.changed(), if self.subscription.is_some() => Ok(()),
            () = sleep_until(self.ping_at) => Ok(()),
        }
    }

    async fn answer(&mut self, request: Request) -> Result<(), End> {
        match request {
            Ok(ClientMessage::Subscribe(request)) => self.subscribe(&request).await,
            Ok(ClientMessage::Ping) => self.say(&ServerMessage::Pong).await,
            Ok(ClientMessage::Ack { cursor }) => {
                let behind = self.tail.head().0.saturating_sub(cursor.0);
                tracing::debug!(tenant = %self.listener.store.tenant(), behind, "a subscriber reported its place");
                Ok(())
            }
            Err(why) => {
                let message = format!(
                    "the message was not understood: {why}; see /v1/openapi.json for where the messages are described"
                );
                self.say(&ServerMessage::Error { code: ErrorCode::BadMessage, message }).await
            }
        }
    }

    async fn subscribe(&mut self, request: &Subscribe) -> Result<(), End> {
        match self.begin(request).await {
            Ok((subscription, snapshot, opening)) => {
                self.subscription = Some(subscription);
                self.snapshot = snapshot;
                self.say(&opening).await
            }
            Err(Refused { code, message }) => self.say(&ServerMessage::Error { code, message }).await,
        }
    }

    /// Finds where a subscription begins. The feed's end is read before the first row of a snapshot, so that no change
    /// falls between them.
    async fn begin(&self, request: &Subscribe) -> Result<(Subscription, Option<Snapshot>, ServerMessage), Refused> {
        let interest = Interest::new(&self.listener.models, request)?;
        let head = self.listener.store.feed_span().await.map_err(unreadable)?.head;
        let cursor = if request.snapshot { head } else { request.cursor.unwrap_or(head) };
        if cursor > head {
            // The cursor is of another feed: its place would never come, or would come with other changes.
            let subscription = Subscription { interest, cursor: head };
            return Ok((subscription, None, ServerMessage::Resync { cursor: head }));
        }
        let snapshot = request.snapshot.then(|| Snapshot::new(&interest, head));
        Ok((Subscription { interest, cursor }, snapshot, ServerMessage::Subscribed { cursor }))
    }

    /// Sends one page of the snapshot or one batch of changes.
    async fn step(&mut self) -> Result<More, End> {
        let sent = if self.snapshot.is_some() { self.send_rows().await } else { self.send_changes().await };
        match sent {
            Ok(more) => Ok(more),
            Err(Failed::Socket(end)) => Err(end),
            Err(Failed::Store(error)) => {
                // The subscription cannot go on without a gap, so it ends, and the client is told where it was.
                let at = self.subscription.take().map(|subscription| subscription.cursor).unwrap_or_default();
                self.snapshot = None;
                let Refused { code, message } = unreadable(error);
                let message = format!("{message}; subscribe again, after cursor {}", at.0);
                self.say(&ServerMessage::Error { code, message }).await.map(|()| More::No)
            }
        }
    }

    async fn send_rows(&mut self) -> Result<More, Failed> {
        let (Some(subscription), Some(snapshot)) = (&self.subscription, &mut self.snapshot) else {
            return Ok(More::No);
        };
        let messages = match snapshot.next(&*self.listener.store, &subscription.interest).await? {
            Some(messages) => messages,
            None => {
                self.snapshot = None;
                vec![ServerMessage::SnapshotEnd { cursor: subscription.cursor }]
            }
        };
        let texts: Vec<_> = messages.iter().map(encode).collect();
        self.send(texts).await?;
        Ok(More::Yes)
    }

    async fn send_changes(&mut self) -> Result<More, Failed> {
        let Some(subscription) = &mut self.subscription else { return Ok(More::No) };
        // Marked as seen before the ring is read, so that whatever comes in between wakes this session again.
        let head = self.tail.head();
        let Some(batch) = self.tail.after(subscription.cursor) else { return self.send_from_log(head).await };
        let Some(last) = batch.last() else { return Ok(More::No) };
        subscription.cursor = last.change.cursor;
        let concerns = batch.iter().filter(|published| subscription.interest.concerns(&published.change.event));
        let messages: Vec<_> = concerns.map(|published| Message::Text(published.text.clone())).collect();
        self.send(messages).await?;
        Ok(More::Yes)
    }

    /// For a subscriber that memory does not reach.
    async fn send_from_log(&mut self, head: Cursor) -> Result<More, Failed> {
        let Some(subscription) = &mut self.subscription else { return Ok(More::No) };
        if head.0.saturating_sub(subscription.cursor.0) > limits::LAG_EVENTS_MAX {
            return self.resync(head).await;
        }
        let models = subscription.interest.models();
        let changes =
            self.listener.store.changes(subscription.cursor, &models, limits::BATCH_EVENTS_MAX as u32).await?;
        let (changes, next) = match changes {
            Changes::Page { changes, next } => (changes, next),
            Changes::TooOld { head } => return self.resync(head).await,
        };
        let more = if next > subscription.cursor { More::Yes } else { More::No };
        subscription.cursor = next;
        let concerns = changes.into_iter().filter(|change| subscription.interest.concerns(&change.event));
        let messages: Vec<_> = concerns.map(|change| encode(&ServerMessage::Change(change))).collect();
        self.send(messages).await?;
        Ok(more)
    }

    async fn resync(&mut self, head: Cursor) -> Result<More, Failed> {
        if let Some(subscription) = &mut self.subscription {
            subscription.cursor = head;
        }
        self.say(&ServerMessage::Resync { cursor: head }).await?;
        Ok(More::Yes)
    }

    async fn say(&mut self, message: &ServerMessage) -> Result<(), End> {
        self.send([encode(message)]).await
    }

    /// Sends the messages and waits until they have left; a socket that takes too long ends.
    async fn send(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), End> {
        let all = async {
            for message in messages {
                self.sink.feed(message).await?;
            }
            self.sink.flush().await
        };
        match timeout(limits::SEND_TIMEOUT, all).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::TooSlow),
        }
    }
}

/// Why a batch was not sent.
enum Failed {
    Socket(End),
    Store(StoreError),
}

impl From<End> for Failed {
    fn from(end: End) -> Self {
        Self::Socket(end)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn unreadable(error: StoreError) -> Refused {
    tracing::error!(%error, "the live feed cannot read the store");
    Refused {
        code: ErrorCode::Unavailable,
        message: "the store cannot be read now; the cause is in the server's log".to_owned(),
    }
}

fn encode(message: &ServerMessage) -> Message {
    // Every map in these messages has text keys, so they always have a JSON form.
    Message::Text(serde_json::to_string(message).unwrap_or_default().into())
}
