//! One record, its providers, their users, a client of the API and a network that delays, repeats, reorders and loses.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    conflict::Conflict,
    ids::{ConnectionId, ExternalId, FieldName, RecordId},
    mapping::{Mapping, MappingSpec},
    model::{DeleteEffect, DeleteRace, DeleteRule, Model},
    plan::{Side, SyncPlan},
    reconcile::{self, ClientEdit, FollowUp, Input, Now, Outcome, Replayed},
    record::RecordState,
    replica::{Observation, Source},
    time::{Millis, Tick},
    value::{Fields, Value},
    writer::WriterEpochs,
};

use crate::{
    fields::{self, Cast, Shape},
    law::Law,
    mutant::Mutant,
    shares::Shares,
    system::{Kind, System},
};

/// What a generated history may contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) systems: usize,
    pub(crate) events: usize,
    pub(crate) deletes: bool,
    /// The record's history begins anew now and then, and a client was cut off before it did.
    pub(crate) epochs: bool,
    /// Rarer trouble: values that one system cannot take, objects restored after a delete, deleted objects shown with blanks,
    /// and blanks in the object that is linked to the record.
    pub(crate) rare: bool,
    pub(crate) cast: Cast,
    pub(crate) mutant: Option<Mutant>,
}

/// An edit that somebody made and was told is done.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) field: FieldName,
    pub(crate) value: Value,
    /// What its author saw before.
    pub(crate) saw: Value,
}

/// What an object held when its user deleted it.
pub(crate) struct TakenAlong {
    index: usize,
    id: ExternalId,
    values: Vec<(FieldName, Value)>,
}

/// What a person is asked about a field.
pub(crate) struct Question {
    /// The value that stands meanwhile.
    pub(crate) agreed: Value,
    /// The objects that were there when it came up. One that is made later begins with the agreed value.
    pub(crate) held_by: BTreeSet<ExternalId>,
}

pub(crate) struct World {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) plan: SyncPlan,
    pub(crate) names: Vec<FieldName>,
    pub(crate) shapes: BTreeMap<FieldName, Shape>,
    pub(crate) connections: Vec<ConnectionId>,
    pub(crate) systems: Vec<System>,
    pub(crate) state: RecordState,
    pub(crate) now: Millis,
    tick: u64,
    /// Readings on their way.
    pub(crate) on_their_way: Vec<(usize, Observation)>,
    /// Reads by id whose answer is slow; one for each system at most.
    pub(crate) slow: BTreeMap<usize, Observation>,
    /// Objects that the heart asked to read.
    pub(crate) looks: Vec<(usize, ExternalId)>,
    pub(crate) log: Vec<Logged>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) shares: Shares,
    pub(crate) trace: Vec<String>,
    pub(crate) scope: Scope,
    next_value: u64,
    /// Values that somebody who saw them deleted together with the record, or that no client of the provider could have seen
    /// any more.
    pub(crate) deleted_values: Vec<(FieldName, Value)>,
    /// What objects held when their users deleted them, as long as nobody has said what becomes of the record.
    pub(crate) taken_along: Vec<TakenAlong>,
    /// Edits that the write under way overwrote without a trace at the provider.
    pub(crate) overwritten: Vec<(FieldName, Value)>,
    /// What a client has that was cut off in an earlier epoch, or will have been.
    away: Option<(u32, Fields)>,
    /// The values of ordered fields after the last input.
    pub(crate) furthest: Fields,
    /// The fields about which a person is asked.
    pub(crate) asked: BTreeMap<FieldName, Question>,
    /// Whether the input under way is the reading that ends a write whose answer was lost.
    pub(crate) unsure: bool,
    /// The documents of all epochs.
    documents: BTreeSet<String>,
    /// The last answer to a write, for [`Mutant::ReuseAnswer`].
    pub(crate) last_answer: Option<Box<Observation>>,
}

/// Fields in one short line.
pub(crate) fn brief(fields: &Fields) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect::<Vec<_>>().join(" ")
}

fn kind(rng: &mut ChaCha8Rng) -> Kind {
    let fine = rng.random_bool(0.5);
    let blind = rng.random_bool(0.2);
    Kind {
        precision_ms: if fine { 1 } else { 1_000 },
        history: fine && !blind,
        conditional: !fine && !blind,
        lowers: rng.random_bool(0.25),
        keeps_deleted: rng.random_bool(0.75),
        empties_deleted: false,
        refuses: false,
    }
}

impl World {
    /// The record is first seen in one system; a second may hold the same entity with values of its own.
    pub(crate) fn new(seed: u64, scope: Scope) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cast = fields::fields(scope.cast);
        let shapes: BTreeMap<FieldName, Shape> = cast.iter().map(|(name, _, shape)| (name.clone(), *shape)).collect();
        let members = cast.into_iter().map(|(name, field, _)| (name, field)).collect();
        let race = if rng.random_bool(0.5) { DeleteRace::EditWins } else { DeleteRace::DeleteWins };
        let deletes = DeleteRule { effect: DeleteEffect::Propagate, race };
        let model = Model { name: "contact".into(), fields: members, match_keys: Vec::new(), deletes };
        let names: Vec<FieldName> = model.fields.keys().cloned().collect();
        let spec = MappingSpec(names.iter().map(|name| (name.to_string(), name.as_str().into())).collect());
        let connections: Vec<ConnectionId> =
            (0..scope.systems).map(|index| ConnectionId::new(format!("sys{index}"))).collect();
        let mut systems: Vec<System> =
            connections.iter().map(|connection| System::new(kind(&mut rng), connection.as_str())).collect();
        for system in systems.iter_mut().filter(|_| scope.rare) {
            system.kind.refuses = rng.random_bool(0.3);
            system.kind.empties_deleted = rng.random_bool(0.5);
        }
        let side = |(index, connection): (usize, &ConnectionId)| {
            let side = Side {
                object: "contacts".into(),
                mapping: Mapping::new(&model, &spec).expect("the mapping is plain"),
                key_field: Some("key".into()),
                creates: true,
                writes: true,
                history: systems[index].kind.history,
                rank: index as u32 + 1,
            };
            (connection.clone(), side)
        };
        let sides = connections.iter().enumerate().map(side).collect();
        let plan = SyncPlan { tenant: "acme".into(), model, sides, writer: WriterEpochs::default() };

        let now = Millis(1_700_000_000_000);
        let mut first = Fields::new();
        let mut log = Vec::new();
        for (number, (name, shape)) in (1..).zip(&shapes) {
            let value = shape.edited(&Value::Null, number, &mut rng);
            log.push(Logged { field: name.clone(), value: value.clone(), saw: Value::Null });
            first.insert(name.clone(), value);
        }
        systems[0].set(&first, &names, false, now);
        let seen = systems[0].read(Tick(1), Source::ById).expect("the object was just made");
        let (state, outcome) = reconcile::create_from(
            &plan,
            RecordId(Default::default()),
            &connections[0],
            seen,
            Now { at: now, tick: Tick(2) },
        )
        .expect("a record is created");
        let mut world = Self {
            rng,
            plan,
            next_value: names.len() as u64,
            names,
            shapes,
            connections,
            systems,
            state,
            now,
            tick: 2,
            on_their_way: Vec::new(),
            slow: BTreeMap::new(),
            looks: Vec::new(),
            log,
            conflicts: Vec::new(),
            shares: Shares::default(),
            trace: vec![format!("0 user of sys0 sets {}", brief(&first))],
            scope,
            deleted_values: Vec::new(),
            taken_along: Vec::new(),
            overwritten: Vec::new(),
            away: None,
            furthest: Fields::new(),
            asked: BTreeMap::new(),
            unsure: false,
            documents: BTreeSet::new(),
            last_answer: None,
        };
        world.absorb("create", outcome);
        if world.rng.random_bool(0.5) {
            world.second_holds_it();
        }
        world
    }

    fn second_holds_it(&mut self) {
        let mut values = Fields::new();
        for name in self.names.clone() {
            let value = if self.rng.random_bool(0.2) {
                self.systems[0].value(&name)
            } else if self.scope.rare && self.rng.random_bool(0.2) {
                Value::Null
            } else {
                self.fresh_value(&name, &Value::Null)
            };
            values.insert(name, value);
        }
        self.user_sets(1, values);
        self.read_by_id(1);
    }

    fn fresh_value(&mut self, name: &FieldName, current: &Value) -> Value {
        self.next_value += 1;
        self.shapes[name].edited(current, self.next_value, &mut self.rng)
    }

    pub(crate) fn advance(&mut self) {
        self.now = self.now.plus(self.rng.random_range(1..1_500));
    }

    pub(crate) fn tick(&mut self) -> Tick {
        self.tick += 1;
        Tick(self.tick)
    }

    fn at(&mut self) -> Now {
        Now { at: self.now, tick: self.tick() }
    }

    fn user_sets(&mut self, index: usize, values: Fields) {
        for (name, value) in &values {
            let saw = self.systems[index].value(name);
            self.log.push(Logged { field: name.clone(), value: value.clone(), saw });
        }
        self.note(format!("user of sys{index} sets {}", brief(&values)));
        self.systems[index].set(&values, &self.names, false, self.now);
    }

    pub(crate) fn note(&mut self, line: String) {
        self.trace.push(format!("{} {line}", self.now.0 % 10_000_000));
    }

    /// One random event.
    pub(crate) fn event(&mut self) {
        self.advance();
        self.shares.events += 1;
        let index = self.rng.random_range(0..self.systems.len());
        if self.scope.epochs && self.rng.random_bool(0.12) {
            return self.be_away();
        }
        if self.scope.rare && self.rng.random_bool(0.05) {
            return self.restore(index);
        }
        match self.rng.random_range(0..100) {
            0..22 => self.user_edit(index),
            22..32 => self.client_edit(),
            32..52 => self.poll(index),
            52..58 => self.read_by_id(index),
            58..61 => self.begin_slow_read(index),
            61..64 => self.finish_slow_read(index),
            64..73 => self.deliver_reading(),
            73..88 => drop(self.write_round(index, true)),
            _ if self.scope.deletes => self.delete(index),
            _ => self.deliver_reading(),
        }
    }

    pub(crate) fn shown(&self, name: &FieldName) -> Value {
        self.state.fields.get(name).cloned().unwrap_or_default()
    }

    fn random_name(&mut self) -> FieldName {
        self.names[self.rng.random_range(0..self.names.len())].clone()
    }

    /// Whether this system holds an edit of the field that nobody has read yet.
    fn is_unread(&self, index: usize, name: &FieldName) -> bool {
        let baseline = self.state.replicas[&self.connections[index]].baseline.get(name).unwrap_or(&Value::Null);
        self.systems[index].live().is_some() && self.systems[index].value(name).loose_fold() != baseline.loose_fold()
    }

    pub(crate) fn user_edit(&mut self, index: usize) {
        if self.systems[index].live().is_none() {
            return;
        }
        let name = self.random_name();
        let current = self.systems[index].value(&name);
        let value = self.fresh_value(&name, &current);
        if self.systems[index].refuses(&value) {
            return;
        }
        let behind = current.loose_fold() != self.shown(&name).loose_fold() && !self.is_unread(index, &name);
        let others = (0..self.systems.len()).any(|other| other != index && self.is_unread(other, &name));
        self.shares.edits += 1;
        self.shares.races += u64::from(behind || others);
        self.user_sets(index, Fields::from([(name, value)]));
    }

    pub(crate) fn client_edit(&mut self) {
        if self.state.deleted.is_some() {
            return;
        }
        let name = self.random_name();
        let saw = self.shown(&name);
        let value = self.fresh_value(&name, &saw);
        self.shares.edits += 1;
        self.shares.races += u64::from((0..self.systems.len()).any(|index| self.is_unread(index, &name)));
        self.client_sets(name, value, false);
    }

    pub(crate) fn client_sets(&mut self, name: FieldName, value: Value, settles: bool) {
        let saw = self.shown(&name);
        self.asked.remove(&name);
        self.log.push(Logged { field: name.clone(), value: value.clone(), saw });
        self.note(format!("client sets {name} to {}", value.to_json()));
        let fields = Fields::from([(name, value)]);
        self.input(Input::Edited(ClientEdit { principal: "app".into(), fields, delete: None, settles }));
    }

    /// A client goes away with what it sees, and comes back with an edit once the record has begun another epoch.
    pub(crate) fn be_away(&mut self) {
        match self.away.take() {
            None if self.state.deleted.is_none() => self.away = Some((self.state.epoch, self.state.fields.clone())),
            Some((epoch, seen)) if epoch < self.state.epoch && self.state.deleted.is_none() => self.come_back(&seen),
            away => self.away = away,
        }
    }

    fn come_back(&mut self, seen: &Fields) {
        let name = self.random_name();
        let mut saw = seen.get(&name).cloned().unwrap_or_default();
        let value = self.fresh_value(&name, &saw);
        self.shares.edits += 1;
        self.shares.late += 1;
        self.log.push(Logged { field: name.clone(), value: value.clone(), saw: saw.clone() });
        self.note(format!("client comes back, saw {} for {name}, sets {}", saw.to_json(), value.to_json()));
        if self.scope.mutant == Some(Mutant::LateSawAll) {
            saw = self.shown(&name);
        }
        let fields = BTreeMap::from([(name, (saw, value))]);
        let written_at = Some(self.now);
        self.input(Input::Replayed(Replayed { principal: "late".into(), fields, written_at, delete: None }));
    }

    pub(crate) fn poll(&mut self, index: usize) {
        let begun = self.tick();
        let lags = self.rng.random_bool(0.3);
        let Some(observation) = self.systems[index].read_index(begun, lags) else { return };
        if self.rng.random_bool(0.5) {
            self.shares.repeats += 1;
            self.on_their_way.push((index, observation.clone()));
        }
        self.on_their_way.push((index, observation));
    }

    /// Reads an object by its id; those that the heart asked for come first.
    pub(crate) fn read_by_id(&mut self, index: usize) {
        let id = self.next_look(index);
        self.look_at(index, id);
    }

    fn next_look(&mut self, index: usize) -> Option<ExternalId> {
        match self.looks.iter().position(|(system, _)| *system == index) {
            Some(place) => Some(self.looks.swap_remove(place).1),
            None => self.state.replicas[&self.connections[index]].link.linked().cloned(),
        }
    }

    pub(crate) fn look_at(&mut self, index: usize, id: Option<ExternalId>) {
        if let Some(observation) = self.shown_by_id(index, id) {
            self.observe(index, observation);
        }
    }

    /// Begins a read by id whose answer comes later.
    pub(crate) fn begin_slow_read(&mut self, index: usize) {
        let id = self.next_look(index);
        if let Some(observation) = self.shown_by_id(index, id) {
            self.slow.insert(index, observation);
        }
    }

    /// Reads by id are single-flight: the answer to the read before is waited for.
    fn shown_by_id(&mut self, index: usize, id: Option<ExternalId>) -> Option<Observation> {
        self.finish_slow_read(index);
        let begun = self.tick();
        match id {
            Some(id) => self.systems[index].read_by_id(&id, begun),
            None => self.systems[index].read(begun, Source::ById),
        }
    }

    pub(crate) fn finish_slow_read(&mut self, index: usize) {
        if let Some(observation) = self.slow.remove(&index) {
            self.shares.stale_reads += u64::from(self.systems[index].is_past(&observation));
            self.observe(index, observation);
        }
    }

    pub(crate) fn deliver_reading(&mut self) {
        if self.on_their_way.is_empty() {
            return;
        }
        let next = self.rng.random_range(0..self.on_their_way.len());
        let (index, observation) = self.on_their_way.swap_remove(next);
        self.shares.stale_reads += u64::from(self.systems[index].is_past(&observation));
        self.observe(index, observation);
    }

    pub(crate) fn observe(&mut self, index: usize, mut observation: Observation) {
        let connection = self.connections[index].clone();
        match self.scope.mutant {
            Some(Mutant::ListAsById) => observation.source = Source::ById,
            Some(Mutant::Rejuvenate) => observation.begun = self.tick(),
            Some(Mutant::HintAsReading) if observation.source == Source::List => {
                (observation.source, observation.version) = (Source::ById, None);
                observation.begun = self.tick();
            }
            Some(Mutant::NoHistory) => observation.past.clear(),
            _ => {}
        }
        self.note(format!(
            "{} shows {:?} {} deleted={} stamp {} begun {}",
            observation.id,
            observation.source,
            brief(&observation.fields),
            observation.deleted,
            observation.version.map_or(0, |version| version.stamp.0 % 10_000_000),
            observation.begun.0
        ));
        self.input(Input::Observed { connection, observation });
    }

    pub(crate) fn input(&mut self, input: Input) -> Outcome {
        let now = self.at();
        let label = match &input {
            Input::Observed { .. } => String::new(),
            input => format!("{input:?} ").chars().take(60).collect(),
        };
        self.unsure = match &input {
            Input::Observed { connection, .. } => {
                self.state.replicas[connection].intent.as_ref().is_some_and(|intent| intent.uncertain)
            }
            _ => false,
        };
        let outcome = reconcile::reconcile(&self.plan, &mut self.state, input, now)
            .unwrap_or_else(|error| self.broke(Law::Answered, error.to_string()));
        self.absorb(&label, outcome.clone());
        self.judge_deletes();
        self.check_each();
        if self.scope.epochs && self.rng.random_bool(0.3) {
            self.renew();
        }
        outcome
    }

    /// The record begins a new epoch, if it may.
    fn renew(&mut self) {
        let now = self.at();
        let outcome = reconcile::reconcile(&self.plan, &mut self.state, Input::Renew, now)
            .unwrap_or_else(|error| self.broke(Law::Answered, error.to_string()));
        if let Some(sealed) = &outcome.sealed {
            self.shares.epochs += 1;
            let own = self.documents.insert(sealed.id.to_string()) && sealed.id != self.state.document_id();
            self.hold(Law::OwnDocuments, own, || "an epoch began in the document of another".to_owned());
            self.absorb("epoch ", outcome);
        }
    }

    fn absorb(&mut self, label: &str, outcome: Outcome) {
        let dead = if self.state.deleted.is_some() { ", deleted" } else { "" };
        let losers = outcome.conflicts.iter().map(|row| row.loser.value.to_json().to_string()).collect::<Vec<_>>();
        let lost = if losers.is_empty() { String::new() } else { format!(", lost {}", losers.join(" ")) };
        self.note(format!("  {label}{:?}: {}{dead}{lost}", outcome.verdict, brief(&self.state.fields)));
        let pairs = |row: &Conflict| (row.field.clone(), row.loser.op, row.winner.op);
        let told: BTreeSet<_> = outcome.conflicts.iter().map(pairs).collect();
        self.hold(Law::ConflictsAreReal, told.len() == outcome.conflicts.len(), || {
            "one input told one twice".to_owned()
        });
        for row in &outcome.conflicts {
            self.check_conflict(row);
            if row.reason == "manual" {
                let linked = self.state.replicas.values().filter_map(|replica| replica.link.linked().cloned());
                let question = Question { agreed: row.winner.value.clone(), held_by: linked.collect() };
                self.asked.insert(row.field.clone(), question);
            }
        }
        let keeps = self.scope.mutant != Some(Mutant::ForgetConflicts);
        for conflict in outcome.conflicts.into_iter().filter(|_| keeps) {
            let known = |row: &Conflict| {
                row.field == conflict.field && row.loser.op == conflict.loser.op && row.winner.op == conflict.winner.op
            };
            if !self.conflicts.iter().any(known) {
                self.conflicts.push(conflict);
            }
        }
        for FollowUp::Read { connection, id } in outcome.follow_ups {
            let index = self.connections.iter().position(|known| *known == connection);
            self.looks.extend(index.map(|index| (index, id)));
        }
        for replica in self.state.replicas.values_mut() {
            match self.scope.mutant {
                Some(Mutant::MergedHeads) => {
                    replica.reflected.common = self.state.document.heads().clone();
                    replica.reflected.fields.clear();
                }
                Some(Mutant::ForgetVersion) => replica.version = None,
                _ => {}
            }
        }
    }

    fn delete(&mut self, index: usize) {
        if self.rng.random_bool(0.3) {
            if self.state.deleted.is_none() {
                self.shares.deletes += 1;
                self.note("client deletes".into());
                self.deleted_values.extend(self.state.fields.clone());
                let edit =
                    ClientEdit { principal: "app".into(), fields: Fields::new(), delete: Some(true), settles: false };
                self.input(Input::Edited(edit));
            }
        } else if let Some(object) = self.systems[index].live() {
            self.shares.deletes += 1;
            let replica = &self.state.replicas[&self.connections[index]];
            // What a system cannot take its users never see, and cannot spare.
            let parked = replica.parked.keys().map(|name| (name.clone(), self.shown(name)));
            let values = object.values().into_iter().chain(parked).collect();
            let id = object.id.clone();
            if replica.link.linked() == Some(&id) {
                self.taken_along.push(TakenAlong { index, id, values });
            } else {
                self.deleted_values.extend::<Vec<_>>(values);
            }
            self.note(format!("user of sys{index} deletes"));
            self.lose_what_is_illegible(index);
            self.systems[index].delete(self.now);
        }
    }

    /// Once the heart knows of a delete, what the object held went with the record, or else it must not be lost.
    fn judge_deletes(&mut self) {
        for taken in std::mem::take(&mut self.taken_along) {
            if self.state.replicas[&self.connections[taken.index]].link.linked() == Some(&taken.id) {
                self.taken_along.push(taken);
            } else if self.state.deleted.is_some() {
                self.deleted_values.extend(taken.values);
            }
        }
    }

    /// Somebody restores what was deleted in this system.
    fn restore(&mut self, index: usize) {
        if self.systems[index].kind.keeps_deleted && self.systems[index].object().is_some_and(|object| object.deleted) {
            self.shares.restores += 1;
            self.note(format!("user of sys{index} restores"));
            self.systems[index].restore(self.now);
        }
    }

    /// Where a deleted object cannot be read, what was not read before is lost to everybody.
    pub(crate) fn lose_what_is_illegible(&mut self, index: usize) {
        if self.systems[index].kind.keeps_deleted {
            return;
        }
        let baseline = &self.state.replicas[&self.connections[index]].baseline;
        let held = self.systems[index].held_by_users();
        let unread = held.iter().filter(|(name, value)| baseline.get(name) != Some(value)).count();
        self.shares.blind += unread as u64;
        self.deleted_values.extend(held);
    }
}
