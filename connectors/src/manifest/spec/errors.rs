//! What errors mean.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Check, OneOrMany};
use crate::manifest::words::{Path, Paths, Span};

/// What errors mean. The first rule that fits counts; what fits none is judged by its status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Errors {
    /// Where answers hold a code. All codes that stand there count.
    pub code: Paths,
    /// Where answers say in words what is wrong.
    pub message: Paths,
    /// Where answers name the fields at fault.
    pub fields: Vec<FieldFault>,
    /// What makes an answer of a status 2xx a failure.
    pub in_success: Vec<Check>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Where answers name the fields at fault: the keys of a map, the entries of a list, or a text.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldFault {
    /// The map, list or text.
    pub path: Path,
    /// In each entry of a list: the name.
    #[serde(default)]
    pub name: Option<Path>,
}

/// What a failure means.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// When it counts.
    pub when: When,
    /// What it means.
    pub then: Outcome,
    /// How long to wait where the answer does not say; for `wait` and `busy`.
    #[serde(default)]
    pub after: Option<Span>,
    /// The budget that is used up, by the name that `limits` gives it; for `wait`.
    #[serde(default)]
    pub budget: Option<String>,
}

/// When a rule counts: everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The status, such as 409, or `4xx`; or several.
    pub status: OneOrMany<Status>,
    /// One of the answer's codes; or several of which one must be there.
    pub code: OneOrMany<String>,
    /// What was done: `read`, `create`, `update`, `delete`; or several.
    pub verb: OneOrMany<Verb>,
    /// A header.
    pub header: Option<HeaderCheck>,
    /// What the body must show.
    pub body: Vec<Check>,
    /// A part of the error's words.
    pub says: Option<String>,
}

/// A status, or a hundred of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Status {
    /// A status.
    One(#[schemars(range(min = 100, max = 599))] u16),
    /// `4xx`.
    Hundred(#[schemars(regex(pattern = r"^[1-5]xx$"), extend("format" = "hundred"))] String),
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Anything that changes nothing.
    Read,
    /// A creation.
    Create,
    /// A change.
    Update,
    /// A delete.
    Delete,
}

/// A condition on a header; with a name alone, it must be there.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderCheck {
    /// The header's name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub equals: Option<String>,
    /// A part of its value.
    #[serde(default)]
    pub contains: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    pub present: Option<bool>,
}

/// What a failure means, by what is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The token has expired: fetch another.
    Refresh,
    /// The grant is gone: a person has to authorise again.
    Reauthorise,
    /// A passing fault that certainly had no effect.
    Retry,
    /// A quota of the account is used up.
    Wait,
    /// This object, or this endpoint, is to be left alone for a while.
    Busy,
    /// The page's token is good no more: read on from the last row.
    Restart,
    /// The provider does not remember so far back: read everything again.
    Resync,
    /// The object is gone.
    Gone,
    /// The object is gone, or may not be touched: a reading by its id tells which. For writes.
    PerhapsGone,
    /// The request is wrong: a person has to change something.
    Configure,
    /// Somebody else changed the object since: nothing was written. For writes.
    Stale,
    /// Another object holds the same unique value. For creations.
    Exists,
    /// The values are refused. For writes.
    Refused,
    /// Nobody knows whether it had an effect. For writes.
    Unknown,
}

impl When {
    /// Whether a status fits.
    pub fn has_status(&self, status: u16) -> bool {
        let fits = |wanted: &Status| match wanted {
            Status::One(wanted) => *wanted == status,
            Status::Hundred(text) => text.as_bytes().first().map(|digit| u16::from(digit - b'0')) == Some(status / 100),
        };
        self.status.all().is_empty() || self.status.all().iter().any(fits)
    }
}
