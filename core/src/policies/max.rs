//! `max`: the largest value wins. A blank has no size and loses to any value.

use super::{Contender, Rank, greatest_then_latest};
use crate::{conflict::Candidate, value::Value};

/// The index of the winner; `None` without contenders.
pub(super) fn choose(contenders: &[Contender<'_>], rank: &Rank<'_>) -> Option<usize> {
    greatest_then_latest(contenders, rank, size)
}

/// `None`, for a blank, is smaller than any value.
fn size(candidate: &Candidate) -> Option<Value> {
    (!candidate.value.is_blank()).then(|| candidate.value.clone())
}
