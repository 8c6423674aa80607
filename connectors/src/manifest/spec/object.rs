//! One kind of object.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByIds, Check, Deletes, Discover, Fields, Find, Key, List, Write};
use crate::manifest::words::{Format, Path, Paths, Span};

/// One kind of object.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Where a row has its id.
    #[serde(default)]
    pub id: Id,
    /// Where a row names other ids that lead to it since objects were merged.
    #[serde(default)]
    pub aliases: Option<Aliases>,
    /// Where a row has its stamp. Without one, every listed row is read again by its id.
    #[serde(default)]
    pub version: Option<Version>,
    /// Where a row or its answer has its entity tag.
    #[serde(default)]
    pub etag: Option<Etag>,
    /// Where a row says who changed it last.
    #[serde(default)]
    pub author: Option<Path>,
    /// Rows that are no such objects: any of these holds.
    #[serde(default)]
    pub skip: Vec<Check>,
    /// How a row says that it is deleted, retired or archived.
    #[serde(default)]
    pub deleted: Option<DeletedMark>,
    /// The fields.
    #[serde(default)]
    pub fields: Fields,
    /// How all objects are listed.
    pub list: List,
    /// How those are listed that changed in a time, where `list` does not look up `{since}`.
    #[serde(default)]
    pub changes: Option<List>,
    /// How deletes are found.
    #[serde(default)]
    pub deletes: Deletes,
    /// How objects are read by their ids.
    pub by_id: ByIds,
    /// How objects are found by values; the first that knows the field counts. What none finds is compared with the whole list.
    #[serde(default)]
    pub find: Vec<Find>,
    /// How the fields of an account are asked for.
    #[serde(default)]
    pub discover: Option<Discover>,
    /// How creations are repeatable.
    #[serde(default)]
    pub key: Option<Key>,
    /// How an object is created.
    #[serde(default)]
    pub create: Option<Write>,
    /// How an object is changed. Where the call looks up `{version}` or `{etag}`, it has a precondition; where it looks up
    /// `{object}`, the object is read first and written whole.
    #[serde(default)]
    pub update: Option<Write>,
    /// How an object is deleted.
    #[serde(default)]
    pub delete: Option<Write>,
}

/// Where a row has its id.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Id {
    /// The place.
    pub path: Paths,
    /// What it is. Ids of another kind are asked for nowhere.
    #[serde(rename = "type")]
    pub ty: IdKind,
}

impl Default for Id {
    fn default() -> Self {
        Self { path: Paths::of(&["id"]), ty: IdKind::Text }
    }
}

/// What ids are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// Any text of at most 200 characters without control characters.
    #[default]
    Text,
    /// Digits.
    Number,
    /// A UUID.
    Uuid,
}

/// Where a row names other ids that lead to it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aliases {
    /// A list of ids, or a text.
    pub path: Path,
    /// What parts the ids of a text.
    #[serde(default)]
    pub separator: Option<String>,
}

/// Where a row has its stamp.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The place. Of several, the first that is not null counts: a stamp may be null until the first change.
    pub path: Paths,
    /// How it is spelled.
    #[serde(default)]
    pub format: Format,
    /// How coarse it is.
    #[serde(default = "millisecond")]
    pub precision: Span,
}

fn millisecond() -> Span {
    Span::from_ms(1)
}

/// Where a row or its answer has its entity tag.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Etag {
    /// In the answer's header `ETag`.
    Header,
    /// In the row.
    Path(Path),
}

/// How a row says that it is deleted.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletedMark {
    /// Any of these holds.
    pub when: Vec<Check>,
    /// Where it says since when, spelled like the stamp.
    #[serde(default)]
    pub at: Paths,
}
