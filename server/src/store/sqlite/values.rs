//! Canonical values as compact JSON that SQL can look into: what JSON has of its own stands as it is, and what it has not
//! (decimals, days, instants) is an object with one key that says what it is. Lossless both ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Error as _, MapAccess, SeqAccess, Unexpected, Visitor},
};
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

/// A canonical value on its way in. Read by hand: a derived untagged enum writes an error message for every kind that a value
/// is not, and records are read far more often than anything else.
struct Incoming(Value);

/// The one key of an object that stands for what JSON has not.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Decimal,
    Date,
    At,
}

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a canonical value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut set = BTreeSet::new();
        while let Some(member) = members.next_element()? {
            set.insert(member);
        }
        Ok(Value::Set(set))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let value = match object.next_key()? {
            Some(Kind::Decimal) => Value::Decimal(object.next_value()?),
            Some(Kind::Date) => Value::Date(object.next_value()?),
            Some(Kind::At) => Value::DateTime(object.next_value()?),
            None => return Err(A::Error::invalid_length(0, &"an object with one key")),
        };
        match object.next_key::<Kind>()? {
            None => Ok(value),
            Some(_) => Err(A::Error::invalid_length(2, &"an object with one key")),
        }
    }
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
        fields.0.into_iter().map(|(name, Incoming(value))| (name, value)).collect()
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
