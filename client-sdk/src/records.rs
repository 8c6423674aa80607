//! Records: read, create, change, delete, bring back.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use syncline_core::{ids::RecordId, journal::Origin, live::JsonFields};

use crate::{
    api::{Api, Call},
    error::Error,
    page::{At, Page},
};

/// A record: the model's fields, and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What is known of the record.
    #[serde(rename = "_meta")]
    pub meta: RecordMeta,
    /// The model's fields; one that nobody manages is missing, one that was cleared is null.
    #[serde(flatten)]
    pub fields: JsonFields,
}

/// What is known of a record beside its fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordMeta {
    /// The id, stable for ever.
    pub id: RecordId,
    /// The model.
    pub model: String,
    /// Counts the record's visible changes.
    pub version: u64,
    /// When the record was first seen, as RFC 3339 text like all times here.
    pub first_seen_at: String,
    /// When it last changed.
    pub last_modified_at: String,
    /// What last happened to it: `created`, `updated` or `deleted`.
    pub last_action: String,
    /// Since when it is deleted.
    pub deleted_at: Option<String>,
    /// The record that it was merged into, where it was; such a record is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<RecordId>,
    /// The place of its last change in the feed.
    pub cursor: u64,
    /// The URL of its document, for clients of `/v1/repo`; `None` where the server does not serve documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automerge_url: Option<String>,
    /// Its copies, by connection.
    pub external_ids: BTreeMap<String, External>,
    /// Who wrote each field's value, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<BTreeMap<String, Origin>>,
}

/// A record's copy in one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// The provider's kind of object.
    pub object: String,
    /// The provider's id; `None` while the copy is yet to be created.
    pub id: Option<String>,
    /// `pending`, `linked`, `gone` or `detached`.
    pub state: String,
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordQuery {
    /// Only records that changed at or after this time (RFC 3339).
    pub modified_since: Option<String>,
    /// Also deleted records.
    pub include_deleted: bool,
    /// Also who wrote each field's value.
    pub origins: bool,
    /// Only records whose fields have these values; an empty text means null.
    #[serde(skip)]
    pub filter: BTreeMap<String, String>,
}

impl Api {
    /// A page of a model's records, in the order of their last change.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_records(&self, model: &str, query: &RecordQuery, at: &At) -> Result<Page<Record>, Error> {
        let filter: Vec<(String, &String)> =
            query.filter.iter().map(|(field, value)| (format!("filter[{field}]"), value)).collect();
        self.get(&["v1", "records", model]).query(query).query(at).query(&filter).read().await
    }

    /// A record, also a deleted one, with the origin of each field's value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn record(&self, model: &str, id: RecordId) -> Result<Record, Error> {
        self.get(&["v1", "records", model, &id.to_string()]).query(&[("origins", true)]).read().await
    }

    /// Creates a record. With a key of the caller's choice, unique for each record, a repeated call makes no second one;
    /// without one a key is drawn, so that at least a lost connection makes none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_record(
        &self,
        model: &str,
        fields: &JsonFields,
        idempotency_key: Option<&str>,
    ) -> Result<Record, Error> {
        let drawn = || format!("{:032x}", rand::random::<u128>());
        let key = idempotency_key.map_or_else(drawn, str::to_owned);
        self.post(&["v1", "records", model]).header("idempotency-key", &key).json(fields).repeatable().read().await
    }

    /// Sets the named fields; null clears one. With a version the edit is refused where the record has another by now.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_record(
        &self,
        model: &str,
        id: RecordId,
        fields: &JsonFields,
        if_version: Option<u64>,
    ) -> Result<Record, Error> {
        let call = self.call(Method::PATCH, &["v1", "records", model, &id.to_string()]).json(fields);
        conditional(call, if_version).read().await
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_record(&self, model: &str, id: RecordId, if_version: Option<u64>) -> Result<(), Error> {
        conditional(self.call(Method::DELETE, &["v1", "records", model, &id.to_string()]), if_version).done().await
    }

    /// Brings a deleted record back.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn undelete_record(&self, model: &str, id: RecordId) -> Result<Record, Error> {
        self.post(&["v1", "records", model, &id.to_string(), "undelete"]).read().await
    }

    /// Sets a field to the value that an earlier change wrote.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn restore_field(&self, model: &str, id: RecordId, field: &str, change: &str) -> Result<Record, Error> {
        let body = serde_json::json!({ "field": field, "change": change });
        self.post(&["v1", "records", model, &id.to_string(), "restore"]).json(&body).read().await
    }
}

fn conditional(call: Call, if_version: Option<u64>) -> Call {
    match if_version {
        Some(version) => call.header("if-match", &format!("\"{version}\"")),
        None => call,
    }
}
