//! A chunk that is one change.

use super::{
    actors::count_actors,
    bytes::Bytes,
    columns::Heads,
    ops::{References, count_ops},
};
use crate::repo::{limits::Count, refusal::Refusal};

/// How far a change's time may lie from 1970, in whatever unit its author chose: what a JavaScript number holds without
/// loss. Differences of such times fit 64 bits.
const TIME_MAX: u64 = 1 << 53;

/// Counts what an uncompressed change holds.
pub(super) fn count_change(body: &[u8], count: &mut Count<'_>) -> Result<(), Refusal> {
    let mut bytes = Bytes(body);
    count.changes(1)?;
    bytes.hashes(|deps| count.deps(deps))?;
    count_actors(1, &mut bytes, count)?;
    // The sequence number is judged by the vetting.
    bytes.unsigned()?;
    let start_op = bytes.unsigned()?;
    if bytes.signed()?.unsigned_abs() > TIME_MAX {
        return Err(Refusal::Damaged("a change's time lies outside all calendars"));
    }
    if str::from_utf8(bytes.prefixed()?).is_err() {
        return Err(Refusal::Damaged("a change's message is not UTF-8"));
    }
    let others = bytes.unsigned()?;
    count_actors(others, &mut bytes, count)?;
    let columns = Heads::read(&mut bytes)?.plain(&mut bytes)?;
    count_ops(&columns, References::Predecessors, others + 1, |ops| last_op(start_op, ops), count)
}

/// The number of a change's last operation. Automerge holds such numbers in 32 bits.
fn last_op(start_op: u64, ops: u64) -> Result<u64, Refusal> {
    if start_op == 0 {
        return Err(Refusal::Damaged("operations are numbered from 1"));
    }
    let last = start_op.saturating_add(ops) - 1;
    let max = u64::from(u32::MAX);
    if last > max { Err(Refusal::StartOpTooLarge { start_op, max }) } else { Ok(last) }
}
