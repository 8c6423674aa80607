//! The records of a batch in memory, and what is to be committed of each.

use std::collections::{BTreeMap, BTreeSet};

use automerge::ReadDoc;
use syncline_core::{
    ids::{ConnectionId, ExternalId, RecordId},
    live::Action,
    matching::{Match, MatchKey},
    model::Field,
    plan::SyncPlan,
    policies::Merge,
    reconcile::{self, FollowUp, Input, Now, Outcome, Received, ReconcileError, Verdict},
    record::RecordState,
    replica::Observation,
    value::{Fields, Value},
};

use super::{
    documents::{self, Heard},
    intake::{Arrival, Batch, Taken},
    route::Routes,
};
use crate::{
    mutant::Mutant,
    store::{
        Hint, Moved, TenantStore,
        commit::{CommitBatch, RecordCommit, links},
    },
    world::brief,
};

/// One record and what is to be committed of it.
struct Work {
    commit: RecordCommit,
    linked_before: BTreeSet<(ConnectionId, ExternalId)>,
    changed: bool,
}

/// The records of one batch.
pub(super) struct Working<'a> {
    plan: &'a SyncPlan,
    store: &'a TenantStore,
    routes: Routes,
    works: BTreeMap<RecordId, Work>,
    /// The records that changed, in the order of their first change.
    order: Vec<RecordId>,
    taken: Taken,
    commit: CommitBatch,
    /// What happened, for people, where somebody will read it.
    lines: Option<Vec<String>>,
    mutant: Option<Mutant>,
}

/// A batch that could not be processed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This arrival is at fault; the others go on without it.
    Poisoned { arrival: usize, reason: String },
    /// An input for a known record failed.
    Failed(ReconcileError),
}

impl<'a> Working<'a> {
    /// Loads every record that the arrivals may lead to.
    pub(super) fn load(
        plan: &'a SyncPlan,
        store: &'a TenantStore,
        arrivals: &[Arrival],
        mutant: Option<Mutant>,
        tells: bool,
    ) -> Self {
        let (routes, ids) = Routes::look_up(plan, store, arrivals);
        let states = ids.iter().filter_map(|id| store.records.get(id));
        let works = states.map(|state| (state.id, Work::of(state.clone()))).collect();
        Self {
            plan,
            store,
            routes,
            works,
            order: Vec::new(),
            taken: Taken::default(),
            commit: CommitBatch::default(),
            lines: tells.then(Vec::new),
            mutant,
        }
    }

    /// The version of a record, as loaded.
    pub(super) fn version(&self, record: RecordId) -> Option<u64> {
        self.works.get(&record).map(|work| work.commit.state.version)
    }

    /// Runs every arrival through `reconcile`, but for those known to be poisoned.
    pub(super) fn run(
        &mut self,
        arrivals: &[Arrival],
        poisoned: &BTreeMap<usize, String>,
        mut now: impl FnMut() -> Now,
    ) -> Result<(), Trouble> {
        for (index, arrival) in arrivals.iter().enumerate() {
            if let Some(reason) = poisoned.get(&index) {
                self.set_aside(arrival, reason.clone());
                continue;
            }
            let now = now();
            match arrival {
                Arrival::Observed { connection, observation } => {
                    let echo = self.observed(connection, observation, arrival, now);
                    match echo {
                        Ok(true) => self.taken.echoes.push(index),
                        Ok(false) => {}
                        Err(error) => return Err(Trouble::Poisoned { arrival: index, reason: error.to_string() }),
                    }
                }
                Arrival::Known { record, input, write } => {
                    let stood = self.works.get(record).map(|work| work.commit.state.fields.clone());
                    self.known(*record, (**input).clone(), now).map_err(Trouble::Failed)?;
                    if let (Some(write), Some(stood)) = (write, stood) {
                        self.taken.stood.push((*write, stood));
                    }
                }
                Arrival::Created { record, principal, fields } => {
                    self.created(*record, principal, fields, now).map_err(Trouble::Failed)?;
                }
                Arrival::Received { record, principal, changes, have } => {
                    self.received(*record, principal, changes, have, now).map_err(Trouble::Failed)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the reading was an echo.
    fn observed(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
        arrival: &Arrival,
        now: Now,
    ) -> Result<bool, ReconcileError> {
        let works = &self.works;
        let state_of = |id: &RecordId| works.get(id).map(|work| &work.commit.state);
        let decided = self.routes.decide(self.plan, connection, observation, state_of, now.at);
        let record = match decided {
            Match::Known(record) | Match::Link(record) => record,
            Match::New | Match::Ambiguous(_) if observation.deleted => return Ok(false),
            Match::New => return self.create_from(connection, observation, now).map(|()| false),
            Match::Unconfirmed => {
                let id = observation.id.clone();
                self.taken.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id });
                return Ok(false);
            }
            Match::Creating(record) => {
                let input = Input::Observed { connection: connection.clone(), observation: observation.clone() };
                self.known(record, input, now)?;
                return Ok(false);
            }
            Match::Ambiguous(records) => {
                let list = records.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                self.set_aside(arrival, format!("could be any of {list}"));
                return Ok(false);
            }
        };
        for alias in &observation.aliases {
            match self.routes.known(connection, alias) {
                Some(other) if other != record => {
                    let input = Input::Merged { connection: connection.clone(), into: observation.id.clone() };
                    self.known(other, input, now)?;
                }
                _ => {}
            }
        }
        self.routes.linked(connection, &observation.id, record);
        let input = Input::Observed { connection: connection.clone(), observation: observation.clone() };
        Ok(self.known(record, input, now)? == Some(Verdict::Echo))
    }

    fn known(&mut self, record: RecordId, input: Input, now: Now) -> Result<Option<Verdict>, ReconcileError> {
        let Some(work) = self.works.get_mut(&record) else { return Ok(None) };
        let label = if self.lines.is_some() { label(&input) } else { String::new() };
        if self.mutant == Some(Mutant::HeldDropped) {
            work.commit.state.replicas.values_mut().for_each(|replica| replica.held.clear());
        }
        if let (Some(Mutant::EchoNotDropped), Input::Observed { connection, .. }) = (self.mutant, &input)
            && let Some(replica) = work.commit.state.replicas.get_mut(connection)
        {
            // A text that is merged with itself, or a number that is added to itself, would double with each of its echoes.
            let fields = &self.plan.model.fields;
            let doubles = |field: &Field| matches!(field.policy.merge(), Merge::Text | Merge::Counter);
            replica.baseline.retain(|name, _| fields.get(name).is_some_and(doubles));
        }
        let outcome = reconcile::reconcile(self.plan, &mut work.commit.state, input, now)?;
        if !outcome.is_empty() {
            let keys = |state: &RecordState| MatchKey::all(&self.plan.model, &state.fields);
            let (stored, now) = (self.store.records.get(&record).map(keys), keys(&work.commit.state));
            if stored.as_ref() != Some(&now) || work.commit.match_keys.is_some() || outcome.deleted.is_some() {
                work.commit.match_keys = Some(now);
            }
        }
        let verdict = outcome.verdict;
        self.absorb(record, &label, outcome);
        Ok(Some(verdict))
    }

    fn create_from(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
        now: Now,
    ) -> Result<(), ReconcileError> {
        let side =
            self.plan.sides.get(connection).ok_or_else(|| ReconcileError::UnknownConnection(connection.clone()))?;
        let mut id = RecordId::first_seen(&self.plan.tenant, connection, &side.object, &observation.id);
        if self.works.contains_key(&id) {
            // The object was a record's before and was cut off from it; it begins a new one.
            id = RecordId::created(&self.plan.tenant, &self.plan.model.name, &format!("{id}/{}", now.tick.0));
        }
        let (state, outcome) = reconcile::create_from(self.plan, id, connection, observation.clone(), now)?;
        self.routes.linked(connection, &observation.id, id);
        self.insert(state, &format!("first sight of {}", observation.id), outcome);
        Ok(())
    }

    fn created(&mut self, record: RecordId, principal: &str, fields: &Fields, now: Now) -> Result<(), ReconcileError> {
        if self.works.contains_key(&record) {
            // The same call was acknowledged before.
            return Ok(());
        }
        let (state, outcome) = reconcile::create_by_client(self.plan, record, principal, fields, now)?;
        self.insert(state, "created by a client", outcome);
        Ok(())
    }

    fn received(
        &mut self,
        record: RecordId,
        principal: &str,
        changes: &[automerge::Change],
        have: &[automerge::ChangeHash],
        now: Now,
    ) -> Result<(), ReconcileError> {
        let Some(work) = self.works.get_mut(&record) else { return Ok(()) };
        let owners = &self.store.actors;
        let judged = documents::judge(&self.plan.model, principal, changes, owners, &mut work.commit.state.document)?;
        self.commit.actors.extend(judged.claims);
        if !judged.accepted.is_empty() {
            let received = Received { principal: principal.to_owned(), changes: judged.accepted };
            self.known(record, Input::Received(received), now)?;
        }
        if let Some(work) = self.works.get_mut(&record) {
            let news = documents::news(&mut work.commit.state.document, have)?;
            let refused = judged.refused;
            // What came before counts as accepted again: its answer may have been lost.
            let known = work.commit.state.document.automerge()?;
            let accepted = changes.iter().map(automerge::Change::hash);
            let accepted = accepted.filter(|hash| known.get_change_by_hash(hash).is_some()).collect();
            self.taken.heard = Some(Heard { accepted, refused, news });
        }
        Ok(())
    }

    fn insert(&mut self, state: RecordState, label: &str, outcome: Outcome) {
        self.routes.made(self.plan, &state);
        let record = state.id;
        let mut work = Work::of(state);
        work.linked_before.clear();
        if self.mutant != Some(Mutant::MatchKeyIgnored) {
            work.commit.match_keys = Some(MatchKey::all(&self.plan.model, &work.commit.state.fields));
        }
        self.works.insert(record, work);
        self.absorb(record, label, outcome);
    }

    /// Adds an outcome to what is to be committed of the record.
    fn absorb(&mut self, record: RecordId, label: &str, outcome: Outcome) {
        self.taken.follow_ups.extend(outcome.follow_ups.iter().cloned());
        self.commit.hints.extend(outcome.strays.iter().map(|stray| Hint::of_stray(record, stray)));
        if let Some(intent) = &outcome.intent {
            self.taken.intents.push((record, intent.clone()));
        }
        self.taken.conflicts += outcome.conflicts.len();
        let Some(work) = self.works.get_mut(&record) else { return };
        let state = &work.commit.state;
        if let Some(lines) = &mut self.lines {
            let lost = outcome
                .conflicts
                .iter()
                .map(|row| format!(", {} {} lost ({})", row.field, row.loser.value.to_json(), row.reason));
            let dead = if state.deleted.is_some() { " DELETED" } else { "" };
            lines.push(format!(
                "  {} {label} -> {:?}: {}{dead}{}",
                &record.to_string()[..8],
                outcome.verdict,
                brief(&state.fields),
                lost.collect::<String>()
            ));
        }
        if outcome.is_empty() {
            return;
        }
        if !std::mem::replace(&mut work.changed, true) {
            self.order.push(record);
        }
        work.announce(&outcome);
        if let Some(sealed) = outcome.sealed {
            self.taken.renewed += 1;
            self.commit.moved.push((sealed.id, Moved { record, document: sealed.document }));
        }
        work.commit.conflicts.extend(outcome.conflicts);
    }

    fn set_aside(&mut self, arrival: &Arrival, reason: String) {
        if let Arrival::Observed { connection, observation } = arrival {
            self.lines.iter_mut().for_each(|lines| lines.push(format!("  {} is set aside: {reason}", observation.id)));
            self.commit.quarantine.push((connection.clone(), observation.id.clone(), reason));
        }
    }

    /// What is to be committed, what became of the batch, and what happened.
    pub(super) fn finish(mut self, batch: &Batch) -> (CommitBatch, Taken, Vec<String>) {
        self.taken.changed = !self.order.is_empty();
        self.taken.hinted = self.commit.hints.iter().map(|hint| hint.connection.clone()).collect();
        for id in self.order {
            if let Some(work) = self.works.remove(&id) {
                self.commit.records.push(work.finish());
            }
        }
        let set_aside: BTreeSet<(ConnectionId, ExternalId)> =
            self.commit.quarantine.iter().map(|(connection, id, _)| (connection.clone(), id.clone())).collect();
        for arrival in &batch.arrivals {
            if let Arrival::Observed { connection, observation } = arrival {
                let key = (connection.clone(), observation.id.clone());
                if !set_aside.contains(&key) {
                    self.commit.released.push(key);
                }
            }
        }
        self.commit.checkpoints.clone_from(&batch.checkpoints);
        self.commit.hints_done.clone_from(&batch.hints_done);
        self.commit.moved.extend(batch.moved.iter().cloned());
        self.commit.actors.extend(batch.actors.iter().cloned());
        (self.commit, self.taken, self.lines.unwrap_or_default())
    }
}

impl Work {
    fn of(state: RecordState) -> Self {
        let linked_before = links(&state).into_iter().collect();
        let commit =
            RecordCommit { state, conflicts: Vec::new(), announced: None, match_keys: None, given_up: Vec::new() };
        Self { commit, linked_before, changed: false }
    }

    /// Tells subscribers once of everything that the batch did to the record.
    fn announce(&mut self, outcome: &Outcome) {
        if !outcome.is_visible() {
            return;
        }
        let action = match (outcome.created, outcome.deleted) {
            (true, _) => Action::Created,
            (_, Some(true)) => Action::Deleted,
            (_, Some(false)) => Action::Restored,
            _ => Action::Updated,
        };
        let announced = self.commit.announced.get_or_insert(action);
        let ends = action == Action::Deleted || *announced == Action::Deleted && action == Action::Restored;
        if *announced == Action::Updated || ends {
            *announced = action;
        }
    }

    fn finish(mut self) -> RecordCommit {
        let after: BTreeSet<_> = links(&self.commit.state).into_iter().collect();
        self.commit.given_up = self.linked_before.difference(&after).cloned().collect();
        self.commit
    }
}

fn label(input: &Input) -> String {
    match input {
        Input::Observed { observation, .. } => format!(
            "{} shown by {:?}{} {} (begun {})",
            observation.id,
            observation.source,
            if observation.deleted { " as deleted" } else { "" },
            brief(&observation.fields),
            observation.begun.0
        ),
        Input::Prepare { connection, .. } => format!("prepares for {connection}"),
        Input::Receipt { connection, result, .. } => {
            format!("receipt of {connection} {}", format!("{result:?}").chars().take(60).collect::<String>())
        }
        Input::Edited(edit) => format!("edit by {} {} delete {:?}", edit.principal, brief(&edit.fields), edit.delete),
        Input::Replayed(replayed) => {
            let value = |(name, (saw, value)): (_, &(Value, Value))| format!("{name}: {saw:?} -> {value:?}");
            format!("late edit of {}", replayed.fields.iter().map(value).collect::<Vec<_>>().join(", "))
        }
        Input::Received(received) => format!("{} changes of {}", received.changes.len(), received.principal),
        Input::Merged { connection, into } => format!("merged into {into} at {connection}"),
        Input::Replay { connection } => format!("replay at {connection}"),
        Input::Lacks { connection, fields } => format!("{} fields are gone at {connection}", fields.len()),
        Input::Renew => "begins anew".into(),
        Input::StartOver => "starts over".into(),
        Input::DeleteRefused { .. } => "a delete is refused".into(),
    }
}
