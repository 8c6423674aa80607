//! Intake: the one way into the store. A batch of arrivals is one transaction around `reconcile`: persist, then publish,
//! then acknowledge.
//!
//! # Layout
//!
//! * [`working`]: the records of a batch in memory, and what is to be committed of each.
//! * [`route`]: which record an arrival belongs to.
//! * [`warm`]: documents and journals of records that change again and again.
//! * [`guard`], [`held`]: deletes that are too many to pass without a person. [`erase`]: records that are removed for good.
//! * [`mend`]: damaged documents. [`mended`]: which quarantined rows a batch releases. [`received`]: changes that clients
//!   made themselves, and documents that they begin. [`decided`]: what people decide about which object is which record.

mod decided;
mod erase;
mod guard;
mod held;
mod mend;
mod mended;
mod received;
mod route;
mod warm;
mod working;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use syncline_core::{
    document::Actor,
    identity::OperationId,
    ids::{ConnectionId, ExternalId, ModelName, RecordId, TenantId},
    matching::MatchKey,
    model::Model,
    plan::SyncPlan,
    reconcile::{self, FollowUp, Input, Receipt, ReconcileError},
    remote::RemoteObject,
    replica::{Intent, Observation},
    repo::{DocumentId, thread::Heads},
    value::Fields,
};
use tokio::sync::Mutex;

use super::{
    barred::Barred,
    clock::Clock,
    tally::{Noted, Tally},
};
use crate::{
    config::{History, MassDelete},
    failpoint::{Point, reach},
    live::FeedHub,
    repo::RepoHub,
    store::{
        CommitError, RecordCommit, Store, StoreError,
        conflicts::Closing,
        documents::{ActorClaim, DocumentWrite},
        inbox::HintId,
        quarantine::{QuarantineCause, QuarantineId, Quarantined},
        syncs::CheckpointPut,
    },
};
pub use decided::Decision;
pub(in crate::engine) use decided::MERGES_MAX;
pub(in crate::engine) use erase::Erasing;
use guard::{Guards, Watched};
pub use mend::Rebuilt;
use mended::Mended;
pub(in crate::engine) use received::{claims, missing, refuse_roots, use_of};
use warm::Warm;
use working::Working;

/// How often a batch is tried again when another process committed one of its records meanwhile.
const STALE_RETRIES_MAX: usize = 8;

/// Takes arrivals in. One per process; it allows one batch per tenant at a time, which is all that one database writer
/// can commit anyway, and spares the loads that a lost race would cost.
pub struct Intake {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    feed: Arc<FeedHub>,
    repo: Arc<RepoHub>,
    tally: Arc<Tally>,
    gates: std::sync::Mutex<HashMap<TenantId, Arc<Mutex<()>>>>,
    mended: Mended,
    warm: Warm,
    history: History,
    guards: Guards,
    barred: Arc<Barred>,
}

/// One thing that arrived.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A reading of an object, whose record is yet to be found.
    Observed {
        /// From which connection.
        connection: ConnectionId,
        /// The reading through the mapping.
        observation: Observation,
        /// The object as it came, for quarantine.
        raw: Arc<RemoteObject>,
    },
    /// An input for a known record.
    Known {
        /// The record.
        record: RecordId,
        /// The input.
        input: Box<Input>,
    },
    /// A client that holds the record's document sent changes of its own.
    Received {
        /// The record.
        record: RecordId,
        /// The changes.
        changes: Arc<ClientChanges>,
    },
    /// A client began a document that is fit to be a record.
    Begun {
        /// The record that it becomes, if it is none that is there already.
        record: RecordId,
        /// The document.
        document: DocumentId,
        /// Its changes, vetted.
        changes: Arc<ClientChanges>,
        /// What it says, in canonical form.
        fields: Fields,
    },
    /// A person decided which object is which record.
    Decided {
        /// Who.
        by: String,
        /// What.
        decision: Decision,
    },
    /// A client of the API creates a record.
    Created {
        /// The record's id.
        record: RecordId,
        /// Who creates it.
        principal: String,
        /// Its canonical fields.
        fields: Fields,
    },
}

/// Changes that a client made of a document.
#[derive(Clone, Debug)]
pub struct ClientChanges {
    /// Whose changes they are.
    pub principal: String,
    /// The changes, decoded within bounds.
    pub changes: Vec<automerge::Change>,
    /// The service's own actors.
    pub own: Arc<OwnActors>,
}

/// The actors under which the service writes, or has written, in one tenant.
#[derive(Clone, Debug, Default)]
pub struct OwnActors {
    /// In this life of the store: no client may use them.
    pub current: Vec<Actor>,
    /// In earlier ones, before a backup was restored. Clients bring back what the store has forgotten; it counts as theirs.
    pub retired: Vec<Actor>,
}

impl OwnActors {
    /// Whether the service writes as this actor.
    pub fn is_current(&self, actor: &automerge::ActorId) -> bool {
        self.current.iter().any(|own| own.is_borrowed_by(actor))
    }

    /// Whether the service wrote as this actor before a backup was restored.
    pub fn is_retired(&self, actor: &automerge::ActorId) -> bool {
        self.retired.iter().any(|own| own.is_borrowed_by(actor))
    }
}

/// What became of the changes that a client made.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The changes that were taken in.
    pub accepted: Vec<automerge::ChangeHash>,
    /// Changes that wait for others.
    pub waiting: Vec<automerge::Change>,
    /// The changes that they wait for.
    pub missing: Vec<automerge::ChangeHash>,
    /// Why a change was refused, and with it all that follows it.
    pub refusal: Option<String>,
    /// The document's heads now.
    pub heads: Heads,
}

/// Arrivals and everything that is to become durable with them.
#[derive(Debug, Default)]
pub struct Batch {
    /// The arrivals, in order.
    pub arrivals: Vec<Arrival>,
    /// The read position that they bring with them.
    pub checkpoints: Vec<CheckpointPut>,
    /// Rows that could not be read.
    pub quarantine: Vec<Quarantined>,
    /// Quarantined rows that are settled otherwise than by a reading of their object.
    pub released: Vec<QuarantineId>,
    /// Hints that have been followed.
    pub hints_done: Vec<HintId>,
    /// Conflicts that the arrivals settle.
    pub conflicts_closed: Vec<Closing>,
    /// Only if this record still has this version when the batch is taken in.
    pub only_at: Option<(RecordId, u64)>,
    /// Documents that change with the arrivals and are no record's own.
    pub documents: Vec<DocumentWrite>,
    /// Automerge actors that principals have begun to use.
    pub actors: Vec<ActorClaim>,
}

impl Batch {
    /// A batch of arrivals and nothing else.
    pub fn of(arrivals: Vec<Arrival>) -> Self {
        Self { arrivals, ..Self::default() }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Taken {
    /// For each arrival, in order, the record it went to; `None` where it was put into quarantine or dropped.
    pub records: Vec<Option<RecordId>>,
    /// Arrivals that showed nothing new, by their place.
    pub echoes: Vec<usize>,
    /// The intents that were opened, to be sent.
    pub intents: Vec<(RecordId, Intent)>,
    /// What to read next.
    pub follow_ups: BTreeSet<FollowUp>,
    /// Connections whose inbox the batch has put something into.
    pub hinted: BTreeSet<ConnectionId>,
    /// Arrivals that were put into quarantine, with the reason.
    pub quarantined: Vec<(usize, String)>,
    /// What became of clients' changes, by the arrival's place.
    pub heard: Vec<(usize, Heard)>,
    /// Operations on identity that were carried out or taken back.
    pub operations: Vec<OperationId>,
}

/// Why a batch was not taken in. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// An input for a known record failed.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// A record's document is damaged, and could not be rebuilt.
    #[error(
        "the document of record {record} is damaged ({reason}): run `syncline records rebuild {model} {record}`; nothing was changed"
    )]
    Damaged {
        /// The model.
        model: ModelName,
        /// The record.
        record: RecordId,
        /// What is wrong.
        reason: String,
    },
    /// A client makes again what was erased for good.
    #[error(
        "record {record} was erased on request, and this would bring it back: create a record with another idempotency key, or \
         readmit what was erased (`syncline records readmit`)"
    )]
    Erased {
        /// The record.
        record: RecordId,
    },
    /// A person takes in again what was erased for good.
    #[error(
        "object {id} of connection `{connection}` was erased on request, and this would bring it back: readmit what was erased \
         (`syncline records readmit`), then try again"
    )]
    ErasedObject {
        /// The connection.
        connection: ConnectionId,
        /// The object.
        id: ExternalId,
    },
    /// The record has another version than the batch asks for.
    #[error("the record is at version {current}, not {expected}")]
    VersionMismatch {
        /// The version asked for.
        expected: u64,
        /// The record's version.
        current: u64,
    },
}

impl Intake {
    /// An intake that commits to `store` and announces to `feed` and to those who hold the documents. It has the usual limits of
    /// deletes, and knows of nothing that was erased.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<Clock>,
        feed: Arc<FeedHub>,
        repo: Arc<RepoHub>,
        tally: Arc<Tally>,
        history: History,
    ) -> Self {
        Self {
            store,
            clock,
            feed,
            repo,
            tally,
            gates: std::sync::Mutex::default(),
            mended: Mended::default(),
            warm: Warm::default(),
            history,
            guards: Guards::default(),
            barred: Arc::default(),
        }
    }

    /// The same with limits of deletes by sync, and with what must not come back.
    #[must_use]
    pub(in crate::engine) fn guarded(self, limits: BTreeMap<String, MassDelete>, barred: Arc<Barred>) -> Self {
        Self { guards: Guards::new(limits), barred, ..self }
    }

    /// What was erased and must not come back.
    pub(in crate::engine) fn barred(&self) -> &Barred {
        &self.barred
    }

    /// Takes a batch in: all of it, durably, or nothing. Arrivals that cannot be processed are put into quarantine, and
    /// the others go on.
    ///
    /// # Errors
    /// The store's, or those of an input for a known record; readings never fail a batch.
    pub async fn take(&self, sync: &str, plan: &SyncPlan, batch: Batch) -> Result<Taken, IntakeError> {
        let gate = self.gate(&plan.tenant);
        let _one_at_a_time = gate.lock().await;
        let (taken, long) = self.take_one(sync, plan, batch).await?;
        if !long.is_empty() {
            self.renew(sync, plan, long).await;
        }
        Ok(taken)
    }

    /// Begins new epochs of records whose history is too long. What keeps one from it is gone another time.
    async fn renew(&self, sync: &str, plan: &SyncPlan, long: Vec<RecordId>) {
        let renewal = |record| Arrival::Known { record, input: Box::new(Input::Renew) };
        let batch = Batch::of(long.into_iter().map(renewal).collect());
        reach(Point::RenewBefore);
        if let Err(error) = self.take_one(sync, plan, batch).await {
            tracing::warn!(tenant = %plan.tenant, %error, "long histories were not begun anew");
        }
        reach(Point::RenewAfter);
    }

    /// Takes a batch in, and says which records have too long a history and could begin a new one.
    async fn take_one(
        &self,
        sync: &str,
        plan: &SyncPlan,
        mut batch: Batch,
    ) -> Result<(Taken, Vec<RecordId>), IntakeError> {
        let mut poisoned: HashMap<usize, working::Why> = HashMap::new();
        let mut attempts = 0;
        let mut mended: BTreeSet<RecordId> = BTreeSet::new();
        loop {
            let tenant = self.store.tenant(&plan.tenant);
            let mut working = Working::load(plan, tenant.as_ref(), &self.warm, &batch.arrivals).await?;
            working.require_version(batch.only_at)?;
            let at = Watched { sync, plan, tenant: tenant.as_ref(), now: Clock::wall() };
            let mut weighing = self.guards.weigh(&at, &working, &batch.arrivals).await?;
            let barred = self.barred.among(plan, tenant.as_ref(), &batch.arrivals).await?;
            if let Some(error) = barred.iter().find_map(|place| batch.arrivals.get(*place)?.brings_back()) {
                return Err(error);
            }
            weighing.bar(barred);
            match working.run(sync, &batch.arrivals, &poisoned, &weighing, &self.clock).await? {
                working::Run::Poisoned { arrival, why } => {
                    poisoned.insert(arrival, why);
                    continue;
                }
                working::Run::Damaged { arrival, record, what } => {
                    // What is damaged still after it was rebuilt is so by its content.
                    let rebuilt = mended.insert(record) && self.mend(plan, record).await?.is_some();
                    match mend::strand(plan, &batch.arrivals[arrival], record, &what) {
                        _ if rebuilt => {}
                        mend::Stranded::Later(reason) => {
                            poisoned.insert(arrival, working::Why { cause: QuarantineCause::Failed, reason });
                        }
                        mend::Stranded::Refused(error) => return Err(error),
                    }
                    continue;
                }
                working::Run::Done => {}
            }
            self.guards.conclude(&at, &working, &mut weighing).await?;
            let (mut commit, mut taken) = working.into_commit(&batch, &self.repo)?;
            let rows = self.barred.among_rows(tenant.as_ref(), &commit.batch.quarantine).await?;
            let mut place = 0..;
            commit.batch.quarantine.retain(|_| place.next().is_none_or(|place| !rows.contains(&place)));
            (commit.batch.held, commit.batch.guards) = weighing.writes(sync);
            self.warm.keep(&plan.tenant, std::mem::take(&mut commit.unchanged));
            let set_aside = &commit.batch.quarantine;
            let mended = self.mended.among(plan, tenant.as_ref(), &batch.arrivals, set_aside).await?;
            commit.batch.released.extend(mended);
            let long = self.long_histories(plan, &commit.batch.records);
            match self.commit(plan, commit).await {
                Err(CommitError::Stale(_)) if attempts < STALE_RETRIES_MAX => attempts += 1,
                Err(CommitError::Taken { object, id, holder, connection }) => {
                    let reason =
                        format!("{object} {id} belongs to record {holder}: link or merge the two records by hand");
                    let made = |arrival: &mut Arrival| arrival.makes_no_link(&connection, &id, &reason);
                    let made = batch.arrivals.iter_mut().map(made).filter(|made| *made).count() > 0;
                    let offender = batch.arrivals.iter().position(|arrival| arrival.shows(&connection, &id));
                    if attempts >= STALE_RETRIES_MAX || !made && offender.is_none() {
                        return Err(CommitError::Taken { object, id, holder, connection }.into());
                    }
                    attempts += 1;
                    poisoned
                        .extend(offender.map(|place| (place, working::Why { cause: QuarantineCause::Taken, reason })));
                }
                Err(error) => return Err(error.into()),
                Ok(noted) => {
                    self.guards.keep(&at, weighing);
                    noted.iter().for_each(|noted| self.tally.note(noted));
                    self.tally.quarantined(taken.quarantined.len() + batch.quarantine.len());
                    taken.quarantined.sort();
                    return Ok((taken, long));
                }
            }
        }
    }

    fn long_histories(&self, plan: &SyncPlan, records: &[RecordCommit]) -> Vec<RecordId> {
        let long = records.iter().map(|record| &record.state).filter_map(|state| {
            let document = state.document_id();
            let is_open = || self.repo.is_open(&plan.tenant, document);
            let long = self.history.is_exceeded(state, is_open) && reconcile::may_renew(plan, state);
            long.then_some(state.id)
        });
        long.collect()
    }

    async fn commit(&self, plan: &SyncPlan, commit: working::Commit) -> Result<Vec<Noted>, CommitError> {
        let working::Commit { mut batch, noted, updates, unchanged: _ } = commit;
        let histories = warm::of_commits(&mut batch.records);
        let moved: Vec<RecordId> =
            batch.records.iter().filter(|record| !record.entries.is_empty()).map(|record| record.state.id).collect();
        let sets_aside = !batch.quarantine.is_empty();
        if sets_aside {
            reach(Point::QuarantineBefore);
        }
        reach(Point::IntakeBefore);
        let begun = Instant::now();
        let committed = self.store.tenant(&plan.tenant).commit(batch).await?;
        self.tally.instruments.committed(begun.elapsed());
        reach(Point::IntakeCommitted);
        if sets_aside {
            reach(Point::QuarantineAfter);
        }
        self.warm.keep(&plan.tenant, histories);
        if !committed.changes.is_empty() {
            self.feed.published(&plan.tenant, committed.changes);
        }
        for (document, update) in updates {
            self.repo.updated(&plan.tenant, document, update);
        }
        self.repo.watches().moved_on(&plan.tenant, moved.into_iter());
        reach(Point::IntakePublished);
        Ok(noted)
    }

    fn gate(&self, tenant: &TenantId) -> Arc<Mutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        gates.entry(tenant.clone()).or_default().clone()
    }
}

impl Arrival {
    /// The object as it came, of a reading.
    pub(super) fn raw(&self) -> Option<Arc<RemoteObject>> {
        if let Self::Observed { raw, .. } = self { Some(raw.clone()) } else { None }
    }

    /// The record that a client changes.
    fn of_client(&self) -> Option<RecordId> {
        match self {
            Self::Received { record, .. } => Some(*record),
            Self::Known { record, input } => match **input {
                Input::Edited(_) | Input::Replayed(_) => Some(*record),
                _ => None,
            },
            Self::Observed { .. } | Self::Begun { .. } | Self::Created { .. } | Self::Decided { .. } => None,
        }
    }

    /// What somebody is told who asks for this although it was erased; whatever nobody waits for is dropped.
    fn brings_back(&self) -> Option<IntakeError> {
        match self {
            Self::Created { record, .. } => Some(IntakeError::Erased { record: *record }),
            Self::Decided { decision, .. } => decision
                .object()
                .map(|(connection, id)| IntakeError::ErasedObject { connection: connection.clone(), id: id.clone() }),
            _ => None,
        }
    }

    /// The record whose key an object carries that is there, and the object.
    pub(in crate::engine) fn bears_key(&self) -> Option<(RecordId, ExternalId)> {
        let Self::Observed { observation, .. } = self else { return None };
        observation.key.filter(|_| !observation.deleted).map(|record| (record, observation.id.clone()))
    }

    /// An object that is there, and its match keys.
    pub(in crate::engine) fn match_keys(&self, model: &Model) -> Option<(ExternalId, Vec<MatchKey>)> {
        let Self::Observed { observation, .. } = self else { return None };
        (!observation.deleted).then(|| (observation.id.clone(), MatchKey::all(model, &observation.fields)))
    }

    /// A create that the provider has answered with another record's object, found by its key, links nothing: the delivery is
    /// parked, so that the rest of the batch is taken in and a person looks. Whether this was one.
    fn makes_no_link(&mut self, to: &ConnectionId, taken: &ExternalId, reason: &str) -> bool {
        if let Self::Known { input, .. } = self
            && let Input::Receipt { connection, result, .. } = input.as_mut()
            && matches!(result, Receipt::Applied { id, .. } if connection == to && id == taken)
        {
            *result = Receipt::Exists { id: None, message: reason.to_owned() };
            return true;
        }
        false
    }

    fn shows(&self, in_connection: &ConnectionId, id: &ExternalId) -> bool {
        matches!(self, Self::Observed { connection, observation, .. } if connection == in_connection && observation.id == *id)
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}
