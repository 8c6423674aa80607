//! Conflicts: concurrent values of one field, kept and queryable after a policy has chosen.

use serde::{Deserialize, Serialize};

use crate::{
    ids::FieldName,
    journal::{Hash, Origin},
    time::{Clock, Millis},
    value::Value,
};

/// One losing value and the value that won over it. Unique in a record by (field, losing op, winning op).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The field. A delete that met edits leaves a row for each edited field.
    pub field: FieldName,
    /// The value that lost.
    pub loser: Candidate,
    /// The value that won.
    pub winner: Candidate,
    /// Why, in one word: the policy's name; `deleted`, where a delete won over an edit; or `overwritten`, where our own write
    /// may have met a value that nobody had read.
    pub reason: String,
    /// No version orders the two: the losing value may have been overwritten knowingly.
    pub uncertain: bool,
    /// When it was decided.
    pub at: Millis,
}

/// One candidate value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The op, with compensations resolved to what they repeat.
    pub op: Hash,
    /// The value.
    pub value: Value,
    /// Who wrote it.
    pub origin: Origin,
    /// When.
    pub clock: Clock,
}
