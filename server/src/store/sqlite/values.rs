//! Canonical values as compact JSON that SQL can look into: what JSON has of its own stands as it is, and what it has not
//! (decimals, days, instants) is an object with one key that says what it is. Lossless both ways.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};
use syncline_core::{
    ids::FieldName,
    time::Millis,
    value::{Fields, Value},
};

use crate::store::StoreError;

/// A canonical value on its way out.
#[derive(Serialize)]
#[serde(untagged)]
enum Outgoing<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Set(&'a BTreeSet<String>),
    Decimal { decimal: &'a Decimal },
    Date { date: &'a jiff::civil::Date },
    DateTime { at: Millis },
}

/// A canonical value on its way in.
#[derive(Deserialize)]
#[serde(untagged)]
enum Incoming {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Set(BTreeSet<String>),
    Decimal { decimal: Decimal },
    Date { date: jiff::civil::Date },
    DateTime { at: Millis },
}

impl<'a> From<&'a Value> for Outgoing<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => Self::Int(*number),
            Value::Text(text) => Self::Text(text),
            Value::Set(members) => Self::Set(members),
            Value::Decimal(decimal) => Self::Decimal { decimal },
            Value::Date(date) => Self::Date { date },
            Value::DateTime(at) => Self::DateTime { at: *at },
        }
    }
}

impl From<Incoming> for Value {
    fn from(value: Incoming) -> Self {
        match value {
            Incoming::Null => Self::Null,
            Incoming::Bool(flag) => Self::Bool(flag),
            Incoming::Int(number) => Self::Int(number),
            Incoming::Text(text) => Self::Text(text),
            Incoming::Set(members) => Self::Set(members),
            Incoming::Decimal { decimal } => Self::Decimal(decimal),
            Incoming::Date { date } => Self::Date(date),
            Incoming::DateTime { at } => Self::DateTime(at),
        }
    }
}

/// Fields on their way out.
pub(super) enum FieldsOut<'a> {
    /// All of them.
    All(&'a Fields),
    /// Some of them.
    Some(Vec<(&'a FieldName, &'a Value)>),
}

impl Serialize for FieldsOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Outgoing::from(value))))
            }
            Self::Some(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Outgoing::from(*value))))
            }
        }
    }
}

/// Fields on their way in.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct FieldsIn(BTreeMap<FieldName, Incoming>);

/// Fields as compact JSON.
pub(super) fn encode_fields(fields: &Fields) -> Result<String, StoreError> {
    super::codec::encode(&FieldsOut::All(fields))
}

/// Fields from compact JSON.
pub(super) fn decode_fields(text: &str) -> Result<Fields, StoreError> {
    super::codec::decode::<FieldsIn>("fields", text).map(Fields::from)
}

impl From<FieldsIn> for Fields {
    fn from(fields: FieldsIn) -> Self {
        fields.0.into_iter().map(|(name, value)| (name, value.into())).collect()
    }
}

/// Where in compact JSON a value of this kind is found, as the rest of a JSON path after the field, and what stands there.
pub(super) fn needle(value: &Value) -> Result<(&'static str, serde_json::Value), StoreError> {
    let part = match value {
        Value::Decimal(_) => ".decimal",
        Value::Date(_) => ".date",
        Value::DateTime(_) => ".at",
        _ => "",
    };
    let whole = serde_json::to_value(Outgoing::from(value)).map_err(super::codec::unencodable)?;
    Ok((part, if part.is_empty() { whole } else { whole[&part[1..]].clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_and_plain_values_stand_plain() {
        for (value, json) in [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::text(""), r#""""#),
            (Value::text("12"), r#""12""#),
            (Value::text("a\"\u{0}\n€"), r#""a\"\u0000\n€""#),
            (Value::Decimal("12.50".parse().unwrap()), r#"{"decimal":"12.50"}"#),
            (Value::Date(jiff::civil::date(2024, 2, 29)), r#"{"date":"2024-02-29"}"#),
            (Value::DateTime(Millis(-1)), r#"{"at":-1}"#),
            (Value::Set(BTreeSet::new()), "[]"),
            (Value::Set(["b".to_owned(), "a".to_owned()].into()), r#"["a","b"]"#),
        ] {
            let fields = Fields::from([("x".into(), value)]);
            let text = encode_fields(&fields).unwrap();
            assert_eq!(text, format!(r#"{{"x":{json}}}"#));
            assert_eq!(decode_fields(&text).unwrap(), fields);
        }
    }
}
