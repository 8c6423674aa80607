//! `latest`: the newest value wins.
//!
//! "Within the uncertainty of each other" is not transitive, so pairs are never compared in a chain: the newest clock of
//! all is taken, everything that it cannot honestly be told from stays in, and among those the order of systems decides,
//! then the later arrival.

use std::cmp::Reverse;

use super::{Contender, Rank};
use crate::time::Clock;

/// The index of the winner; `None` without contenders.
pub(super) fn choose(contenders: &[Contender<'_>], rank: &Rank<'_>) -> Option<usize> {
    let newest = newest(contenders)?;
    let undecided =
        contenders.iter().enumerate().filter(|(_, contender)| contender.candidate.clock.order(&newest).is_none());
    undecided
        .min_by_key(|(_, contender)| {
            (rank(&contender.candidate.origin), Reverse(contender.arrival), contender.candidate.op)
        })
        .map(|(index, _)| index)
}

/// The newest clock; of equally new ones the coarsest, so that the order of the slice does not matter.
fn newest(contenders: &[Contender<'_>]) -> Option<Clock> {
    contenders.iter().map(|contender| contender.candidate.clock).max_by_key(|clock| (clock.at, clock.precision_ms))
}
