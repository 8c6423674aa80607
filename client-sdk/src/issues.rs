//! Issues: what waits for a person or for a provider to come right.

use serde::{Deserialize, Serialize};
use syncline_core::ids::RecordId;

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// Something that waits for a person or for a provider to come right. It ends by itself when its cause does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Its id, the same for as long as it lasts.
    pub id: String,
    /// What is wrong, such as `delivery_parked`; a later server may know more kinds.
    pub kind: String,
    /// Whose data it is about.
    pub tenant: String,
    /// The sync, where it is about one.
    pub sync: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The record.
    pub record: Option<RecordId>,
    /// The connected account; `None` where it is about the record itself, or about what the product's clients did.
    pub connection: Option<String>,
    /// The provider's kind of object.
    pub object: Option<String>,
    /// The provider's id of the object.
    pub external_id: Option<String>,
    /// The field: the model's, or the provider's where that is what is missing.
    pub field: Option<String>,
    /// Since when.
    pub since: Option<String>,
    /// How often it was tried.
    pub attempts: Option<u64>,
    /// How many deletes are held back, where it is about those.
    #[serde(default)]
    pub deletes: Option<u64>,
    /// What happened, in a sentence that quotes no value.
    pub cause: String,
    /// What to do, in a sentence.
    pub remedy: String,
    /// The command that does it, or shows what to do it with.
    pub command: String,
    /// The provider's code, where it gave one.
    pub code: Option<String>,
    /// The words in which it was reported, where they were asked for; they may quote values of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it can be tried again.
    pub replayable: bool,
    /// Where the API shows what it is about.
    pub resource: String,
}

/// Which issues to list, or to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IssueQuery {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this connection.
    pub connection: Option<String>,
}

/// What became of issues that were tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuesReplayed {
    /// How many are tried again.
    pub replayed: u64,
    /// Those that could not be, each with the reason.
    pub refused: Vec<IssueNotReplayed>,
    /// Where to go on; `None` when all were tried.
    pub next_cursor: Option<String>,
}

/// An issue that could not be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueNotReplayed {
    /// The issue.
    pub id: String,
    /// Why not, and what to do instead.
    pub reason: String,
}

impl Api {
    /// A page of issues; with `details`, each with the words in which it was reported, which may quote values of records.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn issues(&self, query: &IssueQuery, details: bool, at: &At) -> Result<Page<Issue>, Error> {
        self.get(&["v1", "issues"]).query(query).query(&[("details", details)]).query(at).read().await
    }

    /// One issue.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn issue(&self, id: &str, details: bool) -> Result<Issue, Error> {
        self.get(&["v1", "issues", id]).query(&[("details", details)]).read().await
    }

    /// Tries again what an issue is about.
    ///
    /// # Errors
    /// See [`Error`]; a refusal says what to do instead.
    pub async fn replay_issue(&self, id: &str) -> Result<(), Error> {
        self.post(&["v1", "issues", id, "replay"]).done().await
    }

    /// Tries again what a page of issues of one kind are about; the query must name the kind.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replay_issues(&self, query: &IssueQuery, at: &At) -> Result<IssuesReplayed, Error> {
        self.post(&["v1", "issues", "replay"]).query(query).query(at).read().await
    }
}
