//! What shows of a change only when it is decoded or entered.

use automerge::{
    Automerge, Change, ROOT,
    legacy::{ObjectId, Op, OpId, OpType},
    marks::{ExpandMark, Mark},
    transaction::Transactable,
};
use syncline_core::repo::{Inbound, Limits, Refusal, apply::apply};

use crate::{
    actor,
    chunks::{change, chunk, run, texts},
    forgery::{
        BASE_OPS, FIELDS, LIST, TEXT, after, alices, base, bob, forged, hashes, head, judge, last, map_key, null,
        object, op,
    },
};

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
