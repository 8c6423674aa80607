//! The laws: after the faults stop everybody agrees, nothing was lost, nobody's value was invented, no write was
//! redundant, and repeats change nothing.

use std::{collections::BTreeSet, panic};

use rand::RngExt;

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
    law::{Broken, Law},
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
        self.broke(Law::Rest, format!("no rest after {ROUNDS_MAX} rounds"));
    }

    /// Ends the history: a law is broken.
    pub(crate) fn broke(&self, law: Law, what: impl Into<String>) -> ! {
        panic::panic_any(Broken { law, text: format!("{}\n{}", what.into(), self.text()) })
    }

    /// Ends the history unless the law holds.
    pub(crate) fn hold(&self, law: Law, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broke(law, what());
        }
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
            self.check_nothing_cleared(name);
        }
        let redundant: u64 = self.systems.iter().map(|system| system.redundant).sum();
        self.hold(Law::NothingRedundant, redundant == 0, || format!("{redundant} redundant writes"));
        for edit in &self.log {
            for part in self.shapes[&edit.field].contributed(&edit.saw, &edit.value) {
                let accounted = self.accounted_for(edit, &part);
                self.hold(Law::NothingLost, accounted, || format!("`{part}` of {edit:?} was lost"));
            }
        }
        self.check_conflicts_are_told_once();
    }

    fn check_nothing_cleared(&self, name: &FieldName) {
        if self.plan.model.fields[name].policy.merge() != Merge::Register {
            // Two people who each remove what the other leaves empty a set together.
            return;
        }
        let cleared = |edit: &Logged| edit.field == *name && edit.value.is_blank() && !edit.saw.is_blank();
        let holds = !self.shown(name).is_blank() || self.log.iter().any(cleared);
        self.hold(Law::NothingCleared, holds, || format!("nobody cleared {name}"));
    }

    /// Two values of one conflict are two, and whoever wrote the losing one had not seen the other.
    pub(crate) fn check_conflict(&self, row: &Conflict) {
        let (loser, winner) = (&row.loser.value, &row.winner.value);
        let two = loser.loose_fold() != winner.loose_fold();
        self.hold(Law::ConflictsAreReal, two, || format!("two spellings of one value are no conflict: {row:?}"));
        let saw = |edit: &Logged| edit.value == *loser && edit.saw.loose_fold() == winner.loose_fold();
        let unique = matches!(self.shapes[&row.field], Shape::Text | Shape::Number)
            && !row.uncertain
            && !loser.is_blank()
            && !winner.is_blank();
        // After a lost answer nobody can tell what the author of a third value had seen, and a restored object is linked anew.
        let known = !self.unsure && self.shares.restores == 0;
        let judged = known && matches!(row.reason.as_str(), "latest" | "prefer");
        let knew = unique && judged && self.log.iter().any(|edit| edit.field == row.field && saw(edit));
        self.hold(Law::ConflictsAreReal, !knew, || format!("its author had seen what it lost to: {row:?}"));
    }

    /// What must hold after each input.
    pub(crate) fn check_each(&mut self) {
        for (name, field) in &self.plan.model.fields {
            if field.policy.merge() != Merge::Register {
                continue;
            }
            let visible = self.state.document.visible(name, field).map_or(0, |visible| visible.len());
            if visible > 1 {
                self.broke(Law::OneValue, format!("{visible} values of {name} are visible"));
            }
            let shown = self.state.fields.get(name).cloned().unwrap_or_default();
            let before = self.furthest.get(name).cloned().unwrap_or_default();
            let back = match &field.policy {
                Policy::ForwardOnly(_) => shown.loose_fold() < before.loose_fold(),
                _ => field.blank_never_wins && shown.is_blank() && !before.is_blank(),
            };
            if back {
                self.broke(Law::OnlyForward, format!("{name} moved back from {before:?} to {shown:?}"));
            }
            self.furthest.insert(name.clone(), shown);
        }
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
            let once = !unique || told.insert(pair);
            self.hold(Law::ConflictsAreReal, once, || format!("one conflict was told twice: {row:?}"));
        }
    }

    fn check_agreement(&self, index: usize) {
        let (system, replica) = (&self.systems[index], &self.state.replicas[&self.connections[index]]);
        let agrees = |holds: bool, what: &str| self.hold(Law::Agreement, holds, || format!("sys{index} {what}"));
        agrees(replica.intent.is_none() && replica.held.is_empty(), "has loose ends");
        agrees(!matches!(replica.delivery, Delivery::Parked { .. }), "was given up");
        if self.state.deleted.is_some() {
            agrees(system.live().is_none(), "still shows a deleted record");
            return;
        }
        let live = system.live().map(|object| object.id.clone());
        let says = |name: &&FieldName| !self.shown(name).is_blank() && !system.refuses(&self.shown(name));
        if live.is_none() && !self.names.iter().any(|name| says(&name)) {
            // Nothing is made of a record that says nothing.
            return;
        }
        agrees(live.is_some(), "lacks the record");
        agrees(live.map(|id| Link::Linked { id }).as_ref() == Some(&replica.link), "is linked to something else");
        for name in &self.names {
            let (shown, there) = (self.shown(name), system.value(name));
            let same = there.same_as(&shown) || system.kind.lowers && there.loose_fold() == shown.loose_fold();
            let cannot = replica.parked.contains_key(name) && system.refuses(&shown);
            agrees(same || cannot, &format!("shows {there:?} for {name}, the record {shown:?}"));
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
        self.hold(Law::NothingInvented, invented.is_empty(), || format!("nobody wrote {invented:?} of {shown:?}"));
    }

    /// Whether a part of an edit stands, was overwritten by somebody who saw it, or was kept.
    fn accounted_for(&self, edit: &Logged, part: &str) -> bool {
        let field = &self.plan.model.fields[&edit.field];
        let shape = self.shapes[&edit.field];
        let holds = |value: &Value| shape.parts(value).contains(part);
        let shown = self.shown(&edit.field);
        let overwritten = |later: &Logged| later.field == edit.field && holds(&later.saw) && !holds(&later.value);
        let kept = |row: &Conflict| row.field == edit.field && holds(&row.loser.value);
        holds(&shown) && self.state.deleted.is_none()
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
                self.hold(Law::RepeatsAreEchoes, verdict == Verdict::Echo, || format!("a repeat was {verdict:?}"));
            }
        }
        let after = (self.state.version, self.state.document.heads().clone());
        self.hold(Law::RepeatsAreEchoes, before == after, || "repeats changed the record".to_owned());
    }
}
