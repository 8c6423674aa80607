//! One record, its providers, their users, a client of the API and a network that delays, repeats, reorders and loses.

use std::{collections::BTreeMap, fmt};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    conflict::Conflict,
    ids::{ConnectionId, FieldName, RecordId},
    mapping::{Mapping, MappingSpec},
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    outbox::Delivery,
    plan::{Side, SyncPlan},
    policies::Policy,
    reconcile::{self, ClientEdit, FollowUp, Input, Now, Outcome, Receipt, Verdict},
    record::RecordState,
    replica::{IntentVerb, Link, Observation, Source},
    time::{Millis, Tick},
    value::{Fields, Value},
};

use crate::system::{Kind, System};

/// How long nothing that was sent can still arrive.
const DEADLINE_MS: i64 = 30_000;

/// What a generated history may contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) systems: usize,
    pub(crate) events: usize,
    pub(crate) deletes: bool,
    pub(crate) policies: bool,
}

/// How often each kind of trouble occurred.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) events: u64,
    pub(crate) races: u64,
    pub(crate) stale_reads: u64,
    pub(crate) repeats: u64,
    pub(crate) deletes: u64,
    pub(crate) lost_answers: u64,
}

impl Shares {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.races += other.races;
        self.stale_reads += other.stale_reads;
        self.repeats += other.repeats;
        self.deletes += other.deletes;
        self.lost_answers += other.lost_answers;
    }

    /// How many of a hundred events were of this kind.
    pub(crate) fn percent(&self, part: u64) -> f64 {
        part as f64 * 100.0 / self.events.max(1) as f64
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events", self.events)?;
        for (name, part) in [
            ("same-field races", self.races),
            ("stale reads", self.stale_reads),
            ("repeats", self.repeats),
            ("deletes", self.deletes),
            ("lost answers", self.lost_answers),
        ] {
            write!(f, ", {name} {:.1} %", self.percent(part))?;
        }
        Ok(())
    }
}

/// An edit that somebody made and was told is done.
#[derive(Clone, Debug)]
struct Logged {
    field: FieldName,
    value: Value,
    /// What its author saw before.
    saw: Value,
}

pub(crate) struct World {
    rng: ChaCha8Rng,
    pub(crate) plan: SyncPlan,
    pub(crate) names: Vec<FieldName>,
    pub(crate) connections: Vec<ConnectionId>,
    pub(crate) systems: Vec<System>,
    pub(crate) state: Option<RecordState>,
    now: Millis,
    tick: u64,
    /// Readings on their way.
    on_their_way: Vec<(usize, Observation)>,
    looks: Vec<usize>,
    log: Vec<Logged>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) shares: Shares,
    pub(crate) trace: Vec<String>,
    scope: Scope,
    next_value: u64,
    /// Values that a delete took with it.
    deleted_values: Vec<Value>,
}

fn field(policy: Policy) -> Field {
    Field {
        ty: FieldType::Text { max_len: 200 },
        policy,
        blank_never_wins: false,
        computed: false,
        required: false,
        canonical: Vec::new(),
    }
}

/// Fields in one short line.
fn brief(fields: &Fields) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect::<Vec<_>>().join(" ")
}

impl World {
    pub(crate) fn new(seed: u64, scope: Scope) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let connections: Vec<ConnectionId> =
            (0..scope.systems).map(|index| ConnectionId::new(format!("sys{index}"))).collect();
        let prefer = Policy::Prefer(vec!["sys1".into(), "client".into(), "sys0".into()]);
        let second = if scope.policies { prefer } else { Policy::Latest };
        let fields = BTreeMap::from([
            (FieldName::new("a"), field(Policy::Latest)),
            (FieldName::new("b"), field(second)),
            (FieldName::new("c"), field(Policy::Latest)),
        ]);
        let race = if rng.random_bool(0.5) { DeleteRace::EditWins } else { DeleteRace::DeleteWins };
        let deletes = DeleteRule { effect: DeleteEffect::Propagate, race };
        let model = Model { name: "contact".into(), fields, match_keys: Vec::new(), deletes };
        let names: Vec<FieldName> = model.fields.keys().cloned().collect();
        let spec = MappingSpec(names.iter().map(|name| (name.to_string(), name.as_str().into())).collect());
        let mut sides = BTreeMap::new();
        let mut systems = Vec::new();
        for (index, connection) in connections.iter().enumerate() {
            let fine = rng.random_bool(0.5);
            let kind = Kind {
                precision_ms: if fine { 1 } else { 1_000 },
                history: fine,
                conditional: !fine,
                lowers: rng.random_bool(0.25),
            };
            systems.push(System::new(kind, connection.as_str()));
            let mapping = Mapping::new(&model, &spec).expect("the mapping is plain");
            let side = Side {
                object: "contacts".into(),
                mapping,
                key_field: Some("key".into()),
                creates: true,
                writes: true,
                history: kind.history,
                rank: index as u32 + 1,
            };
            sides.insert(connection.clone(), side);
        }
        let plan = SyncPlan { tenant: "acme".into(), model, sides };
        let mut world = Self {
            rng,
            plan,
            names,
            connections,
            systems,
            state: None,
            now: Millis(1_700_000_000_000),
            tick: 0,
            on_their_way: Vec::new(),
            looks: Vec::new(),
            log: Vec::new(),
            conflicts: Vec::new(),
            shares: Shares::default(),
            trace: Vec::new(),
            scope,
            next_value: 0,
            deleted_values: Vec::new(),
        };
        world.begin();
        world
    }

    /// The record is first seen in one system; a second may hold the same entity with values of its own.
    fn begin(&mut self) {
        let first = self.fresh_values();
        let names = self.names.clone();
        self.user_sets(0, first, &names);
        self.advance();
        let begun = self.tick();
        let observation = self.systems[0].read(begun, Source::ById);
        let now = self.at();
        let (state, outcome) =
            reconcile::create_from(&self.plan, RecordId(Default::default()), &self.connections[0], observation, now)
                .expect("a record is created");
        self.state = Some(state);
        self.absorb("create", outcome);
        if self.rng.random_bool(0.5) {
            let mut values = self.fresh_values();
            if self.rng.random_bool(0.5) {
                values.insert(names[0].clone(), self.systems[0].value(&names[0]));
            }
            self.user_sets(1, values, &names);
            let begun = self.tick();
            let observation = self.systems[1].read(begun, Source::ById);
            self.observe(1, observation);
        }
    }

    fn fresh_values(&mut self) -> Fields {
        let names = self.names.clone();
        names.into_iter().map(|name| (name, self.fresh_value())).collect()
    }

    fn fresh_value(&mut self) -> Value {
        self.next_value += 1;
        Value::text(format!("Value {}", self.next_value))
    }

    fn advance(&mut self) {
        self.now = self.now.plus(self.rng.random_range(1..1_500));
    }

    fn tick(&mut self) -> Tick {
        self.tick += 1;
        Tick(self.tick)
    }

    fn at(&mut self) -> Now {
        Now { at: self.now, tick: self.tick() }
    }

    fn user_sets(&mut self, index: usize, values: Fields, names: &[FieldName]) {
        for (name, value) in &values {
            let saw = self.systems[index].value(name);
            self.log_edit(name, value, saw);
        }
        self.note(format!("user of sys{index} sets {}", brief(&values)));
        self.systems[index].set(&values, names, false, self.now);
    }

    fn log_edit(&mut self, field: &FieldName, value: &Value, saw: Value) {
        self.log.push(Logged { field: field.clone(), value: value.clone(), saw });
    }

    fn note(&mut self, line: String) {
        self.trace.push(format!("{} {line}", self.now.0 % 10_000_000));
    }

    /// One random event.
    pub(crate) fn event(&mut self) {
        self.advance();
        self.shares.events += 1;
        let index = self.rng.random_range(0..self.systems.len());
        match self.rng.random_range(0..100) {
            0..22 => self.user_edit(index),
            22..32 => self.client_edit(),
            32..52 => self.poll(index),
            52..62 => self.read_by_id(index),
            62..75 => self.deliver_reading(),
            75..94 => drop(self.write_round(index, true)),
            _ if self.scope.deletes => self.delete(index),
            _ => self.deliver_reading(),
        }
    }

    fn user_edit(&mut self, index: usize) {
        if !self.systems[index].exists || self.systems[index].deleted {
            return;
        }
        let name = self.names[self.rng.random_range(0..self.names.len())].clone();
        let value = self.fresh_value();
        let shown = self.shown(&name);
        if self.systems[index].value(&name) != shown {
            self.shares.races += 1;
        }
        let names = self.names.clone();
        self.user_sets(index, Fields::from([(name, value)]), &names);
    }

    fn shown(&self, name: &FieldName) -> Value {
        self.state.as_ref().and_then(|state| state.fields.get(name)).cloned().unwrap_or_default()
    }

    fn client_edit(&mut self) {
        let Some(state) = &self.state else { return };
        if state.deleted.is_some() {
            return;
        }
        let name = self.names[self.rng.random_range(0..self.names.len())].clone();
        let value = self.fresh_value();
        let saw = self.shown(&name);
        if self.systems.iter().any(|system| system.exists && system.value(&name).loose_fold() != saw.loose_fold()) {
            self.shares.races += 1;
        }
        self.log_edit(&name, &value, saw);
        self.note(format!("client sets {name} to {value:?}"));
        let fields = Fields::from([(name, value)]);
        self.input(Input::Edited(ClientEdit { principal: "app".into(), fields, delete: None, settles: false }));
    }

    fn poll(&mut self, index: usize) {
        if !self.systems[index].exists || self.systems[index].deleted {
            return;
        }
        let begun = self.tick();
        let lags = self.rng.random_bool(0.3);
        let observation = self.systems[index].read_index(begun, lags);
        if self.rng.random_bool(0.3) {
            self.shares.repeats += 1;
            self.on_their_way.push((index, observation.clone()));
        }
        self.on_their_way.push((index, observation));
    }

    /// A read by id is single-flight: it is begun, the object is read some time later, and only then the next begins.
    fn read_by_id(&mut self, index: usize) {
        if !self.systems[index].exists {
            return;
        }
        let begun = self.tick();
        let observation = self.systems[index].read(begun, Source::ById);
        self.observe(index, observation);
    }

    fn deliver_reading(&mut self) {
        if self.on_their_way.is_empty() {
            return;
        }
        let next = self.rng.random_range(0..self.on_their_way.len());
        let (index, observation) = self.on_their_way.swap_remove(next);
        if observation.version.is_some_and(|version| version.stamp < self.systems[index].version().stamp) {
            self.shares.stale_reads += 1;
        }
        self.observe(index, observation);
    }

    fn observe(&mut self, index: usize, observation: Observation) {
        let connection = self.connections[index].clone();
        self.note(format!(
            "sys{index} shows {:?} {} deleted={} stamp {:?} begun {:?}",
            observation.source,
            brief(&observation.fields),
            observation.deleted,
            observation.version.map(|v| v.stamp.0 % 10_000_000),
            observation.begun.0
        ));
        self.input(Input::Observed { connection, observation });
    }

    fn input(&mut self, input: Input) -> Option<Outcome> {
        let now = self.at();
        let state = self.state.as_mut()?;
        let label = format!("{input:?}").chars().take(40).collect::<String>();
        let outcome = reconcile::reconcile(&self.plan, state, input, now)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.trace.join("\n")));
        self.absorb(&label, outcome.clone());
        Some(outcome)
    }

    fn absorb(&mut self, label: &str, outcome: Outcome) {
        let shown = self.state.as_ref().map(|state| brief(&state.fields)).unwrap_or_default();
        let dead = self.state.as_ref().is_some_and(|state| state.deleted.is_some());
        let losers = outcome.conflicts.iter().map(|row| row.loser.value.to_json().to_string()).collect::<Vec<_>>();
        self.note(format!("  {label}: {:?}, record {shown} deleted={dead}, lost {losers:?}", outcome.verdict));
        for conflict in outcome.conflicts {
            let known = |row: &Conflict| {
                row.field == conflict.field && row.loser.op == conflict.loser.op && row.winner.op == conflict.winner.op
            };
            if !self.conflicts.iter().any(known) {
                self.conflicts.push(conflict);
            }
        }
        for FollowUp::Read { connection, .. } in outcome.follow_ups {
            if let Some(index) = self.connections.iter().position(|known| *known == connection) {
                self.looks.push(index);
            }
        }
    }

    /// One round of a delivery: look, merge, write down, send, and perhaps lose the answer.
    fn write_round(&mut self, index: usize, faults: bool) -> bool {
        let connection = self.connections[index].clone();
        let Some(replica) = self.state.as_ref().and_then(|state| state.replicas.get(&connection)) else { return false };
        if !matches!(replica.delivery, Delivery::Dirty { due, .. } if due <= self.now) {
            return false;
        }
        let uncertain = replica.intent.clone();
        let looked_at = self.now;
        if self.systems[index].exists && (replica.link.linked().is_some() || uncertain.is_some()) {
            self.read_by_id(index);
        } else if let Some(intent) = uncertain {
            let error = syncline_core::remote::ProviderError {
                remedy: syncline_core::remote::Remedy::Retry,
                message: "not created".into(),
            };
            let result = Receipt::NotApplied { error, jitter: 0 };
            self.input(Input::Receipt { connection: connection.clone(), intent: intent.id, result });
        }
        let conditional = self.systems[index].kind.conditional;
        let prepare = Input::Prepare { connection: connection.clone(), looked_at, conditional };
        let Some(intent) = self.input(prepare).and_then(|outcome| outcome.intent) else { return true };
        if faults {
            // Between the look and the write anything may happen.
            for _ in 0..self.rng.random_range(0..3) {
                self.advance();
                match self.rng.random_range(0..4) {
                    0 => self.user_edit(index),
                    1 => self.poll(index),
                    2 => self.deliver_reading(),
                    _ => self.client_edit(),
                }
            }
        }
        self.send(index, &connection, intent, faults)
    }

    fn send(
        &mut self,
        index: usize,
        connection: &ConnectionId,
        intent: syncline_core::replica::Intent,
        faults: bool,
    ) -> bool {
        let arrives = !faults || self.rng.random_bool(0.95);
        self.note(format!("write to sys{index} {:?} {} arrives={arrives}", intent.verb, brief(&intent.fields)));
        let mut result = None;
        if arrives {
            result = Some(self.apply(index, &intent));
        }
        if faults && self.rng.random_bool(0.3) {
            self.advance();
            if self.rng.random_bool(0.5) {
                self.user_edit(index)
            } else {
                self.poll(index)
            }
            self.deliver_reading();
        }
        let lost = faults && self.rng.random_bool(0.1);
        let result = match result.filter(|_| !lost) {
            Some(result) => result,
            None => {
                self.shares.lost_answers += 1;
                Receipt::Unknown { message: "timeout".into(), wait_until: self.now.plus(DEADLINE_MS) }
            }
        };
        self.input(Input::Receipt { connection: connection.clone(), intent: intent.id, result });
        true
    }

    fn apply(&mut self, index: usize, intent: &syncline_core::replica::Intent) -> Receipt {
        let names = self.names.clone();
        let answer_tick = self.tick();
        let system = &mut self.systems[index];
        let id = system.id.clone();
        match intent.verb {
            IntentVerb::Delete if system.deleted => Receipt::Gone,
            IntentVerb::Delete => {
                system.deleted = true;
                Receipt::Applied { id, answer: None, whole: false }
            }
            IntentVerb::Update if system.deleted => Receipt::Gone,
            IntentVerb::Create if system.exists && !system.deleted => {
                Receipt::Exists { id: Some(id), message: "duplicate".into() }
            }
            IntentVerb::Create | IntentVerb::Update => {
                if !system.write(&intent.fields, intent.expected, &names, self.now) {
                    return Receipt::Stale;
                }
                let whole = system.kind.history;
                let answer = whole.then(|| Box::new(system.read(answer_tick, Source::Answer)));
                Receipt::Applied { id: system.id.clone(), answer, whole }
            }
        }
    }

    fn delete(&mut self, index: usize) {
        self.shares.deletes += 1;
        let by_client = self.rng.random_bool(0.3);
        if by_client {
            if self.state.as_ref().is_some_and(|state| state.deleted.is_none()) {
                self.note("client deletes".into());
                self.deleted_values.extend(self.state.iter().flat_map(|state| state.fields.values().cloned()));
                let edit =
                    ClientEdit { principal: "app".into(), fields: Fields::new(), delete: Some(true), settles: false };
                self.input(Input::Edited(edit));
            }
        } else if self.systems[index].exists && !self.systems[index].deleted {
            self.note(format!("user of sys{index} deletes"));
            self.deleted_values.extend(self.systems[index].values().into_values());
            self.systems[index].deleted = true;
        }
    }

    /// The faults stop: everything on its way arrives, and everything owed is written.
    pub(crate) fn settle(&mut self) {
        for round in 0..60 {
            self.now = self.now.plus(DEADLINE_MS + 1_000);
            while !self.on_their_way.is_empty() {
                self.deliver_reading();
            }
            let looks = std::mem::take(&mut self.looks);
            for index in 0..self.systems.len() {
                if looks.contains(&index) || round < 2 {
                    self.read_by_id(index);
                }
            }
            let mut busy = false;
            for index in 0..self.systems.len() {
                busy |= self.write_round(index, false);
            }
            if !busy && self.looks.is_empty() && round > 2 {
                return;
            }
        }
        panic!("no rest after 60 rounds\n{}", self.trace.join("\n"));
    }

    /// Everybody agrees, and nothing was lost.
    pub(crate) fn check(&mut self) {
        let state = self.state.as_ref().expect("the record exists");
        let text = || format!("{}\nconflicts: {}", self.trace.join("\n"), self.kept());
        for (index, system) in self.systems.iter().enumerate() {
            let replica = &state.replicas[&self.connections[index]];
            assert!(replica.intent.is_none() && replica.held.is_empty(), "sys{index} has loose ends\n{}", text());
            if state.deleted.is_some() {
                assert!(!system.exists || system.deleted, "sys{index} still shows a deleted record\n{}", text());
                continue;
            }
            assert!(system.exists && !system.deleted, "sys{index} lacks the record\n{}", text());
            assert!(matches!(replica.link, Link::Linked { .. }), "sys{index} is not linked\n{}", text());
            for name in &self.names {
                let shown = state.fields.get(name).cloned().unwrap_or_default();
                let there = system.value(name);
                let same = if system.kind.lowers {
                    there.loose_fold() == shown.loose_fold()
                } else {
                    there == shown || there.loose_fold() == shown.loose_fold()
                };
                assert!(same, "sys{index} shows {there:?} for {name}, the record {shown:?}\n{}", text());
            }
        }
        for name in &self.names {
            let shown = self.shown(name);
            let written = self.log.iter().any(|edit| edit.value.loose_fold() == shown.loose_fold());
            assert!(written || shown.is_blank(), "nobody wrote {shown:?}\n{}", text());
        }
        let redundant: u64 = self.systems.iter().map(|system| system.redundant).sum();
        assert_eq!(redundant, 0, "redundant writes\n{}", text());
        for edit in &self.log {
            assert!(self.accounted_for(edit), "{edit:?} was lost\n{}", text());
        }
    }

    fn kept(&self) -> String {
        let row = |row: &Conflict| {
            let (loser, winner) = (row.loser.value.to_json(), row.winner.value.to_json());
            format!("{} {loser} lost to {winner} ({})", row.field, row.reason)
        };
        self.conflicts.iter().map(row).collect::<Vec<_>>().join("; ")
    }

    fn accounted_for(&self, edit: &Logged) -> bool {
        let fold = edit.value.loose_fold();
        let stands = self.shown(&edit.field).loose_fold() == fold;
        let overwritten = self.log.iter().any(|later| later.field == edit.field && later.saw.loose_fold() == fold);
        let kept = self.conflicts.iter().any(|row| row.field == edit.field && row.loser.value.loose_fold() == fold);
        let deleted = self.deleted_values.iter().any(|value| value.loose_fold() == fold)
            || self.state.as_ref().is_some_and(|state| state.deleted.is_some());
        stands || overwritten || kept || deleted
    }

    /// Everything once more: no record version, no document change.
    pub(crate) fn check_repeats(&mut self) {
        let before = self.state.as_ref().map(|state| (state.version, state.document.heads().clone()));
        for index in 0..self.systems.len() {
            if !self.systems[index].exists {
                continue;
            }
            for _ in 0..2 {
                let begun = self.tick();
                let observation = self.systems[index].read(begun, Source::ById);
                let connection = self.connections[index].clone();
                let outcome = self.input(Input::Observed { connection, observation });
                let verdict = outcome.map(|outcome| outcome.verdict);
                assert!(matches!(verdict, Some(Verdict::Echo)), "a repeat was {verdict:?}\n{}", self.trace.join("\n"));
            }
        }
        let after = self.state.as_ref().map(|state| (state.version, state.document.heads().clone()));
        assert_eq!(before, after, "repeats changed the record\n{}", self.trace.join("\n"));
    }
}
