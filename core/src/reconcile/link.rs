//! First sight: the first reading of an object becomes a new record, or a replica of a record that matches it.

use std::collections::BTreeMap;

use super::{Now, Outcome, Pass, ReconcileError, Verdict, merge::FieldEdit, newborn};
use crate::{
    conflict::Candidate,
    document::{Actor, Document},
    ids::{ConnectionId, FieldName, RecordId},
    journal::{ChangeEntry, Heads, Ops, Origin},
    mutant::{self, Rule},
    plan::SyncPlan,
    policies::{self, Choice, Contender, Merge},
    record::RecordState,
    replica::{Link, Observation, Reflected, StoredForm},
    time::{Clock, ClockKind},
    value::{Fields, Value},
};

pub(super) fn create(
    plan: &SyncPlan,
    id: RecordId,
    connection: &ConnectionId,
    observation: Observation,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    let actor = Actor::connection(&plan.tenant, connection, plan.writer.current);
    let fields: Fields = said(&observation.fields);
    let (document, hash) = Document::genesis(&actor, &plan.model, &fields, now.at)?;
    let clock = observation.version.map_or(Clock::arrival(now.at), |version| Clock {
        at: version.stamp,
        precision_ms: version.precision_ms,
        kind: ClockKind::Record,
    });
    let clocks: BTreeMap<FieldName, Clock> = observation
        .clocks
        .iter()
        .filter(|(name, _)| fields.contains_key(*name))
        .map(|(name, clock)| (name.clone(), *clock))
        .collect();
    let entry = ChangeEntry {
        hash,
        at: now.at,
        origin: Origin::Connection(connection.clone()),
        ops: Ops::genesis(clock, clocks),
    };
    let mut state = newborn(plan, id, document, entry.clone(), fields, now);
    let heads = state.document.heads().clone();
    if let Some(replica) = state.replicas.get_mut(connection) {
        replica.link = Link::Linked { id: observation.id };
        replica.baseline = observation.fields;
        replica.reflected = Reflected { common: heads, ..Reflected::default() };
        replica.version = observation.version;
        replica.looked = observation.begun;
        replica.settled = now.tick;
    }
    finish_created(plan, state, entry, now)
}

/// Says of a record that was just created what is owed where.
pub(super) fn finish_created(
    plan: &SyncPlan,
    mut state: RecordState,
    entry: ChangeEntry,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    let origin = entry.origin.clone();
    let mut pass = Pass::new(plan, &mut state, now);
    pass.out.created = true;
    pass.out.entries.push(entry);
    pass.agree()?;
    let mut out = pass.out;
    out.verdict = Verdict::Changed;
    out.touched = state.replicas.keys().cloned().collect();
    out.changed = state.fields.keys().map(|name| (name.clone(), origin.clone())).collect();
    Ok((state, out))
}

/// The fields that say something: a blank is absent, not cleared, as long as nobody cleared it.
pub(super) fn said(fields: &Fields) -> Fields {
    fields.iter().filter(|(_, value)| !value.is_blank()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a field of the second object means for the record.
enum FirstSight {
    /// It says what the record says, a blank, or the record's value in the provider's own form.
    NoEdit(Option<StoredForm>),
    /// The record held this value before: the system lags behind, its user has edited nothing.
    Behind(crate::journal::Hash),
    /// It says something else.
    Differs,
}

impl Pass<'_> {
    /// Links the replica to the object that the reading shows.
    pub(super) fn link(&mut self, connection: &ConnectionId, observation: Observation) -> Result<(), ReconcileError> {
        let mut reflected = Reflected::default();
        let mut stored = BTreeMap::new();
        let mut edits = Vec::new();
        for (name, value) in &observation.fields {
            match self.first_sight(connection, name, value)? {
                FirstSight::NoEdit(form) => stored.extend(form.map(|form| (name.clone(), form))),
                FirstSight::Behind(hash) => reflected.set(name, vec![hash]),
                FirstSight::Differs => edits.extend(self.contest(connection, &observation, name, value)?),
            }
        }
        let origin = Origin::Connection(connection.clone());
        let actor = self.connection_actor(connection);
        for (name, hash) in self.make_edits(&origin, &actor, edits)? {
            reflected.set(&name, vec![hash]);
        }
        let tick = self.now.tick;
        let replica = self.replica_mut(connection)?;
        replica.link = Link::Linked { id: observation.id };
        replica.baseline = observation.fields;
        replica.reflected = reflected;
        replica.stored = stored;
        replica.version = observation.version;
        replica.looked = observation.begun;
        replica.settled = tick;
        self.moved.insert(connection.clone());
        self.out.verdict = Verdict::Changed;
        Ok(())
    }

    /// Links the object that a lost create turned up, which may be another one than it made, such as one that was restored
    /// meanwhile. What it shows of the sent values is in the baseline already; the rest is seen for the first time.
    pub(super) fn found(&mut self, connection: &ConnectionId, observation: &Observation) -> Result<(), ReconcileError> {
        for (name, value) in &observation.fields {
            let proved = self.replica(connection)?.baseline.contains_key(name);
            if proved || mutant::off(Rule::FoundIsFirstSight) {
                continue;
            }
            if let FirstSight::Behind(hash) = self.first_sight(connection, name, value)? {
                let replica = self.replica_mut(connection)?;
                replica.baseline.insert(name.clone(), value.clone());
                replica.reflected.set(name, vec![hash]);
                replica.written.remove(name);
            }
        }
        self.replica_mut(connection)?.link = Link::Linked { id: observation.id.clone() };
        Ok(())
    }

    fn first_sight(
        &mut self,
        connection: &ConnectionId,
        name: &FieldName,
        value: &Value,
    ) -> Result<FirstSight, ReconcileError> {
        let absent = value.is_blank() && !mutant::off(Rule::BlankIsAbsent);
        if absent || self.plan.model.field(name).is_none_or(|field| field.computed) {
            return Ok(FirstSight::NoEdit(None));
        }
        let Some(shown) = self.state.fields.get(name) else { return Ok(FirstSight::Differs) };
        if let Ok(projected) = self.side(connection)?.mapping.project(name, shown) {
            if projected == *value {
                return Ok(FirstSight::NoEdit(None));
            }
            if projected.loose_fold() == value.loose_fold() && !mutant::off(Rule::SpellingIsStoredForm) {
                return Ok(FirstSight::NoEdit(Some(StoredForm { sent: projected, stored: value.clone() })));
            }
        }
        Ok(match self.once_held(name, value)? {
            Some(hash) if !mutant::off(Rule::OldValueIsNoEdit) => FirstSight::Behind(hash),
            _ => FirstSight::Differs,
        })
    }

    /// A differing value at first link is concurrent with what stands in the record: neither writer had seen the other.
    fn contest(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
        name: &FieldName,
        value: &Value,
    ) -> Result<Option<FieldEdit>, ReconcileError> {
        let clock = self.clock_of(observation, name);
        self.contest_by(&Origin::Connection(connection.clone()), name, value, clock)
    }

    /// A value that grew apart from what stands in the record, whoever wrote it.
    pub(super) fn contest_by(
        &mut self,
        origin: &Origin,
        name: &FieldName,
        value: &Value,
        clock: Clock,
    ) -> Result<Option<FieldEdit>, ReconcileError> {
        match self.plan.model.field(name).map(|field| field.policy.merge()) {
            None => Ok(None),
            Some(Merge::Text | Merge::Counter) => self.meet_as_wholes(origin, name, value, clock),
            Some(Merge::Register | Merge::Set) => {
                let sees_all = mutant::off(Rule::LinkMovesNoHeads);
                let heads = if sees_all { self.state.document.heads().clone() } else { Heads::new() };
                self.edit_at(origin, name, Value::Null, value.clone(), clock, heads)
            }
        }
    }

    /// Two whole values that grew apart cannot be merged by their parts: one stands, the other is kept.
    pub(super) fn meet_as_wholes(
        &mut self,
        origin: &Origin,
        name: &FieldName,
        value: &Value,
        clock: Clock,
    ) -> Result<Option<FieldEdit>, ReconcileError> {
        let Some(field) = self.plan.model.field(name) else { return Ok(None) };
        let heads = self.state.document.heads().clone();
        let edit =
            FieldEdit { name: name.clone(), old: Value::Null, new: value.clone(), clock, heads, unseen: Vec::new() };
        let standing = self.standing(name)?.filter(|standing| !standing.value.is_blank());
        let Some(standing) = standing.filter(|_| !mutant::off(Rule::StrangersMeetAsWholes)) else {
            return Ok(Some(edit));
        };
        let op = self.name_of_unseen(name, value, clock.at);
        let newcomer = Candidate { op, value: value.clone(), origin: origin.clone(), clock };
        let contenders =
            [Contender { candidate: &standing, arrival: 0 }, Contender { candidate: &newcomer, arrival: 1 }];
        if policies::choose(field, &contenders, &|origin| self.plan.rank(origin)) == Choice::Winner(1) {
            self.keep_loser(name, &standing, &newcomer, field.policy.name(), false);
            return Ok(Some(edit));
        }
        self.keep_loser(name, &newcomer, &standing, field.policy.name(), false);
        Ok(None)
    }
}
