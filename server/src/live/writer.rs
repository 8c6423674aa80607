//! The writing half of a session: answers what the client says, and sends the snapshot and the changes.

use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, stream::SplitSink};
use syncline_core::live::{ClientMessage, Cursor, ErrorCode, ServerMessage, Subscribe};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Tail,
    limits::{self, Limits},
    session::{End, Listener, Request},
    snapshot::Snapshot,
    subscription::{Interest, Refused, Subscription},
};
use crate::store::{StoreError, feed::Changes};

/// Writes to one socket.
pub(super) struct Writer<'a> {
    sink: &'a mut SplitSink<WebSocket, Message>,
    listener: &'a Listener,
    limits: Limits,
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
    /// Begins to listen at once; nothing is sent before the client subscribes.
    pub(super) fn new(sink: &'a mut SplitSink<WebSocket, Message>, listener: &'a Listener) -> Self {
        let limits = *listener.hub.limits();
        Self {
            limits,
            tail: listener.hub.listen(listener.store.tenant()),
            sink,
            listener,
            subscription: None,
            snapshot: None,
            ping_at: Instant::now() + limits.ping_interval,
        }
    }

    /// Works until the session ends.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) -> End {
        loop {
            if let Err(end) = self.turn(&mut inbox).await {
                return end;
            }
        }
    }

    /// Sends the next batch, or waits for a reason to send one.
    async fn turn(&mut self, inbox: &mut mpsc::Receiver<Request>) -> Result<(), End> {
        if Instant::now() >= self.ping_at {
            self.ping_at = Instant::now() + self.limits.ping_interval;
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
                    "the message was not understood: {why}; the messages are described by LiveClientMessage in /v1/openapi.json"
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
        let behind = head.0.checked_sub(cursor.0);
        if behind.is_none_or(|behind| behind > self.limits.lag_changes_max) {
            // Too far behind, or a cursor of another feed, whose place would never come or come with other changes.
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
                let again = match self.snapshot.take() {
                    Some(_) => "with a snapshot".to_owned(),
                    None => format!("after cursor {}", at.0),
                };
                let Refused { code, message } = unreadable(error);
                let message = format!("{message}; subscribe again {again}");
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
        if head.0.saturating_sub(subscription.cursor.0) > self.limits.lag_changes_max {
            return self.resync(head).await;
        }
        let models = subscription.interest.models();
        let changes = self.listener.store.changes(subscription.cursor, &models, limits::BATCH_CHANGES_MAX).await?;
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
        match timeout(self.limits.send_timeout, all).await {
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
