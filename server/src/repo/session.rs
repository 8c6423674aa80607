//! One WebSocket of `/v1/repo`.
//!
//! One task reads, works and writes in turn: frames that have arrived together are looked up together and committed
//! together, and while a slow peer does not read, nothing is read from it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use automerge::{Change, sync::Message as SyncMessage};
use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use syncline_core::repo::{
    DocumentId, Inbound, Limits, Message, PROTOCOL_VERSION, PeerId, PeerMetadata, Refusal, StorageId, WireError,
    message::{Ephemeral, RemoteHeads, Sync},
    thread::{Step, Thread},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Holder, Offer, Reception, RepoHub, Right,
    hub::{Ear, News, Place, Published, StoreHeads},
    limits,
    notice::{Kind, notice},
};
use crate::{
    engine::{clock::Clock, documents::Documents},
    store::{
        TenantStore,
        documents::{DocumentKind, Found},
    },
};

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
            let mut session = Session::new(&mut socket, &visitor, peer);
            let end = tokio::select! {
                end = session.run(ear) => end,
                () = closing.cancelled() => End::Closing,
            };
            let documents: Vec<DocumentId> = session.threads.keys().copied().collect();
            visitor.hub.leave(&visitor.holder.principal.tenant, documents.into_iter(), visitor.place.socket);
            end
        }
    };
    tracing::debug!(tenant = %visitor.holder.principal.tenant, ?end, "a repo session ended");
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
        let ours = PeerMetadata { storage_id: Some(visitor.hub.store().clone()), ephemeral: false };
        let answer = Message::Peer {
            sender: name,
            target: sender.clone(),
            metadata: ours,
            version: PROTOCOL_VERSION.to_owned(),
        };
        socket.send(Frame::Binary(answer.encode().into())).await.map_err(|_| End::Gone)?;
        return Ok(Peer { name: sender, store: metadata.storage_id });
    }
}

/// The bytes of a binary frame; `None` for a ping or pong.
fn binary(received: Option<Result<Frame, axum::Error>>) -> Result<Option<Bytes>, End> {
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

fn decode(frame: &Bytes) -> Result<Message, End> {
    Message::decode(frame, limits::FRAME_BYTES_MAX).map_err(|error| match error {
        WireError::TooLarge { .. } => End::Protocol(1009, error.to_string()),
        error => End::Protocol(1007, error.to_string()),
    })
}

/// The program at the other end.
struct Peer {
    name: PeerId,
    store: Option<StorageId>,
}

/// A session after the introduction.
struct Session<'a> {
    socket: &'a mut WebSocket,
    visitor: &'a Visitor,
    peer: Peer,
    threads: HashMap<DocumentId, OpenDocument>,
    /// The stores whose heads the peer wants to hear of.
    watched: HashSet<StorageId>,
    ephemerals: DefaultDirectRateLimiter,
    /// Numbers this session's own ephemeral messages.
    notices: u64,
    heard_at: Instant,
}

/// A document that the peer has open.
#[derive(Default)]
struct OpenDocument {
    thread: Thread,
    /// Changes that wait for others.
    waiting: Vec<Change>,
    /// One of the peer's changes was refused: no further ones are taken.
    blocked: bool,
}

impl<'a> Session<'a> {
    fn new(socket: &'a mut WebSocket, visitor: &'a Visitor, peer: Peer) -> Self {
        let rate = std::num::NonZeroU32::new(limits::EPHEMERALS_PER_SECOND).unwrap_or(std::num::NonZeroU32::MIN);
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
    async fn run(&mut self, mut ear: Ear) -> End {
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

    fn announce(&self, heads: StoreHeads) {
        if heads.store != *self.visitor.hub.store() {
            self.visitor.hub.heads(&self.visitor.holder.principal.tenant, self.visitor.place.socket, heads);
        }
    }

    fn pass_on(&mut self, message: Ephemeral) {
        let fits = message.data.len() <= limits::EPHEMERAL_BYTES_MAX;
        if fits && self.threads.contains_key(&message.document) && self.ephemerals.check().is_ok() {
            self.visitor.hub.pass_on(&self.visitor.holder.principal.tenant, self.visitor.place.socket, message);
        }
    }

    /// Works off sync messages: their documents are looked up at once, and their changes are taken in together.
    async fn converse(&mut self, syncs: Vec<(Sync, bool)>, ear: &Ear) -> Result<(), End> {
        let mut rounds = vec![Vec::new()];
        let mut seen = HashSet::new();
        for (sync, request) in syncs {
            // Two messages about one document are not of one round: the second builds upon the first.
            if !seen.insert(sync.document) {
                seen = HashSet::from([sync.document]);
                rounds.push(Vec::new());
            }
            if let Some(round) = rounds.last_mut() {
                round.push((sync, request));
            }
        }
        for round in rounds {
            self.round(round, ear).await?;
        }
        Ok(())
    }

    async fn round(&mut self, syncs: Vec<(Sync, bool)>, ear: &Ear) -> Result<(), End> {
        let mut open = Vec::with_capacity(syncs.len());
        for (sync, request) in syncs {
            if self.acknowledges(&sync) {
                continue;
            }
            // Listening begins before the document is looked at, so that nothing falls between the two.
            if self.open(sync.document, ear) {
                open.push((sync, request));
            } else {
                self.unavailable(sync.document).await?;
            }
        }
        let ids: Vec<DocumentId> = open.iter().map(|(sync, _)| sync.document).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut found = find(self.visitor, &ids).await?;
        self.freshen(&mut found).await?;
        let mut offers = Vec::new();
        for (sync, request) in open {
            let (document, known) = (sync.document, found.remove(&sync.document));
            if known.as_ref().is_some_and(|found| !self.visitor.holder.access.opens(&found.kind)) {
                self.shut(document).await?;
                continue;
            }
            let blocked = self.threads.get(&document).is_some_and(|open| open.blocked);
            let Inbound { message, changes, .. } = match read(self.visitor, sync.data, known.as_ref()).await {
                Ok(inbound) => inbound,
                Err(_) if blocked => continue,
                Err(refusal) => {
                    self.refuse(document, &refusal.to_string()).await?;
                    continue;
                }
            };
            match known {
                // Whatever is answered would only make the peer send its changes again.
                _ if blocked => {}
                known if !changes.is_empty() => match self.forbidden(known.is_some()) {
                    Some(reason) => self.refuse(document, reason).await?,
                    None => offers.push((document, message, changes)),
                },
                Some(found) => self.answer(document, &message, &automerge_heads(&found)).await?,
                None => self.meet(document, &message, request).await?,
            }
        }
        self.take(offers).await
    }

    /// Takes note of a message that only says that the peer has what it was told. That is what most messages say.
    fn acknowledges(&mut self, sync: &Sync) -> bool {
        let Some(open) = self.threads.get_mut(&sync.document).filter(|_| sync.data.len() <= limits::SHORT_BYTES) else {
            return false;
        };
        let Ok(Inbound { message, changes, .. }) = Inbound::read(&sync.data, &Limits::RECORD, |_| false) else {
            return false;
        };
        let acknowledged = changes.is_empty() && open.thread.acknowledged(&message);
        if acknowledged {
            self.noticed(sync.document, &message.heads);
        }
        acknowledged
    }

    /// Documents whose content moved into records are brought up to date when they are opened.
    async fn freshen(&mut self, found: &mut HashMap<DocumentId, Found>) -> Result<(), End> {
        let mut stale = Vec::new();
        for (document, found) in &*found {
            let new = self.threads.get(document).is_some_and(|open| open.thread.is_new());
            if let (true, DocumentKind::Moved { record }) = (new, &found.kind) {
                stale.push((*document, *record));
            }
        }
        for (document, record) in stale {
            let tenant = &self.visitor.holder.principal.tenant;
            let freshened = self.visitor.documents.freshen(tenant, document, record).await;
            freshened.map_err(|error| End::Broken(error.to_string()))?;
            found.extend(find(self.visitor, &[document]).await?);
        }
        Ok(())
    }

    /// Why the peer may not change a document, or begin one.
    fn forbidden(&self, known: bool) -> Option<&'static str> {
        let access = &self.visitor.holder.access;
        match known {
            true if !access.may(Right::Write) => Some("this access may read and not change: ask for one with `write`"),
            false if !access.may(Right::Create) => {
                Some("this access may begin no documents: ask for one with `create`")
            }
            _ => None,
        }
    }

    /// Opens the document for this session; `false` where it has too many open.
    fn open(&mut self, document: DocumentId, ear: &Ear) -> bool {
        if self.threads.contains_key(&document) {
            return true;
        }
        if self.threads.len() >= self.visitor.hub.limits().documents_per_socket_max {
            return false;
        }
        self.visitor.hub.enter(&self.visitor.holder.principal.tenant, document, ear);
        self.threads.insert(document, OpenDocument::default());
        true
    }

    async fn shut(&mut self, document: DocumentId) -> Result<(), End> {
        self.threads.remove(&document);
        let tenant = &self.visitor.holder.principal.tenant;
        self.visitor.hub.leave(tenant, std::iter::once(document), self.visitor.place.socket);
        self.unavailable(document).await
    }

    async fn unavailable(&mut self, document: DocumentId) -> Result<(), End> {
        let sender = self.visitor.hub.name().clone();
        self.say(&Message::DocUnavailable { sender, target: self.peer.name.clone(), document }).await
    }

    /// A document that this server does not have: the peer asks for it, or begins it.
    async fn meet(&mut self, document: DocumentId, message: &SyncMessage, request: bool) -> Result<(), End> {
        if request || message.heads.is_empty() {
            return self.shut(document).await;
        }
        if let Some(reason) = self.forbidden(false) {
            self.notify(Kind::Refused, document, reason).await?;
            return self.shut(document).await;
        }
        let mut nothing = automerge::Automerge::new();
        self.consult(document, Some(message), &mut nothing).await
    }

    /// Answers a message without changes, or with changes that brought nothing new.
    async fn answer(
        &mut self,
        document: DocumentId,
        message: &SyncMessage,
        heads: &syncline_core::repo::thread::Heads,
    ) -> Result<(), End> {
        let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
        let was_there = open.thread.is_at(heads);
        let step = open.thread.heard(message, heads);
        let is_there = open.thread.is_at(heads);
        if is_there && !was_there {
            self.noticed(document, heads);
        }
        self.go_on(document, step, Some(message)).await
    }

    /// The peer's store has the document's heads: others may want to know.
    fn noticed(&self, document: DocumentId, heads: &syncline_core::repo::thread::Heads) {
        if let Some(store) = &self.peer.store {
            let at_ms = u64::try_from(Clock::wall().0).unwrap_or_default();
            self.announce(StoreHeads { document, store: store.clone(), heads: heads.clone(), at_ms });
        }
    }

    async fn go_on(&mut self, document: DocumentId, step: Step, message: Option<&SyncMessage>) -> Result<(), End> {
        match step {
            Step::Silent | Step::Tell => Ok(()),
            Step::Say(answer) => self.sync(document, answer).await,
            Step::HandOver => {
                let saved = self.visitor.store.saved_document(document).await;
                let Some(saved) = saved.map_err(|error| End::Broken(error.to_string()))? else {
                    return self.shut(document).await;
                };
                let heads = automerge_heads(&saved.found);
                let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
                let answer = open.thread.hand_over(saved.saved, &heads);
                self.sync(document, answer).await
            }
            Step::Consult => {
                let tenant = &self.visitor.holder.principal.tenant;
                let lent = self.visitor.documents.lend(tenant, document).await;
                match lent.map_err(|error| End::Broken(error.to_string()))? {
                    Some(lent) => {
                        let mut lent = lent.lock().await;
                        self.consult(document, message, &mut lent.document).await
                    }
                    None => self.shut(document).await,
                }
            }
        }
    }

    async fn consult(
        &mut self,
        document: DocumentId,
        message: Option<&SyncMessage>,
        with: &mut automerge::Automerge,
    ) -> Result<(), End> {
        let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
        match open.thread.consult(message, with) {
            Ok(Some(answer)) => self.sync(document, answer).await,
            Ok(None) => Ok(()),
            Err(error) => Err(End::Protocol(1007, error.to_string())),
        }
    }

    /// Takes the peer's changes in. The updates that follow the commit tell everybody, the peer included.
    async fn take(&mut self, offered: Vec<(DocumentId, SyncMessage, Vec<Change>)>) -> Result<(), End> {
        if offered.is_empty() {
            return Ok(());
        }
        let (mut offers, mut messages) = (Vec::new(), Vec::new());
        for (document, message, changes) in offered {
            let waited = self.threads.get_mut(&document).map(|open| std::mem::take(&mut open.waiting));
            let changes = waited.into_iter().flatten().chain(changes).collect();
            offers.push(Offer { document, changes });
            messages.push((document, message));
        }
        let receptions = self.visitor.documents.take(&self.visitor.holder, offers).await;
        let receptions = receptions.map_err(|error| End::Broken(error.to_string()))?;
        for ((document, message), reception) in messages.into_iter().zip(receptions) {
            self.took(document, message, reception).await?;
        }
        Ok(())
    }

    async fn took(&mut self, document: DocumentId, message: SyncMessage, reception: Reception) -> Result<(), End> {
        let Reception { heads, accepted, mut waiting, missing, refusal, draft } = reception;
        let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
        waiting.truncate(limits::WAITING_MAX);
        open.waiting = waiting;
        if let Some(reason) = refusal {
            return self.refuse(document, &reason).await;
        }
        if !missing.is_empty() {
            return match open.thread.ask(&heads, missing) {
                Some(question) => self.sync(document, question).await,
                None => Ok(()),
            };
        }
        if accepted.is_empty() && !open.waiting.is_empty() {
            // What came says too little yet; the peer goes on by itself.
            return Ok(());
        }
        if accepted.is_empty() {
            return self.answer(document, &message, &heads).await;
        }
        open.thread.took(&message, accepted);
        self.noticed(document, &message.heads);
        match draft {
            Some(reason) => self.notify(Kind::Draft, document, &reason).await,
            None => Ok(()),
        }
    }

    /// Tells the peer that a change was refused, takes no further ones of that document, and ends the session where that
    /// happens too often.
    async fn refuse(&mut self, document: DocumentId, reason: &str) -> Result<(), End> {
        let principal = &self.visitor.holder.principal;
        tracing::warn!(tenant = %principal.tenant, principal = principal.name, %document, reason, "a client's change was refused");
        if let Some(open) = self.threads.get_mut(&document) {
            open.blocked = true;
        }
        self.notify(Kind::Refused, document, reason).await?;
        if self.visitor.hub.refused(&principal.tenant, &principal.name) {
            return Err(End::Forbidden("too many of the changes were refused: see their reasons"));
        }
        Ok(())
    }

    async fn notify(&mut self, kind: Kind, document: DocumentId, reason: &str) -> Result<(), End> {
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
            }
            if frames.len() < limits::FRAMES_AT_ONCE {
                next = ear.news.try_recv().ok();
            }
        }
        self.flush(frames).await?;
        if ear.missed() { self.catch_up().await } else { Ok(()) }
    }

    async fn updated(&mut self, published: &Published, frames: &mut Vec<Frame>) -> Result<(), End> {
        let Some(open) = self.threads.get_mut(&published.document) else { return Ok(()) };
        match open.thread.updated(&published.update) {
            Step::Tell => {
                let frame = published.frame(self.visitor.hub.name(), &self.peer.name);
                frames.push(Frame::Binary(frame.into()));
                Ok(())
            }
            step => {
                // The order of what is said about a document must not change.
                self.flush(std::mem::take(frames)).await?;
                self.go_on(published.document, step, None).await
            }
        }
    }

    /// Looks for itself what happened to the documents, because news were lost.
    async fn catch_up(&mut self) -> Result<(), End> {
        let ids: Vec<DocumentId> = self.threads.keys().copied().collect();
        for ids in ids.chunks(500) {
            for (document, found) in find(self.visitor, ids).await? {
                let heads = automerge_heads(&found);
                if self.threads.get(&document).is_some_and(|open| open.thread.lags(&heads)) {
                    self.go_on(document, Step::Consult, None).await?;
                }
            }
        }
        Ok(())
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

    async fn sync(&mut self, document: DocumentId, message: SyncMessage) -> Result<(), End> {
        let data = Bytes::from(message.encode());
        let sender = self.visitor.hub.name().clone();
        self.say(&Message::Sync(Sync { sender, target: self.peer.name.clone(), document, data })).await
    }

    async fn say(&mut self, message: &Message) -> Result<(), End> {
        self.flush([Frame::Binary(message.encode().into())]).await
    }

    async fn flush(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), End> {
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

/// Reads a sync message within the bounds of what its document is.
async fn read(visitor: &Visitor, data: Bytes, known: Option<&Found>) -> Result<Inbound, Refusal> {
    let limits = match known.map(|found| &found.kind) {
        Some(DocumentKind::Record { .. }) => Limits::RECORD,
        _ => visitor.own_limits,
    };
    let read = move |data: &[u8]| Inbound::read(data, &limits, |_| false);
    if data.len() < limits::LONG_BYTES {
        return read(&data);
    }
    // A long message takes a while to decode; others are served meanwhile.
    let reading = tokio::task::spawn_blocking(move || read(&data));
    reading.await.unwrap_or_else(|error| Err(Refusal::Undecodable(error.to_string())))
}

async fn find(visitor: &Visitor, ids: &[DocumentId]) -> Result<HashMap<DocumentId, Found>, End> {
    visitor.store.find_documents(ids).await.map_err(|error| End::Broken(error.to_string()))
}

fn automerge_heads(found: &Found) -> syncline_core::repo::thread::Heads {
    found.heads.iter().map(|hash| automerge::ChangeHash(hash.0)).collect()
}
