//! How a record looks to callers.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use serde::Serialize;
use serde_json::Value as Json;
use syncline_core::replica::Link;
use utoipa::ToSchema;

use crate::{
    http::origin::OriginView,
    store::records::{LinkRow, RecordRow},
};

/// The name of the block beside the model's fields.
pub(super) const META: &str = "_meta";

/// A record: the model's fields, and beside them `_meta`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Record)]
pub(crate) struct RecordView {
    /// What is known of the record.
    #[serde(rename = "_meta")]
    meta: RecordMeta,
    /// The model's fields; one that nobody manages is missing, one that was cleared is null.
    #[serde(flatten)]
    fields: BTreeMap<String, Json>,
}

/// What is known of a record beside its fields.
#[derive(Debug, Serialize, ToSchema)]
struct RecordMeta {
    /// The record's id, stable for ever.
    #[schema(format = "uuid")]
    id: String,
    /// The record's Automerge document, for clients of `/v1/repo`.
    #[schema(example = "automerge:2akvofn6L1o4RMUEMQi7qzwRjKWZ")]
    automerge_url: String,
    /// The model.
    model: String,
    /// Counts the record's visible changes; also its `ETag`.
    version: u64,
    /// When the record was first seen.
    #[schema(format = DateTime)]
    first_seen_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    last_modified_at: String,
    /// What last happened to it.
    last_action: LastAction,
    /// Since when it is deleted; null while it is not.
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// The record that it was merged into; left out while it is one of its own. Such a record is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid", nullable = false)]
    merged_into: Option<String>,
    /// The place of its last change in the feed.
    cursor: u64,
    /// Its copies, by connection.
    external_ids: BTreeMap<String, ExternalView>,
    /// Who wrote each field's value; only where `origins=true` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    origins: Option<BTreeMap<String, OriginView>>,
}

/// What last happened to a record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LastAction {
    Created,
    Updated,
    Deleted,
}

/// A record's copy in one connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordCopy)]
struct ExternalView {
    /// The provider's kind of object.
    object: String,
    /// The provider's id; null while the copy is yet to be created.
    id: Option<String>,
    /// Whether the copy is linked.
    state: LinkState,
}

/// Whether a copy is linked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum LinkState {
    /// Yet to be created or found.
    Pending,
    /// Kept the same.
    Linked,
    /// Deleted there.
    Gone,
    /// Lives on by itself.
    Detached,
}

impl RecordView {
    /// A record without origins.
    pub(super) fn new(row: &RecordRow) -> Self {
        Self {
            fields: row.fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect(),
            meta: RecordMeta {
                id: row.id.to_string(),
                automerge_url: row.document.url(),
                model: row.model.to_string(),
                version: row.version,
                first_seen_at: row.first_seen_at.to_rfc3339(),
                last_modified_at: row.last_modified_at.to_rfc3339(),
                last_action: last_action(row),
                deleted_at: row.deleted.map(|at| at.to_rfc3339()),
                merged_into: row.merged_into.map(|record| record.to_string()),
                cursor: row.cursor.0,
                external_ids: row
                    .links
                    .iter()
                    .map(|(connection, link)| (connection.to_string(), link.into()))
                    .collect(),
                origins: None,
            },
        }
    }

    /// The same record with the origin of each field's value, where `wanted`.
    pub(super) fn with_origins(mut self, row: &RecordRow, wanted: bool) -> Self {
        self.meta.origins = wanted.then(|| {
            let origins =
                row.fields.keys().filter_map(|field| Some((field.to_string(), OriginView::parse(row.origin(field)?))));
            origins.collect()
        });
        self
    }
}

/// The version as an `ETag`.
pub(super) fn etag(row: &RecordRow) -> HeaderValue {
    // Digits between quotation marks are always a header value.
    HeaderValue::from_str(&format!("\"{}\"", row.version)).unwrap_or(HeaderValue::from_static("\"\""))
}

fn last_action(row: &RecordRow) -> LastAction {
    match (row.deleted, row.version) {
        (Some(_), _) => LastAction::Deleted,
        (None, 0 | 1) => LastAction::Created,
        (None, _) => LastAction::Updated,
    }
}

impl From<&LinkRow> for ExternalView {
    fn from(row: &LinkRow) -> Self {
        let id = row.link.external_id().map(ToString::to_string);
        Self { object: row.object.to_string(), id, state: (&row.link).into() }
    }
}

impl From<&Link> for LinkState {
    fn from(link: &Link) -> Self {
        match link {
            Link::Unlinked => Self::Pending,
            Link::Linked { .. } => Self::Linked,
            Link::Gone { .. } => Self::Gone,
            Link::Detached { .. } => Self::Detached,
        }
    }
}
