//! The laws: after the faults stop everybody agrees, nothing was lost, nobody's value was invented, no write was
//! redundant, and repeats change nothing.

use rand::RngExt;
use std::collections::BTreeSet;

use syncline_core::{
    conflict::Conflict,
    ids::FieldName,
    outbox::Delivery,
    policies::{Merge, Policy},
    reconcile::{Input, Verdict},
    replica::{Link, Source},
    value::Value,
};

use crate::{
    delivery::DEADLINE_MS,
    fields::{self, Shape},
    world::{Logged, World},
};

/// After so many rounds everything must be at rest.
const ROUNDS_MAX: usize = 60;

impl World {
    /// The faults stop: everything on its way arrives, everything owed is written, and people choose where they are asked.
    pub(crate) fn settle(&mut self) {
        for round in 0..ROUNDS_MAX {
            self.now = self.now.plus(DEADLINE_MS + 1_000);
            while !self.on_their_way.is_empty() {
                self.deliver_reading();
            }
            (0..self.systems.len()).for_each(|index| self.finish_slow_read(index));
            for index in 0..self.systems.len() {
                let asked = self.looks.iter().filter(|(system, _)| *system == index).count();
                for _ in 0..asked.max(usize::from(round < 2)) {
                    self.read_by_id(index);
                }
            }
            let mut busy = false;
            for index in 0..self.systems.len() {
                busy |= self.write_round(index, false);
            }
            if !busy && self.looks.is_empty() && round > 2 && !self.choose_by_hand() {
                return;
            }
        }
        panic!("no rest after {ROUNDS_MAX} rounds\n{}", self.trace.join("\n"));
    }

    /// Somebody settles the fields that wait for a person; `false` where none does.
    fn choose_by_hand(&mut self) -> bool {
        let manual = |name: &&FieldName| self.plan.model.fields[*name].policy == Policy::Manual;
        let waits = |name: &&FieldName| self.state.replicas.values().any(|replica| replica.parked.contains_key(*name));
        let names: Vec<FieldName> = self.names.iter().filter(manual).filter(waits).cloned().collect();
        if self.state.deleted.is_some() {
            return false;
        }
        for name in &names {
            let candidates = self.conflicts.iter().filter(|row| row.field == *name).map(|row| row.loser.value.clone());
            let candidates: Vec<Value> =
                candidates.chain([self.shown(name)]).filter(|value| !value.is_blank()).collect();
            let chosen = candidates.get(self.rng.random_range(0..candidates.len().max(1))).cloned();
            self.client_sets(name.clone(), chosen.unwrap_or_default(), true);
        }
        !names.is_empty()
    }

    fn text(&self) -> String {
        let row = |row: &Conflict| {
            let (loser, winner) = (row.loser.value.to_json(), row.winner.value.to_json());
            format!("{} {loser} lost to {winner} ({})", row.field, row.reason)
        };
        let kept = self.conflicts.iter().map(row).collect::<Vec<_>>().join("; ");
        format!("{}\nconflicts: {kept}", self.trace.join("\n"))
    }

    /// Everybody agrees, and nothing was lost.
    pub(crate) fn check(&self) {
        for index in 0..self.systems.len() {
            self.check_agreement(index);
        }
        for name in &self.names {
            self.check_nothing_invented(name);
        }
        let redundant: u64 = self.systems.iter().map(|system| system.redundant).sum();
        assert_eq!(redundant, 0, "redundant writes\n{}", self.text());
        for edit in &self.log {
            for part in self.shapes[&edit.field].contributed(&edit.saw, &edit.value) {
                assert!(self.accounted_for(edit, &part), "`{part}` of {edit:?} was lost\n{}", self.text());
            }
        }
        self.check_conflicts_are_told_once();
    }

    /// Values that only one edit ever wrote meet only once; a value that was merely glimpsed may have been told before.
    fn check_conflicts_are_told_once(&self) {
        let mut told = BTreeSet::new();
        for row in self
            .conflicts
            .iter()
            .filter(|row| !row.uncertain && matches!(self.shapes[&row.field], Shape::Text | Shape::Number))
        {
            let pair = (row.field.clone(), row.loser.value.loose_fold(), row.winner.value.loose_fold());
            let unique = !row.loser.value.is_blank() && !row.winner.value.is_blank();
            assert!(!unique || told.insert(pair), "one conflict was told twice: {row:?}\n{}", self.text());
        }
    }

    fn check_agreement(&self, index: usize) {
        let (system, replica) = (&self.systems[index], &self.state.replicas[&self.connections[index]]);
        assert!(replica.intent.is_none() && replica.held.is_empty(), "sys{index} has loose ends\n{}", self.text());
        assert!(!matches!(replica.delivery, Delivery::Parked { .. }), "sys{index} was given up\n{}", self.text());
        if self.state.deleted.is_some() {
            assert!(system.live().is_none(), "sys{index} still shows a deleted record\n{}", self.text());
            return;
        }
        let live = system.live().map(|object| object.id.clone());
        if live.is_none() && self.state.fields.values().all(Value::is_blank) {
            // Nothing is made of a record that says nothing.
            return;
        }
        assert!(live.is_some(), "sys{index} lacks the record\n{}", self.text());
        assert_eq!(live.map(|id| Link::Linked { id }).as_ref(), Some(&replica.link), "sys{index}\n{}", self.text());
        for name in &self.names {
            let (shown, there) = (self.shown(name), system.value(name));
            let same = there.same_as(&shown) || system.kind.lowers && there.loose_fold() == shown.loose_fold();
            assert!(same, "sys{index} shows {there:?} for {name}, the record {shown:?}\n{}", self.text());
        }
    }

    fn check_nothing_invented(&self, name: &FieldName) {
        let (shape, shown) = (self.shapes[name], self.shown(name));
        if shape == Shape::Prose {
            // Characters merge, so words may grow together.
            return;
        }
        let written: BTreeSet<String> =
            self.log.iter().filter(|edit| edit.field == *name).flat_map(|edit| shape.parts(&edit.value)).collect();
        let invented: Vec<String> = shape.parts(&shown).difference(&written).cloned().collect();
        assert!(invented.is_empty(), "nobody wrote {invented:?} of {shown:?}\n{}", self.text());
    }

    /// Whether a part of an edit stands, was overwritten by somebody who saw it, or was kept.
    fn accounted_for(&self, edit: &Logged, part: &str) -> bool {
        let field = &self.plan.model.fields[&edit.field];
        let shape = self.shapes[&edit.field];
        let holds = |value: &Value| shape.parts(value).contains(part);
        let shown = self.shown(&edit.field);
        let overwritten = |later: &Logged| later.field == edit.field && holds(&later.saw) && !holds(&later.value);
        let kept = |row: &Conflict| row.field == edit.field && holds(&row.loser.value);
        holds(&shown)
            || field.policy.merge() == Merge::Register && fields::outdone(&field.policy, &edit.value, &shown)
            || self.log.iter().any(overwritten)
            || self.conflicts.iter().any(kept)
            || self.deleted_values.iter().any(|(name, value)| *name == edit.field && holds(value))
    }

    /// Everything once more: no record version, no document change.
    pub(crate) fn check_repeats(&mut self) {
        self.scope.epochs = false;
        let before = (self.state.version, self.state.document.heads().clone());
        for index in 0..self.systems.len() {
            for _ in 0..2 {
                let begun = self.tick();
                let Some(observation) = self.systems[index].read(begun, Source::ById) else { continue };
                let connection = self.connections[index].clone();
                let verdict = self.input(Input::Observed { connection, observation }).verdict;
                assert_eq!(verdict, Verdict::Echo, "a repeat was no echo\n{}", self.text());
            }
        }
        let after = (self.state.version, self.state.document.heads().clone());
        assert_eq!(before, after, "repeats changed the record\n{}", self.text());
    }
}
