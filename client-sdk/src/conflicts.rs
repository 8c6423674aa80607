//! Conflicts: concurrent values of one field, kept after a policy has chosen.

use serde::{Deserialize, Serialize};
use syncline_core::{ids::RecordId, journal::Origin};

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// A conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The conflict's id.
    pub id: i64,
    /// The record.
    pub record: RecordId,
    /// The record's model.
    pub model: String,
    /// The field.
    pub field: String,
    /// The value that won.
    pub winner: Candidate,
    /// The value that lost.
    pub loser: Candidate,
    /// Why, in one word: the policy's name, or what happened.
    pub reason: String,
    /// Whether the losing value may have been overwritten knowingly: nothing orders the two.
    pub uncertain: bool,
    /// When it was decided.
    pub decided_at: String,
    /// `open` or `resolved`.
    pub state: String,
    /// How it was resolved; `None` while it is open.
    pub resolution: Option<Resolution>,
}

/// One of the values that met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The value.
    pub value: serde_json::Value,
    /// Who wrote it.
    pub origin: Origin,
    /// When, as well as anybody can tell.
    pub written_at: String,
    /// How coarse that time is, in milliseconds.
    pub precision_ms: u32,
    /// The change that wrote it.
    pub change: String,
}

/// How a conflict was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// What was chosen.
    pub choice: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: String,
}

/// Which conflicts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictQuery {
    /// In which state.
    pub state: ConflictState,
    /// Only of this model's records.
    pub model: Option<String>,
    /// Only of this record.
    pub record: Option<RecordId>,
}

/// In which state conflicts are to be listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictState {
    /// Nobody has looked yet.
    #[default]
    Open,
    /// Settled by somebody.
    Resolved,
    /// Both.
    All,
}

/// Which value is to stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The value that won stays.
    Winner,
    /// The value that lost is made the field's value.
    Loser,
    /// Another value.
    Value(serde_json::Value),
}

impl Api {
    /// A page of conflicts, oldest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn conflicts(&self, query: &ConflictQuery, at: &At) -> Result<Page<Conflict>, Error> {
        self.get(&["v1", "conflicts"]).query(query).query(at).read().await
    }

    /// A conflict.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn conflict(&self, id: i64) -> Result<Conflict, Error> {
        self.get(&["v1", "conflicts", &id.to_string()]).read().await
    }

    /// Confirms or overturns a conflict; the chosen value becomes the field's value by an ordinary edit.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn resolve_conflict(&self, id: i64, choice: &Choice) -> Result<Conflict, Error> {
        let body = serde_json::json!({ "choice": choice });
        self.post(&["v1", "conflicts", &id.to_string(), "resolve"]).json(&body).read().await
    }
}
