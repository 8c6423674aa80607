//! How objects are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{HeaderCheck, Request};
use crate::manifest::words::{Path, Paths};

/// A call that writes one object.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The call. It looks up `{body}` or `{object}`, and `{id}` where there is one.
    pub request: Request,
    /// Where the answer shows the object; an answer without it says no more than that it was written.
    #[serde(default)]
    pub row: Option<Path>,
    /// Where the answer to a creation has the new id, if it does not show the object.
    #[serde(default)]
    pub id: Paths,
    /// Whether the header `Location` ends with the new id.
    #[serde(default)]
    pub location: bool,
    /// Whether an empty answer is followed by a reading of the object, so that what the provider made of it is seen at once.
    #[serde(default)]
    pub then_read: bool,
    /// A call before it whose answer is good for one write, `{once}`.
    #[serde(default)]
    pub once: Option<Once>,
}

/// A call whose answer is good for one write.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Once {
    /// The call.
    pub request: Request,
    /// Where its answer holds what is good for one write.
    pub path: Path,
}

/// How creations are repeatable: what an earlier attempt has made is found or met, and changed instead.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Key {
    /// The field that holds our key; without one, any text field with unique values may be it.
    pub field: Option<String>,
    /// Whether the key is looked for before a creation. A creation whose call looks up `{attempt_key}` is known by the provider
    /// when it is repeated; where it forgets, look as well.
    pub look: bool,
    /// The call that creates or changes the object that bears `{key}` in `{key_field}`.
    pub upsert: Option<Write>,
    /// What an answer shows in its headers that repeats an earlier one, where the provider knows `{attempt_key}`.
    pub repeated: Option<HeaderCheck>,
    /// A field by whose value the object is found that is in a creation's way.
    pub unique: Option<String>,
    /// Where the refusal names the object that is in the way.
    pub holder: Paths,
    /// A text in which the key stands behind the text of a field, where no field holds it alone.
    pub marker: Option<Marker>,
}

/// A key that stands in a field of text.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The field.
    pub field: String,
    /// What stands before the key, such as `<!-- syncline:`.
    pub before: String,
    /// What stands behind it, such as ` -->`.
    pub after: String,
}
