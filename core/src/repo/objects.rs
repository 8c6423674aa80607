//! Whether a change's operations fit the objects that they edit.
//!
//! Automerge asserts this while it applies a change, or does not look at all: a key of a map in a list is entered, and
//! then the document never loads again.

use std::collections::BTreeMap;

use automerge::{
    ActorId, Change, ObjType, ScalarValue,
    legacy::{ElementId, Key, ObjectId, Op, OpId, OpType},
};

use super::{apply::guarded, refusal::Refusal, vet::Facts};

/// The largest counter: what a JavaScript number holds without loss.
const COUNTER_MAX: u64 = 1 << 53;

/// The largest step of a counter. Automerge adds steps up in 64 bits without a check, and eight million of these fit.
const STEP_MAX: u64 = 1 << 40;

/// The objects of a document, and those that a batch has made so far.
pub(super) struct Objects<'f, F> {
    facts: &'f F,
    made: BTreeMap<(u64, ActorId), ObjType>,
    /// Whether an operation marks text.
    pub(super) marks: bool,
}

impl<'f, F: Facts> Objects<'f, F> {
    pub(super) fn new(facts: &'f F) -> Self {
        Self { facts, made: BTreeMap::new(), marks: false }
    }

    /// Checks a change, and notes the objects that it makes.
    pub(super) fn admit(&mut self, change: &Change) -> Result<(), Refusal> {
        let expanded = guarded(|| Ok::<_, String>(change.decode())).map_err(Refusal::Undecodable)?;
        let mut before = None;
        for (number, op) in (expanded.start_op.get()..).zip(&expanded.operations) {
            let fits = self.fits(number, op, before);
            if !fits {
                return Err(Refusal::Reference { op: number });
            }
            check_value(number, &op.action)?;
            match op.action {
                OpType::Make(kind) => drop(self.made.insert((number, expanded.actor_id.clone()), kind)),
                OpType::MarkBegin(_) | OpType::MarkEnd(_) => self.marks = true,
                _ => {}
            }
            before = Some(op);
        }
        Ok(())
    }

    fn fits(&self, number: u64, op: &Op, before: Option<&Op>) -> bool {
        let earlier = |id: &OpId| id.counter() < number;
        let key_fits = match (self.kind(&op.obj), &op.key) {
            (Some(ObjType::Map), Key::Map(_)) => !op.insert,
            (Some(ObjType::List | ObjType::Text), Key::Seq(ElementId::Head)) => op.insert,
            (Some(ObjType::List | ObjType::Text), Key::Seq(ElementId::Id(id))) => earlier(id),
            // Tables were never finished, and Automerge cannot edit them.
            _ => false,
        };
        let object_earlier = match &op.obj {
            ObjectId::Root => true,
            ObjectId::Id(id) => earlier(id),
        };
        key_fits && object_earlier && op.pred.iter().all(earlier) && action_fits(op, before)
    }

    fn kind(&self, object: &ObjectId) -> Option<ObjType> {
        match object {
            ObjectId::Root => Some(ObjType::Map),
            ObjectId::Id(OpId(counter, actor)) => {
                self.made.get(&(*counter, actor.clone())).copied().or_else(|| self.facts.object(*counter, actor))
            }
        }
    }
}

/// Whether the operation does what can be done where it stands. An insertion replaces nothing; a mark is an insertion, and
/// its end follows its beginning in the same object.
fn action_fits(op: &Op, before: Option<&Op>) -> bool {
    let replaces = op.pred.iter().next().is_some();
    match &op.action {
        OpType::Make(ObjType::Table) => false,
        OpType::Delete | OpType::Increment(_) => !op.insert && replaces,
        OpType::MarkBegin(_) => op.insert && !replaces,
        OpType::MarkEnd(_) => {
            let begun = before.is_some_and(|begin| matches!(begin.action, OpType::MarkBegin(_)) && begin.obj == op.obj);
            op.insert && !replaces && begun
        }
        OpType::Make(_) | OpType::Put(_) => !(op.insert && replaces),
    }
}

fn check_value(number: u64, action: &OpType) -> Result<(), Refusal> {
    let within = match action {
        OpType::Put(ScalarValue::Counter(counter)) => i64::from(counter).unsigned_abs() <= COUNTER_MAX,
        OpType::Increment(step) => step.unsigned_abs() <= STEP_MAX,
        _ => true,
    };
    if within { Ok(()) } else { Err(Refusal::CounterTooLarge { op: number }) }
}
