//! An object's fields.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Check, Request};
use crate::manifest::words::{Format, Path};

/// An object's fields.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fields {
    /// Where they stand in a row; `.` is the row itself.
    pub at: Path,
    /// Names that `{fields}` holds beside those that are asked for, since facts of the object stand in them.
    pub also: Vec<String>,
    /// Whether fields that are not listed here may be read and written by their paths.
    pub others: bool,
    /// The fields by name.
    pub known: BTreeMap<String, Field>,
    /// Fields that stand in lists of names and values.
    pub lists: Vec<ListedFields>,
}

impl Default for Fields {
    fn default() -> Self {
        Self { at: Path::whole(), also: Vec::new(), others: true, known: BTreeMap::new(), lists: Vec::new() }
    }
}

/// One field.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Field {
    /// Where it stands, below `at`; its name if nothing else is given.
    pub path: Option<Path>,
    /// Where it is written, if elsewhere.
    pub write_path: Option<Path>,
    /// What it is.
    #[serde(rename = "type")]
    pub ty: FieldType,
    /// How a time or date is spelled.
    pub format: Option<Format>,
    /// What may be done with it.
    pub access: Access,
    /// Whether only one object holds a value.
    pub unique: bool,
    /// What is written for null; null if nothing else is given. The same is read as null.
    pub null_as: Option<Value>,
    /// Whether a row that lacks it has none, for providers that leave out what is empty.
    pub absent_is_null: bool,
    /// What parts the members of a set that is one text.
    pub separator: Option<String>,
    /// What true and false are, where they are written as something else.
    pub truth: Option<(Value, Value)>,
    /// The most characters.
    pub max_len: Option<u32>,
    /// The values that it may have; none: any.
    pub options: Vec<String>,
    /// The calls that write it, where it is an object of its own.
    pub parts: Option<Parts>,
}

/// What a field is: times and dates become those of RFC 3339, numbers become numbers, line ends become one character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Whatever it is, unchanged.
    #[default]
    Any,
    /// A text.
    Text,
    /// A number, or its text.
    Number,
    /// True or false.
    Boolean,
    /// A date.
    Date,
    /// A time.
    Datetime,
    /// A set of texts.
    Set,
    /// The id of another object, alone or in an object.
    Reference,
}

/// What may be done with a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It is read and written.
    #[default]
    Write,
    /// It is read, and set by creations only.
    Create,
    /// It is read.
    Read,
}

/// A field that is an object of its own, such as an address of a person: it is looked for, and then changed or added.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The call that lists the parts of the object `{id}`.
    pub look: Request,
    /// Where its answer holds them.
    pub rows: Path,
    /// Which of them is the field's: all hold.
    pub pick: Vec<Check>,
    /// Where it holds the value.
    pub value: Path,
    /// The call that changes `{found}` to `{value}`.
    pub change: Request,
    /// The call that adds `{value}` where there is none.
    #[serde(default)]
    pub add: Option<Request>,
    /// The call that takes `{found}` away where the field is cleared. Without it, clearing is refused.
    #[serde(default)]
    pub remove: Option<Request>,
}

/// Fields that stand in a list of names and values, such as custom fields.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedFields {
    /// The list, below `at`.
    pub path: Path,
    /// The key that holds the name.
    pub name: String,
    /// The key that holds the value.
    pub value: String,
    /// What stands before the name in ours, so that it is like no other: `custom_field_`.
    pub prefix: String,
}
