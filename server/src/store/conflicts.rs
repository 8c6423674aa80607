//! Conflict rows: kept, queryable, and closed by people.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{
    conflict::Conflict,
    ids::{ModelName, RecordId},
    time::Millis,
};

use super::StoreError;

/// Names a conflict of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConflictId(pub i64);

/// Reads conflicts; they are added and closed by a commit.
#[async_trait]
pub trait Conflicts {
    /// Conflicts by id, ascending, at most `limit` (clamped to 1..=1000).
    async fn list_conflicts(&self, query: &ConflictQuery) -> Result<Vec<ConflictRow>, StoreError>;

    /// One conflict.
    async fn get_conflict(&self, id: ConflictId) -> Result<Option<ConflictRow>, StoreError>;

    /// The number of open conflicts, found by an index of their own.
    async fn count_open_conflicts(&self) -> Result<u64, StoreError>;

    /// The numbers of open and closed conflicts.
    async fn count_conflicts(&self) -> Result<ConflictCount, StoreError>;
}

/// Which conflicts to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConflictQuery {
    /// Only open (`Some(true)`) or closed (`Some(false)`) ones.
    pub open: Option<bool>,
    /// Only of this model.
    pub model: Option<ModelName>,
    /// Only of this record.
    pub record: Option<RecordId>,
    /// Only after this id.
    pub after: Option<ConflictId>,
    /// The most rows.
    pub limit: u32,
}

/// A conflict as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictRow {
    /// Its name.
    pub id: ConflictId,
    /// The record.
    pub record: RecordId,
    /// The record's model.
    pub model: ModelName,
    /// The two values.
    pub conflict: Conflict,
    /// How it was closed; `None` while it is open.
    pub closed: Option<Closed>,
}

/// How a conflict was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When.
    pub at: Millis,
    /// By whom.
    pub by: String,
    /// What was chosen, in one word: `winner`, `loser` or `value`.
    pub choice: String,
}

/// The closing of a conflict, for a commit. One that is closed already stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Which conflict.
    pub id: ConflictId,
    /// How.
    pub closed: Closed,
}

/// Numbers of conflicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictCount {
    /// Waiting for somebody to look, or for nobody.
    pub open: u64,
    /// Settled by a person.
    pub closed: u64,
}
