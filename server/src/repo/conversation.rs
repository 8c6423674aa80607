//! What a peer and the server say to each other after the introduction.
//!
//! One task reads, works and writes in turn: frames that have arrived together are looked up together and committed
//! together, and while a slow peer does not read, nothing is read from it. What is said of documents stands in `documents`.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    time::Duration,
};

use automerge::Change;
use axum::extract::ws::{Message as Frame, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use syncline_core::repo::{
    DocumentId, Message, StorageId, WireError,
    message::{Ephemeral, RemoteHeads, Sync},
    thread::Thread,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    hub::{Ear, News, StoreHeads},
    limits,
    notice::{Kind, notice},
    session::{End, Peer, Visitor, binary, decode},
};
use crate::{engine::clock::Clock, store::documents::Refusal};

/// A socket's conversation after the introduction.
pub(super) struct Conversation<'a> {
    socket: &'a mut WebSocket,
    pub(super) visitor: &'a Visitor,
    pub(super) peer: Peer,
    /// The documents that the peer has open.
    pub(super) threads: HashMap<DocumentId, OpenDocument>,
    /// The stores whose heads the peer wants to hear of.
    watched: HashSet<StorageId>,
    ephemerals: DefaultDirectRateLimiter,
    /// Numbers this session's own ephemeral messages.
    notices: u64,
    heard_at: Instant,
}

/// A document that the peer has open.
#[derive(Default)]
pub(super) struct OpenDocument {
    pub(super) thread: Thread,
    /// Changes that wait for others.
    pub(super) waiting: Vec<Change>,
    /// One of the peer's changes was refused: no further ones are taken.
    pub(super) blocked: bool,
    /// The document was unavailable when the peer asked for it, and the peer does not ask again: it is told once there is one.
    pub(super) wanted: bool,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(socket: &'a mut WebSocket, visitor: &'a Visitor, peer: Peer) -> Self {
        let rate = NonZeroU32::new(limits::EPHEMERALS_PER_SECOND).unwrap_or(NonZeroU32::MIN);
        Self {
            socket,
            visitor,
            peer,
            threads: HashMap::new(),
            watched: HashSet::new(),
            ephemerals: RateLimiter::direct(Quota::per_second(rate)),
            notices: 0,
            heard_at: Instant::now(),
        }
    }

    /// Works until the session ends.
    pub(super) async fn run(&mut self, mut ear: Ear) -> End {
        let mut ping_at = Instant::now() + self.visitor.hub.limits().ping_interval;
        loop {
            if let Err(end) = self.turn(&mut ear, &mut ping_at).await {
                return end;
            }
        }
    }

    async fn turn(&mut self, ear: &mut Ear, ping_at: &mut Instant) -> Result<(), End> {
        let idle_at = self.heard_at + self.visitor.hub.limits().idle_timeout;
        let until = self.visitor.until.unwrap_or(idle_at + Duration::from_secs(1));
        tokio::select! {
            () = sleep_until(until), if self.visitor.until.is_some() => Err(End::Unauthorised("the token has expired: get a new one and reconnect")),
            () = sleep_until(idle_at) => Err(End::TooSlow),
            news = ear.news.recv() => self.told(news, ear).await,
            frame = self.socket.recv() => self.heard(frame, ear).await,
            () = sleep_until(*ping_at) => {
                *ping_at = Instant::now() + self.visitor.hub.limits().ping_interval;
                self.flush([Frame::Ping(Bytes::new())]).await
            }
        }
    }

    /// Works off what the peer sent, as much of it as has arrived.
    async fn heard(&mut self, first: Option<Result<Frame, axum::Error>>, ear: &Ear) -> Result<(), End> {
        self.heard_at = Instant::now();
        let (mut syncs, mut bytes, mut next, mut ended) = (Vec::new(), 0, Some(first), None);
        while let Some(received) = next.take() {
            match binary(received) {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    bytes += frame.len();
                    match self.sort(&frame) {
                        Ok(sync) => syncs.extend(sync),
                        Err(end) => ended = Some(end),
                    }
                }
                Err(end) => ended = Some(end),
            }
            if ended.is_none() && syncs.len() < limits::FRAMES_AT_ONCE && bytes < limits::BYTES_AT_ONCE {
                next = self.socket.next().now_or_never();
            }
        }
        // What came before the end is worked off all the same.
        self.converse(syncs, ear).await?;
        ended.map_or(Ok(()), Err)
    }

    /// Handles a message that concerns no document's content at once, and returns those that do.
    fn sort(&mut self, frame: &Bytes) -> Result<Option<(Sync, bool)>, End> {
        let message = match Message::decode(frame, limits::FRAME_BYTES_MAX) {
            // Documents of other kinds of ids cannot exist here; the peer may ask for them.
            Err(WireError::DocumentId { .. }) => return Ok(None),
            _ => decode(frame)?,
        };
        match message {
            Message::Request(sync) => return Ok(Some((sync, true))),
            Message::Sync(sync) => return Ok(Some((sync, false))),
            Message::Ephemeral(message) => self.pass_on(message),
            Message::RemoteSubscriptionChange { add, remove, .. } => {
                for store in &remove {
                    self.watched.remove(store);
                }
                let room = limits::STORES_WATCHED_MAX.saturating_sub(self.watched.len());
                self.watched.extend(add.into_iter().take(room));
            }
            Message::RemoteHeadsChanged { document, heads, .. } if self.threads.contains_key(&document) => {
                for (store, heads) in heads {
                    self.announce(StoreHeads { document, store, heads: heads.heads, at_ms: heads.at_ms });
                }
            }
            Message::Leave { .. } => return Err(End::Gone),
            _ => {}
        }
        Ok(None)
    }

    pub(super) fn announce(&self, heads: StoreHeads) {
        if heads.store != *self.visitor.hub.store() {
            self.visitor.hub.heads(&self.visitor.holder.principal.tenant, self.visitor.place.socket, heads);
        }
    }

    fn pass_on(&mut self, message: Ephemeral) {
        let fits = message.data.len() <= limits::EPHEMERAL_BYTES_MAX;
        // Clients pass on what they hear; only what a client says itself goes round, and nobody speaks in another's name.
        let own = message.sender == self.peer.name;
        if fits && own && self.threads.contains_key(&message.document) && self.ephemerals.check().is_ok() {
            self.visitor.hub.pass_on(&self.visitor.holder.principal.tenant, self.visitor.place.socket, message);
        }
    }

    /// Tells the peer that a change was refused, takes no further ones of that document, and ends the session where that
    /// happens too often.
    pub(super) async fn refuse(&mut self, document: DocumentId, reason: &str) -> Result<(), End> {
        let principal = &self.visitor.holder.principal;
        // Who it was and why stands in the list of refusals: names may be those of people, reasons quote what clients send, and logs are
        // read by many.
        tracing::warn!(tenant = %principal.tenant, %document, "a client's change was refused: `GET /v1/repo/refusals` says why");
        tracing::debug!(tenant = %principal.tenant, %document, reason, "a client's change was refused");
        if let Some(open) = self.threads.get_mut(&document) {
            open.blocked = true;
        }
        let refusal =
            Refusal { at: Clock::wall(), principal: principal.name.clone(), document, reason: reason.to_owned() };
        if let Err(error) = self.visitor.store.note_refusal(&refusal).await {
            tracing::warn!(%error, "a refusal was not noted");
        }
        self.notify(Kind::Refused, document, reason).await?;
        if self.visitor.hub.refused(&principal.tenant, &self.visitor.credential) {
            return Err(End::Forbidden("too many of the changes were refused: see their reasons"));
        }
        Ok(())
    }

    pub(super) async fn notify(&mut self, kind: Kind, document: DocumentId, reason: &str) -> Result<(), End> {
        self.notices += 1;
        let notice = notice(kind, self.visitor.hub.name(), &self.peer.name, document, self.notices, reason);
        self.say(&notice).await
    }

    /// Passes on what happened elsewhere, as much of it as has been told.
    async fn told(&mut self, first: Option<News>, ear: &mut Ear) -> Result<(), End> {
        let mut next = first;
        let mut frames = Vec::new();
        while let Some(news) = next.take() {
            match news {
                News::Update(published) => self.updated(&published, &mut frames).await?,
                News::Ephemeral(message) => frames.push(self.readdressed(&message)),
                News::Heads(heads) if self.watched.contains(&heads.store) => frames.push(self.heads(&heads)),
                News::Heads(_) => {}
                News::Gone(document) => {
                    self.flush(std::mem::take(&mut frames)).await?;
                    self.ended(document).await?;
                }
            }
            if frames.len() < limits::FRAMES_AT_ONCE {
                next = ear.news.try_recv().ok();
            }
        }
        self.flush(frames).await?;
        if ear.missed() { self.catch_up().await } else { Ok(()) }
    }

    fn readdressed(&self, message: &Ephemeral) -> Frame {
        let message = Ephemeral { target: self.peer.name.clone(), ..message.clone() };
        Frame::Binary(Message::Ephemeral(message).encode().into())
    }

    fn heads(&self, heads: &StoreHeads) -> Frame {
        let by_store = [(heads.store.clone(), RemoteHeads { heads: heads.heads.clone(), at_ms: heads.at_ms })];
        let message = Message::RemoteHeadsChanged {
            sender: self.visitor.hub.name().clone(),
            target: self.peer.name.clone(),
            document: heads.document,
            heads: by_store.into_iter().collect(),
        };
        Frame::Binary(message.encode().into())
    }

    pub(super) async fn say(&mut self, message: &Message) -> Result<(), End> {
        self.flush([Frame::Binary(message.encode().into())]).await
    }

    pub(super) async fn flush(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), End> {
        let patience = self.visitor.hub.limits().send_timeout;
        let sending = async {
            for frame in frames {
                self.socket.feed(frame).await?;
            }
            self.socket.flush().await
        };
        match timeout(patience, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::TooSlow),
        }
    }
}
