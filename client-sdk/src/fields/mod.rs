//! Between an application's own types and the fields of a record's document.
//!
//! Serde alone is enough for an application's type. JSON cannot tell an instant from a text or a counter from a number,
//! so those three have types of their own ([`Timestamp`], [`Counter`], [`Text`]), which are plain in every other format.
//! The crate `autosurgeon` is not used: it needs a second derive on every type, writes sets as lists that do not merge,
//! and compares with the document instead of with what the caller saw.

mod diff;
mod kinds;
mod serializer;

pub use kinds::{Counter, Text, Timestamp};
pub use serializer::Unfit;

pub(crate) use diff::{FieldEdit, diff};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use syncline_core::{live::JsonFields, time::Millis};

/// One field's value as an application's type states it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldValue {
    /// Cleared on purpose.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text that is replaced as a whole.
    Str(String),
    /// A text whose edits merge by character.
    Text(String),
    /// A number whose edits add up.
    Counter(i64),
    /// An instant, in milliseconds since 1970.
    Instant(i64),
    /// A set, whose members are added and removed one by one.
    Set(BTreeSet<String>),
}

impl FieldValue {
    /// The value in the form of the API: instants as RFC 3339 text, sets as arrays.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Int(number) | Self::Counter(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Str(text) | Self::Text(text) => Json::String(text.clone()),
            Self::Instant(at) => Json::String(Millis(*at).to_rfc3339()),
            Self::Set(members) => members.iter().cloned().collect(),
        }
    }
}

/// An application's value, field by field.
pub(crate) type FieldValues = BTreeMap<String, FieldValue>;

/// Takes an application's value apart.
pub(crate) fn take_apart<T: Serialize>(value: &T) -> Result<FieldValues, Unfit> {
    value.serialize(serializer::Top)
}

/// Puts an application's value together from what a record holds. A cleared field counts as missing, so that
/// `#[serde(default)]` covers both.
pub(crate) fn put_together<T: DeserializeOwned>(fields: &JsonFields) -> Result<T, serde_json::Error> {
    let present = fields.iter().filter(|(_, value)| !value.is_null());
    T::deserialize(Json::Object(present.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Contact {
        name: String,
        #[serde(default)]
        phone: Option<String>,
        #[serde(default)]
        tags: BTreeSet<String>,
        #[serde(default)]
        visits: Counter,
        #[serde(default)]
        notes: Option<Text>,
        #[serde(default)]
        seen: Option<Timestamp>,
        #[serde(default)]
        score: f64,
    }

    #[test]
    fn a_type_is_taken_apart_by_what_its_fields_mean() {
        let contact = Contact {
            name: "Ann".into(),
            phone: None,
            tags: ["a".into(), "b".into()].into(),
            visits: Counter(3),
            notes: Some(Text("hi".into())),
            seen: Some(Timestamp(1_700_000_000_123)),
            score: 1.5,
        };
        let expected: FieldValues = [
            ("name", FieldValue::Str("Ann".into())),
            ("phone", FieldValue::Null),
            ("tags", FieldValue::Set(["a".into(), "b".into()].into())),
            ("visits", FieldValue::Counter(3)),
            ("notes", FieldValue::Text("hi".into())),
            ("seen", FieldValue::Instant(1_700_000_000_123)),
            ("score", FieldValue::Float(1.5)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        assert_eq!(take_apart(&contact).unwrap(), expected);
    }

    #[test]
    fn what_a_record_holds_is_read_back_and_nothing_is_the_same_as_null() {
        let fields = json!({"name": "Ann", "phone": null, "tags": null, "visits": 3, "notes": "hi",
            "seen": "2023-11-14T22:13:20.123Z", "score": 1});
        let contact: Contact = put_together(fields.as_object().unwrap()).unwrap();
        assert_eq!(contact.tags, BTreeSet::new());
        assert_eq!((contact.visits, contact.seen), (Counter(3), Some(Timestamp(1_700_000_000_123))));
        assert_eq!(contact.notes, Some(Text("hi".into())));
    }

    #[test]
    fn what_no_field_can_hold_is_refused_by_name() {
        for value in [json!({"a": {"b": 1}}), json!({"a": [1, 2]}), json!({"a": u64::MAX}), json!(["a"])] {
            let error = take_apart(&value).unwrap_err();
            assert!(value.is_array() || error.to_string().contains("`a`"), "{error}");
        }
    }
}
