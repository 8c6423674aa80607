//! Honest documents, and changes to them that no honest library makes.

use automerge::{
    ActorId, AutoCommit, Automerge, Change, ChangeHash, ExpandedChange, ObjType, ROOT, ScalarValue,
    legacy::{ElementId, Key, ObjectId, Op, OpId, OpType, SortedVec},
    transaction::Transactable,
};
use syncline_core::repo::{Known, Ledger, Limits, Refusal, Use, Verdict, vet};

use crate::actor;

/// A document that the server has, made by Alice: a map with a list and a text in it.
pub(crate) fn base() -> AutoCommit {
    let mut document = AutoCommit::new().with_actor(actor(b"alice"));
    let fields = document.put_object(ROOT, "fields", ObjType::Map).unwrap();
    let list = document.put_object(&fields, "list", ObjType::List).unwrap();
    document.insert(&list, 0, "first").unwrap();
    let text = document.put_object(&fields, "text", ObjType::Text).unwrap();
    document.splice_text(&text, 0, 0, "text").unwrap();
    document.commit();
    document
}

/// Operations of [`base`]: `fields`, `list`, its element, `text`, its first character.
pub(crate) const FIELDS: u64 = 1;
pub(crate) const LIST: u64 = 2;
pub(crate) const ELEMENT: u64 = 3;
pub(crate) const TEXT: u64 = 4;
pub(crate) const BASE_OPS: u64 = 8;

/// Bob's copy of a document.
pub(crate) fn bob(document: &mut AutoCommit) -> AutoCommit {
    document.fork().with_actor(actor(b"bob"))
}

/// The last change made in a document.
pub(crate) fn last(document: &mut AutoCommit) -> Change {
    document.get_last_local_change().unwrap()
}

/// A change of Bob's with one put, changed by `forge` before it was hashed.
pub(crate) fn forged(base: &mut AutoCommit, forge: impl FnOnce(&mut ExpandedChange)) -> Change {
    let mut bob = bob(base);
    bob.put(ROOT, "key", 1).unwrap();
    let mut change = last(&mut bob).decode();
    forge(&mut change);
    change.into()
}

pub(crate) fn judge_with(
    base: &AutoCommit,
    changes: Vec<Change>,
    may: impl Fn(&ActorId) -> Use,
    limits: &Limits,
) -> Verdict {
    let document = Automerge::load(&base.clone().save()).unwrap();
    let ledger = Ledger::of(&document);
    vet(changes, &Known { document: &document, ledger: &ledger }, may, limits)
}

pub(crate) fn judge(base: &AutoCommit, changes: Vec<Change>) -> Verdict {
    judge_with(base, changes, |_| Use::Granted, &Limits::RECORD)
}

#[track_caller]
pub(crate) fn refused(base: &AutoCommit, change: Change) -> Refusal {
    let hash = change.hash();
    let verdict = judge(base, vec![change]);
    assert!(verdict.accepted.is_empty());
    let refused = verdict.refused.expect("refused");
    assert_eq!(refused.hash, hash);
    refused.reason
}

pub(crate) fn hashes(changes: &[Change]) -> Vec<ChangeHash> {
    changes.iter().map(Change::hash).collect()
}

pub(crate) fn op(obj: ObjectId, key: Key, insert: bool, action: OpType) -> Op {
    Op { action, obj, key, pred: SortedVec::new(), insert }
}

pub(crate) fn alices(counter: u64) -> OpId {
    OpId(counter, actor(b"alice"))
}

pub(crate) fn map_key() -> Key {
    Key::Map("k".into())
}

pub(crate) fn after(counter: u64) -> Key {
    Key::Seq(ElementId::Id(alices(counter)))
}

pub(crate) fn head() -> Key {
    Key::Seq(ElementId::Head)
}

pub(crate) fn object(counter: u64) -> ObjectId {
    ObjectId::Id(alices(counter))
}

pub(crate) fn null() -> OpType {
    OpType::Put(ScalarValue::Null)
}
