//! What is slow to load of records that change again and again: their decoded documents and their journals.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;
use syncline_core::{
    document::Document,
    ids::{RecordId, TenantId},
    journal::ChangeEntry,
    record::RecordState,
};

use crate::store::{RecordCommit, StoreError, TenantStore};

/// How much the histories in memory may weigh together, in bytes as estimated by [`History::weight`]. Those that were used
/// longest ago leave first.
const WEIGHT_MAX: usize = 64 * 1024 * 1024;

/// What a record weighs beside its history.
const WEIGHT_EACH: usize = 32 * 1024;

/// What an entry of the journal weighs, with its change in the document.
const WEIGHT_OF_ENTRY: usize = 1024;

/// Records of one batch that are kept. A backfill changes each record once: keeping those would push out what is in use.
const KEPT_MAX: usize = 64;

/// A record's document and journal, as of the document's heads.
#[derive(Debug)]
pub(super) struct History {
    document: Document,
    journal: Vec<ChangeEntry>,
}

impl History {
    /// Takes a record's history out of it, where the document is decoded.
    fn out_of(state: &mut RecordState) -> Option<Self> {
        let document = state.document.take_decoded()?;
        Some(Self { document, journal: std::mem::take(&mut state.journal) })
    }

    fn weight(&self) -> usize {
        WEIGHT_EACH + WEIGHT_OF_ENTRY * self.journal.len()
    }
}

/// The histories in memory. One writer at a time takes a tenant's out and puts them back.
#[derive(Debug)]
pub(super) struct Warm(Mutex<Board>);

#[derive(Debug)]
struct Board {
    histories: LruCache<(TenantId, RecordId), History>,
    weight: usize,
}

impl Default for Warm {
    fn default() -> Self {
        Self(Mutex::new(Board { histories: LruCache::unbounded(), weight: 0 }))
    }
}

impl Warm {
    /// The records with these ids, whole; what is in memory is not loaded again, and is no longer there.
    pub(super) async fn load(
        &self,
        tenant: &dyn TenantStore,
        ids: impl IntoIterator<Item = RecordId>,
    ) -> Result<Vec<RecordState>, StoreError> {
        let (mut warm, mut cold) = (HashMap::new(), Vec::new());
        for id in ids {
            match self.board().take(tenant.tenant(), id) {
                Some(history) => drop(warm.insert(id, history)),
                None => cold.push(id),
            }
        }
        let mut states = Vec::with_capacity(warm.len() + cold.len());
        let known: Vec<RecordId> = warm.keys().copied().collect();
        if !known.is_empty() {
            for mut state in tenant.load_surface(&known).await? {
                match warm.remove(&state.id) {
                    Some(history) if history.document.heads() == state.document.heads() => {
                        (state.document, state.journal) = (history.document, history.journal);
                        states.push(state);
                    }
                    // Another writer has been there since.
                    _ => cold.push(state.id),
                }
            }
        }
        if !cold.is_empty() {
            states.extend(tenant.load(&cold).await?);
        }
        Ok(states)
    }

    /// Keeps the histories of records that have been committed, or that nothing was done to.
    pub(super) fn keep(&self, tenant: &TenantId, histories: Vec<(RecordId, History)>) {
        let mut board = self.board();
        for (record, history) in histories {
            board.put(tenant, record, history);
        }
    }

    /// Forgets a record.
    pub(super) fn forget(&self, tenant: &TenantId, record: RecordId) {
        drop(self.board().take(tenant, record));
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the histories out of records that are not committed.
pub(super) fn of_unchanged<'s>(states: impl Iterator<Item = &'s mut RecordState>) -> Vec<(RecordId, History)> {
    states.take(KEPT_MAX).filter_map(|state| Some((state.id, History::out_of(state)?))).collect()
}

/// Takes the histories out of records that are committed, to be kept once they are. What is left can be stored.
pub(super) fn of_commits(commits: &mut [RecordCommit]) -> Vec<(RecordId, History)> {
    let known = commits.iter_mut().filter(|commit| commit.state.revision > 0).take(KEPT_MAX);
    known
        .filter_map(|commit| {
            if commit.writes_document() {
                commit.state.document.save();
            }
            Some((commit.state.id, History::out_of(&mut commit.state)?))
        })
        .collect()
}

impl Board {
    fn take(&mut self, tenant: &TenantId, record: RecordId) -> Option<History> {
        let history = self.histories.pop(&(tenant.clone(), record))?;
        self.weight -= history.weight();
        Some(history)
    }

    fn put(&mut self, tenant: &TenantId, record: RecordId, history: History) {
        self.weight += history.weight();
        if let Some(before) = self.histories.put((tenant.clone(), record), history) {
            self.weight -= before.weight();
        }
        while self.weight > WEIGHT_MAX {
            let Some((_, oldest)) = self.histories.pop_lru() else { return };
            self.weight -= oldest.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        History { document: Document::from_saved(Vec::new(), Vec::new()), journal: Vec::new() }
    }

    #[test]
    fn the_oldest_leave_where_there_is_no_room() {
        let (warm, acme) = (Warm::default(), TenantId::new("acme"));
        let record = |n: usize| RecordId::created(&acme, &"contact".into(), &n.to_string());
        let room = WEIGHT_MAX / WEIGHT_EACH;
        for n in 0..=room {
            warm.keep(&acme, vec![(record(n), history())]);
        }
        let mut board = warm.board();
        assert!(board.weight <= WEIGHT_MAX);
        assert!(board.take(&acme, record(0)).is_none() && board.take(&acme, record(1)).is_some());
        board.put(&acme, record(room), history());
        while board.histories.pop_lru().is_some_and(|(_, history)| {
            board.weight -= history.weight();
            true
        }) {}
        assert_eq!(board.weight, 0, "each is counted once");
    }
}
