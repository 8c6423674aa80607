//! `min`: the smallest value wins. A blank has no size and loses to any value.

use std::cmp::Reverse;

use super::{Contender, Rank, greatest_then_latest};
use crate::{conflict::Candidate, value::Value};

/// The index of the winner; `None` without contenders.
pub(super) fn choose(contenders: &[Contender<'_>], rank: &Rank<'_>) -> Option<usize> {
    greatest_then_latest(contenders, rank, smallness)
}

/// `None`, for a blank, is outdone by any value.
fn smallness(candidate: &Candidate) -> Option<Reverse<Value>> {
    (!candidate.value.is_blank()).then(|| Reverse(candidate.value.clone()))
}
