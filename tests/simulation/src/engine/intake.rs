//! Intake: the one way into the store. A batch of arrivals is one transaction around `reconcile`: persist, then publish, then
//! acknowledge.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Change, ChangeHash};
use rand::RngExt;
use syncline_core::{
    ids::{ConnectionId, ExternalId, RecordId},
    matching::MatchKey,
    model::Model,
    reconcile::{self, ClientEdit, FollowUp, Input, Now, Receipt, ReconcileError},
    replica::{Intent, Observation},
    repo::DocumentId,
    value::Fields,
};

use super::{
    documents::Heard,
    working::{Trouble, Working},
};
use crate::{
    checker::Invariant,
    executor::{Handle, Lock, Signal},
    fault::{Fault, Place},
    ledger::Written,
    model::Shape,
    mutant::Mutant,
    store::{
        Entry, Moved,
        commit::{CommitBatch, CommitError},
    },
    world::World,
};

/// How often a batch is tried again when another process committed one of its records meanwhile.
const STALE_RETRIES_MAX: usize = 8;

/// One thing that arrived.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// A reading of an object, whose record is yet to be found.
    Observed { connection: ConnectionId, observation: Observation },
    /// An input for a known record; an edit with its place in the ledger.
    Known { record: RecordId, input: Box<Input>, write: Option<usize> },
    /// A client of the API creates a record.
    Created { record: RecordId, principal: String, fields: Fields },
    /// A client that holds the record's document sent changes of its own, and says what it has.
    Received { record: RecordId, principal: String, changes: Vec<Change>, have: Vec<ChangeHash> },
}

/// Arrivals and everything that is to become durable with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) checkpoints: Vec<(ConnectionId, &'static str, String)>,
    pub(crate) hints_done: Vec<u64>,
    /// Only if this record still has this version.
    pub(crate) only_at: Option<(RecordId, u64)>,
    pub(crate) moved: Vec<(DocumentId, Moved)>,
    pub(crate) actors: Vec<(Vec<u8>, String)>,
}

/// How a delivery is parked whose object is another record's.
pub(crate) const TAKEN: &str = "belongs to";
/// Why a create that was lost is not repeated where nobody can tell whose object was found.
pub(crate) const MAY_BE_ITS: &str = "may be what this create has made";

impl Arrival {
    /// The record whose key an object carries that is there, and the object.
    pub(super) fn bears_key(&self) -> Option<(RecordId, ExternalId)> {
        let Self::Observed { observation, .. } = self else { return None };
        observation.key.filter(|_| !observation.deleted).map(|record| (record, observation.id.clone()))
    }

    /// An object that is there, and its match keys.
    pub(super) fn match_keys(&self, model: &Model) -> Option<(ExternalId, Vec<MatchKey>)> {
        let Self::Observed { observation, .. } = self else { return None };
        (!observation.deleted).then(|| (observation.id.clone(), MatchKey::all(model, &observation.fields)))
    }

    /// A create that the provider has answered with another record's object waits for a person.
    fn makes_no_link(&mut self, to: &ConnectionId, taken: &ExternalId, holder: RecordId) {
        if let Self::Known { input, .. } = self
            && let Input::Receipt { connection, result, .. } = input.as_mut()
            && matches!(result, Receipt::Applied { id, .. } if connection == to && id == taken)
        {
            *result = Receipt::Exists { id: None, message: format!("{taken} {TAKEN} record {holder}") };
        }
    }
}

impl Batch {
    /// A batch of arrivals and nothing else.
    pub(crate) fn of(arrivals: Vec<Arrival>) -> Self {
        Self { arrivals, ..Self::default() }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// Arrivals that showed nothing new, by their place.
    pub(super) echoes: Vec<usize>,
    pub(super) intents: Vec<(RecordId, Intent)>,
    /// Whether any record changed.
    pub(super) changed: bool,
    pub(super) follow_ups: BTreeSet<FollowUp>,
    /// Connections whose inbox the batch has put something into.
    pub(super) hinted: BTreeSet<ConnectionId>,
    pub(super) conflicts: usize,
    pub(super) renewed: usize,
    /// What stood where an edit of the ledger was made.
    pub(super) stood: Vec<(usize, Fields)>,
    pub(super) heard: Option<Heard>,
}

/// Why a batch was not taken in. Nothing of it was.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// The record has another version than the batch asks for.
    VersionMismatch,
    /// It could not be committed or reconciled.
    Failed,
}

/// Takes a batch in: all of it, durably, or nothing.
pub(crate) async fn take(handle: &Handle, tenant: usize, batch: Batch) -> Result<Taken, IntakeError> {
    let _turn = handle.lock(Lock::Intake(tenant)).await;
    let (taken, long) = take_one(handle, tenant, batch).await?;
    if !long.is_empty() {
        let renewal = |record| Arrival::Known { record, input: Box::new(Input::Renew), write: None };
        // What keeps a history from beginning anew is gone another time.
        drop(take_one(handle, tenant, Batch::of(long.into_iter().map(renewal).collect())).await);
    }
    Ok(taken)
}

/// What one computation of a batch came to.
enum Computed {
    Ready(Box<(CommitBatch, Taken)>),
    Again,
    Refused(IntakeError),
}

/// Takes a batch in, and says which records have too long a history and could begin a new one.
async fn take_one(handle: &Handle, tenant: usize, mut batch: Batch) -> Result<(Taken, Vec<RecordId>), IntakeError> {
    let mut poisoned: BTreeMap<usize, String> = BTreeMap::new();
    for _ in 0..=STALE_RETRIES_MAX {
        let (commit, taken) = match handle.with(|world| world.compute(tenant, &batch, &mut poisoned)) {
            Computed::Ready(ready) => *ready,
            Computed::Again => continue,
            Computed::Refused(error) => return Err(error),
        };
        let long = handle.with(|world| world.long_histories(tenant, &commit));
        let mutant = handle.with(|world| world.mutant);
        if mutant == Some(Mutant::PublishBeforeCommit) {
            handle.with(|world| world.publish_early(tenant, &commit));
        }
        let seqs = (mutant == Some(Mutant::FeedGap)).then(|| {
            let announced = commit.records.iter().filter(|record| record.announced.is_some()).count() as u64;
            handle.with(|world| world.store.tenants[tenant].take_seqs(announced))
        });
        handle.with(|world| world.rival(tenant, &commit));
        handle.point(Place::BeforeCommit).await;
        match handle.with(|world| world.store.commit(tenant, commit, mutant, seqs)) {
            Ok(entries) => {
                handle.with(|world| world.committed(tenant, &taken, &entries));
                handle.point(Place::AfterCommit).await;
                if mutant != Some(Mutant::PublishBeforeCommit) {
                    handle.with(|world| world.publish(tenant, &entries));
                }
                handle.point(Place::AfterPublish).await;
                return Ok((taken, long));
            }
            Err(CommitError::Stale) => handle.with(|world| world.counts.thing("stale commits refused")),
            Err(CommitError::Taken { connection, id, holder }) => {
                let shows = |arrival: &Arrival| {
                    matches!(arrival, Arrival::Observed { connection: other, observation }
                        if *other == connection && observation.id == id)
                };
                let offender = batch.arrivals.iter().position(shows);
                if offender.is_none() {
                    batch.arrivals.iter_mut().for_each(|arrival| arrival.makes_no_link(&connection, &id, holder));
                }
                poisoned.extend(offender.map(|offender| (offender, format!("{id} belongs to {holder}"))));
            }
        }
    }
    Err(IntakeError::Failed)
}

impl World {
    fn compute(&mut self, tenant: usize, batch: &Batch, poisoned: &mut BTreeMap<usize, String>) -> Computed {
        let mut arrivals = batch.arrivals.clone();
        if self.mutant == Some(Mutant::AliasIgnored) {
            for arrival in &mut arrivals {
                if let Arrival::Observed { observation, .. } = arrival {
                    observation.aliases.clear();
                }
            }
        }
        let (at, ticks) = (self.now, (0..arrivals.len()).map(|_| self.store.tick()).collect::<Vec<_>>());
        let mut ticks = ticks.into_iter();
        let mut working =
            Working::load(&self.plans[tenant], &self.store.tenants[tenant], &arrivals, self.mutant, self.trace.tells());
        if let Some((record, version)) = batch.only_at
            && working.version(record).is_some_and(|current| current != version)
        {
            return Computed::Refused(IntakeError::VersionMismatch);
        }
        let now = || Now { at, tick: ticks.next().unwrap_or_default() };
        match working.run(&arrivals, poisoned, now) {
            Ok(()) => {
                let (commit, taken, lines) = working.finish(batch);
                lines.into_iter().for_each(|line| self.note(|| line));
                Computed::Ready(Box::new((commit, taken)))
            }
            Err(Trouble::Poisoned { arrival, reason }) => {
                self.note(|| format!("poisoned: {reason}"));
                poisoned.insert(arrival, reason);
                Computed::Again
            }
            Err(Trouble::Failed(error)) => {
                // A receipt may come for an intent that a reading has closed meanwhile; nothing else is ever refused.
                if !matches!(error, ReconcileError::NoIntent(..)) {
                    self.violate(Invariant::Sound, format!("the core refused an input: {error}"));
                }
                Computed::Refused(IntakeError::Failed)
            }
        }
    }

    fn long_histories(&self, tenant: usize, commit: &CommitBatch) -> Vec<RecordId> {
        let plan = &self.plans[tenant];
        let long = commit
            .records
            .iter()
            .map(|record| &record.state)
            .filter(|state| state.journal.len() > self.settings.history_max && reconcile::may_renew(plan, state));
        long.map(|state| state.id).collect()
    }

    /// What is true once the batch is durable.
    fn committed(&mut self, tenant: usize, taken: &Taken, entries: &[Entry]) {
        for (write, stood) in &taken.stood {
            self.ledger.stood(*write, stood);
        }
        (0..taken.conflicts).for_each(|_| self.counts.thing("conflicts"));
        (0..taken.renewed).for_each(|_| self.counts.thing("epochs"));
        self.counts.thing("commits");
        self.check_entries(tenant, entries);
    }

    fn publish(&mut self, tenant: usize, entries: &[Entry]) {
        if self.mutant == Some(Mutant::TenantMixup) {
            (0..self.plans.len()).for_each(|other| self.announce(other, entries));
        } else {
            self.announce(tenant, entries);
        }
    }

    /// Tells subscribers what is not durable yet.
    fn publish_early(&mut self, tenant: usize, commit: &CommitBatch) {
        let next = self.store.tenants[tenant].next_seq + 1;
        let announced = commit.records.iter().filter_map(|record| Some((record, record.announced?)));
        let entries: Vec<Entry> =
            (next..).zip(announced).map(|(seq, (record, action))| Entry::of(seq, &record.state, action)).collect();
        self.announce(tenant, &entries);
    }

    /// Another process commits one of these records first.
    fn rival(&mut self, tenant: usize, commit: &CommitBatch) {
        let known = commit.records.iter().find(|record| record.state.revision > 0 && record.state.deleted.is_none());
        let Some(record) = known.map(|record| record.state.id) else { return };
        if self.strikes_somewhere(Fault::Rival).is_none() {
            return;
        }
        let names = self.editable(tenant);
        let name = names[self.rng.random_range(0..names.len())].clone();
        let stored = &self.store.tenants[tenant].records[&record];
        let saw = stored.fields.get(&name).cloned().unwrap_or_default();
        if stored.deleted.is_some() {
            return;
        }
        let word = self.word(tenant);
        let value = Shape::of(&name).edited(&saw, &word, &mut self.rng);
        let (field, who) = (name.clone(), "a client of another process".to_owned());
        self.ledger.wrote(Written { tenant, field, value: value.clone(), saw, acknowledged: true, who });
        let fields = Fields::from([(name, value)]);
        let edit = ClientEdit { principal: "rival".into(), fields, delete: None, settles: false };
        let input = Box::new(Input::Edited(edit));
        let batch = Batch::of(vec![Arrival::Known { record, input, write: None }]);
        let mutant = self.mutant;
        if let Computed::Ready(ready) = self.compute(tenant, &batch, &mut BTreeMap::new()) {
            let (commit, taken) = *ready;
            if let Ok(entries) = self.store.commit(tenant, commit, mutant, None) {
                self.committed(tenant, &taken, &entries);
                self.announce(tenant, &entries);
            }
        }
    }

    /// Passes on what a batch calls for.
    pub(crate) fn follow(&mut self, taken: &Taken) {
        for connection in &taken.hinted {
            if let Some(system) = self.system_of(connection) {
                self.signal(Signal::Look, system);
            }
        }
        for FollowUp::Read { connection, id } in &taken.follow_ups {
            if let Some(system) = self.system_of(connection) {
                self.ask_for(system, id.clone(), None);
            }
        }
    }

    /// Asks for a look at an object; asking again while it waits costs nothing.
    pub(crate) fn ask_for(&mut self, system: usize, id: ExternalId, hint: Option<u64>) {
        if let Some(process) = &mut self.process {
            process.sides[system].looks.entry(id).or_default().extend(hint);
            self.signal(Signal::Look, system);
        }
    }

    /// A commit may have made deliveries due anywhere.
    pub(crate) fn stir_writers(&mut self, tenant: usize) {
        let systems: Vec<usize> = self.systems_of(tenant).collect();
        systems.into_iter().for_each(|system| self.signal(Signal::Write, system));
    }
}
