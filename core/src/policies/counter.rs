//! `counter`: a number whose differences add up. What a system shows is a total; its edit is the difference to what it
//! showed before.

use super::Merge;

/// Differences are increments of a counter.
pub(super) const MERGE: Merge = Merge::Counter;
