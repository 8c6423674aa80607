//! Quarantine: provider rows that could not be taken in.

use serde::{Deserialize, Serialize};
use syncline_core::ids::RecordId;

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

/// A record whose document is damaged and could not be rebuilt by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantinedRecord {
    /// The record.
    pub id: RecordId,
    /// Its model.
    pub model: String,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// When it was found.
    pub found_at: String,
}

/// A record whose document is sound again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RebuiltRecord {
    /// The record.
    pub record: RecordId,
    /// How its document was made: `sound` (it was not damaged), `proved` (it is what was committed) or `from_values` (it begins a
    /// new history).
    pub how: String,
}

/// A record that was made of a row.
#[derive(Deserialize)]
struct Separated {
    record: RecordId,
}

impl Api {
    /// A page of records whose documents are damaged.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn quarantined_records(&self, at: &At) -> Result<Page<QuarantinedRecord>, Error> {
        self.get(&["v1", "quarantine", "records"]).query(at).read().await
    }

    /// Makes a record's damaged document again: as it was committed where that can be proved, else, only if `from_values`, as a
    /// new history with the values that stand.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rebuild_record(&self, model: &str, id: RecordId, from_values: bool) -> Result<RebuiltRecord, Error> {
        let body = serde_json::json!({ "from_values": from_values });
        self.post(&["v1", "records", model, &id.to_string(), "rebuild"]).json(&body).read().await
    }

    /// A page of quarantined rows, of one connection where one is named.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn quarantine(&self, connection: Option<&str>, at: &At) -> Result<Page<QuarantinedRow>, Error> {
        self.get(&["v1", "quarantine"]).query(&[("connection", connection)]).query(at).read().await
    }

    /// Makes an object that could be any of several records one of its own.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn separate_quarantined(&self, id: i64) -> Result<RecordId, Error> {
        let made: Separated = self.post(&["v1", "quarantine", &id.to_string(), "separate"]).read().await?;
        Ok(made.record)
    }

    /// Tries to take a row in again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replay_quarantined(&self, id: i64) -> Result<(), Error> {
        self.post(&["v1", "quarantine", &id.to_string(), "replay"]).done().await
    }
}
