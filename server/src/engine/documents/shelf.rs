//! Documents in memory that are no record's own. Each is in memory at most once, so that its writers come one after the other.

use std::{
    collections::HashMap,
    future::Future,
    ops::DerefMut,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use automerge::{Automerge, Change, ReadDoc};
use syncline_core::{
    document::DocumentError,
    ids::TenantId,
    repo::{self, DocumentId, Ledger, Refusal},
};
use tokio::sync::Mutex as AsyncMutex;

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

/// A document that somebody works with.
#[derive(Clone, Debug)]
pub struct Lent(Arc<AsyncMutex<Held>>);

impl Lent {
    /// A document that nobody else has.
    pub(super) fn of(held: Held) -> Self {
        Self(Arc::new(AsyncMutex::new(held)))
    }

    /// Waits until nobody else works with it.
    pub async fn lock(&self) -> impl DerefMut<Target = Held> + '_ {
        self.0.lock().await
    }
}

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
    lent: Lent,
    weight: usize,
    used: u64,
}

impl Shelf {
    /// The document, where it is in memory.
    pub(super) fn find(&self, tenant: &TenantId, document: DocumentId) -> Option<Lent> {
        let mut board = self.board();
        board.turns += 1;
        let turn = board.turns;
        let place = board.places.get_mut(&(tenant.clone(), document))?;
        place.used = turn;
        Some(place.lent.clone())
    }

    /// The document, loaded where it is not in memory yet.
    pub(super) async fn put<F: Future<Output = Result<Held, DocumentsError>>>(
        &self,
        tenant: &TenantId,
        document: DocumentId,
        load: impl FnOnce() -> F,
    ) -> Result<Lent, DocumentsError> {
        if let Some(lent) = self.find(tenant, document) {
            return Ok(lent);
        }
        let held = load().await?;
        let weight = held.weight();
        let lent = Lent::of(held);
        let mut board = self.board();
        board.turns += 1;
        let used = board.turns;
        // Somebody else may have been faster; theirs counts.
        let place = board.places.entry((tenant.clone(), document)).or_insert(Place { lent, weight, used });
        let lent = place.lent.clone();
        board.weight += weight;
        board.make_room();
        Ok(lent)
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

    /// Takes a document out of memory, because what is stored differs from it.
    pub(super) fn forget(&self, tenant: &TenantId, document: DocumentId) {
        let mut board = self.board();
        if let Some(place) = board.places.remove(&(tenant.clone(), document)) {
            board.weight = board.weight.saturating_sub(place.weight);
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Lets go of documents that nobody uses, those first that were used longest ago.
    fn make_room(&mut self) {
        while self.weight > WEIGHT_MAX {
            let idle = self.places.iter().filter(|(_, place)| Arc::strong_count(&place.lent.0) == 1);
            let Some(key) = idle.min_by_key(|(_, place)| place.used).map(|(key, _)| key.clone()) else { return };
            if let Some(place) = self.places.remove(&key) {
                self.weight = self.weight.saturating_sub(place.weight);
            }
        }
    }
}
