//! The one transaction that changes records: changes, replica states, deliveries, feed entries, conflict rows and the
//! page's checkpoint become durable together or not at all.

use std::collections::BTreeSet;

use syncline_core::{
    conflict::Conflict,
    identity::Operation,
    ids::{ConnectionId, ExternalId, ObjectName},
    journal::ChangeEntry,
    live::{Action, Change, ChangedField},
    matching::MatchKey,
    record::RecordState,
};

use super::{
    conflicts::Closing,
    documents::{ActorClaim, DocumentWrite},
    held::{GuardPut, HeldWrite},
    inbox::{HintId, HintPut},
    quarantine::{QuarantineId, Quarantined},
    syncs::CheckpointPut,
};

/// Everything that one transaction makes durable for one tenant.
#[derive(Debug, Default)]
pub struct CommitBatch {
    /// Records, each at most once.
    pub records: Vec<RecordCommit>,
    /// Read positions that these records bring with them.
    pub checkpoints: Vec<CheckpointPut>,
    /// Rows that could not be taken in.
    pub quarantine: Vec<Quarantined>,
    /// Quarantined rows that have been taken in by now.
    pub released: Vec<QuarantineId>,
    /// Webhook hints that have been worked off.
    pub hints_done: Vec<HintId>,
    /// Hints of our own, each stored once. They wait beside those of webhooks, whatever their number.
    pub hints: Vec<HintPut>,
    /// Conflicts that a person has settled.
    pub conflicts_closed: Vec<Closing>,
    /// Changes to documents that are no record's own.
    pub documents: Vec<DocumentWrite>,
    /// Automerge actors that principals have begun to use.
    pub actors: Vec<ActorClaim>,
    /// Deletes that wait for a person from now on, or no longer.
    pub held: Vec<HeldWrite>,
    /// What delete guards have counted and ask.
    pub guards: Vec<GuardPut>,
    /// Operations on identity that were carried out, or taken back.
    pub operations: Vec<Operation>,
}

impl CommitBatch {
    /// A batch of records and nothing else.
    pub fn of(records: Vec<RecordCommit>) -> Self {
        Self { records, ..Self::default() }
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.checkpoints.is_empty()
            && self.quarantine.is_empty()
            && self.released.is_empty()
            && self.hints_done.is_empty()
            && self.hints.is_empty()
            && self.conflicts_closed.is_empty()
            && self.documents.is_empty()
            && self.actors.is_empty()
            && self.held.is_empty()
            && self.guards.is_empty()
            && self.operations.is_empty()
    }
}

/// What a batch changes of one record.
#[derive(Debug)]
pub struct RecordCommit {
    /// The record as `reconcile` left it. Its `revision` is still the one it was loaded with, 0 for a new record; the
    /// commit succeeds only if the stored record has that revision, and stores the next.
    pub state: RecordState,
    /// New journal entries, already the last ones of the state's journal. Without any, the document is not written.
    pub entries: Vec<ChangeEntry>,
    /// New conflict rows; one that is known already (same field, loser and winner) is left as it is.
    pub conflicts: Vec<Conflict>,
    /// The replicas to write; a new record's are all written.
    pub touched: BTreeSet<ConnectionId>,
    /// External ids, beside the replicas' own, that resolve to this record from now on.
    pub aliases: Vec<ExternalRef>,
    /// External ids that this record gives up. All records of a batch give up theirs before any takes new ones.
    pub given_up: Vec<ExternalRef>,
    /// Objects that matching must not link to this record from now on.
    pub not_same: Vec<ExternalRef>,
    /// Objects that it may link to this record again.
    pub maybe_same: Vec<ExternalRef>,
    /// What subscribers are told; `None` where nothing visible changed.
    pub announcement: Option<Announcement>,
    /// The record's match keys, where they may have changed.
    pub match_keys: Option<Vec<MatchKey>>,
    /// The record began the epoch that its state names: the first of the new journal entries is the first that counts.
    pub renewed: Option<Renewed>,
    /// The record's document was damaged and has been made again: it is written although nothing in it changed.
    pub rebuilt: bool,
}

/// What a record that begins a new epoch leaves in its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewed {
    /// The entry that created the record, to stand in place of the one that is there.
    pub genesis: Option<ChangeEntry>,
}

impl RecordCommit {
    /// A commit of the state alone; the caller fills in what else changed.
    pub fn new(state: RecordState) -> Self {
        Self {
            state,
            entries: Vec::new(),
            conflicts: Vec::new(),
            touched: BTreeSet::new(),
            aliases: Vec::new(),
            given_up: Vec::new(),
            not_same: Vec::new(),
            maybe_same: Vec::new(),
            announcement: None,
            match_keys: None,
            renewed: None,
            rebuilt: false,
        }
    }

    /// Whether the record's own row is written with the document, and not only its revision.
    pub fn writes_document(&self) -> bool {
        self.state.revision == 0 || !self.entries.is_empty() || self.announcement.is_some() || self.rebuilt
    }
}

/// What subscribers are told of a record's commit; the store adds fields, version and time from the record itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// What happened.
    pub action: Action,
    /// The fields that changed, each with who wrote the value that stands now and the value before.
    pub changed: Vec<ChangedField>,
}

/// An object of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalRef {
    /// The connection.
    pub connection: ConnectionId,
    /// The provider's object name.
    pub object: ObjectName,
    /// The provider's id.
    pub id: ExternalId,
}

/// What a commit did.
#[derive(Debug, Default)]
pub struct Committed {
    /// The announcements at their places in the tenant's feed, in the order of the batch.
    pub changes: Vec<Change>,
}
