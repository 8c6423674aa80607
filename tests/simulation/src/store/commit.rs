//! The one transaction that changes records: all of a batch, or nothing.

use std::collections::BTreeSet;

use syncline_core::{
    conflict::Conflict,
    ids::{ConnectionId, ExternalId, RecordId},
    live::Action,
    matching::MatchKey,
    record::RecordState,
    replica::Link,
    repo::DocumentId,
};

use super::{Entry, Hint, Moved, Store, TenantStore};
use crate::mutant::Mutant;

/// What a batch changes of one record.
#[derive(Debug)]
pub(crate) struct RecordCommit {
    /// The record as `reconcile` left it; its revision is still the one it was loaded with.
    pub(crate) state: RecordState,
    pub(crate) conflicts: Vec<Conflict>,
    /// What subscribers are told.
    pub(crate) announced: Option<Action>,
    pub(crate) match_keys: Option<Vec<MatchKey>>,
    /// Objects that this record gives up.
    pub(crate) given_up: Vec<(ConnectionId, ExternalId)>,
}

/// Everything that one transaction makes durable.
#[derive(Debug, Default)]
pub(crate) struct CommitBatch {
    pub(crate) records: Vec<RecordCommit>,
    pub(crate) checkpoints: Vec<(ConnectionId, &'static str, String)>,
    pub(crate) quarantine: Vec<(ConnectionId, ExternalId, String)>,
    pub(crate) released: Vec<(ConnectionId, ExternalId)>,
    pub(crate) hints_done: Vec<u64>,
    pub(crate) hints: Vec<Hint>,
    pub(crate) moved: Vec<(DocumentId, Moved)>,
    pub(crate) actors: Vec<(Vec<u8>, String)>,
}

/// Why nothing was committed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Another commit came between the load and this one.
    Stale,
    /// An object is another record's already.
    Taken { connection: ConnectionId, id: ExternalId, holder: RecordId },
}

impl Store {
    /// Commits a batch, and returns the entries of the feed that it made.
    pub(crate) fn commit(
        &mut self,
        tenant: usize,
        batch: CommitBatch,
        mutant: Option<Mutant>,
        seqs: Option<u64>,
    ) -> Result<Vec<Entry>, CommitError> {
        let store = &mut self.tenants[tenant];
        store.check(&batch, mutant)?;
        self.commits += 1;
        let before = store.feed.len();
        let mut seqs = seqs;
        let CommitBatch { records, checkpoints, quarantine, released, hints_done, hints, moved, actors } = batch;
        for record in &records {
            for link in &record.given_up {
                store.links.remove(link);
            }
        }
        for record in records {
            store.put(record, &mut seqs);
        }
        for (connection, stream, state) in checkpoints {
            store.checkpoints.insert((connection, stream), state);
        }
        for key in released {
            store.quarantine.remove(&key);
        }
        for (connection, id, reason) in quarantine {
            store.quarantine.insert((connection, id), reason);
        }
        for hint in hints_done {
            store.inbox.remove(&hint);
        }
        for hint in hints {
            store.put_hint(hint);
        }
        store.moved.extend(moved);
        store.actors.extend(actors);
        Ok(store.feed[before..].to_vec())
    }
}

impl TenantStore {
    fn check(&self, batch: &CommitBatch, mutant: Option<Mutant>) -> Result<(), CommitError> {
        let revision = |record: &RecordId| self.records.get(record).map_or(0, |state| state.revision);
        let stale = |record: &&RecordCommit| revision(&record.state.id) != record.state.revision;
        if mutant != Some(Mutant::StaleWriterCommits) && batch.records.iter().any(|record| stale(&record)) {
            return Err(CommitError::Stale);
        }
        let given_up: BTreeSet<&(ConnectionId, ExternalId)> =
            batch.records.iter().flat_map(|record| &record.given_up).collect();
        let mut taken: BTreeSet<(ConnectionId, ExternalId)> = BTreeSet::new();
        for record in &batch.records {
            for link in links(&record.state) {
                let holder = self.links.get(&link).filter(|_| !given_up.contains(&link));
                let other = holder.filter(|holder| **holder != record.state.id);
                if let Some(holder) = other.copied().or((!taken.insert(link.clone())).then_some(record.state.id)) {
                    return Err(CommitError::Taken { connection: link.0, id: link.1, holder });
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, commit: RecordCommit, seqs: &mut Option<u64>) {
        let RecordCommit { mut state, conflicts, announced, match_keys, given_up: _ } = commit;
        state.revision += 1;
        let id = state.id;
        for link in links(&state) {
            self.links.insert(link, id);
        }
        if let Some(keys) = match_keys {
            self.keys.retain(|_, records| {
                records.remove(&id);
                !records.is_empty()
            });
            for key in keys {
                self.keys.entry(key).or_default().insert(id);
            }
        }
        let rows = self.conflicts.entry(id).or_default();
        for conflict in conflicts {
            let known = |row: &Conflict| {
                row.field == conflict.field && row.loser.op == conflict.loser.op && row.winner.op == conflict.winner.op
            };
            if !rows.iter().any(known) {
                rows.push(conflict);
            }
        }
        if let Some(action) = announced {
            let seq = match seqs {
                Some(seq) => std::mem::replace(seq, *seq + 1),
                None => self.take_seqs(1),
            };
            self.feed.push(Entry::of(seq, &state, action));
        }
        self.records.insert(id, state);
    }

    /// Takes places in the feed.
    pub(crate) fn take_seqs(&mut self, count: u64) -> u64 {
        let first = self.next_seq + 1;
        self.next_seq += count;
        first
    }
}

/// The objects that a record is or was linked to.
pub(crate) fn links(state: &RecordState) -> Vec<(ConnectionId, ExternalId)> {
    let link = |(connection, link): (&ConnectionId, &Link)| Some((connection.clone(), link.external_id()?.clone()));
    state.replicas.iter().map(|(connection, replica)| (connection, &replica.link)).filter_map(link).collect()
}
