//! Changes that clients made in their own copies of the document. Automerge has merged them already; here they are read as
//! edits, put into the journal, settled by the fields' policies, and put right where they do not fit the model.

use std::collections::{BTreeMap, BTreeSet};

use automerge::Change;

use super::{ClientEdit, Now, Outcome, Pass, Received, ReconcileError, Replayed, merge::FieldEdit, newborn};
use crate::{
    conflict::Candidate,
    document::{Actor, Document, Put, Written, WrittenField, merge_texts},
    ids::{FieldName, RecordId},
    journal::{ChangeEntry, Hash, Heads, Op, Ops, Origin},
    model::{DeleteRace, Field},
    mutant::{self, Rule},
    plan::SyncPlan,
    policies::Merge,
    record::RecordState,
    time::{Clock, ClockKind, Millis},
    value::{Fields, Value},
};

/// Clients' changes carry whole seconds.
const CHANGE_PRECISION_MS: u32 = 1_000;

pub(super) fn create(
    plan: &SyncPlan,
    id: RecordId,
    received: &Received,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    let mut document = Document::from_changes(&received.changes)?;
    let fields = document.fields(&plan.model)?;
    let origin = Origin::Client(received.principal.clone());
    let entries: Vec<ChangeEntry> = received
        .changes
        .iter()
        .map(|change| {
            let ops = Ops::genesis(clock_of(change, now.at), BTreeMap::new());
            ChangeEntry { hash: Hash(change.hash().0), at: now.at, origin: origin.clone(), ops }
        })
        .collect();
    let first = entries
        .first()
        .cloned()
        .ok_or_else(|| crate::document::DocumentError::Damaged("a client's document has no change".into()))?;
    let mut state = newborn(plan, id, document, first, fields, now);
    // It bears the id under which its client knows it.
    state.epoch = 0;
    state.journal = entries.clone();
    let mut pass = Pass::new(plan, &mut state, now);
    pass.out.created = true;
    pass.out.entries = entries;
    pass.put_newborn_right()?;
    pass.state.fields = pass.state.document.fields(&plan.model)?;
    pass.agree()?;
    let mut out = pass.out;
    out.verdict = super::Verdict::Changed;
    out.touched = state.replicas.keys().cloned().collect();
    out.changed = state.fields.keys().map(|name| (name.clone(), origin.clone())).collect();
    Ok((state, out))
}

/// When the client made the change: by its own clock, but never later than now.
fn clock_of(change: &Change, now: Millis) -> Clock {
    clock_at(written_at(change), now)
}

/// When the client made the change, as it says.
pub fn written_at(change: &Change) -> Option<Millis> {
    let seconds = change.timestamp();
    (seconds > 0).then(|| Millis(seconds.saturating_mul(1_000)))
}

fn clock_at(written: Option<Millis>, now: Millis) -> Clock {
    written.map_or(Clock::exact(now), |at| Clock {
        at: if mutant::off(Rule::ClientTimeIsBounded) { at } else { at.min(now) },
        precision_ms: CHANGE_PRECISION_MS,
        kind: ClockKind::Field,
    })
}

impl Pass<'_> {
    /// Takes a client's changes in, one after the other.
    pub(super) fn receive(&mut self, received: &Received) -> Result<(), ReconcileError> {
        let origin = Origin::Client(received.principal.clone());
        for change in &received.changes {
            self.receive_change(&origin, change)?;
        }
        Ok(())
    }

    /// Makes edits of a document that moved here as edits of the record. Where others have changed the field meanwhile, sets,
    /// texts and counters take both in; other fields have two values that did not see each other, and their policy chooses.
    pub(super) fn replay_edits(&mut self, replayed: Replayed) -> Result<(), ReconcileError> {
        let clock = clock_at(replayed.written_at, self.now.at);
        let (actor, origin) = self.client(&replayed.principal);
        let (mut fields, mut beside) = (Fields::new(), Vec::new());
        for (name, (old, new)) in replayed.fields {
            let Some(field) = self.plan.model.field(&name) else { continue };
            let standing = self.state.fields.get(&name).cloned().unwrap_or_default();
            let Some(value) = admitted(field, merged_value(field, &old, &new, &standing)?) else { continue };
            if grew_apart(field, &old, &value, &standing) {
                beside.extend(self.meet_as_wholes(&origin, &name, &value, clock)?);
                continue;
            }
            let meets = field.policy.merge() == Merge::Register && !standing.same_as(&old) && !standing.same_as(&value);
            if meets && !mutant::off(Rule::LateEditIsBeside) {
                let (heads, unseen) = self.before_others(&name, field, &old)?;
                beside.push(FieldEdit { name, old, new: value, clock, heads, unseen });
            } else {
                fields.insert(name, value);
            }
        }
        beside.iter().for_each(|edit| self.forget_writes(&edit.name));
        let names: Vec<FieldName> = beside.iter().map(|edit| edit.name.clone()).collect();
        self.make_edits(&origin, &actor, beside)?;
        let edit = ClientEdit { principal: replayed.principal, fields, delete: replayed.delete, settles: false };
        let was_deleted = self.state.deleted.is_some();
        let edited = edit.fields.keys().cloned().chain(names).collect::<Vec<_>>();
        self.client_edit(&edit)?;
        if was_deleted && edit.delete.is_none() { self.revive_for(edited) } else { Ok(()) }
    }

    /// The heads at which a client edits that saw `old` and nothing of what others made of the field since: those at which
    /// the epoch began. What stood there is named where it is not what the client saw.
    fn before_others(
        &mut self,
        name: &FieldName,
        field: &Field,
        old: &Value,
    ) -> Result<(Heads, Heads), ReconcileError> {
        let genesis = self.state.journal.iter().rev().find(|entry| matches!(entry.ops, Ops::Genesis { .. }));
        let heads: Heads = genesis.map(|entry| entry.hash).into_iter().collect();
        let stood = self.state.document.visible_at(name, field, &heads)?;
        let seen = stood.last().is_some_and(|(_, value)| value.same_as(old)) || stood.is_empty() && old.is_blank();
        let unseen = if seen || mutant::off(Rule::LateEditNamesUnseen) {
            Heads::new()
        } else {
            stood.into_iter().map(|(hash, _)| hash).collect()
        };
        Ok((heads, unseen))
    }

    fn receive_change(&mut self, origin: &Origin, change: &Change) -> Result<(), ReconcileError> {
        let hash = Hash(change.hash().0);
        let standing = self.state.document.fields(&self.plan.model)?;
        let was_deleted = self.state.deleted.is_some();
        let written = self.state.document.receive(change, &self.plan.model)?;
        let ops = self.ops_of(change, hash, &written)?;
        let entry = ChangeEntry { hash, at: self.now.at, origin: origin.clone(), ops: Ops::Edit(ops) };
        self.record(entry);
        self.received = Some(hash);
        for (name, field) in &written.fields {
            self.written.insert(name.clone());
            self.forget_writes(name);
            self.settle_received(name, hash, field, &standing)?;
        }
        self.received = None;
        self.remove_strays(&written.strays)?;
        if was_deleted && !written.fields.is_empty() && written.deleted.is_none() {
            self.edit_meets_delete(&written.fields.keys().cloned().collect::<Vec<_>>())?;
        }
        match written.deleted {
            Some(true) => self.deleted_by_client(origin, change),
            Some(false) => self.undelete(origin, &self.service_actor()),
            None => Ok(()),
        }
    }

    /// What the change wrote, for the journal. Values that do not fit their fields are noted as unfit.
    fn ops_of(
        &mut self,
        change: &Change,
        hash: Hash,
        written: &Written,
    ) -> Result<BTreeMap<FieldName, Op>, ReconcileError> {
        let clock = clock_of(change, self.now.at);
        let mut ops = BTreeMap::new();
        for (name, field) in &written.fields {
            let Some(declared) = self.plan.model.field(name) else { continue };
            let over = self.seen_before(name, change, &field.over)?;
            let value = match admitted(declared, field.new.clone()) {
                Some(value) => value,
                None => {
                    self.unfit.insert((name.clone(), hash));
                    field.new.clone()
                }
            };
            ops.insert(name.clone(), Op { value, clock, over, repeats: None, inherited: None });
        }
        Ok(ops)
    }

    /// The ops of the field that the change's writer had directly seen: those visible to it, and before them an edit that left
    /// no visible op of its own.
    fn seen_before(&mut self, name: &FieldName, change: &Change, visible: &Heads) -> Result<Heads, ReconcileError> {
        let earlier: Vec<Hash> = self.entries_of(name).map(|entry| entry.hash).collect();
        let seen = self.state.document.seen_by(change.deps(), &earlier)?;
        let newest = earlier.into_iter().find(|hash| seen.contains(hash));
        let hidden = newest.filter(|newest| !visible.contains(newest) && !mutant::off(Rule::HiddenEditIsSeen));
        Ok(hidden.into_iter().chain(visible.iter().copied()).collect())
    }

    fn settle_received(
        &mut self,
        name: &FieldName,
        hash: Hash,
        field: &WrittenField,
        standing: &Fields,
    ) -> Result<(), ReconcileError> {
        let Some(declared) = self.plan.model.field(name) else { return Ok(()) };
        if declared.policy.merge() == Merge::Register {
            let unseen = if field.visible { Heads::new() } else { vec![hash] };
            return self.settle(name, &unseen);
        }
        let before = standing.get(name).cloned().unwrap_or_default();
        let shown = self.state.document.visible(name, declared)?.pop().map_or(Value::Null, |(_, value)| value);
        let wanted = match self.unfit.contains(&(name.clone(), hash)) {
            true => before.clone(),
            false if field.in_place && !field.misshapen => shown.clone(),
            false => merged_value(declared, &field.old, &field.new, &before)?,
        };
        if declared.policy.merge() == Merge::Text && field.old.is_blank() && !before.is_blank() && wanted != before {
            self.keep_other_text(name, hash, &before, &wanted);
        }
        let wanted = admitted(declared, wanted).unwrap_or_else(|| standing.get(name).cloned().unwrap_or_default());
        if shown == wanted && !field.misshapen {
            return Ok(());
        }
        let old = if field.misshapen { Value::Null } else { shown };
        self.put_right(name, declared, old, wanted, hash)
    }

    /// Two texts that were begun apart cannot be merged by their characters: the later one stands, the other is kept.
    fn keep_other_text(&mut self, name: &FieldName, received: Hash, before: &Value, wanted: &Value) {
        let candidate = |entry: &ChangeEntry, value: &Value| {
            let clock = entry.clock_of(name).unwrap_or(Clock::exact(entry.at));
            Candidate { op: entry.hash, value: value.clone(), origin: entry.origin.clone(), clock }
        };
        let winner = self.entries_of(name).find(|entry| entry.hash == received).map(|entry| candidate(entry, wanted));
        let loser = self.entries_of(name).find(|entry| entry.hash != received).map(|entry| candidate(entry, before));
        if let (Some(winner), Some(loser)) = (winner, loser) {
            self.keep_loser(name, &loser, &winner, "text", false);
        }
    }

    /// Writes what a client's change was to come to, as the service and in the client's name.
    fn put_right(
        &mut self,
        name: &FieldName,
        field: &Field,
        old: Value,
        wanted: Value,
        received: Hash,
    ) -> Result<(), ReconcileError> {
        let heads = self.state.document.heads().clone();
        let over = self.hashes_at(name, field, &heads)?;
        let puts = [Put { name, field, old: &old, new: &wanted, as_text_object: false }];
        let service = self.service_actor();
        if let Some(hash) = self.state.document.write_at(&service, &heads, &puts, self.now.at)? {
            let entry = self.state.journal.iter().rev().find(|entry| entry.hash == received);
            let (inherited, clock) = match entry.map(|entry| (&entry.origin, &entry.ops)) {
                Some((origin, Ops::Edit(ops))) => (Some(origin.clone()), ops.get(name).map(|op| op.clock)),
                Some((origin, _)) => (Some(origin.clone()), None),
                None => (None, None),
            };
            let clock = clock.unwrap_or(Clock::exact(self.now.at));
            let op = Op { value: wanted, clock, over, repeats: None, inherited };
            let ops = Ops::Edit(BTreeMap::from([(name.clone(), op)]));
            self.record(ChangeEntry { hash, at: self.now.at, origin: Origin::Service, ops });
        }
        Ok(())
    }

    fn remove_strays(&mut self, strays: &BTreeSet<String>) -> Result<(), ReconcileError> {
        if strays.is_empty() {
            return Ok(());
        }
        let service = self.service_actor();
        if let Some(hash) = self.state.document.remove_strays(&service, strays, self.now.at)? {
            let ops = Ops::Edit(BTreeMap::new());
            self.record(ChangeEntry { hash, at: self.now.at, origin: Origin::Service, ops });
        }
        Ok(())
    }

    /// A client marked the record as deleted. Edits that it had not seen meet the delete as the model says.
    fn deleted_by_client(&mut self, origin: &Origin, change: &Change) -> Result<(), ReconcileError> {
        let unseen = self.unseen_by_client(change)?;
        let service = self.service_actor();
        if !unseen.is_empty() && self.plan.model.deletes.race == DeleteRace::EditWins {
            return self.unmark_deleted();
        }
        // The service repeats the mark, so that it says when by one clock.
        let hash = self.delete(origin, &service)?;
        for name in unseen {
            if let Some(hash) = hash {
                self.keep_lost_to_delete(&name, hash, origin)?;
            }
        }
        Ok(())
    }

    /// Takes the mark of a delete away that does not count.
    fn unmark_deleted(&mut self) -> Result<(), ReconcileError> {
        let service = self.service_actor();
        if let Some(hash) = self.state.document.set_deleted(&service, None, self.now.at)? {
            let entry = ChangeEntry { hash, at: self.now.at, origin: Origin::Service, ops: Ops::Deleted(false) };
            self.record(entry);
        }
        Ok(())
    }

    /// The fields that others wrote and the writer of the change had not seen.
    fn unseen_by_client(&mut self, change: &Change) -> Result<Vec<FieldName>, ReconcileError> {
        let own = Hash(change.hash().0);
        if mutant::off(Rule::ClientDeleteMeetsEdits) {
            return Ok(Vec::new());
        }
        let names: Vec<FieldName> = self.plan.model.fields.keys().cloned().collect();
        let mut unseen = Vec::new();
        for name in names {
            let newest = self.entries_of(&name).map(|entry| entry.hash).find(|hash| *hash != own);
            if let Some(newest) = newest
                && self.state.document.seen_by(change.deps(), &[newest])?.is_empty()
            {
                unseen.push(name);
            }
        }
        Ok(unseen)
    }

    /// Puts right what a client's first changes hold: spellings, values and keys that do not fit.
    fn put_newborn_right(&mut self) -> Result<(), ReconcileError> {
        let Some(last) = self.state.journal.last().map(|entry| entry.hash) else { return Ok(()) };
        let strays = self.state.document.strays(&self.plan.model)?;
        self.remove_strays(&strays)?;
        if self.state.document.says_deleted()? {
            // Nobody had it yet who could have deleted it.
            self.unmark_deleted()?;
        }
        let shown = self.state.document.fields(&self.plan.model)?;
        for (name, field) in &self.plan.model.fields {
            let Some(value) = shown.get(name) else { continue };
            let fit = admitted(field, value.clone());
            if fit.is_none() && !value.is_blank() {
                self.keep_unfit(name, value, last)?;
            }
            let wanted = fit.unwrap_or_default();
            let misshapen = self.state.document.is_misshapen(name, field)?;
            if wanted != *value || misshapen {
                let old = if misshapen { Value::Null } else { value.clone() };
                self.put_right(name, field, old, wanted, last)?;
            }
        }
        Ok(())
    }

    /// Keeps a value that a client's first changes hold and that does not fit its field, for a person to look at.
    fn keep_unfit(&mut self, name: &FieldName, value: &Value, op: Hash) -> Result<(), ReconcileError> {
        let Some(entry) = self.state.journal.iter().find(|entry| entry.hash == op) else { return Ok(()) };
        let (origin, clock) = (entry.origin.clone(), Clock::exact(entry.at));
        let loser = Candidate { op, value: value.clone(), origin, clock };
        let blank = self.name_of_unseen(name, &Value::Null, self.now.at);
        let winner = Candidate { op: blank, value: Value::Null, origin: Origin::Service, clock };
        self.keep_loser(name, &loser, &winner, "refused", false);
        Ok(())
    }

    pub(super) fn service_actor(&self) -> Actor {
        Actor::service(&self.state.tenant, self.plan.writer.current)
    }
}

/// The value in canonical form; `None` where the field cannot hold it, or no client may write it.
fn admitted(field: &Field, value: Value) -> Option<Value> {
    if mutant::off(Rule::UnfitIsRefused) {
        return Some(value);
    }
    if field.computed {
        return None;
    }
    field.admit(value).ok().filter(|value| !field.required || !value.is_blank())
}

/// Whether a text that the client began or took away has nothing to do with the one that others made meanwhile.
fn grew_apart(field: &Field, old: &Value, value: &Value, standing: &Value) -> bool {
    let unrelated = old.is_blank() || value.is_blank() && standing != old;
    field.policy.merge() == Merge::Text && unrelated && !standing.is_blank() && value != standing
}

/// What the client's edit makes of a value that others have changed meanwhile.
pub(super) fn merged_value(field: &Field, old: &Value, new: &Value, standing: &Value) -> Result<Value, ReconcileError> {
    Ok(match (field.policy.merge(), new) {
        _ if mutant::off(Rule::ReplacedObjectIsMerged) => new.clone(),
        (Merge::Set, Value::Set(new)) => {
            let members =
                |value: &Value| if let Value::Set(members) = value { members.clone() } else { BTreeSet::new() };
            let (old, mut merged) = (members(old), members(standing));
            merged.retain(|member| new.contains(member) || !old.contains(member));
            merged.extend(new.difference(&old).cloned());
            Value::Set(merged)
        }
        (Merge::Text, Value::Text(new)) => match (old, standing) {
            (Value::Text(old), Value::Text(standing)) if old != standing => {
                Value::Text(merge_texts(old, standing, new)?)
            }
            _ => Value::Text(new.clone()),
        },
        (Merge::Counter, Value::Int(new)) => {
            let number = |value: &Value| if let Value::Int(number) = value { *number } else { 0 };
            Value::Int(number(standing).saturating_add(new.saturating_sub(number(old))))
        }
        (_, new) => new.clone(),
    })
}
