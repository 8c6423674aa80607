//! Documents in memory that are no record's own. Each is in memory at most once, so that its writers come one after the other.

use std::{
    collections::HashMap,
    future::Future,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use automerge::{Automerge, Change, ReadDoc};
use syncline_core::{
    document::DocumentError,
    ids::TenantId,
    repo::{self, DocumentId, Ledger, Refusal},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::DocumentsError;
use crate::store::documents::{DocumentKind, SavedDocument};

/// How much the documents in memory may weigh together, in bytes as estimated by [`Held::weight`]. Those that nobody uses
/// leave first; more than this is only held while more is in use.
const WEIGHT_MAX: usize = 256 * 1024 * 1024;

/// What a document weighs beside its ops.
const WEIGHT_EACH: usize = 32 * 1024;

/// What an op weighs in memory.
const WEIGHT_OF_OP: usize = 64;

/// A longer document is decoded on a thread of its own, so that others are served meanwhile.
const LONG_BYTES: usize = 64 * 1024;

/// A document in memory.
#[derive(Debug)]
pub struct Held {
    /// The document.
    pub document: Automerge,
    /// What is known of its history.
    pub(super) ledger: Ledger,
    /// What it is; `None` for one that is only begun.
    pub(super) kind: Option<DocumentKind>,
    /// In how many chunks it is kept.
    pub(super) chunks: u32,
    /// How many bytes its chunks have.
    pub(super) bytes: u64,
    /// It was begun or taken in, but its commit failed: what is stored counts.
    pub(super) stale: bool,
}

impl Held {
    /// A document of which nothing is known.
    pub(super) fn begun() -> Self {
        Self { document: Automerge::new(), ledger: Ledger::default(), kind: None, chunks: 0, bytes: 0, stale: false }
    }

    /// A stored document.
    pub(super) async fn load(saved: SavedDocument) -> Result<Self, DocumentsError> {
        let SavedDocument { found, saved, chunks } = saved;
        let bytes = saved.len() as u64;
        let decode = move || Automerge::load(&saved).map_err(|error| DocumentError::Damaged(error.to_string()));
        let document = if bytes as usize > LONG_BYTES {
            tokio::task::spawn_blocking(decode)
                .await
                .map_err(|error| DocumentError::Damaged(format!("decoding it failed: {error}")))?
        } else {
            decode()
        }?;
        let mut heads: Vec<[u8; 32]> = document.get_heads().iter().map(|hash| hash.0).collect();
        heads.sort_unstable();
        if !heads.iter().eq(found.heads.iter().map(|hash| &hash.0)) {
            return Err(DocumentError::Damaged("its heads are not those that were committed".into()).into());
        }
        let ledger = Ledger::of(&document);
        Ok(Self { document, ledger, kind: Some(found.kind), chunks, bytes, stale: false })
    }

    /// Adds changes that have been vetted. Where that fails, the document must be loaded again.
    pub(super) fn apply(&mut self, changes: &[Change], marks: bool) -> Result<(), Refusal> {
        repo::apply::apply(&mut self.document, changes.to_vec(), marks)?;
        changes.iter().for_each(|change| self.ledger.note(change));
        Ok(())
    }

    fn weight(&self) -> usize {
        WEIGHT_EACH + WEIGHT_OF_OP * self.document.stats().num_ops as usize
    }
}

/// A document that somebody works with, and nobody else meanwhile.
#[derive(Debug)]
pub struct Lent(OwnedMutexGuard<Held>);

impl Lent {
    /// A document that nobody else has.
    pub(super) async fn of(held: Held) -> Self {
        Self(Arc::new(AsyncMutex::new(held)).lock_owned().await)
    }
}

impl Deref for Lent {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.0
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Held {
        &mut self.0
    }
}

/// A document that many may ask for.
type Shared = Arc<AsyncMutex<Held>>;

/// The documents in memory.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Board>);

#[derive(Debug, Default)]
struct Board {
    places: HashMap<(TenantId, DocumentId), Place>,
    weight: usize,
    turns: u64,
}

#[derive(Debug)]
struct Place {
    shared: Shared,
    weight: usize,
    used: u64,
}

impl Shelf {
    /// The document, loaded where it is not in memory yet; waits until nobody else works with it.
    pub(super) async fn lend<F: Future<Output = Result<Held, DocumentsError>>>(
        &self,
        tenant: &TenantId,
        document: DocumentId,
        load: impl Fn() -> F,
    ) -> Result<Lent, DocumentsError> {
        loop {
            let shared = match self.find(tenant, document) {
                Some(shared) => shared,
                None => self.put(tenant, document, load().await?),
            };
            let held = shared.clone().lock_owned().await;
            if !held.stale {
                return Ok(Lent(held));
            }
            // Whoever had it before could not commit; what is stored counts.
            self.forget_this(tenant, document, &shared);
        }
    }

    fn find(&self, tenant: &TenantId, document: DocumentId) -> Option<Shared> {
        let mut board = self.board();
        board.turns += 1;
        let turn = board.turns;
        let place = board.places.get_mut(&(tenant.clone(), document))?;
        place.used = turn;
        Some(place.shared.clone())
    }

    fn put(&self, tenant: &TenantId, document: DocumentId, held: Held) -> Shared {
        let mut board = self.board();
        let key = (tenant.clone(), document);
        if let Some(place) = board.places.get(&key) {
            // Somebody else was faster; theirs counts.
            return place.shared.clone();
        }
        board.turns += 1;
        let (weight, used) = (held.weight(), board.turns);
        let shared = Arc::new(AsyncMutex::new(held));
        board.places.insert(key, Place { shared: shared.clone(), weight, used });
        board.weight += weight;
        board.make_room();
        shared
    }

    /// Weighs a document anew that has changed.
    pub(super) fn weigh(&self, tenant: &TenantId, document: DocumentId, held: &Held) {
        let weight = held.weight();
        let mut board = self.board();
        let Some(place) = board.places.get_mut(&(tenant.clone(), document)) else { return };
        let before = std::mem::replace(&mut place.weight, weight);
        board.weight = board.weight + weight - before.min(board.weight);
        board.make_room();
    }

    /// Takes this copy of a document out of memory, but not a newer one that somebody has loaded meanwhile.
    fn forget_this(&self, tenant: &TenantId, document: DocumentId, copy: &Shared) {
        let mut board = self.board();
        let key = (tenant.clone(), document);
        if board.places.get(&key).is_some_and(|place| Arc::ptr_eq(&place.shared, copy)) {
            board.forget(&key);
        }
    }

    /// Takes a document out of memory, because what is stored differs from it. Only for whoever has it locked and fresh: then it
    /// is the one that is there.
    pub(super) fn forget(&self, tenant: &TenantId, document: DocumentId) {
        self.board().forget(&(tenant.clone(), document));
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn forget(&mut self, key: &(TenantId, DocumentId)) {
        if let Some(place) = self.places.remove(key) {
            self.weight = self.weight.saturating_sub(place.weight);
        }
    }

    /// Lets go of documents that nobody uses, those first that were used longest ago.
    fn make_room(&mut self) {
        while self.weight > WEIGHT_MAX {
            let idle = self.places.iter().filter(|(_, place)| Arc::strong_count(&place.shared) == 1);
            let Some(key) = idle.min_by_key(|(_, place)| place.used).map(|(key, _)| key.clone()) else { return };
            self.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held { bytes: 1, ..Held::begun() }
    }

    #[tokio::test]
    async fn a_document_is_in_memory_once_and_a_stale_copy_takes_no_fresh_one_along() {
        let shelf = Shelf::default();
        let (acme, document) = (TenantId::new("acme"), DocumentId::from_bytes([1; 16]));
        let (first, again) = (shelf.put(&acme, document, held()), shelf.put(&acme, document, held()));
        assert!(Arc::ptr_eq(&first, &again));
        first.lock().await.stale = true;
        let fresh = shelf.lend(&acme, document, async || Ok(Held { bytes: 2, ..held() })).await.unwrap();
        assert_eq!(fresh.bytes, 2, "a stale copy is not lent");
        drop(fresh);
        shelf.forget_this(&acme, document, &first);
        assert!(shelf.find(&acme, document).is_some());
        shelf.forget(&acme, document);
        assert!(shelf.find(&acme, document).is_none());
        assert_eq!(shelf.board().weight, 0);
    }

    #[test]
    fn what_nobody_uses_leaves_first_and_what_is_in_use_stays() {
        let shelf = Shelf::default();
        let acme = TenantId::new("acme");
        let document = |n: u8| DocumentId::from_bytes([n; 16]);
        let used = shelf.put(&acme, document(1), held());
        for n in 2..=4 {
            drop(shelf.put(&acme, document(n), held()));
        }
        shelf.board().places.values_mut().for_each(|place| place.weight = WEIGHT_MAX / 3);
        shelf.board().weight = WEIGHT_MAX / 3 * 4;
        shelf.board().make_room();
        assert!(shelf.find(&acme, document(1)).is_some() && shelf.find(&acme, document(2)).is_none());
        assert!(shelf.find(&acme, document(3)).is_some() && shelf.find(&acme, document(4)).is_some());
        drop(used);
    }
}
