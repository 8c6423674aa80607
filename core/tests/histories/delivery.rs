//! Deliveries in the generated world: look, merge, write down, send, and perhaps lose the answer.

use rand::RngExt;
use syncline_core::{
    ids::FieldName,
    outbox::Delivery,
    reconcile::{Input, Receipt},
    remote::{ProviderError, Refusal, Remedy},
    replica::{Intent, IntentVerb, Replica, Source},
    value::Value,
};

use crate::{
    law::Law,
    mutant::Mutant,
    world::{World, brief},
};

/// How long nothing that was sent can still arrive.
pub(crate) const DEADLINE_MS: i64 = 30_000;

impl World {
    /// One round of a delivery; `false` where nothing was due.
    pub(crate) fn write_round(&mut self, index: usize, faults: bool) -> bool {
        let connection = self.connections[index].clone();
        let replica = &self.state.replicas[&connection];
        if !matches!(replica.delivery, Delivery::Dirty { due, .. } if due <= self.now) {
            return false;
        }
        let uncertain = replica.intent.clone();
        let linked = replica.link.linked().cloned();
        let looked_at = self.now;
        if linked.is_some() {
            self.look_at(index, linked);
        } else if let Some(intent) = uncertain {
            self.find_created(index, intent);
        }
        let conditional = self.systems[index].kind.conditional;
        let prepared = self.input(Input::Prepare { connection, looked_at, conditional });
        let Some(intent) = prepared.intent else { return true };
        self.check_questions(index, &intent);
        if faults {
            // Between the look and the write anything may happen.
            for _ in 0..self.rng.random_range(0..3) {
                self.advance();
                match self.rng.random_range(0..5) {
                    0 => self.user_edit(index),
                    1 => self.poll(index),
                    2 => self.deliver_reading(),
                    3 => self.begin_slow_read(index),
                    _ => self.client_edit(),
                }
            }
        }
        self.send(index, intent, faults);
        true
    }

    /// No update carries a field about which a person is asked.
    fn check_questions(&self, index: usize, intent: &Intent) {
        let linked = self.state.replicas[&self.connections[index]].link.linked();
        let waits = |name: &&FieldName| {
            let question = self.asked.get(*name).filter(|question| question.agreed == self.shown(name));
            question.is_some_and(|question| linked.is_some_and(|id| question.held_by.contains(id)))
        };
        let asked = intent.fields.keys().find(waits);
        self.hold(Law::NobodyWritesAQuestion, asked.is_none(), || format!("{asked:?} waits for a person"));
    }

    /// Looks for the object that a lost create may have made; only a living one is found by its key.
    fn find_created(&mut self, index: usize, intent: Intent) {
        let begun = self.tick();
        let found = self.systems[index].read(begun, Source::ById).filter(|observation| !observation.deleted);
        match found {
            Some(observation) => self.observe(index, observation),
            None => {
                let error = ProviderError { remedy: Remedy::Retry, message: "not created".into() };
                let result = Receipt::NotApplied { error, jitter: 0 };
                let connection = self.connections[index].clone();
                self.input(Input::Receipt { connection, intent: intent.id, result });
            }
        }
    }

    fn send(&mut self, index: usize, intent: Intent, faults: bool) {
        let arrives = !faults || self.rng.random_bool(0.95);
        self.note(format!("write to sys{index} {:?} {} arrives={arrives}", intent.verb, brief(&intent.fields)));
        let applied = arrives.then(|| self.apply(index, &intent));
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
        let result = match applied.filter(|_| !lost) {
            Some(result) => result,
            None => {
                self.shares.lost_answers += 1;
                Receipt::Unknown { message: "timeout".into(), wait_until: self.now.plus(DEADLINE_MS) }
            }
        };
        self.excuse_blindness(index);
        let result = self.distort(index, result);
        let connection = self.connections[index].clone();
        if self.scope.mutant == Some(Mutant::ForgetIntent) {
            self.state.replicas.get_mut(&connection).expect("the replica stays").intent = None;
        } else {
            self.input(Input::Receipt { connection, intent: intent.id, result });
        }
    }

    /// What the write overwrote without a trace is lost to everybody, unless a reading that waits has glimpsed it.
    fn excuse_blindness(&mut self, index: usize) {
        let held = &self.state.replicas[&self.connections[index]].held;
        let evicted = held.len() == Replica::HELD_MAX;
        for (name, value) in std::mem::take(&mut self.overwritten) {
            if evicted || !held.iter().any(|reading| reading.fields.get(&name) == Some(&value)) {
                self.shares.blind += 1;
                self.deleted_values.push((name, value));
            }
        }
    }

    fn distort(&mut self, index: usize, result: Receipt) -> Receipt {
        let Some(mutant) = self.scope.mutant else { return result };
        let done = |world: &Self| match world.systems[index].object() {
            Some(object) => Receipt::Applied { id: object.id.clone(), answer: None, whole: false },
            None => Receipt::Gone,
        };
        match (mutant, result) {
            (Mutant::DropHeld, result) => {
                let connection = self.connections[index].clone();
                self.state.replicas.get_mut(&connection).expect("the replica stays").held.clear();
                result
            }
            (Mutant::LostIsFailure, Receipt::Unknown { message, .. }) => {
                Receipt::NotApplied { error: ProviderError { remedy: Remedy::Retry, message }, jitter: 0 }
            }
            (Mutant::LostIsSuccess, Receipt::Unknown { .. }) | (Mutant::StaleIsSuccess, Receipt::Stale) => done(self),
            (Mutant::ReuseAnswer, Receipt::Applied { id, answer: Some(answer), whole }) => {
                let before = self.last_answer.replace(answer.clone());
                let before = before.filter(|before| before.id == id);
                Receipt::Applied { id, answer: before.or(Some(answer)), whole }
            }
            (_, result) => result,
        }
    }

    fn apply(&mut self, index: usize, intent: &Intent) -> Receipt {
        let answer_tick = self.tick();
        let linked = self.state.replicas[&self.connections[index]].link.linked().cloned();
        if intent.verb == IntentVerb::Delete {
            let illegible = self.systems[index].live().is_some();
            if illegible && !self.systems[index].is_stale(intent.expected) {
                self.lose_what_is_illegible(index);
            }
        }
        let now = self.now;
        let system = &mut self.systems[index];
        let live = system.live().map(|object| object.id.clone());
        match (intent.verb, live) {
            (IntentVerb::Create, Some(id)) => Receipt::Exists { id: Some(id), message: "duplicate".into() },
            (IntentVerb::Update | IntentVerb::Delete, live) if live.is_none() || live != linked => Receipt::Gone,
            _ if system.is_stale(intent.expected) => Receipt::Stale,
            _ if intent.fields.values().any(|value| system.refuses(value)) => {
                let refused = intent.fields.iter().filter(|(_, value)| system.refuses(value));
                let fields = refused.map(|(name, _)| name.clone()).collect();
                self.shares.refusals += 1;
                Receipt::Refused {
                    fields,
                    refusal: Refusal { code: "invalid".into(), message: "no such value".into(), fields: Vec::new() },
                }
            }
            (IntentVerb::Delete, Some(id)) => {
                system.delete(now);
                Receipt::Applied { id, answer: None, whole: false }
            }
            _ => {
                if system.kind.is_blind() {
                    let baseline = &self.state.replicas[&self.connections[index]].baseline;
                    let unread = |(name, sent): &(&FieldName, &Value)| {
                        let held = system.value(name);
                        held != **sent && *baseline.get(*name).unwrap_or(&Value::Null) != held
                    };
                    let lost = intent.fields.iter().filter(unread).map(|(name, _)| (name.clone(), system.value(name)));
                    self.overwritten.extend(lost.collect::<Vec<_>>());
                }
                system.count_redundant(&intent.fields, intent.expected);
                system.set(&intent.fields, &self.names, true, now);
                let whole = system.kind.history;
                let answer = system.read(answer_tick, Source::Answer).expect("the object was just written");
                let id = answer.id.clone();
                Receipt::Applied { id, answer: whole.then(|| Box::new(answer)), whole }
            }
        }
    }
}
