//! A record's history: who wrote what and when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_core::{ids::RecordId, journal::Origin, time::ClockKind};

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// One change of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The change; [`Api::restore_field`] takes it.
    pub change: String,
    /// When the service took it in.
    pub at: String,
    /// Who made it.
    pub origin: Origin,
    /// `created`, `edited`, `deleted` or `restored`.
    pub action: String,
    /// What was written, by field.
    pub fields: BTreeMap<String, Written>,
}

/// One value that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The value.
    pub value: serde_json::Value,
    /// When it was written at its origin, as well as anybody can tell.
    pub written_at: String,
    /// How coarse that time is, in milliseconds.
    pub precision_ms: u32,
    /// What that time speaks of.
    pub clock: ClockKind,
    /// The change whose value this repeats, where the service only confirmed a winner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
}

impl Api {
    /// A page of a record's history, newest first; of one field only, where one is named.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn record_history(
        &self,
        model: &str,
        id: RecordId,
        field: Option<&str>,
        at: &At,
    ) -> Result<Page<HistoryEntry>, Error> {
        self.get(&["v1", "records", model, &id.to_string(), "history"])
            .query(&[("field", field)])
            .query(at)
            .read()
            .await
    }
}
