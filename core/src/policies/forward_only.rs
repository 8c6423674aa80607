//! `forward_only`: a value moves forward through its stages and never back. A blank or a value outside the stages stands
//! before the first stage, so clearing the field is a backward move too.

use super::{Contender, Rank, greatest_then_latest};
use crate::value::Value;

/// The index of the winner; `None` without contenders.
pub(super) fn choose(stages: &[String], contenders: &[Contender<'_>], rank: &Rank<'_>) -> Option<usize> {
    greatest_then_latest(contenders, rank, |candidate| stage(stages, &candidate.value))
}

/// Whether the move is not backward.
pub(super) fn admits(stages: &[String], before: &Value, after: &Value) -> bool {
    stage(stages, after) >= stage(stages, before)
}

/// The value's stage; `None`, which is less than any stage, for values outside them.
fn stage(stages: &[String], value: &Value) -> Option<usize> {
    let Value::Text(text) = value else { return None };
    stages.iter().position(|stage| stage == text)
}
