//! How objects are read.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Check, Request};
use crate::manifest::words::{Format, Path, Paths, Span, Template};

/// A list of objects, page by page.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The call of a page.
    pub request: Request,
    /// Where the answer holds the rows.
    #[serde(default = "Path::whole")]
    pub rows: Path,
    /// The order of the rows.
    #[serde(default)]
    pub order: Order,
    /// How the next page is asked for.
    #[serde(default)]
    pub page: Paging,
    /// Whether rows that change, come or go meanwhile leave the pages that follow as they are. A page that counts rows or pages
    /// is moved by them; a token that is a place in time or by id is not.
    #[serde(default)]
    pub stable: bool,
    /// What says that nothing follows; any of these holds.
    #[serde(default)]
    pub end: Vec<Check>,
    /// Whether a page of fewer rows than were asked for is the last. Only where the provider says so.
    #[serde(default)]
    pub short_page_ends: bool,
    /// Where the answer says how many rows there are in all.
    #[serde(default)]
    pub total: Option<Path>,
    /// The most rows in a page.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub page_max: u32,
    /// The most rows that one walk may read before it must begin anew behind the last one.
    #[serde(default)]
    pub rows_max: Option<u32>,
    /// How long the newest rows may stay hidden.
    #[serde(default)]
    pub lag: Span,
    /// How much of the past each look reads again, for rows that appear late with an earlier stamp.
    #[serde(default = "five_minutes")]
    pub overlap: Span,
    /// Where a row says when it took its place in the list, if not by its stamp; spelled as `place_format` says.
    #[serde(default)]
    pub place: Paths,
    /// How that time is spelled.
    #[serde(default)]
    pub place_format: Format,
}

fn hundred() -> u32 {
    100
}

fn five_minutes() -> Span {
    Span::from_ms(300_000)
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By the stamp, the oldest first.
    Stamp,
    /// By the id, the smallest first.
    #[default]
    Id,
}

/// How the next page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    /// Not at all: everything comes at once.
    #[default]
    None,
    /// By the last row: the request looks up `{after_id}`. An empty page is the last.
    Keyset,
    /// By a number of rows: the request looks up `{offset}`. An empty page is the last.
    Offset,
    /// By a number of pages, the first being 1: the request looks up `{page}`. An empty page is the last.
    Page,
    /// By the address in the header `Link` with `rel="next"`.
    Link,
    /// By an address in the answer.
    NextUrl(Path),
    /// By a token of the answer: the request looks up `{cursor}`.
    Token(Token),
}

/// Where an answer holds the token of the next page: in its body or in a header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    /// The place in the body.
    pub path: Option<Path>,
    /// The header.
    pub header: Option<String>,
}

/// A list that comes at once, or in pages of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unpaged {
    /// The call.
    pub request: Request,
    /// Where the answer holds the rows.
    #[serde(default = "Path::whole")]
    pub rows: Path,
    /// How the next page is asked for.
    #[serde(default)]
    pub page: Paging,
    /// What says that nothing follows; any of these holds.
    #[serde(default)]
    pub end: Vec<Check>,
}

/// How deletes are found.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// By reading ids that a sweep misses: they are not there, or say that they are deleted.
    #[default]
    Probe,
    /// Among the changes, as rows that say that they are deleted.
    Changes,
    /// In a list of their own: a log, or tombstones.
    Feed(Box<Feed>),
    /// In a list of what is archived or deleted, which is read whole.
    Archived(Box<List>),
}

/// A list that tells of deletes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// The list. Its order is that of time where it is `stamp`, as `at` says.
    pub list: List,
    /// Where an entry has the object's id.
    pub id: Paths,
    /// Where an entry has its time.
    #[serde(default)]
    pub at: Paths,
    /// How that is spelled.
    #[serde(default)]
    pub format: Format,
    /// Entries that tell of a delete of this kind of object: all hold.
    #[serde(default)]
    pub when: Vec<Check>,
    /// Where the answer says up to when it is complete.
    #[serde(default)]
    pub covered: Option<Path>,
    /// How far back it reaches: what is older can only be found by reading everything.
    #[serde(default)]
    pub remembers: Option<Span>,
}

/// How objects are read by their ids: one, many, or both.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ByIds {
    /// The call that reads the object `{id}`.
    pub one: Option<One>,
    /// The call that reads the objects `{ids}`.
    pub many: Option<Many>,
    /// The call that reads the objects `{ids}` that `many` did not bring since they are archived or deleted.
    pub archived: Option<Many>,
    /// The call that reads what became of the object `{id}` that no other brought: its answer may show the object that it was
    /// merged into.
    pub merged: Option<One>,
}

/// A call that reads one object.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct One {
    /// The call.
    pub request: Request,
    /// Where the answer holds the row.
    #[serde(default = "Path::whole")]
    pub row: Path,
}

/// A call that reads many objects.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Many {
    /// The call.
    pub request: Request,
    /// Where the answer holds the rows.
    #[serde(default = "Path::whole")]
    pub rows: Path,
    /// The most ids of a call.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max: u32,
}

/// A call that finds objects by their values. What it brings is compared again.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// The fields that can be searched by; all where none are named. `cf_*` is any that begins so.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Whether it is only used to look for our key, which no two objects hold.
    #[serde(default)]
    pub for_key: bool,
    /// Whether each value is searched for in small letters as well, for an index that knows nothing else.
    #[serde(default)]
    pub lower_too: bool,
    /// The call, which looks up `{field}`, and `{values}`, `{value}` or `{terms}`.
    pub request: Request,
    /// What one value is in `{terms}`: it looks up `{field}` and `{value}`.
    #[serde(default)]
    pub term: Option<Template>,
    /// What stands between terms.
    #[serde(default = "space")]
    pub between: String,
    /// Where the answer holds the rows.
    #[serde(default = "Path::whole")]
    pub rows: Path,
    /// How the next page is asked for; at most 10 are.
    #[serde(default)]
    pub page: Paging,
    /// What says that nothing follows; any of these holds.
    #[serde(default)]
    pub end: Vec<Check>,
    /// The most values of a call; 1 where it looks up `{value}`.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max: u32,
    /// The longest text of `{terms}`, in bytes.
    #[serde(default = "four_thousand")]
    pub bytes_max: u32,
    /// A part that no value may hold, since it parts them: such values are searched for in another way.
    #[serde(default)]
    pub not_with: Option<String>,
}

impl Find {
    /// Whether it can search by a field.
    pub fn knows(&self, field: &str) -> bool {
        let fits = |own: &String| match own.strip_suffix('*') {
            Some(prefix) => field.starts_with(prefix),
            None => own == field,
        };
        self.fields.is_empty() || self.fields.iter().any(fits)
    }
}

fn space() -> String {
    " ".to_owned()
}

fn four_thousand() -> u32 {
    4_000
}

/// How the fields of an account are asked for.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discover {
    /// The call and its pages; at most 50 are read.
    pub list: Unpaged,
    /// Fields that are meant: all hold.
    #[serde(default)]
    pub when: Vec<Check>,
    /// What a field is called, made of its `{row}`.
    pub name: Template,
    /// Where its label stands.
    #[serde(default)]
    pub label: Option<Path>,
    /// Where its type stands.
    #[serde(default)]
    pub ty: Option<Path>,
    /// What it must show to be writable: all hold.
    #[serde(default)]
    pub writable: Vec<Check>,
    /// What it must show to hold unique values: all hold, and there is one.
    #[serde(default)]
    pub unique: Vec<Check>,
    /// Where the values stand that it may have.
    #[serde(default)]
    pub options: Option<Path>,
}
