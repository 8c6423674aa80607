//! Edits become ops at the heads that their writer had seen, so that concurrency is real; then the field's policy
//! chooses, and what lost is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{Pass, ReconcileError};
use crate::{
    conflict::{Candidate, Conflict},
    document::{Actor, Put},
    ids::FieldName,
    journal::{ChangeEntry, Hash, Heads, Op, Ops, Origin},
    model::Field,
    mutant::{self, Rule},
    policies::{self, Choice, Contender, Merge},
    replica::{ParkCause, Parked},
    time::{Clock, Millis},
    value::Value,
};

/// One field edited by one writer.
pub(super) struct FieldEdit {
    pub(super) name: FieldName,
    /// What the writer saw before.
    pub(super) old: Value,
    pub(super) new: Value,
    pub(super) clock: Clock,
    /// The heads that the writer had seen for this field.
    pub(super) heads: Heads,
    /// Ops that `heads` cover although the writer had not seen them: at first link, a value cannot be made at heads
    /// before the change that created the document, so what it meets is named here instead.
    pub(super) unseen: Heads,
}

/// An op with compensations resolved to the op that they repeat.
#[derive(Clone, Debug)]
struct Known {
    candidate: Candidate,
    /// The ops that the effective op directly replaced.
    over: Heads,
    /// The place of the effective op in the journal.
    arrival: usize,
}

impl Pass<'_> {
    /// Makes the edits, each at its writer's heads, and settles each field. Returns the change that holds each field's edit.
    pub(super) fn make_edits(
        &mut self,
        origin: &Origin,
        actor: &Actor,
        edits: Vec<FieldEdit>,
    ) -> Result<BTreeMap<FieldName, Hash>, ReconcileError> {
        let mut by_heads: BTreeMap<Heads, Vec<FieldEdit>> = BTreeMap::new();
        for mut edit in edits {
            if self.begins_beside(&edit)? {
                edit.heads = self.state.document.heads().clone();
            }
            by_heads.entry(edit.heads.clone()).or_default().push(edit);
        }
        let mut made = BTreeMap::new();
        for (heads, edits) in by_heads {
            let Some(hash) = self.write_group(origin, actor, &heads, &edits)? else { continue };
            for edit in edits {
                self.written.insert(edit.name.clone());
                self.settle(&edit.name, &edit.unseen)?;
                self.refresh(&edit.name)?;
                made.insert(edit.name, hash);
            }
        }
        Ok(made)
    }

    /// What the field shows now counts for the rest of the pass, such as for what a deleter had not seen.
    fn refresh(&mut self, name: &FieldName) -> Result<(), ReconcileError> {
        if mutant::off(Rule::EditCountsAtOnce) {
            return Ok(());
        }
        match self.shown(name)? {
            Some(value) => self.state.fields.insert(name.clone(), value),
            None => self.state.fields.remove(name),
        };
        Ok(())
    }

    /// What the document shows for the field now.
    fn shown(&mut self, name: &FieldName) -> Result<Option<Value>, ReconcileError> {
        let Some(field) = self.plan.model.field(name) else { return Ok(None) };
        Ok(self.state.document.visible(name, field)?.pop().map(|(_, value)| value))
    }

    /// Whether the edit would begin a set or a counter beside one that others began meanwhile. A document holds a set's
    /// members in one object, and of two objects one hides the other with its members; a writer who saw no set only adds
    /// members, and one who saw no counter only counts up, so the edit means the same in what is there.
    fn begins_beside(&mut self, edit: &FieldEdit) -> Result<bool, ReconcileError> {
        let model = &self.plan.model;
        let adds = |field: &&Field| matches!(field.policy.merge(), Merge::Set | Merge::Counter);
        let Some(field) = model.field(&edit.name).filter(adds) else { return Ok(false) };
        let standing = self.state.document.visible(&edit.name, field)?;
        let saw_none = self.hashes_at(&edit.name, field, &edit.heads)?.is_empty();
        Ok(!standing.is_empty() && saw_none && !mutant::off(Rule::SetIsBegunOnce))
    }

    fn write_group(
        &mut self,
        origin: &Origin,
        actor: &Actor,
        heads: &Heads,
        edits: &[FieldEdit],
    ) -> Result<Option<Hash>, ReconcileError> {
        let model = &self.plan.model;
        let mut ops = BTreeMap::new();
        let mut edited = Vec::new();
        for edit in edits {
            let Some(field) = model.field(&edit.name) else { continue };
            let over = if edit.unseen.is_empty() { self.hashes_at(&edit.name, field, heads)? } else { Heads::new() };
            let op = Op { value: edit.new.clone(), clock: edit.clock, over, repeats: None, inherited: None };
            ops.insert(edit.name.clone(), op);
            edited.push((edit, field, self.rebased(origin, edit, field, heads)?));
        }
        let puts: Vec<Put<'_>> = edited
            .iter()
            .map(|(edit, field, new)| Put { name: &edit.name, field, old: &edit.old, new, as_text_object: false })
            .collect();
        let hash = self.state.document.write_at(actor, heads, &puts, self.now.at)?;
        if let Some(hash) = hash {
            self.record(ChangeEntry { hash, at: self.now.at, origin: origin.clone(), ops: Ops::Edit(ops) });
        }
        Ok(hash)
    }

    /// What the edit makes of the text that stands at its heads. Where the system shows that text in a spelling of its own,
    /// only what its user changed is taken over, not the spelling.
    fn rebased(
        &mut self,
        origin: &Origin,
        edit: &FieldEdit,
        field: &Field,
        heads: &Heads,
    ) -> Result<Value, ReconcileError> {
        if let (Merge::Text, Value::Text(old), Value::Text(new)) = (field.policy.merge(), &edit.old, &edit.new) {
            let standing = self.state.document.visible_at(&edit.name, field, heads)?.pop();
            if let Some((_, Value::Text(standing))) = standing {
                let rebased = respelled(old, new, &standing).filter(|_| !mutant::off(Rule::SpellingStaysOut));
                if let (Some(_), Origin::Connection(connection)) = (&rebased, origin) {
                    self.respelled.entry(connection.clone()).or_default().insert(edit.name.clone());
                }
                return Ok(Value::Text(rebased.unwrap_or_else(|| new.clone())));
            }
        }
        Ok(edit.new.clone())
    }

    pub(super) fn hashes_at(
        &mut self,
        name: &FieldName,
        field: &Field,
        heads: &Heads,
    ) -> Result<Heads, ReconcileError> {
        let visible = if heads == self.state.document.heads() {
            self.state.document.visible(name, field)?
        } else {
            self.state.document.visible_at(name, field, heads)?
        };
        Ok(visible.into_iter().map(|(hash, _)| hash).collect())
    }

    /// Lets the field's policy choose among the visible values and those in `unseen`, keeps the losers as conflicts, and
    /// leaves exactly one visible value: the winner's.
    pub(super) fn settle(&mut self, name: &FieldName, unseen: &Heads) -> Result<(), ReconcileError> {
        let model = &self.plan.model;
        let Some(field) = model.field(name).filter(|field| field.policy.merge() == Merge::Register) else {
            return Ok(());
        };
        let shown = self.state.document.visible(name, field)?;
        let visible: Heads = shown.iter().map(|(hash, _)| *hash).collect();
        let contenders = self.contenders(name, field, &visible, unseen)?;
        let (admitted, refused) = self.judge(name, field, contenders)?;
        let Some(winner) = self.choose(name, field, &admitted, &refused)? else { return Ok(()) };
        for (loser, reason) in admitted
            .iter()
            .map(|known| (known, field.policy.name()))
            .chain(refused.iter().map(|known| (known, "refused")))
        {
            self.keep_loser(name, &loser.candidate, &winner.candidate, reason, false);
        }
        let stands = match shown.as_slice() {
            // A client may write a value in a spelling that the field folds away.
            [(only, value)] => {
                self.effective(name, *only) == winner.candidate.op
                    && (self.received != Some(*only) || *value == winner.candidate.value)
            }
            shown => {
                mutant::off(Rule::OneValueStays) && shown.last().is_some_and(|(hash, _)| *hash == winner.candidate.op)
            }
        };
        if !stands {
            self.compensate(name, field, &winner, visible)?;
        }
        Ok(())
    }

    /// The ops in contention: a compensation stands for the op it repeats, and is no candidate against an op that had seen that op.
    fn contenders(
        &mut self,
        name: &FieldName,
        field: &Field,
        visible: &Heads,
        unseen: &Heads,
    ) -> Result<Vec<Known>, ReconcileError> {
        let effective: BTreeSet<Hash> = visible.iter().chain(unseen).map(|hash| self.effective(name, *hash)).collect();
        let mut seen_by_others = BTreeSet::new();
        for hash in visible.iter().chain(unseen.iter().filter(|hash| self.received == Some(**hash))) {
            let own = self.effective(name, *hash);
            let over = self.over(name, own);
            let shown = |hash| if mutant::off(Rule::RepeatShowsOp) { hash } else { self.effective(name, hash) };
            seen_by_others.extend(over.iter().map(|hash| shown(*hash)).filter(|seen| *seen != own));
        }
        let open: Vec<Hash> = effective.iter().filter(|hash| !seen_by_others.contains(*hash)).copied().collect();
        let open = if open.is_empty() { effective.into_iter().collect() } else { open };
        open.into_iter().map(|hash| self.known(name, field, hash)).collect()
    }

    /// Sets aside the contenders that may not replace what they replaced: a backward move, or a blank over a value.
    fn judge(
        &mut self,
        name: &FieldName,
        field: &Field,
        contenders: Vec<Known>,
    ) -> Result<(Vec<Known>, Vec<Known>), ReconcileError> {
        let (mut admitted, mut refused) = (Vec::new(), Vec::new());
        for contender in contenders {
            let mut fits = !self.unfit.contains(&(name.clone(), contender.candidate.op));
            for replaced in contender.over.clone() {
                let before = self.known(name, field, self.effective(name, replaced))?.candidate.value;
                let after = &contender.candidate.value;
                fits &= field.policy.admits(&before, after) && !policies::blank_refused(field, &before, after)
                    || mutant::off(Rule::KnowingEditIsJudged);
            }
            if fits { admitted.push(contender) } else { refused.push(contender) }
        }
        Ok((admitted, refused))
    }

    fn choose(
        &mut self,
        name: &FieldName,
        field: &Field,
        admitted: &[Known],
        refused: &[Known],
    ) -> Result<Option<Known>, ReconcileError> {
        let all_equal = admitted.windows(2).all(|pair| pair[0].candidate.value == pair[1].candidate.value);
        match admitted {
            [] => self.agreed(name, field, refused),
            [only] => Ok(Some(only.clone())),
            _ if all_equal && !mutant::off(Rule::EqualsAgree) => {
                Ok(admitted.iter().min_by_key(|known| known.arrival).cloned())
            }
            _ => {
                let contenders: Vec<Contender<'_>> = admitted
                    .iter()
                    .map(|known| Contender { candidate: &known.candidate, arrival: known.arrival })
                    .collect();
                match policies::choose(field, &contenders, &|origin| self.plan.rank(origin)) {
                    Choice::Winner(index) => Ok(admitted.get(index).cloned()),
                    Choice::Agreed => {
                        let agreed = self.agreed(name, field, admitted)?;
                        if let Some(agreed) = &agreed {
                            self.wait_for_a_person(name, &agreed.candidate.value);
                        }
                        Ok(agreed)
                    }
                }
            }
        }
    }

    /// The value that stood before the first of these contenders; the first itself where nothing stood.
    fn agreed(
        &mut self,
        name: &FieldName,
        field: &Field,
        contenders: &[Known],
    ) -> Result<Option<Known>, ReconcileError> {
        let Some(first) = contenders.iter().min_by_key(|known| known.arrival) else { return Ok(None) };
        match first.over.first() {
            Some(before) => self.known(name, field, self.effective(name, *before)).map(Some),
            None if self.unfit.contains(&(name.clone(), first.candidate.op)) => Ok(Some(self.nothing(first))),
            None => Ok(Some(first.clone())),
        }
    }

    /// The blank that stood before the first value of a field, which does not fit it.
    fn nothing(&self, unfit: &Known) -> Known {
        let clock = unfit.candidate.clock;
        let op = Hash(*blake3::hash(&unfit.candidate.op.0).as_bytes());
        let candidate = Candidate { op, value: Value::Null, origin: Origin::Service, clock };
        Known { candidate, over: Heads::new(), arrival: unfit.arrival }
    }

    /// Nobody writes the field anywhere until a person has chosen.
    fn wait_for_a_person(&mut self, name: &FieldName, agreed: &Value) {
        if mutant::off(Rule::ManualWaits) {
            return;
        }
        let parked = Parked {
            reason: "waiting for a person to choose between concurrent values".into(),
            value: agreed.clone(),
            at: self.now.at,
            cause: ParkCause::Undecided,
        };
        let connections: Vec<_> = self.state.replicas.keys().cloned().collect();
        for connection in connections {
            if let Some(replica) = self.state.replicas.get_mut(&connection) {
                replica.parked.insert(name.clone(), parked.clone());
                self.out.touched.insert(connection);
            }
        }
    }

    /// Repeats the winner as the service, over everything visible, so that every plain Automerge client sees the same value.
    fn compensate(
        &mut self,
        name: &FieldName,
        field: &Field,
        winner: &Known,
        visible: Heads,
    ) -> Result<(), ReconcileError> {
        let heads = self.state.document.heads().clone();
        let service = self.service_actor();
        let value = &winner.candidate.value;
        // Clients that edit a text object in place go on doing so.
        let as_text_object = self.received.is_some() && self.state.document.holds_text_object(name)?;
        let puts = [Put { name, field, old: &Value::Null, new: value, as_text_object }];
        if let Some(hash) = self.state.document.write_at(&service, &heads, &puts, self.now.at)? {
            let op = Op {
                value: value.clone(),
                clock: winner.candidate.clock,
                over: visible,
                repeats: Some(winner.candidate.op),
                inherited: Some(winner.candidate.origin.clone()),
            };
            let ops = Ops::Edit(BTreeMap::from([(name.clone(), op)]));
            self.record(ChangeEntry { hash, at: self.now.at, origin: Origin::Service, ops });
        }
        Ok(())
    }

    /// Keeps a losing value, once per pair of ops; equal values are no conflict.
    pub(super) fn keep_loser(
        &mut self,
        name: &FieldName,
        loser: &Candidate,
        winner: &Candidate,
        reason: &str,
        uncertain: bool,
    ) {
        if loser.op == winner.op || loser.value.same_as(&winner.value) {
            return;
        }
        let known = |row: &Conflict| row.field == *name && row.loser.op == loser.op && row.winner.op == winner.op;
        if !self.out.conflicts.iter().any(known) || mutant::off(Rule::ConflictIsToldOnce) {
            self.out.conflicts.push(Conflict {
                field: name.clone(),
                loser: loser.clone(),
                winner: winner.clone(),
                reason: reason.to_owned(),
                uncertain,
                at: self.now.at,
            });
        }
    }

    /// The candidate whose value the field shows now; `None` for a field without a value.
    pub(super) fn standing(&mut self, name: &FieldName) -> Result<Option<Candidate>, ReconcileError> {
        let Some(field) = self.plan.model.field(name) else { return Ok(None) };
        if field.policy.merge() != Merge::Register {
            return self.last_writer(name);
        }
        let Some((hash, _)) = self.state.document.visible(name, field)?.pop() else { return Ok(None) };
        let effective = self.effective(name, hash);
        Ok(Some(self.known(name, field, effective)?.candidate))
    }

    /// Who wrote the value that the field shows now.
    pub(super) fn origin_of(&mut self, name: &FieldName) -> Result<Origin, ReconcileError> {
        Ok(self.standing(name)?.map_or(Origin::Service, |candidate| candidate.origin))
    }

    /// For fields whose writers' contributions merge: the last of them.
    fn last_writer(&mut self, name: &FieldName) -> Result<Option<Candidate>, ReconcileError> {
        let value = self.shown(name)?.unwrap_or_default();
        Ok(self.state.journal.iter().rev().find_map(|entry| {
            let clock = entry.clock_of(name)?;
            let origin = entry.origin_of(name).clone();
            Some(Candidate { op: entry.hash, value: value.clone(), origin, clock })
        }))
    }

    /// The newest op of the field's history that held this value, in whatever spelling.
    pub(super) fn once_held(&mut self, name: &FieldName, value: &Value) -> Result<Option<Hash>, ReconcileError> {
        let Some(field) = self.plan.model.field(name) else { return Ok(None) };
        let fold = value.loose_fold();
        for index in (0..self.state.journal.len()).rev() {
            let entry = &self.state.journal[index];
            let hash = entry.hash;
            let held = match &entry.ops {
                Ops::Edit(ops) => ops.get(name).map(|op| op.value.clone()),
                Ops::Genesis { .. } => self.genesis_value(name, field, hash)?,
                Ops::Deleted(_) => None,
            };
            if held.is_some_and(|held| held.loose_fold() == fold) {
                return Ok(Some(hash));
            }
        }
        Ok(None)
    }

    /// The op that `hash` stands for: what it repeats, or itself.
    fn effective(&self, name: &FieldName, hash: Hash) -> Hash {
        let repeated = self.op(name, hash).and_then(|op| op.repeats);
        repeated.filter(|_| !mutant::off(Rule::RepeatStandsForOp)).unwrap_or(hash)
    }

    fn over(&self, name: &FieldName, hash: Hash) -> Heads {
        self.op(name, hash).map(|op| op.over.clone()).unwrap_or_default()
    }

    /// The latest journal entries that wrote the field, newest first.
    pub(super) fn entries_of(&self, name: &FieldName) -> impl Iterator<Item = &ChangeEntry> {
        let writes = move |entry: &&ChangeEntry| match &entry.ops {
            Ops::Edit(ops) => ops.contains_key(name),
            Ops::Genesis { .. } => true,
            Ops::Deleted(_) => false,
        };
        self.state.journal.iter().rev().filter(writes)
    }

    fn op(&self, name: &FieldName, hash: Hash) -> Option<&Op> {
        self.state.journal.iter().rev().find(|entry| entry.hash == hash).and_then(|entry| match &entry.ops {
            Ops::Edit(ops) => ops.get(name),
            _ => None,
        })
    }

    pub(super) fn genesis_value(
        &mut self,
        name: &FieldName,
        field: &Field,
        hash: Hash,
    ) -> Result<Option<Value>, ReconcileError> {
        Ok(self.state.document.visible_at(name, field, &vec![hash])?.pop().map(|(_, value)| value))
    }

    /// Everything known of an op that repeats no other.
    fn known(&mut self, name: &FieldName, field: &Field, hash: Hash) -> Result<Known, ReconcileError> {
        let arrival =
            self.state.journal.iter().rposition(|entry| entry.hash == hash).ok_or(ReconcileError::Journal(hash))?;
        let entry = &self.state.journal[arrival];
        let origin = entry.origin.clone();
        match &entry.ops {
            Ops::Edit(ops) => {
                let op = ops.get(name).ok_or(ReconcileError::Journal(hash))?;
                let candidate = Candidate { op: hash, value: op.value.clone(), origin, clock: op.clock };
                Ok(Known { candidate, over: op.over.clone(), arrival })
            }
            Ops::Genesis { clock, clocks, origins, .. } => {
                let clock = *clocks.get(name).unwrap_or(clock);
                let origin = origins.get(name).cloned().unwrap_or(origin);
                let value = self.genesis_value(name, field, hash)?.unwrap_or_default();
                Ok(Known { candidate: Candidate { op: hash, value, origin, clock }, over: Heads::new(), arrival })
            }
            Ops::Deleted(_) => Err(ReconcileError::Journal(hash)),
        }
    }

    /// Names a value that never became an op of the document, so that a conflict row about it is unique.
    pub(super) fn name_of_unseen(&self, name: &FieldName, value: &Value, at: Millis) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.state.id.0.as_bytes());
        hasher.update(name.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(value.to_json().to_string().as_bytes());
        hasher.update(&at.0.to_le_bytes());
        Hash(*hasher.finalize().as_bytes())
    }
}

/// The change from `old` to `new`, made to `standing`, which is `old` in another spelling of the same length; `None` where
/// it is not.
fn respelled(old: &str, new: &str, standing: &str) -> Option<String> {
    let [old, new, standing] = [old, new, standing].map(|text| text.chars().collect::<Vec<char>>());
    if old.len() != standing.len() {
        return None;
    }
    let same = |pair: &(&char, &char)| pair.0 == pair.1;
    let head = old.iter().zip(&new).take_while(same).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
    let changed = &new[head..new.len() - tail];
    Some(standing[..head].iter().chain(changed).chain(&standing[standing.len() - tail..]).collect())
}
