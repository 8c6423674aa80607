//! Records as readers of the API see them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use syncline_core::{
    ids::{ConnectionId, ExternalId, FieldName, ModelName, ObjectName, RecordId},
    journal::ChangeEntry,
    live::Cursor,
    replica::Link,
    repo::DocumentId,
    time::Millis,
    value::{Fields, Value},
};

use super::StoreError;

/// The most records in one page of a list.
pub const RECORDS_PAGE_MAX: u32 = 1_000;

/// Reads records.
#[async_trait]
pub trait Records {
    /// One page of a model's records in the order of their last visible change, oldest first. A record that changes
    /// while the pages are read moves behind them and is seen again: nothing is missed.
    async fn list_records(&self, query: &RecordQuery) -> Result<RecordPage, StoreError>;

    /// One record of the model, also a deleted one.
    async fn get_record(&self, model: &ModelName, id: RecordId) -> Result<Option<RecordRow>, StoreError>;

    /// Who wrote what and when, oldest first; `None` where the model has no such record.
    async fn history(&self, model: &ModelName, id: RecordId) -> Result<Option<Vec<ChangeEntry>>, StoreError>;

    /// The numbers of records by model.
    async fn count_records(&self) -> Result<BTreeMap<ModelName, RecordCount>, StoreError>;
}

/// Which records to list.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordQuery {
    /// The model.
    pub model: ModelName,
    /// Only records after this place, from [`RecordPage::next`].
    pub after: Option<RecordPlace>,
    /// Only records that changed at or after this time.
    pub modified_since: Option<Millis>,
    /// Also deleted records.
    pub include_deleted: bool,
    /// Only records whose fields have exactly these canonical values; [`Value::Null`] also finds absent fields. A set
    /// field given as [`Value::Text`] finds the sets that hold this member.
    pub equals: BTreeMap<FieldName, Value>,
    /// The most records in the page; clamped to 1..=[`RECORDS_PAGE_MAX`].
    pub limit: u32,
}

impl RecordQuery {
    /// The first page of a model's live records.
    pub fn of(model: ModelName) -> Self {
        Self { model, after: None, modified_since: None, include_deleted: false, equals: BTreeMap::new(), limit: 100 }
    }
}

/// A place in a model's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordPlace {
    /// The feed place of the record's last visible change.
    pub changed: Cursor,
    /// Orders records that share it.
    pub row: i64,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordPage {
    /// The records.
    pub rows: Vec<RecordRow>,
    /// Where the next page begins; `None` at the end of the list.
    pub next: Option<RecordPlace>,
}

/// One record as the API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow {
    /// The record.
    pub id: RecordId,
    /// Its model.
    pub model: ModelName,
    /// Under which id clients have its document.
    pub document: DocumentId,
    /// Counts its visible changes.
    pub version: u64,
    /// Its values.
    pub fields: Fields,
    /// Who wrote the value that stands, in the words of [`syncline_core::journal::Origin`]'s `Display`: by field, and under the empty name for
    /// every other field.
    pub origins: BTreeMap<FieldName, String>,
    /// Since when it is deleted.
    pub deleted: Option<Millis>,
    /// The record that it was merged into; then it is deleted.
    pub merged_into: Option<RecordId>,
    /// When it was first committed.
    pub first_seen_at: Millis,
    /// When it last changed visibly.
    pub last_modified_at: Millis,
    /// Its last place in the feed.
    pub cursor: Cursor,
    /// Its replicas by connection.
    pub links: BTreeMap<ConnectionId, LinkRow>,
}

impl RecordRow {
    /// Who wrote the field's value that stands.
    pub fn origin(&self, field: &FieldName) -> Option<&str> {
        self.origins.get(field).or_else(|| self.origins.get("")).map(String::as_str)
    }

    /// The objects that the record is linked to now, by connection.
    pub fn linked(&self) -> impl Iterator<Item = (&ConnectionId, &ObjectName, &ExternalId)> {
        self.links.iter().filter_map(|(connection, row)| row.link.linked().map(|id| (connection, &row.object, id)))
    }
}

/// A record's replica as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LinkRow {
    /// The provider's object name.
    pub object: ObjectName,
    /// Which object, and whether it is still linked.
    pub link: Link,
}

/// Numbers of records of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCount {
    /// Not deleted.
    pub live: u64,
    /// Deleted.
    pub deleted: u64,
}
