//! What configuration says about a mapping, before it is held against the model.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::wire::Wire;
use crate::model::Canonical;

/// The `mapping:` of one side of a sync: each model field's relation to the provider's object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MappingSpec(pub BTreeMap<String, FieldSpec>);

/// One field's relation. Written either as the provider's field name alone (`email: Email`) or with options.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FieldSpec {
    /// The provider's field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A field inside the provider's nested objects, such as `MailingAddress.street`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Several provider fields that together are this one, such as `[FirstName, LastName]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<String>,
    /// What stands between the parts of a `join`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// This field is one part of the provider's `field`, which is split at this separator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Which part of a `split` this field is, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<usize>,
    /// Which part of a `join` or `split` takes what is left where there are more pieces than parts; the last by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
    /// The provider's spelling of each model value; must be one to one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, serde_json::Value>,
    /// The provider keeps a set as text with this separator. Without it a set is a JSON array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// A fixed value, written when an object is created and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<serde_json::Value>,
    /// The provider's type, where it is not the natural one for the model's type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub wire: Option<Wire>,
    /// Whether the field is read, written or both.
    #[serde(skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
    /// Folding steps for what this provider shows, before the model's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canonical: Vec<Canonical>,
}

/// Which way a field goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Edits come from the provider and go to it.
    #[default]
    Both,
    /// Edits come from the provider; nothing is written there.
    Read,
    /// Values are written to the provider; what it shows is not read.
    Write,
}

impl Direction {
    /// Whether values are read from the provider.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Both | Self::Read)
    }

    /// Whether values are written to the provider.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Both | Self::Write)
    }

    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// Which part takes what is left where there are more pieces than parts, and stays blank where there are fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// `Mary Ann Lee` is `Mary Ann` and `Lee`; `Lee` alone is the last part.
    First,
    /// `Mary Ann Lee` is `Mary` and `Ann Lee`; `Mary` alone is the first part.
    #[default]
    Last,
}

/// The long form of a [`FieldSpec`], apart so that the short form can be told from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongForm {
    field: Option<String>,
    path: Option<String>,
    #[serde(default)]
    join: Vec<String>,
    with: Option<String>,
    split: Option<String>,
    part: Option<usize>,
    rest: Option<Rest>,
    #[serde(default)]
    values: BTreeMap<String, serde_json::Value>,
    list: Option<String>,
    constant: Option<serde_json::Value>,
    #[serde(rename = "type")]
    wire: Option<Wire>,
    #[serde(default)]
    direction: Direction,
    #[serde(default)]
    canonical: Vec<Canonical>,
}

impl From<LongForm> for FieldSpec {
    fn from(long: LongForm) -> Self {
        let LongForm { field, path, join, with, split, part, rest, values, list, constant, wire, direction, canonical } =
            long;
        Self { field, path, join, with, split, part, rest, values, list, constant, wire, direction, canonical }
    }
}

impl From<&str> for FieldSpec {
    fn from(field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for FieldSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

/// Takes the short or the long form by looking at what comes, so that an error inside the long form keeps its place
/// (an untagged enum would only say that neither form fits).
struct EitherForm;

impl<'de> de::Visitor<'de> for EitherForm {
    type Value = FieldSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the provider's field name, or a map such as `{field: Status__c, values: {lead: Open}}`")
    }

    fn visit_str<E: de::Error>(self, field: &str) -> Result<FieldSpec, E> {
        Ok(FieldSpec::from(field))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<FieldSpec, A::Error> {
        LongForm::deserialize(de::value::MapAccessDeserializer::new(map)).map(FieldSpec::from)
    }
}
