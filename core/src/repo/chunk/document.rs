//! A chunk that is a whole document.

use automerge::ChangeHash;

use super::{
    actors::count_actors,
    bytes::Bytes,
    column::{Kind, numbers},
    columns::{Columns, Heads},
    ops::{References, count_ops},
};
use crate::repo::{limits::Count, refusal::Refusal};

const ACTOR: u32 = 0x01;
const SEQ: u32 = 0x03;
const MAX_OP: u32 = 0x13;
const TIME: u32 = 0x23;
const MESSAGE: u32 = 0x35;
const DEPS: u32 = 0x40;
const DEPS_INDEX: u32 = 0x43;
const EXTRA_META: u32 = 0x56;
const EXTRA: u32 = 0x57;
const KNOWN: [u32; 9] = [ACTOR, SEQ, MAX_OP, TIME, MESSAGE, DEPS, DEPS_INDEX, EXTRA_META, EXTRA];

/// How far a change's time may lie from 1970, see [`super::change`].
const TIME_MAX: i128 = 1 << 53;

/// Counts what a document holds, and answers the heads that it claims.
pub(super) fn count_document(body: &[u8], count: &mut Count<'_>) -> Result<Vec<ChangeHash>, Refusal> {
    count.document()?;
    let mut bytes = Bytes(body);
    let actors = bytes.unsigned()?;
    count_actors(actors, &mut bytes, count)?;
    let hashes = bytes.hashes(|heads| count.deps(heads))?;
    let changes = Heads::read(&mut bytes)?;
    let ops = Heads::read(&mut bytes)?;
    count.inflated_bytes((body.len() - bytes.len()) as u64)?;
    let changes = changes.inflated(&mut bytes, count)?;
    let ops = ops.inflated(&mut bytes, count)?;
    count.inflated_bytes(bytes.len() as u64)?;
    count_changes(&changes, actors, count)?;
    count_ops(&ops, References::Successors, actors, |_| Ok(u64::from(u32::MAX)), count)?;
    hashes.chunks_exact(32).map(|hash| ChangeHash::try_from(hash).map_err(|_| DAMAGED_HEADS)).collect()
}

const DAMAGED_HEADS: Refusal = Refusal::Damaged("its heads are no hashes");

fn count_changes(columns: &Columns<'_>, actors: u64, count: &mut Count<'_>) -> Result<(), Refusal> {
    columns.only(&KNOWN)?;
    let too_many = Refusal::TooManyChanges { max: count.limits.changes_max };
    let changes = columns.rows(ACTOR, count.changes_left(), too_many)?;
    count.changes(changes)?;
    if columns.full(ACTOR, changes)?.max >= i128::from(actors) && changes > 0 {
        return Err(Refusal::Damaged("a change names an actor that the document does not"));
    }
    for number in [SEQ, MAX_OP] {
        let tally = columns.full(number, changes)?;
        if tally.min < 0 || tally.max > i128::from(u32::MAX) {
            return Err(Refusal::Damaged("a change's numbers do not fit 32 bits"));
        }
    }
    let time = columns.column(TIME, changes)?;
    if time.min < -TIME_MAX || time.max > TIME_MAX {
        return Err(Refusal::Damaged("a change's time lies outside all calendars"));
    }
    count.expanded_bytes(columns.column(MESSAGE, changes)?.text_bytes)?;
    columns.values(EXTRA_META, changes)?;
    let deps = columns.full(DEPS, changes)?.sum;
    count.deps(deps)?;
    columns.full(DEPS_INDEX, deps)?;
    check_order(columns)
}

/// Checks that every change stands behind those that it depends on.
fn check_order(columns: &Columns<'_>) -> Result<(), Refusal> {
    let mut dependencies = numbers(Kind::Delta, columns.bytes(DEPS_INDEX))?.into_iter();
    for (index, deps) in (0..).zip(numbers(Kind::Group, columns.bytes(DEPS))?) {
        for _ in 0..deps {
            if dependencies.next().is_none_or(|dependency| dependency < 0 || dependency >= index) {
                return Err(Refusal::Damaged("a change stands before one that it depends on"));
            }
        }
    }
    Ok(())
}
