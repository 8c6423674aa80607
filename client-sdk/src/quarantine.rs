//! Quarantine: provider rows that could not be taken in.

use serde::{Deserialize, Serialize};

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// A row that could not be taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantinedRow {
    /// The row's id here.
    pub id: i64,
    /// The sync that read it.
    pub sync: String,
    /// The connection it came from.
    pub connection: String,
    /// The provider's kind of object.
    pub object: String,
    /// The provider's id; `None` where not even that could be read.
    pub external_id: Option<String>,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The row as it came.
    pub raw: serde_json::Value,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was first tried.
    pub first_at: String,
    /// When it was last tried.
    pub last_at: String,
}

impl Api {
    /// A page of quarantined rows, of one connection where one is named.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn quarantine(&self, connection: Option<&str>, at: &At) -> Result<Page<QuarantinedRow>, Error> {
        self.get(&["v1", "quarantine"]).query(&[("connection", connection)]).query(at).read().await
    }

    /// Tries to take a row in again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replay_quarantined(&self, id: i64) -> Result<(), Error> {
        self.post(&["v1", "quarantine", &id.to_string(), "replay"]).done().await
    }
}
