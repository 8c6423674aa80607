//! `prefer`: a source of truth. The origin named first wins; origins that are not named come after all that are, and
//! among candidates of one standing the newest wins.

use std::cmp::Reverse;

use super::{Contender, Rank, greatest_then_latest};
use crate::journal::Origin;

/// The name that stands for every client of the API.
pub(super) const CLIENT: &str = "client";

/// The index of the winner; `None` without contenders.
pub(super) fn choose(order: &[String], contenders: &[Contender<'_>], rank: &Rank<'_>) -> Option<usize> {
    greatest_then_latest(contenders, rank, |candidate| Reverse(standing(order, &candidate.origin)))
}

/// The origin's place in the order; unnamed origins share the place after the last.
fn standing(order: &[String], origin: &Origin) -> usize {
    let named = |entry: &String| match origin {
        Origin::Connection(connection) => entry == connection.as_str(),
        Origin::Client(_) => entry == CLIENT,
        Origin::Service => false,
    };
    order.iter().position(named).unwrap_or(order.len())
}
