//! Which changes may enter a document: each reason to refuse one, and what becomes of the others.

use std::num::NonZeroU64;

use automerge::{
    ActorId, ExpandedChange, ObjType, ROOT, ScalarValue,
    legacy::{ObjectId, Op, OpId, OpType},
    transaction::Transactable,
};
use syncline_core::repo::{Limits, Refusal, Use};

use crate::{
    actor,
    forgery::{
        BASE_OPS, ELEMENT, FIELDS, LIST, TEXT, after, alices, base, bob, forged, hashes, head, judge, judge_with,
        map_key, null, object, op, refused,
    },
};

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

/// Row 31, orphans. Fails without the bounds of changes that wait.
#[test]
pub(crate) fn row_31_orphans_wait_up_to_their_bounds_only() {
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

/// Row 30. Fails if `vet` does not ask whether the actor may be used, or asks only once the dependencies are there.
#[test]
pub(crate) fn row_30_forged_actors_are_refused_also_for_orphans() {
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

/// Row 30: the same actor and number for another change would shut the real one out for ever. Fails without the comparison
/// with the ledger's next number.
#[test]
pub(crate) fn row_30_sequence_numbers_follow_each_other() {
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

/// Row 30. Fails if the numbers that a batch has used up do not count for what follows in it.
#[test]
fn row_30_a_reused_number_is_refused_within_a_batch() {
    let mut base = base();
    let (one, other) = (forged(&mut base, |_| {}), forged(&mut base, |change| change.time = 7));
    let verdict = judge(&base, vec![one.clone(), other.clone()]);
    assert_eq!(hashes(&verdict.accepted), [one.hash()]);
    let refused = verdict.refused.unwrap();
    assert_eq!(refused.hash, other.hash());
    assert_eq!(refused.reason, Refusal::SeqReused { actor: actor(b"bob"), expected: 2, found: 1 });
}

#[test]
pub(crate) fn operations_are_numbered_at_most_one_above_all_others() {
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

/// Row 31, counter abuse. Fails without the bound of a counter's steps.
#[test]
fn row_31_counters_stay_where_they_can_be_added_up() {
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
/// Run lengths leave a choice, and a change's hash is that of its bytes. Automerge takes every choice and writes one.
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
