//! One connection's part of the engine: which documents were opened in it, which are being talked about, which wait.

use std::collections::{BTreeMap, HashSet, VecDeque};

use syncline_core::{
    ids::RecordId,
    repo::{DocumentId, PeerId},
    time::Millis,
};

/// The most documents that are being synced at once. More would only queue in the server, and their states must all be
/// in memory.
pub(crate) const BUSY_MAX: usize = 64;
/// The most documents that wait for their turn in memory; of others only the store knows.
const WAITING_MAX: usize = 1024;
/// A conversation in which nothing was said for so long is begun anew.
pub(super) const STALL_MS: i64 = 30_000;

/// One connection.
pub(super) struct Session {
    /// Tells connections of one run apart.
    pub(super) number: u64,
    opened_max: usize,
    /// The server's name; `None` before it has answered.
    pub(super) server: Option<PeerId>,
    /// Documents whose conversation in this connection has begun. Of each only its id is kept.
    pub(super) opened: HashSet<DocumentId>,
    /// Documents that the server does not give out in this connection.
    pub(super) unavailable: HashSet<DocumentId>,
    /// Documents on which the two sides do not agree yet, and since when nothing was said about each.
    busy: BTreeMap<DocumentId, Millis>,
    waiting: VecDeque<DocumentId>,
    is_waiting: HashSet<DocumentId>,
    /// Where the store is to be searched for more; `None` where it holds no more.
    pub(super) more: Option<Option<RecordId>>,
    /// Whether the answer to such a search is on its way.
    pub(super) is_asked: bool,
}

impl Session {
    pub(super) fn new(number: u64, opened_max: usize) -> Self {
        Self {
            number,
            opened_max,
            server: None,
            opened: HashSet::new(),
            unavailable: HashSet::new(),
            busy: BTreeMap::new(),
            waiting: VecDeque::new(),
            is_waiting: HashSet::new(),
            more: Some(None),
            is_asked: false,
        }
    }

    pub(super) fn is_busy(&self, id: &DocumentId) -> bool {
        self.busy.contains_key(id)
    }

    pub(super) fn has_room(&self) -> bool {
        self.busy.len() < BUSY_MAX
    }

    /// Something was said about a document.
    pub(super) fn said(&mut self, id: DocumentId, now: Millis) {
        self.busy.insert(id, now);
    }

    /// Both sides agree about a document, or will not in this connection.
    pub(super) fn rest(&mut self, id: DocumentId) {
        self.busy.remove(&id);
    }

    /// Lets a document wait for its turn; with `first`, before all others.
    pub(super) fn wait(&mut self, id: DocumentId, first: bool) {
        if self.waiting.len() >= WAITING_MAX && !first {
            // The store knows that the document is stale: it is found again when the others had their turn.
            self.more.get_or_insert(None);
            return;
        }
        if !self.is_waiting.insert(id) {
            if !first {
                return;
            }
            self.waiting.retain(|waiting| *waiting != id);
        }
        if first {
            self.waiting.push_front(id);
        } else {
            self.waiting.push_back(id);
        }
    }

    /// Whether no further document may be opened in this connection.
    pub(super) fn is_full(&self) -> bool {
        self.opened.len() >= self.opened_max
    }

    /// Whether nothing is being said.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// The next document whose turn it is.
    pub(super) fn turn(&mut self) -> Option<DocumentId> {
        let id = self.waiting.pop_front()?;
        self.is_waiting.remove(&id);
        Some(id)
    }

    /// Documents about which nothing was said for too long.
    pub(super) fn stalled(&self, now: Millis) -> Vec<DocumentId> {
        let is_stalled = |since: &Millis| since.plus(STALL_MS) <= now;
        self.busy.iter().filter(|(_, since)| is_stalled(since)).map(|(id, _)| *id).collect()
    }

    /// When the next conversation may have stalled.
    pub(super) fn stalls_at(&self) -> Option<Millis> {
        self.busy.values().min().map(|since| since.plus(STALL_MS))
    }
}
