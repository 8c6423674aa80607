//! Which changes may enter a document: each reason to refuse one, and what becomes of the others.

use std::num::NonZeroU64;

use automerge::{
    ActorId, AutoCommit, Automerge, Change, ChangeHash, ExpandedChange, ObjType, ROOT, ScalarValue,
    legacy::{ElementId, Key, ObjectId, Op, OpId, OpType, SortedVec},
    marks::{ExpandMark, Mark},
    transaction::Transactable,
};
use syncline_core::repo::{Inbound, Known, Ledger, Limits, Refusal, Use, Verdict, apply::apply, vet};

use crate::{
    actor,
    chunks::{change, chunk, run, texts},
};

/// A document that the server has, made by Alice: a map with a list and a text in it.
fn base() -> AutoCommit {
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
const FIELDS: u64 = 1;
const LIST: u64 = 2;
const ELEMENT: u64 = 3;
const TEXT: u64 = 4;
const BASE_OPS: u64 = 8;

/// Bob's copy of a document.
fn bob(document: &mut AutoCommit) -> AutoCommit {
    document.fork().with_actor(actor(b"bob"))
}

/// The last change made in a document.
fn last(document: &mut AutoCommit) -> Change {
    document.get_last_local_change().unwrap()
}

/// A change of Bob's with one put, changed by `forge` before it was hashed.
fn forged(base: &mut AutoCommit, forge: impl FnOnce(&mut ExpandedChange)) -> Change {
    let mut bob = bob(base);
    bob.put(ROOT, "key", 1).unwrap();
    let mut change = last(&mut bob).decode();
    forge(&mut change);
    change.into()
}

fn judge_with(base: &AutoCommit, changes: Vec<Change>, may: impl Fn(&ActorId) -> Use, limits: &Limits) -> Verdict {
    let document = Automerge::load(&base.clone().save()).unwrap();
    let ledger = Ledger::of(&document);
    vet(changes, &Known { document: &document, ledger: &ledger }, may, limits)
}

fn judge(base: &AutoCommit, changes: Vec<Change>) -> Verdict {
    judge_with(base, changes, |_| Use::Granted, &Limits::RECORD)
}

#[track_caller]
fn refused(base: &AutoCommit, change: Change) -> Refusal {
    let hash = change.hash();
    let verdict = judge(base, vec![change]);
    assert!(verdict.accepted.is_empty());
    let refused = verdict.refused.expect("refused");
    assert_eq!(refused.hash, hash);
    refused.reason
}

fn hashes(changes: &[Change]) -> Vec<ChangeHash> {
    changes.iter().map(Change::hash).collect()
}

fn op(obj: ObjectId, key: Key, insert: bool, action: OpType) -> Op {
    Op { action, obj, key, pred: SortedVec::new(), insert }
}

fn alices(counter: u64) -> OpId {
    OpId(counter, actor(b"alice"))
}

fn map_key() -> Key {
    Key::Map("k".into())
}

fn after(counter: u64) -> Key {
    Key::Seq(ElementId::Id(alices(counter)))
}

fn head() -> Key {
    Key::Seq(ElementId::Head)
}

fn object(counter: u64) -> ObjectId {
    ObjectId::Id(alices(counter))
}

fn null() -> OpType {
    OpType::Put(ScalarValue::Null)
}

#[test]
fn changes_come_out_in_causal_order_whatever_order_they_come_in() {
    let mut base = base();
    let mut bob = bob(&mut base);
    for value in 0..6 {
        bob.put(ROOT, "key", value).unwrap();
        bob.commit();
    }
    let made = bob.get_changes(&base.get_heads());
    let mixed: Vec<_> = [3, 0, 5, 1, 4, 2].map(|index: usize| made[index].clone()).into();
    let verdict = judge(&base, mixed);
    assert_eq!(hashes(&verdict.accepted), hashes(&made));
    assert!(verdict.waiting.is_empty() && verdict.refused.is_none() && !verdict.marks);
}

#[test]
fn what_the_document_has_or_comes_twice_is_a_duplicate_whoever_made_it() {
    let mut base = base();
    let known = base.get_changes(&[]);
    let new = forged(&mut base, |_| {});
    let only_bob = |actor: &ActorId| if actor == &crate::actor(b"bob") { Use::Granted } else { Use::Foreign };
    let verdict = judge_with(&base, [&known[..], &[new.clone(), new.clone()]].concat(), only_bob, &Limits::RECORD);
    assert_eq!(verdict.duplicates, [&hashes(&known)[..], &[new.hash()]].concat());
    assert_eq!(hashes(&verdict.accepted), [new.hash()]);
    assert_eq!(verdict.refused, None);
}

#[test]
fn an_orphan_waits_until_what_it_builds_on_comes() {
    let mut base = base();
    let mut bob = bob(&mut base);
    for value in 0..3 {
        bob.put(ROOT, "key", value).unwrap();
        bob.commit();
    }
    let made = bob.get_changes(&base.get_heads());
    let first = judge(&base, vec![made[2].clone(), made[1].clone()]);
    assert!(first.accepted.is_empty() && first.refused.is_none());
    assert_eq!(hashes(&first.waiting), [made[2].hash(), made[1].hash()]);
    let second = judge(&base, [first.waiting, vec![made[0].clone()]].concat());
    assert_eq!(hashes(&second.accepted), hashes(&made));
    assert!(second.waiting.is_empty());
}

#[test]
fn orphans_wait_up_to_their_bounds_only() {
    let mut base = base();
    let mut bob = bob(&mut base);
    for value in 0..12 {
        bob.put(ROOT, "key", value).unwrap();
        bob.commit();
    }
    let orphans = bob.get_changes(&base.get_heads()).split_off(1);
    let bytes: usize = orphans.iter().map(|change| change.raw_bytes().len()).sum();
    let with = |waiting_max, waiting_bytes_max| {
        let limits = Limits { waiting_max, waiting_bytes_max, ..Limits::RECORD };
        judge_with(&base, orphans.clone(), |_| Use::Granted, &limits)
    };
    assert_eq!(with(11, bytes).waiting.len(), 11);
    for beyond in [with(10, bytes), with(11, bytes - 1)] {
        assert!(beyond.waiting.is_empty());
        assert!(matches!(beyond.refused.unwrap().reason, Refusal::TooManyWaiting { .. }));
    }
}

#[test]
fn another_users_and_the_services_actors_are_refused_also_for_orphans() {
    let mut base = base();
    let mut bob = bob(&mut base);
    bob.put(ROOT, "key", 1).unwrap();
    bob.commit();
    bob.put(ROOT, "key", 2).unwrap();
    let made = bob.get_changes(&base.get_heads());
    let bob = actor(b"bob");
    for (of, reason) in [
        (Use::Foreign, Refusal::ForeignActor { actor: bob.clone() }),
        (Use::Reserved, Refusal::ReservedActor { actor: bob.clone() }),
    ] {
        for change in &made {
            let verdict = judge_with(&base, vec![change.clone()], |_| of, &Limits::RECORD);
            assert_eq!(verdict.refused.unwrap().reason, reason);
            assert!(verdict.waiting.is_empty());
        }
    }
}

#[test]
fn sequence_numbers_follow_each_other() {
    let mut base = base();
    let skipped = forged(&mut base, |change| change.seq = 2);
    let gap = Refusal::SeqGap { actor: actor(b"bob"), expected: 1, found: 2 };
    assert_eq!(refused(&base, skipped), gap);
    let zero = forged(&mut base, |change| change.seq = 0);
    assert_eq!(refused(&base, zero), Refusal::SeqReused { actor: actor(b"bob"), expected: 1, found: 0 });
    let reused = forged(&mut base, |change| {
        change.actor_id = actor(b"alice");
        change.start_op = NonZeroU64::new(BASE_OPS + 1).unwrap();
    });
    assert_eq!(refused(&base, reused), Refusal::SeqReused { actor: actor(b"alice"), expected: 2, found: 1 });
}

#[test]
fn two_changes_with_one_number_are_told_apart_within_a_batch() {
    let mut base = base();
    let (one, other) = (forged(&mut base, |_| {}), forged(&mut base, |change| change.time = 7));
    let verdict = judge(&base, vec![one.clone(), other.clone()]);
    assert_eq!(hashes(&verdict.accepted), [one.hash()]);
    let refused = verdict.refused.unwrap();
    assert_eq!(refused.hash, other.hash());
    assert_eq!(refused.reason, Refusal::SeqReused { actor: actor(b"bob"), expected: 2, found: 1 });
}

#[test]
fn operations_are_numbered_at_most_one_above_all_others() {
    let mut base = base();
    let from = |number: u64| move |change: &mut ExpandedChange| change.start_op = NonZeroU64::new(number).unwrap();
    let next = forged(&mut base, from(BASE_OPS + 1));
    assert_eq!(judge(&base, vec![next]).refused, None);
    for start_op in [BASE_OPS + 2, u64::from(u32::MAX) - 1] {
        let change = forged(&mut base, from(start_op));
        assert_eq!(refused(&base, change), Refusal::StartOpTooLarge { start_op, max: BASE_OPS + 1 });
    }
}

#[test]
fn what_a_batch_accepts_counts_for_what_follows() {
    let mut base = base();
    let mut bob = bob(&mut base);
    for value in 0..3 {
        bob.put(ROOT, "key", value).unwrap();
        bob.commit();
    }
    let made = bob.get_changes(&base.get_heads());
    assert_eq!(judge(&base, made).accepted.len(), 3);
}

#[test]
fn an_actor_never_numbers_two_operations_alike() {
    let mut base = base();
    let heads = base.get_heads();
    let change = forged(&mut base, |change| {
        change.actor_id = actor(b"alice");
        change.seq = 2;
        change.start_op = NonZeroU64::new(BASE_OPS).unwrap();
        change.deps = heads;
    });
    assert_eq!(refused(&base, change), Refusal::StartOpReused { start_op: BASE_OPS, min: BASE_OPS + 1 });
}

#[test]
fn operations_are_numbered_above_those_that_they_build_on() {
    let mut base = base();
    let change = forged(&mut base, |change| change.start_op = NonZeroU64::new(BASE_OPS).unwrap());
    assert_eq!(refused(&base, change), Refusal::StartOpReused { start_op: BASE_OPS, min: BASE_OPS + 1 });
}

#[test]
fn a_change_without_operations_is_numbered_right_behind_what_it_builds_on() {
    let mut base = base();
    let empty = |change: &mut ExpandedChange| change.operations.clear();
    let right_behind = forged(&mut base, empty);
    assert_eq!(judge(&base, vec![right_behind]).refused, None);
    let alone = forged(&mut base, |change| {
        empty(change);
        change.deps.clear();
    });
    assert_eq!(refused(&base, alone), Refusal::StartOpTooLarge { start_op: BASE_OPS + 1, max: 1 });
}

#[test]
fn operations_fit_what_they_edit() {
    let mut base = base();
    let bobs = BASE_OPS + 1;
    let own = ObjectId::Id(OpId(bobs, actor(b"bob")));
    let delete = |obj, key| Op { pred: [alices(ELEMENT)].to_vec().into(), ..op(obj, key, false, OpType::Delete) };
    for (why, ops) in [
        ("an object of an unknown actor", vec![op(ObjectId::Id(OpId(1, actor(b"carol"))), map_key(), false, null())]),
        ("an operation that made no object", vec![op(object(ELEMENT), map_key(), false, null())]),
        ("an operation that does not exist", vec![op(object(BASE_OPS + 40), map_key(), false, null())]),
        ("itself", vec![op(own.clone(), map_key(), false, null())]),
        ("a key in a list", vec![op(object(LIST), map_key(), false, null())]),
        ("a key in a text", vec![op(object(TEXT), map_key(), false, null())]),
        ("an element in a map", vec![op(object(FIELDS), head(), true, null())]),
        ("an element in the root", vec![op(ObjectId::Root, after(ELEMENT), true, null())]),
        ("an insertion by key", vec![op(ObjectId::Root, map_key(), true, null())]),
        ("an overwritten beginning", vec![op(object(LIST), head(), false, null())]),
        ("a deletion of nothing", vec![op(object(LIST), after(ELEMENT), false, OpType::Delete)]),
        ("a deletion that inserts", vec![Op { insert: true, ..delete(object(LIST), after(ELEMENT)) }]),
        ("a table", vec![op(ObjectId::Root, map_key(), false, OpType::Make(ObjType::Table))]),
        ("a later element", vec![op(object(LIST), after(bobs + 5), true, null())]),
        ("an end of no mark", vec![op(object(TEXT), head(), true, OpType::MarkEnd(false))]),
        (
            "an object of another kind than it was made",
            vec![
                op(ObjectId::Root, map_key(), false, OpType::Make(ObjType::List)),
                op(own.clone(), map_key(), false, null()),
            ],
        ),
    ] {
        let change = forged(&mut base, |change| change.operations = ops);
        let reason = refused(&base, change);
        assert!(matches!(reason, Refusal::Reference { .. }), "{why}: {reason}");
    }
    let made = vec![
        op(ObjectId::Root, map_key(), false, OpType::Make(ObjType::List)),
        op(own, head(), true, null()),
        op(object(LIST), after(ELEMENT), true, null()),
        delete(object(LIST), after(ELEMENT)),
    ];
    let change = forged(&mut base, |change| change.operations = made);
    assert_eq!(judge(&base, vec![change]).refused, None);
}

#[test]
fn counters_stay_where_they_can_be_added_up() {
    let mut base = base();
    let put = |value: i64| op(ObjectId::Root, map_key(), false, OpType::Put(ScalarValue::counter(value)));
    let step = |step: i64| Op {
        pred: [OpId(BASE_OPS + 1, actor(b"bob"))].to_vec().into(),
        ..op(ObjectId::Root, map_key(), false, OpType::Increment(step))
    };
    for (ops, within) in [
        (vec![put(1 << 53), step(1 << 40)], true),
        (vec![put((1 << 53) + 1)], false),
        (vec![put(i64::MIN)], false),
        (vec![put(0), step((1 << 40) + 1)], false),
        (vec![put(0), step(i64::MIN)], false),
    ] {
        let change = forged(&mut base, |change| change.operations = ops);
        let refusal = judge(&base, vec![change]).refused.map(|refused| refused.reason);
        assert_eq!(refusal.is_none(), within, "{refusal:?}");
        assert!(refusal.is_none_or(|reason| matches!(reason, Refusal::CounterTooLarge { .. })));
    }
}

/// What only shows when a change is applied: an element that is in another list, a value that is nowhere.
#[test]
fn a_change_that_would_keep_the_document_from_loading_is_not_entered() {
    let mut base = base();
    let bobs = OpId(BASE_OPS + 1, actor(b"bob"));
    let replacing = |pred: OpId, op: Op| Op { pred: vec![pred].into(), ..op };
    for (why, ops) in [
        ("an insertion behind another list's element", vec![op(object(LIST), after(TEXT), true, null())]),
        ("an overwritten element of another list", vec![op(object(LIST), after(TEXT), false, null())]),
        (
            "a deleted element of another list",
            vec![replacing(alices(TEXT + 1), op(object(LIST), after(TEXT + 1), false, OpType::Delete))],
        ),
        ("another key's value replaced", vec![replacing(alices(FIELDS), op(ObjectId::Root, map_key(), false, null()))]),
        (
            "another object's value replaced",
            vec![
                op(ObjectId::Root, map_key(), false, null()),
                replacing(bobs.clone(), op(object(FIELDS), map_key(), false, null())),
            ],
        ),
        (
            "a value of nobody replaced",
            vec![replacing(OpId(BASE_OPS - 1, actor(b"bob")), op(ObjectId::Root, map_key(), false, null()))],
        ),
        (
            "a deletion of nobody's value",
            vec![replacing(OpId(BASE_OPS - 1, actor(b"bob")), op(ObjectId::Root, map_key(), false, OpType::Delete))],
        ),
    ] {
        let change = forged(&mut base, |change| change.operations = ops);
        let verdict = judge(&base, vec![change]);
        assert_eq!(verdict.refused, None, "{why}");
        let mut document = Automerge::load(&base.save()).unwrap();
        let result = apply(&mut document, verdict.accepted, verdict.marks);
        assert!(matches!(result, Err(Refusal::Unfit(_))), "{why}: {result:?}");
    }
}

/// Run lengths leave a choice, and a change's hash is that of its bytes. Automerge takes every choice and writes one.
#[test]
fn a_change_in_an_unusual_encoding_is_not_entered() {
    let columns = [
        (0x15, [texts(1, "k"), texts(1, "k")].concat()),
        (0x34, vec![2]),
        (0x42, run(2, 1)),
        (0x56, run(2, 0)),
        (0x70, run(2, 0)),
    ];
    let mut bytes = chunk(1, &change(1, &columns));
    let hash = Change::try_from(&bytes[..]).expect("Automerge takes it").hash();
    bytes[4..8].copy_from_slice(&hash.0[..4]);
    let changes = Inbound::changes_of(&bytes, &Limits::RECORD).unwrap();
    let result = apply(&mut Automerge::new(), changes, false);
    assert!(matches!(result, Err(Refusal::Unfit(_))), "{result:?}");
}

#[test]
fn marks_are_told_of_and_saved_once_before_they_count() {
    let mut base = base();
    let mut bob = bob(&mut base);
    let text = automerge::ObjId::Id(TEXT, actor(b"alice"), 0);
    bob.mark(&text, Mark::new("bold".into(), true, 0, 2), ExpandMark::None).unwrap();
    let verdict = judge(&base, vec![last(&mut bob)]);
    assert!(verdict.marks && verdict.refused.is_none());
    let mut document = Automerge::load(&base.save()).unwrap();
    assert_eq!(apply(&mut document, verdict.accepted, true), Ok(()));
}

#[test]
fn a_mark_that_ends_before_it_begins_is_not_kept() {
    let mut base = base();
    let mut bob = bob(&mut base);
    let text = automerge::ObjId::Id(TEXT, actor(b"alice"), 0);
    bob.mark(&text, Mark::new("bold".into(), true, 2, 4), ExpandMark::None).unwrap();
    let mut change = last(&mut bob).decode();
    change.operations[1].key = head();
    let verdict = judge(&base, vec![change.into()]);
    assert_eq!(verdict.refused, None);
    let mut document = Automerge::load(&base.save()).unwrap();
    let result = apply(&mut document, verdict.accepted, verdict.marks);
    assert!(matches!(result, Err(Refusal::Unfit(_))), "{result:?}");
}

#[test]
fn a_wrong_checksum_is_found() {
    let mut base = base();
    let mut bytes = forged(&mut base, |_| {}).raw_bytes().to_vec();
    assert!(Inbound::changes_of(&bytes, &Limits::RECORD).is_ok());
    bytes[4] ^= 1;
    let wrong = Refusal::Damaged("a change's checksum is wrong");
    assert_eq!(Inbound::changes_of(&bytes, &Limits::RECORD).err(), Some(wrong));
}

#[test]
fn a_times_range_is_bounded() {
    let mut base = base();
    for (time, within) in [(1_i64 << 53, true), (i64::MAX, false), (i64::MIN, false)] {
        let bytes = forged(&mut base, |change| change.time = time).raw_bytes().to_vec();
        assert_eq!(Inbound::changes_of(&bytes, &Limits::RECORD).is_ok(), within, "{time}");
    }
}

#[test]
fn no_truncation_and_no_flipped_bit_of_a_chunk_panics_or_passes() {
    let mut base = base();
    let mut bob = bob(&mut base);
    bob.put(ROOT, "key", "x".repeat(300)).unwrap();
    let changes =
        [base.save(), base.save_nocompress(), last(&mut bob).bytes().to_vec(), last(&mut bob).raw_bytes().to_vec()];
    for chunk in changes {
        for len in 1..chunk.len() {
            let result = Inbound::changes_of(&chunk[..len], &Limits::RECORD);
            assert!(result.is_err(), "{len} bytes of {}", chunk.len());
        }
        for bit in 0..chunk.len() * 8 {
            let mut flipped = chunk.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The last bits of a compressed part may mean nothing; then it is still the same change.
            let Ok(read) = Inbound::changes_of(&flipped, &Limits::RECORD) else { continue };
            let whole = Inbound::changes_of(&chunk, &Limits::RECORD).unwrap();
            assert_eq!(hashes(&read), hashes(&whole), "bit {bit} of {} bytes", chunk.len());
        }
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let actor = actor(b"bob");
    for refusal in [
        Refusal::Damaged("x"),
        Refusal::Undecodable("x".into()),
        Refusal::ChunkType(3),
        Refusal::TooManyOps { max: 1 },
        Refusal::TooManyBytes { max: 1 },
        Refusal::TooManyChanges { max: 1 },
        Refusal::TooManyDependencies { max: 1 },
        Refusal::TooManyActors { max: 1 },
        Refusal::TooManyReferences { max: 1 },
        Refusal::TooManyHashes { max: 1 },
        Refusal::Filter,
        Refusal::TooManyWaiting { max: 1 },
        Refusal::ForeignActor { actor: actor.clone() },
        Refusal::ReservedActor { actor: actor.clone() },
        Refusal::SeqGap { actor: actor.clone(), expected: 1, found: 2 },
        Refusal::SeqReused { actor, expected: 2, found: 1 },
        Refusal::StartOpTooLarge { start_op: 2, max: 1 },
        Refusal::StartOpReused { start_op: 1, min: 2 },
        Refusal::Reference { op: 1 },
        Refusal::CounterTooLarge { op: 1 },
        Refusal::Unfit("x".into()),
    ] {
        let text = refusal.to_string();
        assert!(text.contains("; "), "what is wrong; what to do: {text}");
    }
}
