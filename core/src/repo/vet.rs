//! Which changes may enter a document.
//!
//! Automerge applies whatever is well formed: a change under another's actor, which then locks that actor out; one
//! numbered so high that no later edit finds a number; one that no dependency will ever complete. What is refused
//! here would be such a change.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
};

use automerge::{ActorId, Change, ChangeHash, ObjType};

use super::{
    ledger::Tip,
    limits::Limits,
    objects::Objects,
    refusal::{Refusal, RefusedChange},
};
use crate::mutant::{self, Rule};

/// What is known of the document that changes are meant for.
pub trait Facts {
    /// The number of a change's last operation, if the document has the change.
    fn last_op(&self, hash: &ChangeHash) -> Option<u64>;
    /// The actor's last change in the document; zeros where it has made none.
    fn tip(&self, actor: &ActorId) -> Tip;
    /// The number of the document's last operation, 0 where it has none.
    fn max_op(&self) -> u64;
    /// The kind of the object that this operation made, if it made one.
    fn object(&self, counter: u64, actor: &ActorId) -> Option<ObjType>;
}

/// Whether a peer may make changes as an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The actor is the peer's, or nobody's yet.
    Granted,
    /// It is another's.
    Foreign,
    /// It is this service's, or a connected account's.
    Reserved,
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The changes to enter, each behind those that it builds on.
    pub accepted: Vec<Change>,
    /// Whether an accepted change marks text, see [`super::apply::apply`].
    pub marks: bool,
    /// Changes that build on unknown ones. Bring them along with the next batch. Empty where something was refused.
    pub waiting: Vec<Change>,
    /// The changes that the document has already, or that came twice.
    pub duplicates: Vec<ChangeHash>,
    /// The first change that was refused. Nothing behind it was looked at.
    pub refused: Option<RefusedChange>,
}

/// Judges a batch of changes: those that just came, and before them those that waited. All of them must come from
/// [`super::Inbound`], which has counted them. A change that the document has already is a duplicate, whoever made it:
/// peers pass others' changes on.
pub fn vet(changes: Vec<Change>, facts: &impl Facts, may: impl Fn(&ActorId) -> Use, limits: &Limits) -> Verdict {
    let mut verdict = Verdict::default();
    let mut batch = Batch::sort(changes, facts, &mut verdict.duplicates);
    let mut vetting = Vetting::new(facts, may);
    while let Some(change) = batch.ready.pop_front() {
        if let Err(reason) = vetting.admit(&change) {
            verdict.refused = Some(refused(&change, reason));
            break;
        }
        batch.done(change.hash());
        verdict.accepted.push(change);
    }
    if verdict.refused.is_none() {
        let waiting = batch.waiting();
        match vetting.hold(&waiting, limits) {
            Ok(()) => verdict.waiting = waiting,
            Err(refusal) => verdict.refused = Some(refusal),
        }
    }
    verdict.marks = vetting.objects.marks;
    verdict
}

fn refused(change: &Change, reason: Refusal) -> RefusedChange {
    RefusedChange { hash: change.hash(), actor: change.actor_id().clone(), reason }
}

/// What is known while a batch is judged: the document, and what was accepted before.
struct Vetting<'f, F, M> {
    facts: &'f F,
    may: M,
    tips: BTreeMap<ActorId, Tip>,
    last_ops: BTreeMap<ChangeHash, u64>,
    max_op: u64,
    objects: Objects<'f, F>,
}

impl<'f, F: Facts, M: Fn(&ActorId) -> Use> Vetting<'f, F, M> {
    fn new(facts: &'f F, may: M) -> Self {
        let (tips, last_ops) = (BTreeMap::new(), BTreeMap::new());
        Self { facts, may, tips, last_ops, max_op: facts.max_op(), objects: Objects::new(facts) }
    }

    /// Judges a change whose dependencies are all there, and takes it into account for those that follow.
    fn admit(&mut self, change: &Change) -> Result<(), Refusal> {
        self.check_actor(change.actor_id())?;
        let tip = self.tip(change.actor_id());
        check_seq(change, tip.seq + 1)?;
        self.check_numbers(change, tip)?;
        if change.other_actor_ids().iter().any(|actor| self.tip(actor).seq == 0) {
            return Err(Refusal::Reference { op: change.start_op().get() });
        }
        self.objects.admit(change)?;
        let max_op = tip.max_op.max(change.max_op());
        self.last_ops.insert(change.hash(), change.max_op());
        self.tips.insert(change.actor_id().clone(), Tip { seq: change.seq(), max_op });
        self.max_op = self.max_op.max(max_op);
        Ok(())
    }

    fn tip(&self, actor: &ActorId) -> Tip {
        self.tips.get(actor).copied().unwrap_or_else(|| self.facts.tip(actor))
    }

    fn last_op(&self, change: &ChangeHash) -> Option<u64> {
        self.last_ops.get(change).copied().or_else(|| self.facts.last_op(change))
    }

    fn check_actor(&self, actor: &ActorId) -> Result<(), Refusal> {
        match (self.may)(actor) {
            _ if mutant::off(Rule::ActorIsClaimed) => Ok(()),
            Use::Granted => Ok(()),
            Use::Foreign => Err(Refusal::ForeignActor { actor: actor.clone() }),
            Use::Reserved => Err(Refusal::ReservedActor { actor: actor.clone() }),
        }
    }

    /// An honest author numbers operations behind all that it has seen, which is at most all that there are, and at least
    /// its own and those that the change builds on. When Automerge loads a document, it concludes from the latter how many
    /// operations a change has, and of one without any it believes nothing else.
    fn check_numbers(&self, change: &Change, tip: Tip) -> Result<(), Refusal> {
        let start_op = change.start_op().get();
        let built_on = change.deps().iter().filter_map(|dep| self.last_op(dep)).max().unwrap_or(0);
        let min = built_on.max(tip.max_op) + 1;
        let max = if change.is_empty() { built_on + 1 } else { self.max_op + 1 };
        if mutant::off(Rule::OpNumbersAreBounded) {
            return Ok(());
        }
        if start_op > max {
            return Err(Refusal::StartOpTooLarge { start_op, max });
        }
        if start_op < min {
            return Err(Refusal::StartOpReused { start_op, min });
        }
        Ok(())
    }

    /// Judges whether changes may wait: they must be the peer's own, and few.
    fn hold(&self, waiting: &[Change], limits: &Limits) -> Result<(), RefusedChange> {
        let mut bytes = 0;
        for (index, change) in waiting.iter().enumerate() {
            self.check_actor(change.actor_id()).map_err(|reason| refused(change, reason))?;
            bytes += change.raw_bytes().len();
            let many = index >= limits.waiting_max || bytes > limits.waiting_bytes_max;
            if many && !mutant::off(Rule::WaitingIsBounded) {
                return Err(refused(change, Refusal::TooManyWaiting { max: limits.waiting_max }));
            }
        }
        Ok(())
    }
}

fn check_seq(change: &Change, expected: u64) -> Result<(), Refusal> {
    let (actor, found) = (change.actor_id().clone(), change.seq());
    match found.cmp(&expected) {
        _ if mutant::off(Rule::SequenceHasNoGap) => Ok(()),
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(Refusal::SeqReused { actor, expected, found }),
        Ordering::Greater => Err(Refusal::SeqGap { actor, expected, found }),
    }
}

/// Changes on their way into causal order.
struct Batch {
    /// Changes whose dependencies are all there, in the order of arrival.
    ready: VecDeque<Change>,
    /// The others, with their place in the order of arrival and the number of dependencies that they lack.
    blocked: BTreeMap<ChangeHash, Blocked>,
    /// Which changes lack a dependency.
    lacking: BTreeMap<ChangeHash, Vec<ChangeHash>>,
}

struct Blocked {
    place: usize,
    lacks: usize,
    change: Change,
}

impl Batch {
    fn sort(changes: Vec<Change>, facts: &impl Facts, duplicates: &mut Vec<ChangeHash>) -> Self {
        let mut batch = Self { ready: VecDeque::new(), blocked: BTreeMap::new(), lacking: BTreeMap::new() };
        let mut seen = BTreeSet::new();
        for (place, change) in changes.into_iter().enumerate() {
            let hash = change.hash();
            if !seen.insert(hash) || facts.last_op(&hash).is_some() {
                duplicates.push(hash);
                continue;
            }
            let lacked: BTreeSet<ChangeHash> =
                change.deps().iter().copied().filter(|dep| facts.last_op(dep).is_none()).collect();
            if lacked.is_empty() {
                batch.ready.push_back(change);
                continue;
            }
            let lacks = lacked.len();
            for dep in lacked {
                batch.lacking.entry(dep).or_default().push(hash);
            }
            batch.blocked.insert(hash, Blocked { place, lacks, change });
        }
        batch
    }

    /// Notes that a change is there, which may make others ready.
    fn done(&mut self, hash: ChangeHash) {
        for dependent in self.lacking.remove(&hash).unwrap_or_default() {
            let Entry::Occupied(mut entry) = self.blocked.entry(dependent) else { continue };
            entry.get_mut().lacks -= 1;
            if entry.get().lacks == 0 {
                self.ready.push_back(entry.remove().change);
            }
        }
    }

    /// What is not ready, in the order of arrival.
    fn waiting(self) -> Vec<Change> {
        let mut blocked: Vec<Blocked> = self.blocked.into_values().collect();
        blocked.sort_by_key(|blocked| blocked.place);
        blocked.into_iter().map(|blocked| blocked.change).collect()
    }
}
