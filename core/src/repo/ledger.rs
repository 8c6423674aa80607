//! What has to be known of a document to vet changes to it.

use std::collections::BTreeMap;

use automerge::{ActorId, Automerge, Change, ChangeHash, ObjId, ObjType, ReadDoc};

use super::vet::Facts;

/// How far each actor of a document has come. Made once for a loaded document, and kept with it: making it walks through
/// all changes, noting a change does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    tips: BTreeMap<ActorId, Tip>,
    max_op: u64,
}

/// The last change of an actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// Its number; an actor's changes are numbered from 1.
    pub seq: u64,
    /// The number of the actor's last operation.
    pub max_op: u64,
}

impl Ledger {
    /// The ledger of a document as it stands.
    pub fn of(document: &Automerge) -> Self {
        let mut ledger = Self::default();
        for change in document.get_changes_meta(&[]) {
            ledger.enter(&change.actor, Tip { seq: change.seq, max_op: change.max_op });
        }
        ledger
    }

    /// Notes a change that is entered into the document.
    pub fn note(&mut self, change: &Change) {
        self.enter(change.actor_id(), Tip { seq: change.seq(), max_op: change.max_op() });
    }

    /// The actor's last change; zeros where it has made none.
    pub fn tip(&self, actor: &ActorId) -> Tip {
        self.tips.get(actor).copied().unwrap_or_default()
    }

    /// The number of the document's last operation.
    pub fn max_op(&self) -> u64 {
        self.max_op
    }

    fn enter(&mut self, actor: &ActorId, change: Tip) {
        let tip = self.tips.entry(actor.clone()).or_default();
        tip.seq = tip.seq.max(change.seq);
        tip.max_op = tip.max_op.max(change.max_op);
        self.max_op = self.max_op.max(change.max_op);
    }
}

/// A loaded document with its ledger.
#[derive(Clone, Copy, Debug)]
pub struct Known<'d> {
    /// The document.
    pub document: &'d Automerge,
    /// Its ledger.
    pub ledger: &'d Ledger,
}

impl Facts for Known<'_> {
    fn last_op(&self, hash: &ChangeHash) -> Option<u64> {
        self.document.get_change_meta_by_hash(hash).map(|change| change.max_op)
    }

    fn tip(&self, actor: &ActorId) -> Tip {
        self.ledger.tip(actor)
    }

    fn max_op(&self) -> u64 {
        self.ledger.max_op()
    }

    fn object(&self, counter: u64, actor: &ActorId) -> Option<ObjType> {
        // The index of an actor in an id is only a guess that speeds the search up.
        self.document.object_type(ObjId::Id(counter, actor.clone(), 0)).ok()
    }
}
