//! The heart: `state` and one input in, an outcome out. Webhook, poll, backfill, sweep, HTTP call, live client and write
//! receipt all end here, and nothing else changes a record.
//!
//! # Layout, in the order of the data path
//!
//! * [`observe`]: does this reading count, and what did its system change?
//! * [`link`]: the first reading of an object: a new record, or a record's new replica.
//! * [`edit`]: an edit by a client of the API.
//! * [`receive`]: changes that clients made themselves, read as edits, and put right where they do not fit.
//! * [`merge`]: makes each edit at the heads its writer had seen, lets the policy choose, keeps what lost.
//! * [`deletes`]: deletes, restores, and deletes that meet edits.
//! * [`agree`]: after every input: which replicas agree with the record, and which are to be written.
//! * [`prepare`]: computes what a delivery sends and opens the intent.
//! * [`receipt`]: closes the intent.
//! * [`renew`]: a long history begins anew. [`mod@rebuild`]: a damaged document is made again.
//! * [`identity`]: what a person decides about which object is which record; [`unite`] and [`part`] are its halves that
//!   concern two records.

mod agree;
mod deletes;
mod edit;
pub mod identity;
mod link;
mod merge;
mod observe;
mod part;
mod prepare;
mod rebuild;
mod receipt;
mod receive;
mod renew;
mod unite;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    conflict::Conflict,
    document::{Actor, Document, DocumentError},
    ids::{ConnectionId, ExternalId, FieldName, RecordId},
    journal::{ChangeEntry, Hash, Origin},
    plan::SyncPlan,
    record::RecordState,
    remote::{ProviderError, Refusal},
    replica::{Intent, Observation, Replica},
    time::{Millis, Tick},
    value::{Fields, Value},
};

pub use self::{
    rebuild::rebuild,
    receive::written_at,
    renew::{Sealed, may_renew},
};

/// The time, as the caller tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock of this service.
    pub at: Millis,
    /// The logical clock of this service: larger than every tick used before.
    pub tick: Tick,
}

/// One source of change.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connected system showed the object.
    Observed {
        /// Which system.
        connection: ConnectionId,
        /// What it showed.
        observation: Observation,
    },
    /// A connected system showed that the object is deleted, and a person has refused that delete: whatever the model says of
    /// deletes, the record stands, and the object is created again.
    DeleteRefused {
        /// Which system.
        connection: ConnectionId,
        /// What it showed.
        observation: Observation,
    },
    /// A client of the API edited the record.
    Edited(ClientEdit),
    /// A client that holds the document sent changes of its own.
    Received(Received),
    /// A client edited a document whose content has moved into this record.
    Replayed(Replayed),
    /// A delivery worker is ready to write.
    Prepare {
        /// To which system.
        connection: ConnectionId,
        /// That system's time when the look just before this write was begun.
        looked_at: Millis,
        /// Whether the provider refuses a write that follows somebody else's.
        conditional: bool,
    },
    /// A write ended.
    Receipt {
        /// Which system.
        connection: ConnectionId,
        /// The intent that was sent.
        intent: Tick,
        /// How it ended.
        result: Receipt,
    },
    /// The linked object was merged into another object of its system: this record's replica stands alone.
    Merged {
        /// Which system.
        connection: ConnectionId,
        /// The survivor.
        into: ExternalId,
    },
    /// A person looked at a parked delivery and wants it tried again.
    Replay {
        /// Which system.
        connection: ConnectionId,
    },
    /// The provider's object has no usable field for these fields now: what is owed of them waits, and what waited for others
    /// goes on. An empty map says that every field is there again.
    Lacks {
        /// In which system.
        connection: ConnectionId,
        /// The fields, each with what became of the provider's field, in words.
        fields: BTreeMap<FieldName, String>,
    },
    /// The history is long enough: begin a new epoch, if nothing is lost by it.
    Renew,
    /// The document is damaged and nothing is left to rebuild it from: begin a new epoch from what the record's row and journal
    /// say. Edits that were made beside one another and not yet merged are lost with the history.
    StartOver,
}

/// An edit by a client of the API: canonical values.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientEdit {
    /// Whose edit it is.
    pub principal: String,
    /// The fields to set; [`crate::value::Value::Null`] clears one.
    pub fields: Fields,
    /// Delete (`Some(true)`) or restore (`Some(false)`) the record.
    pub delete: Option<bool>,
    /// The edit settles an open question about these fields, even where it changes no value.
    pub settles: bool,
}

/// Changes of the document that a client made: vetted, in an order in which each finds its dependencies.
#[derive(Clone, Debug)]
pub struct Received {
    /// Whose changes they are.
    pub principal: String,
    /// The changes.
    pub changes: Vec<automerge::Change>,
}

/// Edits of a document whose content has moved into the record, to be made there.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Whose edits they are.
    pub principal: String,
    /// By field: the value that the client saw before, and the value that it wrote.
    pub fields: BTreeMap<FieldName, (Value, Value)>,
    /// When, by the client's clock; `None` where it did not say.
    pub written_at: Option<Millis>,
    /// Whether the client deleted (`Some(true)`) or restored the record.
    pub delete: Option<bool>,
}

/// How a write ended, with the answer already read through the mapping.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// The provider accepted it.
    Applied {
        /// The object's id.
        id: ExternalId,
        /// The object as the answer showed it.
        answer: Option<Box<Observation>>,
        /// Whether the answer is the whole object with a fine version.
        whole: bool,
    },
    /// Somebody wrote since our last look; nothing was written.
    Stale,
    /// A create met an object with the same unique value.
    Exists {
        /// That object, where the provider names it.
        id: Option<ExternalId>,
        /// The provider's words.
        message: String,
    },
    /// The object is gone.
    Gone,
    /// The provider refused these fields, in the model's names; none named: the write as a whole.
    Refused {
        /// The fields at fault.
        fields: Vec<FieldName>,
        /// The provider's reason.
        refusal: Refusal,
    },
    /// Nothing was written.
    NotApplied {
        /// Why.
        error: ProviderError,
        /// A random share, 0..=1000 per mille, for the back-off.
        jitter: u32,
    },
    /// Nobody knows.
    Unknown {
        /// What happened.
        message: String,
        /// Nothing sent before this time can still take effect.
        wait_until: Millis,
    },
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The record changed.
    Changed,
    /// The reading showed what was known: an echo of our own write, or a repeat.
    Echo,
    /// The reading is older than what is known and was dropped.
    Stale,
    /// The reading may be new, but only a read by id can tell.
    Unconfirmed,
    /// The reading waits for the end of a write.
    Held,
    /// A step of a delivery.
    Delivery,
}

/// What a caller is to do after the commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FollowUp {
    /// Read the linked object by id, batched with others.
    Read {
        /// In which system.
        connection: ConnectionId,
        /// Which object.
        id: ExternalId,
    },
}

/// An object whose reading waited for a create of a record, which turns out not to have made it. Whose it is must be asked again by
/// a read by id. Its page or webhook has been worked off long ago, so a crash must not forget it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// In which system.
    pub connection: ConnectionId,
    /// Which object.
    pub id: ExternalId,
    /// When the create ended.
    pub at: Millis,
}

/// What the input did to the state, for the store and for subscribers.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What became of the input.
    pub verdict: Verdict,
    /// New journal entries, already appended to the state's journal.
    pub entries: Vec<ChangeEntry>,
    /// New conflict rows.
    pub conflicts: Vec<Conflict>,
    /// Fields whose visible value changed, with whoever wrote the value that is visible now.
    pub changed: BTreeMap<FieldName, Origin>,
    /// Whether the record was created by this input.
    pub created: bool,
    /// The record was deleted (`Some(true)`) or restored (`Some(false)`) by this input.
    pub deleted: Option<bool>,
    /// Replicas that changed and must be stored.
    pub touched: BTreeSet<ConnectionId>,
    /// What to do after the commit.
    pub follow_ups: BTreeSet<FollowUp>,
    /// Objects that nobody remembers but for this: to be stored with the record.
    pub strays: BTreeSet<Stray>,
    /// For [`Input::Prepare`]: the intent to send.
    pub intent: Option<Intent>,
    /// For [`Input::Renew`]: what the record left behind, where it began a new epoch.
    pub sealed: Option<Box<Sealed>>,
    /// For [`Input::StartOver`]: the record began a new epoch and left nothing behind.
    pub started_over: bool,
}

impl Outcome {
    fn new() -> Self {
        Self {
            verdict: Verdict::Echo,
            entries: Vec::new(),
            conflicts: Vec::new(),
            changed: BTreeMap::new(),
            created: false,
            deleted: None,
            touched: BTreeSet::new(),
            follow_ups: BTreeSet::new(),
            strays: BTreeSet::new(),
            intent: None,
            sealed: None,
            started_over: false,
        }
    }

    /// Whether anything must be stored.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.conflicts.is_empty() && self.touched.is_empty() && !self.created
    }

    /// Whether subscribers are told.
    pub fn is_visible(&self) -> bool {
        self.created || self.deleted.is_some() || !self.changed.is_empty()
    }
}

/// Why an input could not be processed. The state may then be half-changed and must be dropped.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The document cannot be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The plan has no such connection.
    #[error("connection `{0}` takes no part in this sync: the configuration changed; reload the plan")]
    UnknownConnection(ConnectionId),
    /// A receipt came for an intent that is not open.
    #[error("no write with intent {0:?} is open for connection `{1}`: it was closed before; drop the receipt")]
    NoIntent(Tick, ConnectionId),
    /// The journal lacks an op that the document holds.
    #[error(
        "the journal has no entry for change {0}, so the record's history is incomplete: restore the database from a backup"
    )]
    Journal(crate::journal::Hash),
    /// The record's identity does not allow it now.
    #[error(transparent)]
    Identity(#[from] identity::Refusal),
}

/// Creates a record from the first reading of an object that matches no record.
pub fn create_from(
    plan: &SyncPlan,
    id: RecordId,
    connection: &ConnectionId,
    observation: Observation,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    link::create(plan, id, connection, observation, now)
}

/// Creates a record for a client of the API.
pub fn create_by_client(
    plan: &SyncPlan,
    id: RecordId,
    principal: &str,
    fields: &Fields,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    edit::create(plan, id, principal, fields, now)
}

/// Creates a record from a document that a client began: its changes, vetted, in an order in which each finds its
/// dependencies. What does not fit the model is put right by changes of the service.
pub fn create_from_document(
    plan: &SyncPlan,
    id: RecordId,
    received: &Received,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    receive::create(plan, id, received, now)
}

/// Applies one input to a record.
pub fn reconcile(plan: &SyncPlan, state: &mut RecordState, input: Input, now: Now) -> Result<Outcome, ReconcileError> {
    if let Some(into) = state.merged_into {
        // A damaged document is begun anew whatever became of its record.
        if !matches!(input, Input::StartOver) {
            return after_a_merge(state, into, &input);
        }
    }
    let mut pass = Pass::new(plan, state, now);
    match input {
        Input::Observed { connection, observation } => pass.observe(&connection, observation)?,
        Input::DeleteRefused { connection, observation } => {
            pass.delete_refused = true;
            pass.observe(&connection, observation)?;
        }
        Input::Edited(edit) => pass.client_edit(&edit)?,
        Input::Received(received) => pass.receive(&received)?,
        Input::Replayed(replayed) => pass.replay_edits(replayed)?,
        Input::Prepare { connection, looked_at, conditional } => {
            pass.prepare(&connection, looked_at, conditional)?;
        }
        Input::Receipt { connection, intent, result } => pass.receipt(&connection, intent, result)?,
        Input::Merged { connection, into } => pass.merged(&connection, &into)?,
        Input::Replay { connection } => pass.replay(&connection)?,
        Input::Lacks { connection, fields } => pass.lacks(&connection, &fields)?,
        Input::Renew => pass.renew()?,
        Input::StartOver => pass.start_over()?,
    }
    pass.finish()
}

/// A record that was merged into another takes no edits of its own, and nothing is owed to anybody.
fn after_a_merge(state: &RecordState, into: RecordId, input: &Input) -> Result<Outcome, ReconcileError> {
    match input {
        Input::Edited(_) | Input::Received(_) | Input::Replayed(_) | Input::Replay { .. } => {
            Err(identity::Refusal::Merged { record: state.id, into }.into())
        }
        Input::Receipt { connection, intent, .. } => Err(ReconcileError::NoIntent(*intent, connection.clone())),
        Input::Observed { .. }
        | Input::DeleteRefused { .. }
        | Input::Prepare { .. }
        | Input::Merged { .. }
        | Input::Lacks { .. }
        | Input::Renew
        | Input::StartOver => Ok(Outcome::new()),
    }
}

/// One pass over a record: the state under change and what came of it so far.
struct Pass<'a> {
    plan: &'a SyncPlan,
    state: &'a mut RecordState,
    now: Now,
    out: Outcome,
    before: Fields,
    before_deleted: Option<Millis>,
    /// Fields whose document value may have moved in this pass.
    written: BTreeSet<FieldName>,
    /// Replicas whose baseline, stored forms or parking moved in this pass.
    moved: BTreeSet<ConnectionId>,
    /// The replica whose delivery this pass has given up until a person looks or the record changes.
    given_up: Option<ConnectionId>,
    /// A person has refused the delete that the reading shows.
    delete_refused: bool,
    /// The client's change that is being taken in.
    received: Option<Hash>,
    /// Texts that a system shows in a spelling of its own, and of which it has just changed a part.
    respelled: BTreeMap<ConnectionId, BTreeSet<FieldName>>,
    /// Ops of clients whose values do not fit their fields.
    unfit: BTreeSet<(FieldName, Hash)>,
}

impl<'a> Pass<'a> {
    fn new(plan: &'a SyncPlan, state: &'a mut RecordState, now: Now) -> Self {
        let before = state.fields.clone();
        let before_deleted = state.deleted;
        Self {
            plan,
            state,
            now,
            out: Outcome::new(),
            before,
            before_deleted,
            written: BTreeSet::new(),
            moved: BTreeSet::new(),
            given_up: None,
            delete_refused: false,
            received: None,
            respelled: BTreeMap::new(),
            unfit: BTreeSet::new(),
        }
    }

    /// Brings the replicas' duties up to date and says what changed.
    fn finish(mut self) -> Result<Outcome, ReconcileError> {
        if !self.written.is_empty() {
            self.state.fields = self.state.document.fields(&self.plan.model)?;
        }
        self.agree()?;
        self.report()?;
        Ok(self.out)
    }

    /// Compares the visible record before and after.
    fn report(&mut self) -> Result<(), ReconcileError> {
        let changed: Vec<FieldName> = self
            .written
            .iter()
            .filter(|name| self.before.get(*name) != self.state.fields.get(*name))
            .cloned()
            .collect();
        for name in changed {
            let origin = self.origin_of(&name)?;
            self.out.changed.insert(name, origin);
        }
        if self.before_deleted.is_some() != self.state.deleted.is_some() {
            self.out.deleted = Some(self.state.deleted.is_some());
        }
        if self.out.is_visible() {
            self.out.verdict = Verdict::Changed;
            self.state.version += 1;
            self.state.last_modified_at = self.now.at;
        }
        Ok(())
    }

    fn replica(&self, connection: &ConnectionId) -> Result<&Replica, ReconcileError> {
        self.state.replicas.get(connection).ok_or_else(|| ReconcileError::UnknownConnection(connection.clone()))
    }

    fn replica_mut(&mut self, connection: &ConnectionId) -> Result<&mut Replica, ReconcileError> {
        self.out.touched.insert(connection.clone());
        self.state.replicas.get_mut(connection).ok_or_else(|| ReconcileError::UnknownConnection(connection.clone()))
    }

    fn side(&self, connection: &ConnectionId) -> Result<&'a crate::plan::Side, ReconcileError> {
        self.plan.sides.get(connection).ok_or_else(|| ReconcileError::UnknownConnection(connection.clone()))
    }

    fn connection_actor(&self, connection: &ConnectionId) -> Actor {
        Actor::connection(&self.state.tenant, connection, self.plan.writer.current)
    }

    fn record(&mut self, entry: ChangeEntry) {
        self.state.journal.push(entry.clone());
        self.out.entries.push(entry);
    }
}

/// The state of a record that was just created, with a replica for every side of the plan.
fn newborn(
    plan: &SyncPlan,
    id: RecordId,
    document: Document,
    entry: ChangeEntry,
    fields: Fields,
    now: Now,
) -> RecordState {
    let replicas = plan.sides.iter().map(|(connection, side)| (connection.clone(), unlinked(side))).collect();
    RecordState {
        tenant: plan.tenant.clone(),
        id,
        model: plan.model.name.clone(),
        revision: 0,
        epoch: plan.writer.record_epoch(None),
        version: 1,
        fields,
        deleted: None,
        merged_into: None,
        document,
        journal: vec![entry],
        replicas,
        first_seen_at: now.at,
        last_modified_at: now.at,
    }
}

/// A replica without an object.
fn unlinked(side: &crate::plan::Side) -> Replica {
    Replica {
        object: side.object.clone(),
        link: crate::replica::Link::Unlinked,
        baseline: Fields::new(),
        reflected: crate::replica::Reflected::default(),
        version: None,
        looked: Tick::default(),
        settled: Tick::default(),
        stored: BTreeMap::new(),
        intent: None,
        held: Vec::new(),
        written: BTreeMap::new(),
        parked: BTreeMap::new(),
        writes: BTreeMap::new(),
        delivery: crate::outbox::Delivery::Clean,
    }
}
