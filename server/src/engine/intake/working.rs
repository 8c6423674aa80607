//! The records of a batch in memory, and what is to be committed of each.

use std::collections::{BTreeSet, HashMap};

use syncline_connectors::connector::Hint;
use syncline_core::{
    document::DocumentError,
    identity::Operation,
    ids::{ConnectionId, ExternalId, RecordId},
    live::{Action, ChangedField},
    matching::{Match, MatchKey},
    plan::SyncPlan,
    reconcile::{self, FollowUp, Input, Outcome, ReconcileError, Sealed, Stray, Verdict},
    record::RecordState,
    remote::RemoteObject,
    replica::Observation,
    repo::{
        DocumentId,
        thread::{Heads, Update},
    },
};

use super::{
    Arrival, Batch, Heard, IntakeError, Taken, decided,
    guard::Weighing,
    received, route,
    warm::{self, History, Warm},
};
use crate::{
    engine::{clock::Clock, tally::Noted},
    repo::RepoHub,
    store::{
        Announcement, CommitBatch, ExternalRef, RecordCommit, Renewed, StoreError, TenantStore,
        documents::{ActorClaim, DocumentWrite},
        inbox::HintPut,
        quarantine::{QuarantineCause, Quarantined},
    },
};

/// The records of one batch.
pub(super) struct Working<'a> {
    pub(super) plan: &'a SyncPlan,
    pub(super) routes: route::Routes,
    /// Every record that was loaded or made.
    pub(super) works: HashMap<RecordId, Work>,
    /// The records that changed, in the order of their first change.
    order: Vec<RecordId>,
    /// The record that is being worked on.
    pub(super) at: Option<RecordId>,
    noted: Vec<Noted>,
    pub(super) taken: Taken,
    quarantine: Vec<Quarantined>,
    /// Who uses which actor, of those that clients' changes name.
    pub(super) owners: HashMap<Vec<u8>, String>,
    pub(super) claims: Vec<ActorClaim>,
    /// Documents that are no record's own, with what is told of them.
    pub(super) moved: Vec<(DocumentWrite, DocumentId, Update)>,
    /// Objects to look at that nothing else remembers.
    hints: Vec<HintPut>,
    /// What records left behind that began new epochs.
    sealed: Vec<(RecordId, Sealed)>,
    /// Records that clients deleted.
    deleted_by_clients: BTreeSet<RecordId>,
    /// What people decided.
    pub(super) operations: Vec<Operation>,
}

/// One record and what is to be committed of it.
pub(super) struct Work {
    pub(super) commit: RecordCommit,
    /// The objects that the record was linked to when it was loaded.
    linked_before: Vec<ExternalRef>,
    /// The document's heads when it was loaded.
    pub(super) heads_before: Heads,
    changed: bool,
}

/// How a run over the arrivals ended.
pub(super) enum Run {
    /// Every arrival went somewhere.
    Done,
    /// The document of the record that an arrival belongs to is damaged.
    Damaged {
        /// The arrival's place in the batch.
        arrival: usize,
        /// The record.
        record: RecordId,
        /// What is wrong.
        what: String,
    },
    /// One arrival cannot be processed: run again without it.
    Poisoned {
        /// Its place in the batch.
        arrival: usize,
        /// Why.
        why: Why,
    },
}

/// Why an arrival is put into quarantine.
#[derive(Clone)]
pub(super) struct Why {
    pub(super) cause: QuarantineCause,
    pub(super) reason: String,
}

/// What a batch makes durable, and what is counted once it is.
pub(super) struct Commit {
    pub(super) batch: CommitBatch,
    pub(super) noted: Vec<Noted>,
    /// What those who hold the documents are told.
    pub(super) updates: Vec<(DocumentId, Update)>,
    /// The histories of the records that were loaded and are not committed.
    pub(super) unchanged: Vec<(RecordId, History)>,
}

impl<'a> Working<'a> {
    /// Loads every record that the arrivals may lead to.
    pub(super) async fn load(
        plan: &'a SyncPlan,
        tenant: &dyn TenantStore,
        warm: &Warm,
        arrivals: &[Arrival],
    ) -> Result<Self, StoreError> {
        let (routes, ids) = route::Routes::look_up(plan, tenant, arrivals).await?;
        let mut works: HashMap<RecordId, Work> = HashMap::new();
        let mut ids: Vec<RecordId> = ids.into_iter().collect();
        // Behind a record that was merged stands another one.
        for _ in 0..decided::MERGES_MAX {
            let loaded = warm.load(tenant, ids).await?.into_iter();
            works.extend(loaded.map(|state| (state.id, Work::loaded(state))));
            let behind = works.values().filter_map(|work| work.commit.state.merged_into);
            let behind: BTreeSet<RecordId> = behind.filter(|id| !works.contains_key(id)).collect();
            if behind.is_empty() {
                break;
            }
            ids = behind.into_iter().collect();
        }
        Ok(Self {
            plan,
            routes,
            works,
            order: Vec::new(),
            at: None,
            noted: Vec::new(),
            taken: Taken::default(),
            quarantine: Vec::new(),
            owners: received::owners(tenant, arrivals).await?,
            claims: Vec::new(),
            moved: Vec::new(),
            hints: Vec::new(),
            sealed: Vec::new(),
            deleted_by_clients: BTreeSet::new(),
            operations: Vec::new(),
        })
    }

    /// Refuses the batch where the record has another version by now. The commit compares revisions, so a version that holds
    /// here still holds when the batch is durable.
    pub(super) fn require_version(&self, only_at: Option<(RecordId, u64)>) -> Result<(), IntakeError> {
        let Some((record, expected)) = only_at else { return Ok(()) };
        match self.works.get(&record).map(|work| work.commit.state.version) {
            Some(current) if current != expected => Err(IntakeError::VersionMismatch { expected, current }),
            _ => Ok(()),
        }
    }

    /// Runs every arrival through `reconcile`, but for those known to be poisoned and for deletes that wait for a person.
    pub(super) async fn run(
        &mut self,
        sync: &str,
        arrivals: &[Arrival],
        poisoned: &HashMap<usize, Why>,
        weighing: &Weighing,
        clock: &Clock,
    ) -> Result<Run, IntakeError> {
        for (index, arrival) in arrivals.iter().enumerate() {
            if let Some(why) = poisoned.get(&index) {
                self.set_aside(sync, index, arrival, why.clone());
                self.taken.records.push(None);
                continue;
            }
            if weighing.holds(index) {
                self.taken.records.push(None);
                continue;
            }
            let by_client = arrival.of_client().filter(|record| !self.is_deleted(*record));
            let now = clock.now().await?;
            self.at = None;
            let noted_before = self.noted.len();
            let result = match arrival {
                Arrival::Observed { connection, observation, .. } => {
                    self.observed(sync, index, (connection, observation), weighing.refuses(index), arrival, now)
                }
                Arrival::Known { record, input } => self.known(*record, (**input).clone(), now).map(|()| Some(*record)),
                Arrival::Received { record, changes } => {
                    self.received(index, *record, changes, now).map(|()| Some(*record))
                }
                Arrival::Begun { record, document, changes, fields } => {
                    self.begun(*record, *document, changes, fields, now).map(Some)
                }
                Arrival::Decided { by, decision } => self.decided(by, decision.clone(), now),
                Arrival::Created { record, principal, fields } => {
                    self.created_by_client(*record, principal, fields, now).map(|()| Some(*record))
                }
            };
            match (result, arrival) {
                (Ok(record), _) => {
                    self.deleted_by_clients.extend(by_client.filter(|record| self.is_deleted(*record)));
                    let noted = &self.noted[noted_before..];
                    if !noted.is_empty() && noted.iter().all(|noted| noted.reading && noted.verdict == Verdict::Echo) {
                        self.taken.echoes.push(index);
                    }
                    self.taken.records.push(record);
                }
                (Err(ReconcileError::Document(DocumentError::Damaged(what))), _) if let Some(record) = self.at => {
                    return Ok(Run::Damaged { arrival: index, record, what });
                }
                (Err(error), Arrival::Observed { .. }) => {
                    let why = Why { cause: QuarantineCause::Failed, reason: error.to_string() };
                    return Ok(Run::Poisoned { arrival: index, why });
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(Run::Done)
    }

    fn observed(
        &mut self,
        sync: &str,
        index: usize,
        (connection, observation): (&ConnectionId, &Observation),
        delete_refused: bool,
        arrival: &Arrival,
        now: reconcile::Now,
    ) -> Result<Option<RecordId>, ReconcileError> {
        let works = &self.works;
        let state_of = |id: &RecordId| works.get(id).map(|work| &work.commit.state);
        let decided = self.routes.decide(self.plan, connection, observation, state_of, now.at);
        let record = match decided {
            Match::Known(record) | Match::Link(record) => self.survivor(record),
            // An object that is gone need not be anybody's.
            Match::New | Match::Ambiguous(_) if observation.deleted => return Ok(None),
            Match::New => return self.create_from(connection, observation, now).map(Some),
            Match::Unconfirmed => {
                let id = observation.id.clone();
                self.taken.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id });
                return Ok(None);
            }
            Match::Creating(record) => {
                // The record holds the reading until its create has ended, and then has the object looked at.
                let input = Input::Observed { connection: connection.clone(), observation: observation.clone() };
                self.known(record, input, now)?;
                return Ok(Some(record));
            }
            Match::Ambiguous(records) => {
                let list = records.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let name =
                    self.plan.sides.get(connection).map(|side| route::object_name(&side.object, &observation.id));
                let reason = format!(
                    "{} could be any of these records: {list}; nothing was linked: say which it is with `syncline records link`, or \
                     that it is none of them with `syncline quarantine separate`, or make the match unique in one of the systems \
                     and replay",
                    name.unwrap_or_default()
                );
                self.set_aside(sync, index, arrival, Why { cause: QuarantineCause::Ambiguous, reason });
                return Ok(None);
            }
        };
        self.merge_aliases(connection, observation, record, now)?;
        self.routes.linked(connection, &observation.id, record);
        let (connection, observation) = (connection.clone(), observation.clone());
        let input = match delete_refused {
            true => Input::DeleteRefused { connection, observation },
            false => Input::Observed { connection, observation },
        };
        self.known(record, input, now)?;
        Ok(Some(record))
    }

    /// Two linked objects became one at the provider: the other record's replica stands alone from now on.
    fn merge_aliases(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
        record: RecordId,
        now: reconcile::Now,
    ) -> Result<(), ReconcileError> {
        for alias in &observation.aliases {
            match self.routes.known(connection, alias).map(|other| self.survivor(other)) {
                Some(other) if other != record => {
                    let input = Input::Merged { connection: connection.clone(), into: observation.id.clone() };
                    self.known(other, input, now)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn known(&mut self, record: RecordId, input: Input, now: reconcile::Now) -> Result<(), ReconcileError> {
        self.at = Some(record);
        let Some(work) = self.works.get_mut(&record) else { return Ok(()) };
        let reading = matches!(input, Input::Observed { .. } | Input::DeleteRefused { .. });
        let before = work.commit.state.fields.clone();
        let outcome = reconcile::reconcile(self.plan, &mut work.commit.state, input, now)?;
        self.changed(record, reading, outcome, &before);
        Ok(())
    }

    /// Adds what became of a known record to what is to be committed of it.
    pub(super) fn changed(
        &mut self,
        record: RecordId,
        reading: bool,
        outcome: Outcome,
        before: &syncline_core::value::Fields,
    ) {
        let Some(work) = self.works.get_mut(&record) else { return };
        let keys = MatchKey::all(&self.plan.model, &work.commit.state.fields);
        if keys != MatchKey::all(&self.plan.model, before) || outcome.deleted.is_some() {
            work.commit.match_keys = Some(keys);
        }
        self.absorb(record, reading, outcome, before);
    }

    /// Adds something to what is to be committed of a record.
    pub(super) fn note(&mut self, record: RecordId, note: impl FnOnce(&mut RecordCommit)) {
        let Some(work) = self.works.get_mut(&record) else { return };
        if !std::mem::replace(&mut work.changed, true) {
            self.order.push(record);
        }
        note(&mut work.commit);
    }

    pub(super) fn create_from(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
        now: reconcile::Now,
    ) -> Result<RecordId, ReconcileError> {
        let side =
            self.plan.sides.get(connection).ok_or_else(|| ReconcileError::UnknownConnection(connection.clone()))?;
        // A record that a restore made us forget gets the id back by which others know it.
        let former = self.routes.former(connection, &observation.id).filter(|id| !self.works.contains_key(id));
        let first_seen = || RecordId::first_seen(&self.plan.tenant, connection, &side.object, &observation.id);
        let mut id = former.unwrap_or_else(first_seen);
        if self.works.contains_key(&id) {
            // The object was a record's before and was cut off from it; it begins a new one.
            id = RecordId::created(&self.plan.tenant, &self.plan.model.name, &format!("{id}/{}", now.tick.0));
        }
        let (state, outcome) = reconcile::create_from(self.plan, id, connection, observation.clone(), now)?;
        self.routes.linked(connection, &observation.id, id);
        self.insert(state, true, outcome);
        Ok(id)
    }

    fn created_by_client(
        &mut self,
        record: RecordId,
        principal: &str,
        fields: &syncline_core::value::Fields,
        now: reconcile::Now,
    ) -> Result<(), ReconcileError> {
        if self.works.contains_key(&record) {
            // The same call was acknowledged before.
            return Ok(());
        }
        let (state, outcome) = reconcile::create_by_client(self.plan, record, principal, fields, now)?;
        self.insert(state, false, outcome);
        Ok(())
    }

    pub(super) fn insert(&mut self, state: RecordState, reading: bool, outcome: Outcome) {
        self.routes.made(self.plan, &state);
        let record = state.id;
        let mut commit = RecordCommit::new(state);
        commit.match_keys = Some(MatchKey::all(&self.plan.model, &commit.state.fields));
        let heads_before = Heads::new();
        self.works.insert(record, Work { commit, linked_before: Vec::new(), heads_before, changed: false });
        self.absorb(record, reading, outcome, &syncline_core::value::Fields::new());
    }

    /// Adds an outcome to what is to be committed of the record.
    fn absorb(&mut self, record: RecordId, reading: bool, outcome: Outcome, before: &syncline_core::value::Fields) {
        self.noted.push(Noted::of(reading, &outcome));
        self.taken.follow_ups.extend(outcome.follow_ups.iter().cloned());
        self.hints.extend(outcome.strays.iter().filter_map(|stray| hint_of(self.plan, record, stray)));
        if let Some(intent) = &outcome.intent {
            self.taken.intents.push((record, intent.clone()));
        }
        let Some(work) = self.works.get_mut(&record).filter(|_| !outcome.is_empty()) else { return };
        if !std::mem::replace(&mut work.changed, true) {
            self.order.push(record);
        }
        work.announce(&outcome, before);
        if let Some(sealed) = outcome.sealed {
            self.sealed.push((record, *sealed));
        }
        if outcome.started_over {
            work.commit.renewed = Some(Renewed { genesis: None });
        }
        work.commit.entries.extend(outcome.entries);
        work.commit.conflicts.extend(outcome.conflicts);
        work.commit.touched.extend(outcome.touched);
    }

    /// The object that a record is linked to in a connection.
    pub(super) fn linked(&self, record: RecordId, connection: &ConnectionId) -> Option<&ExternalId> {
        self.works.get(&record)?.commit.state.replicas.get(connection)?.link.linked()
    }

    /// Whether the record is there and deleted.
    pub(super) fn is_deleted(&self, record: RecordId) -> bool {
        self.works.get(&record).is_some_and(|work| work.commit.state.deleted.is_some())
    }

    /// The records that are not deleted.
    pub(super) fn live(&self) -> Vec<RecordId> {
        self.works.keys().copied().filter(|record| !self.is_deleted(*record)).collect()
    }

    /// Records that clients deleted, of which connected systems hold objects.
    pub(super) fn deleted_by_clients(&self) -> impl Iterator<Item = RecordId> {
        let held = |record: &RecordId| {
            let replicas = self.works.get(record).map(|work| &work.commit.state.replicas);
            replicas.is_some_and(|replicas| replicas.values().any(|replica| replica.link.linked().is_some()))
        };
        self.deleted_by_clients.iter().copied().filter(move |record| self.is_deleted(*record) && held(record))
    }

    fn set_aside(&mut self, sync: &str, index: usize, arrival: &Arrival, why: Why) {
        if let Arrival::Observed { connection, observation, raw } = arrival {
            self.quarantine.push(quarantined(sync, self.plan, connection, observation, raw, why.clone()));
        }
        if let Arrival::Received { .. } = arrival {
            let refusal = Some(why.reason.clone());
            self.taken.heard.push((index, Heard { refusal, ..Heard::default() }));
        }
        self.taken.quarantined.push((index, why.reason));
    }

    /// What is to be committed, and what became of the batch.
    pub(super) fn into_commit(mut self, batch: &Batch, hub: &RepoHub) -> Result<(Commit, Taken), IntakeError> {
        let mut records = Vec::with_capacity(self.order.len());
        let mut updates = Vec::new();
        for (record, sealed) in std::mem::take(&mut self.sealed) {
            self.seal(record, sealed, hub)?;
        }
        for id in self.order {
            if let Some(mut work) = self.works.remove(&id) {
                let document = work.commit.state.document_id();
                if hub.is_open(&self.plan.tenant, document) {
                    updates.extend(work.update()?.map(|update| (document, update)));
                }
                records.push(work.finish());
            }
        }
        let mut documents = batch.documents.clone();
        for (write, document, update) in self.moved {
            documents.push(write);
            updates.push((document, update));
        }
        let actors = batch.actors.iter().cloned().chain(self.claims).collect();
        let mut quarantine = batch.quarantine.clone();
        quarantine.extend(self.quarantine);
        self.taken.hinted = self.hints.iter().map(|hint| hint.connection.clone()).collect();
        self.taken.operations = self.operations.iter().map(|operation| operation.id).collect();
        let unchanged = warm::of_unchanged(self.works.values_mut().map(|work| &mut work.commit.state));
        let commit = CommitBatch {
            records,
            checkpoints: batch.checkpoints.clone(),
            quarantine,
            released: batch.released.clone(),
            hints_done: batch.hints_done.clone(),
            hints: self.hints,
            conflicts_closed: batch.conflicts_closed.clone(),
            documents,
            actors,
            held: Vec::new(),
            guards: Vec::new(),
            operations: self.operations,
        };
        Ok((Commit { batch: commit, noted: self.noted, updates, unchanged }, self.taken))
    }
}

/// The look at an object that the record's create has not made.
fn hint_of(plan: &SyncPlan, record: RecordId, stray: &Stray) -> Option<HintPut> {
    let Stray { connection, id, at } = stray;
    let object = plan.sides.get(connection)?.object.clone();
    let dedupe = format!("{id} is not {record}'s, {}", at.0);
    let hint = Hint { object, id: id.clone(), account: None, dedupe };
    Some(HintPut { connection: connection.clone(), hint, at: *at })
}

impl Work {
    fn loaded(state: RecordState) -> Self {
        let linked_before = links(&state);
        let heads_before = received::heads(state.document.heads());
        Self { commit: RecordCommit::new(state), linked_before, heads_before, changed: false }
    }

    /// What those who hold the document are told; `None` where it did not change.
    fn update(&mut self) -> Result<Option<Update>, ReconcileError> {
        if self.commit.entries.is_empty() {
            return Ok(None);
        }
        Ok(Some(received::update(&mut self.commit.state.document, std::mem::take(&mut self.heads_before))?))
    }

    /// Tells subscribers once of everything that the batch did to the record.
    fn announce(&mut self, outcome: &Outcome, before: &syncline_core::value::Fields) {
        if !outcome.is_visible() {
            return;
        }
        let action = match (outcome.created, outcome.deleted) {
            (true, _) => Action::Created,
            (_, Some(true)) => Action::Deleted,
            (_, Some(false)) => Action::Restored,
            _ => Action::Updated,
        };
        let announcement = self.commit.announcement.get_or_insert(Announcement { action, changed: Vec::new() });
        let ends = action == Action::Deleted || announcement.action == Action::Deleted && action == Action::Restored;
        if announcement.action == Action::Updated || ends {
            announcement.action = action;
        }
        for (field, origin) in &outcome.changed {
            match announcement.changed.iter_mut().find(|changed| changed.field == *field) {
                Some(changed) => changed.origin = origin.clone(),
                None => announcement.changed.push(ChangedField {
                    field: field.clone(),
                    origin: origin.clone(),
                    before: before.get(field).map_or(serde_json::Value::Null, |value| value.to_json()),
                }),
            }
        }
    }

    fn finish(mut self) -> RecordCommit {
        let after: BTreeSet<ExternalRef> = links(&self.commit.state).into_iter().collect();
        self.commit.given_up.extend(self.linked_before.into_iter().filter(|link| !after.contains(link)));
        self.commit
    }
}

/// The objects that a record is or was linked to.
fn links(state: &RecordState) -> Vec<ExternalRef> {
    state
        .replicas
        .iter()
        .filter_map(|(connection, replica)| {
            let id = replica.link.external_id()?.clone();
            Some(ExternalRef { connection: connection.clone(), object: replica.object.clone(), id })
        })
        .collect()
}

fn quarantined(
    sync: &str,
    plan: &SyncPlan,
    connection: &ConnectionId,
    observation: &Observation,
    raw: &RemoteObject,
    why: Why,
) -> Quarantined {
    Quarantined {
        sync: sync.to_owned(),
        connection: connection.clone(),
        object: plan.sides.get(connection).map_or_else(|| "".into(), |side| side.object.clone()),
        external_id: Some(observation.id.clone()),
        cause: why.cause,
        reason: why.reason,
        raw: serde_json::to_value(raw).unwrap_or_default(),
        at: Clock::wall(),
    }
}
