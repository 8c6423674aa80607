//! Few bytes that stand for many. Each is refused by counting; none is expanded.

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};
use syncline_core::repo::{Inbound, Limits, Refusal};

use crate::chunks::{
    change, chunk, document, message, prefixed, put_columns, puts, run, signed, step, texts, unsigned, with_filter,
};

const LIMITS: Limits = Limits::RECORD;
const BYTES: Refusal = Refusal::TooManyBytes { max: LIMITS.inflated_bytes_max };
const OPS: Refusal = Refusal::TooManyOps { max: LIMITS.ops_max };

fn read(data: &[u8]) -> Result<u64, Refusal> {
    Inbound::read(data, &LIMITS, |_| false).map(|inbound| inbound.census.ops)
}

#[track_caller]
fn refused(data: &[u8], refusal: Refusal) {
    assert_eq!(read(data), Err(refusal), "{} bytes", data.len());
}

#[track_caller]
fn damaged(data: &[u8]) {
    let result = read(data);
    assert!(matches!(result, Err(Refusal::Damaged(_))), "{result:?}");
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// DEFLATE of so many zeros, without ever holding them.
fn zeros(mebibytes: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    (0..mebibytes).for_each(|_| encoder.write_all(&[0; 1 << 20]).unwrap());
    encoder.finish().unwrap()
}

fn with_column(spec: u64, column: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
    let mut columns: Vec<_> = put_columns(10).into_iter().filter(|(other, _)| *other != spec).collect();
    columns.push((spec, column));
    columns.sort_by_key(|(spec, _)| *spec);
    columns
}

/// A change of ten operations, with one column replaced.
fn changed(spec: u64, column: Vec<u8>) -> Vec<u8> {
    message(&[chunk(1, &change(1, &with_column(spec, column)))])
}

/// Row 31, op bombs. Fails, and takes seconds and gigabytes, if operations are decoded before their runs are counted.
#[test]
fn row_31_operations_in_one_run_are_counted() {
    for ops in [100_001, 1_000_000, 10_000_000, i64::MAX] {
        let bomb = message(&[chunk(1, &puts(ops))]);
        assert!(bomb.len() < 120);
        refused(&bomb, OPS);
    }
    let nulls = [vec![0], unsigned(u64::MAX)].concat();
    refused(&changed(0x42, nulls), OPS);
    refused(&message(&[chunk(1, &puts(60_000)), chunk(1, &puts(60_000))]), OPS);
    refused(&changed(0x42, [run(i64::MAX, 1), run(i64::MAX, 1), run(i64::MAX, 1)].concat()), OPS);
    refused(&changed(0x42, signed(i64::MIN)), OPS);
}

#[test]
fn the_limit_itself_is_within() {
    // The checksum is wrong, which shows only once everything was counted.
    let wrong = Refusal::Damaged("a change's checksum is wrong");
    refused(&message(&[chunk(1, &puts(100_000))]), wrong.clone());
    refused(&message(&[chunk(2, &deflate(&puts(10)))]), wrong);
}

/// Row 31, decompression bombs. Fails if a chunk is inflated whole before its length is looked at.
#[test]
fn row_31_inflating_stops_at_the_limit() {
    let bomb = message(&[chunk(2, &zeros(256))]);
    assert!(bomb.len() < 300 << 10);
    refused(&bomb, BYTES);
    refused(&message(&[chunk(2, &zeros(2))]), BYTES);
    let big = "x".repeat(700 << 10);
    let half = chunk(2, &deflate(&change(1, &with_column(0x57, big.into_bytes()))));
    refused(&message(&[half.clone(), half]), BYTES);
    damaged(&message(&[chunk(2, &deflate(&puts(10))[..10])]));
    damaged(&message(&[chunk(2, &[deflate(&puts(10)), vec![0]].concat())]));
    damaged(&message(&[chunk(2, &[0xff; 50])]));
    damaged(&message(&[chunk(2, &[])]));
}

#[test]
fn documents_with_inflated_columns_are_refused() {
    let changes = vec![(0x01, run(1, 0)), (0x03, step(1, 1)), (0x13, step(1, 1)), (0x40, run(1, 0))];
    let ops = |ops: i64| vec![(0x42, run(ops, 1))];
    refused(&message(&[chunk(0, &document(&changes, &ops(10_000_000)))]), OPS);
    refused(&message(&[chunk(0, &document(&changes, &[(0x57 | 8, zeros(256))]))]), BYTES);
    refused(&message(&[chunk(0, &document(&[(0x35 | 8, zeros(64))], &ops(1)))]), BYTES);
    let split = [(0x15 | 8, zeros(1)), (0x57 | 8, zeros(1))];
    refused(&message(&[chunk(0, &document(&changes, &split))]), BYTES);
    let many = |changes: i64| vec![(0x01, run(changes, 0))];
    refused(
        &message(&[chunk(0, &document(&many(1 << 40), &ops(1)))]),
        Refusal::TooManyChanges { max: LIMITS.changes_max },
    );
    let twice = chunk(0, &document(&[], &[]));
    refused(&message(&[twice.clone(), twice]), Refusal::Damaged("more than one whole document at once"));
}

#[test]
fn documents_that_automerge_would_fall_over_are_refused() {
    let base = || vec![(0x01, run(2, 0)), (0x03, step(2, 1)), (0x13, step(2, 1)), (0x40, run(2, 0)), (0x43, vec![])];
    let with = |spec: u64, column: Vec<u8>| {
        let columns =
            base().into_iter().map(|(other, data)| (other, if other == spec { column.clone() } else { data }));
        message(&[chunk(0, &document(&columns.collect::<Vec<_>>(), &[]))])
    };
    damaged(&with(0x01, run(2, 1)));
    damaged(&with(0x03, step(2, -1)));
    damaged(&with(0x13, step(2, i64::MAX)));
    damaged(&with(0x13, step(3, 1)));
    damaged(&with(0x40, [run(1, 1), run(1, 0)].concat()));
    refused(&with(0x40, run(2, 1 << 60)), Refusal::TooManyDependencies { max: LIMITS.deps_max });
    let dependent = |index: i64| {
        let columns: Vec<_> = base()
            .into_iter()
            .map(|(spec, data)| match spec {
                0x40 => (spec, [signed(-2), unsigned(0), unsigned(1)].concat()),
                0x43 => (spec, step(1, index)),
                _ => (spec, data),
            })
            .collect();
        message(&[chunk(0, &document(&columns, &[]))])
    };
    for index in [1, 2, -1, i64::MAX] {
        damaged(&dependent(index));
    }
}

#[test]
fn no_column_claims_more_rows_than_there_are_operations() {
    for (spec, column) in [
        (0x01, run(11, 0)),
        (0x01, run(i64::MAX, 0)),
        (0x02, run(11, 1)),
        (0x11, run(11, 0)),
        (0x13, step(11, 0)),
        (0x15, texts(11, "k")),
        (0x15, texts(9, "k")),
        (0x34, unsigned(11)),
        (0x34, unsigned(u64::MAX)),
        (0x34, [unsigned(u64::MAX), unsigned(u64::MAX)].concat()),
        (0x56, run(11, 0)),
        (0x56, run(10, u64::MAX)),
        (0x56, run(10, 1 << 4)),
        (0x70, run(11, 0)),
        (0x94, unsigned(11)),
        (0xa5, texts(11, "m")),
        (0x15, [signed(10), prefixed(&[0xff])].concat()),
        (0x15, [signed(10), unsigned(u64::MAX)].concat()),
        (0x13, step(10, i64::MIN)),
        (0x13, step(10, i64::MAX)),
        (0x13, step(10, -1)),
        (0x13, step(10, 2)),
        (0x02, run(10, 11)),
        (0x01, run(10, 1)),
        (0x57 + 0x100, vec![1]),
        (0x71, run(1, 0)),
        (0x73, step(1, 1)),
    ] {
        damaged(&changed(spec, column));
    }
}

#[test]
pub(crate) fn references_are_counted_by_their_groups() {
    refused(&changed(0x70, run(10, 1 << 40)), Refusal::TooManyReferences { max: LIMITS.references_max });
    refused(&changed(0x70, run(10, u64::MAX)), Refusal::TooManyReferences { max: LIMITS.references_max });
    damaged(&changed(0x70, run(10, 1)));
}

#[test]
fn a_long_key_is_counted_as_often_as_it_stands() {
    let mut columns = put_columns(100_000);
    columns[0].1 = texts(100_000, &"k".repeat(1000));
    refused(&message(&[chunk(1, &change(1, &columns))]), Refusal::TooManyBytes { max: LIMITS.expanded_bytes_max });
}

#[test]
fn claimed_counts_are_checked_before_they_are_believed() {
    for count in [1 << 20, 1 << 40, u64::MAX] {
        let count = unsigned(count);
        let deps = [&count[..], &[0; 64]].concat();
        refused(&message(&[chunk(1, &deps)]), Refusal::TooManyDependencies { max: LIMITS.deps_max });
        let others = [&[0][..], &prefixed(b"a"), &[1, 1, 0, 0], &count].concat();
        refused(&message(&[chunk(1, &others)]), Refusal::TooManyActors { max: LIMITS.actors_max });
        refused(&message(&[chunk(0, &count)]), Refusal::TooManyActors { max: LIMITS.actors_max });
        damaged(&message(&[chunk(1, &[&[0][..], &prefixed(b"a"), &[1, 1, 0, 0, 0], &count].concat())]));
        damaged(&message(&[[&[0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1][..], &count].concat()]));
        let hashes = Refusal::TooManyHashes { max: LIMITS.hashes_max };
        refused(&[&[0x42][..], &count].concat(), hashes.clone());
        refused(&[&[0x43, 0][..], &count].concat(), hashes.clone());
        refused(&[&[0x42, 0, 0, 1][..], &count].concat(), hashes);
        refused(&[&[0x42, 0, 0][..], &count].concat(), Refusal::TooManyHashes { max: 8 });
        damaged(&[&[0x42, 0, 0, 0][..], &count].concat());
        damaged(&[&[0x42, 0, 0, 0, 1][..], &count].concat());
    }
}

#[test]
fn numbers_that_leave_none_for_others_are_refused() {
    for start_op in [u64::from(u32::MAX), 1 << 40, u64::MAX] {
        let result = read(&message(&[chunk(1, &change(start_op, &put_columns(10)))]));
        assert!(matches!(result, Err(Refusal::StartOpTooLarge { .. })), "{result:?}");
    }
    damaged(&message(&[chunk(1, &change(0, &put_columns(10)))]));
}

#[test]
fn filters_that_cannot_be_asked_are_refused() {
    assert_eq!(read(&with_filter(1, 10, 7, &[0; 2])), Ok(0));
    assert_eq!(read(&with_filter(0, 0, 0, &[])), Ok(0));
    for bomb in [
        with_filter(1, 0, 7, &[]),
        with_filter(u64::MAX, 0, 7, &[]),
        with_filter(1, 10, u64::from(u32::MAX), &[0; 2]),
        with_filter(1, 10, 33, &[0; 2]),
        with_filter(1, 10, 0, &[0; 2]),
        with_filter(1, 65, 7, &[0; 9]),
        with_filter(1, 10, 7, &[0; 3]),
        with_filter(1 << 62, 10, 7, &[0; 2]),
    ] {
        refused(&bomb, Refusal::Filter);
    }
}

#[test]
fn other_kinds_of_chunks_are_refused() {
    for kind in [3, 4, 255] {
        refused(&message(&[chunk(kind, &[0; 40])]), Refusal::ChunkType(kind));
    }
    damaged(&message(&[b"no chunk at all".to_vec()]));
    damaged(b"no message");
    damaged(&[]);
}
