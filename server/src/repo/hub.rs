//! Who has which document open, and how news reaches them.

use std::{
    collections::{HashMap, hash_map::Entry},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use syncline_core::{
    ids::TenantId,
    repo::{DocumentId, Envelope, PeerId, StorageId, message::Ephemeral, thread::Update},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{limits::Limits, watches::Watches};

/// Tells sockets what happens to the documents that they have open. A document that nobody has open costs nothing.
pub struct RepoHub {
    limits: Limits,
    /// The name under which this server speaks; another one after each start.
    name: PeerId,
    /// The name of this server's store, the same after each start.
    store: StorageId,
    rooms: Mutex<HashMap<(TenantId, DocumentId), Room>>,
    watches: Watches,
    sockets: Mutex<Sockets>,
    admissions: DefaultDirectRateLimiter,
    next_socket: AtomicU64,
    changes_refused: AtomicU64,
    closing: CancellationToken,
}

/// How many sockets are open, and who is kept out.
#[derive(Default)]
struct Sockets {
    by_tenant: HashMap<TenantId, usize>,
    all: usize,
    kept_out: HashMap<(TenantId, String), Instant>,
    /// How often changes were refused that came by each credential, since it was last without refusals for [`Limits::penance`].
    refusals: HashMap<(TenantId, String), (usize, Instant)>,
    /// Who speaks under which name, and on how many sockets.
    names: HashMap<(TenantId, PeerId), (String, usize)>,
}

/// Those who have one document open.
#[derive(Default)]
struct Room {
    guests: Vec<Guest>,
}

/// A socket that has a document open.
#[derive(Clone)]
struct Guest {
    socket: u64,
    queue: mpsc::Sender<News>,
    /// Set where the queue was full: the socket then looks for itself what it missed.
    missed: Arc<AtomicBool>,
}

/// What a socket is told.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// A document moved on.
    Update(Arc<Published>),
    /// Another peer's ephemeral message.
    Ephemeral(Arc<Ephemeral>),
    /// Another peer's store has these heads.
    Heads(Arc<StoreHeads>),
    /// The document is no more.
    Gone(DocumentId),
}

/// An update and, once somebody needs it, the frame that tells it.
#[derive(Debug)]
pub(crate) struct Published {
    /// The document.
    pub(crate) document: DocumentId,
    /// What happened to it.
    pub(crate) update: Update,
    envelope: OnceLock<Envelope>,
}

impl Published {
    /// The frame for one receiver; everything but the receiver's name is encoded once.
    pub(crate) fn frame(&self, from: &PeerId, to: &PeerId) -> Vec<u8> {
        let envelope = self
            .envelope
            .get_or_init(|| Envelope::new(from, &self.document, Bytes::from(self.update.message().encode())));
        envelope.frame(to)
    }
}

/// The heads of a document in a peer's store.
#[derive(Debug)]
pub(crate) struct StoreHeads {
    /// The document.
    pub(crate) document: DocumentId,
    /// Whose store.
    pub(crate) store: StorageId,
    /// Its heads there.
    pub(crate) heads: syncline_core::repo::thread::Heads,
    /// When this server heard of them, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// A socket's place; dropping it frees it.
pub(crate) struct Place {
    hub: Arc<RepoHub>,
    tenant: TenantId,
    /// Names the socket.
    pub(crate) socket: u64,
}

/// A name under which a socket speaks; dropping it frees it.
pub(crate) struct Named {
    hub: Arc<RepoHub>,
    key: (TenantId, PeerId),
}

/// A socket's end of the news.
pub(crate) struct Ear {
    guest: Guest,
    /// What has been told and not yet heard.
    pub(crate) news: mpsc::Receiver<News>,
}

/// Why a socket is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The tenant holds as many sockets as it may.
    Tenant,
    /// The service holds as many sockets as it may.
    Service,
    /// Too many came within this second.
    Rush,
    /// Too many changes were refused that came by the credential.
    Penance,
}

impl RepoHub {
    /// A hub with the usual bounds.
    pub fn new(store: StorageId) -> Arc<Self> {
        Self::bounded(store, Limits::default())
    }

    /// A hub with bounds of one's own.
    pub fn bounded(store: StorageId, limits: Limits) -> Arc<Self> {
        let name = PeerId::new(&format!("syncline-{:016x}", rand::random::<u64>())).unwrap_or_else(|_| unnamed());
        let rate = NonZeroU32::new(limits.admissions_per_second).unwrap_or(NonZeroU32::MIN);
        Arc::new(Self {
            limits,
            name,
            store,
            rooms: Mutex::default(),
            watches: Watches::default(),
            sockets: Mutex::default(),
            admissions: RateLimiter::direct(Quota::per_second(rate)),
            next_socket: AtomicU64::new(1),
            changes_refused: AtomicU64::new(0),
            closing: CancellationToken::new(),
        })
    }

    /// The bounds.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The records whose moved documents somebody has open.
    pub(crate) const fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The name under which this server speaks.
    pub(crate) const fn name(&self) -> &PeerId {
        &self.name
    }

    /// The name of this server's store.
    pub(crate) const fn store(&self) -> &StorageId {
        &self.store
    }

    /// Lets a socket in by a credential.
    pub(crate) fn admit(self: &Arc<Self>, tenant: &TenantId, credential: &str) -> Result<Place, Full> {
        let mut sockets = lock(&self.sockets);
        let now = Instant::now();
        sockets.kept_out.retain(|_, until| *until > now);
        if sockets.kept_out.contains_key(&(tenant.clone(), credential.to_owned())) {
            return Err(Full::Penance);
        }
        if sockets.all >= self.limits.sockets_max {
            return Err(Full::Service);
        }
        let of_tenant = sockets.by_tenant.entry(tenant.clone()).or_default();
        if *of_tenant >= self.limits.sockets_per_tenant_max {
            return Err(Full::Tenant);
        }
        if self.admissions.check().is_err() {
            return Err(Full::Rush);
        }
        *of_tenant += 1;
        sockets.all += 1;
        let socket = self.next_socket.fetch_add(1, Ordering::Relaxed);
        Ok(Place { hub: self.clone(), tenant: tenant.clone(), socket })
    }

    /// Notes that a change was refused that came by a credential; `true` where that has happened too often, and it is kept out for a
    /// while: a client that comes back every few seconds with the same bad change must not cost anything.
    pub(crate) fn refused(&self, tenant: &TenantId, credential: &str) -> bool {
        self.changes_refused.fetch_add(1, Ordering::Relaxed);
        let mut sockets = lock(&self.sockets);
        let (now, key) = (Instant::now(), (tenant.clone(), credential.to_owned()));
        let penance = self.limits.penance;
        sockets.refusals.retain(|_, (_, last)| now.duration_since(*last) < penance);
        let (count, last) = sockets.refusals.entry(key.clone()).or_insert((0, now));
        (*count, *last) = (*count + 1, now);
        let out = *count >= self.limits.refusals_max;
        if out {
            sockets.refusals.remove(&key);
            sockets.kept_out.insert(key, now + penance);
        }
        out
    }

    /// Lets a principal speak under a name, unless somebody else or this server does. `None`: it is taken.
    pub(crate) fn name_for(self: &Arc<Self>, tenant: &TenantId, principal: &str, name: &PeerId) -> Option<Named> {
        if *name == self.name {
            return None;
        }
        let key = (tenant.clone(), name.clone());
        match lock(&self.sockets).names.entry(key.clone()) {
            Entry::Vacant(free) => drop(free.insert((principal.to_owned(), 1))),
            Entry::Occupied(mut taken) if taken.get().0 == principal => taken.get_mut().1 += 1,
            Entry::Occupied(_) => return None,
        }
        Some(Named { hub: self.clone(), key })
    }

    /// How many changes were refused since the service started.
    pub fn changes_refused(&self) -> u64 {
        self.changes_refused.load(Ordering::Relaxed)
    }

    /// How many sockets are open.
    pub fn sockets(&self) -> usize {
        lock(&self.sockets).all
    }

    /// Whether anybody has the document open.
    pub fn is_open(&self, tenant: &TenantId, document: DocumentId) -> bool {
        lock(&self.rooms).contains_key(&(tenant.clone(), document))
    }

    /// Tells whoever has the document open that it moved on. To be called after the commit, in the order of commits.
    pub fn updated(&self, tenant: &TenantId, document: DocumentId, update: Update) {
        let published = Arc::new(Published { document, update, envelope: OnceLock::new() });
        self.tell(tenant, document, None, &News::Update(published));
    }

    /// Tells whoever has the document open that it is no more.
    pub fn gone(&self, tenant: &TenantId, document: DocumentId) {
        self.tell(tenant, document, None, &News::Gone(document));
    }

    /// Passes an ephemeral message on to the others who have the document open.
    pub(crate) fn pass_on(&self, tenant: &TenantId, from: u64, message: Ephemeral) {
        let document = message.document;
        self.tell(tenant, document, Some(from), &News::Ephemeral(Arc::new(message)));
    }

    /// Tells the others who have the document open what heads it has in a peer's store.
    pub(crate) fn heads(&self, tenant: &TenantId, from: u64, heads: StoreHeads) {
        let document = heads.document;
        self.tell(tenant, document, Some(from), &News::Heads(Arc::new(heads)));
    }

    fn tell(&self, tenant: &TenantId, document: DocumentId, but: Option<u64>, news: &News) {
        let rooms = lock(&self.rooms);
        let Some(room) = rooms.get(&(tenant.clone(), document)) else { return };
        for guest in room.guests.iter().filter(|guest| Some(guest.socket) != but) {
            let lost = guest.queue.try_send(news.clone()).is_err();
            // Ephemeral messages may be lost; documents are looked up again.
            if lost && matches!(news, News::Update(_)) {
                guest.missed.store(true, Ordering::Release);
            }
        }
    }

    /// Opens an ear for a socket.
    pub(crate) fn listen(&self, place: &Place) -> Ear {
        let (queue, news) = mpsc::channel(self.limits.queue_max);
        Ear { guest: Guest { socket: place.socket, queue, missed: Arc::default() }, news }
    }

    /// The socket wants to hear of the document.
    pub(crate) fn enter(&self, tenant: &TenantId, document: DocumentId, ear: &Ear) {
        lock(&self.rooms).entry((tenant.clone(), document)).or_default().guests.push(ear.guest.clone());
    }

    /// The socket no longer wants to hear of these documents.
    pub(crate) fn leave(&self, tenant: &TenantId, documents: impl Iterator<Item = DocumentId>, socket: u64) {
        let mut rooms = lock(&self.rooms);
        for document in documents {
            let key = (tenant.clone(), document);
            if let Some(room) = rooms.get_mut(&key) {
                room.guests.retain(|guest| guest.socket != socket);
                if room.guests.is_empty() {
                    rooms.remove(&key);
                }
            }
        }
    }

    /// Ends every socket, so that a graceful shutdown need not wait for them.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Cancelled when the hub is closed.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }
}

impl Ear {
    /// Whether news were lost since this was last asked.
    pub(crate) fn missed(&self) -> bool {
        self.guest.missed.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sockets = lock(&self.hub.sockets);
        sockets.all = sockets.all.saturating_sub(1);
        if let Some(count) = sockets.by_tenant.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                sockets.by_tenant.remove(&self.tenant);
            }
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = lock(&self.hub.sockets).names.entry(self.key.clone()) {
            taken.get_mut().1 -= 1;
            if taken.get().1 == 0 {
                taken.remove();
            }
        }
    }
}

impl std::fmt::Debug for RepoHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepoHub").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A name that is surely short enough.
fn unnamed() -> PeerId {
    match PeerId::new("syncline") {
        Ok(name) => name,
        Err(_) => unreachable!("eight letters are few"),
    }
}

/// Each critical section leaves what it guards whole, so a poisoned lock is as good as any.
fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}
