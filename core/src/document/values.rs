//! Canonical values as Automerge holds them, and back.

use std::collections::BTreeSet;

use automerge::{
    Automerge, ChangeHash, ObjId, ObjType, ReadDoc, ScalarValue, Value as AmValue, hydrate, transaction::Transactable,
};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{DocumentError, Put};
use crate::{
    model::{Field, FieldType},
    policies::Merge,
    time::Millis,
    value::Value,
};

pub(super) fn insert(map: &mut hydrate::Map, key: &str, value: hydrate::Value) {
    map.insert(key.to_owned(), hydrate::MapValue { value, conflict: false });
}

pub(super) fn hydrate_value(field: &Field, value: &Value, doc: &Automerge) -> hydrate::Value {
    match (field.policy.merge(), value) {
        (Merge::Set, Value::Set(members)) => {
            let mut map = hydrate::Map::default();
            for member in members {
                insert(&mut map, member, hydrate::Value::Scalar(ScalarValue::Boolean(true)));
            }
            hydrate::Value::Map(map)
        }
        (Merge::Text, Value::Text(text)) => hydrate::Value::Text(hydrate::Text::new(doc.text_encoding(), text)),
        (Merge::Counter, Value::Int(number)) => hydrate::Value::Scalar(ScalarValue::counter(*number)),
        _ => hydrate::Value::Scalar(encode(value)),
    }
}

pub(super) fn write_value<T: Transactable>(tx: &mut T, map: &ObjId, put: &Put<'_>) -> Result<(), DocumentError> {
    let key = put.name.as_str();
    match (put.field.policy.merge(), put.new) {
        (Merge::Set, Value::Set(members)) => write_set(tx, map, put, members),
        (Merge::Text, Value::Text(text)) => {
            let object = match tx.get(map, key)? {
                Some((AmValue::Object(ObjType::Text), id)) => id,
                _ => tx.put_object(map, key, ObjType::Text)?,
            };
            if matches!(put.old, Value::Text(_)) {
                return Ok(tx.update_text(&object, text)?);
            }
            // The writer saw nothing of what stands here: replaced as a whole, two texts do not mix.
            let length = tx.length(&object);
            Ok(tx.splice_text(&object, 0, isize::try_from(length).unwrap_or(isize::MAX), text)?)
        }
        (Merge::Counter, Value::Int(number)) => match tx.get(map, key)? {
            Some((AmValue::Scalar(scalar), _)) if matches!(scalar.as_ref(), ScalarValue::Counter(_)) => {
                let before = if let Value::Int(before) = put.old { *before } else { 0 };
                Ok(tx.increment(map, key, number.saturating_sub(before))?)
            }
            _ => Ok(tx.put(map, key, ScalarValue::counter(*number))?),
        },
        (Merge::Register, Value::Text(text)) if put.as_text_object => {
            let object = tx.put_object(map, key, ObjType::Text)?;
            Ok(tx.splice_text(&object, 0, 0, text)?)
        }
        _ => Ok(tx.put(map, key, encode(put.new))?),
    }
}

fn write_set<T: Transactable>(
    tx: &mut T,
    map: &ObjId,
    put: &Put<'_>,
    members: &BTreeSet<String>,
) -> Result<(), DocumentError> {
    let key = put.name.as_str();
    let object = match tx.get(map, key)? {
        Some((AmValue::Object(ObjType::Map), id)) => id,
        _ => tx.put_object(map, key, ObjType::Map)?,
    };
    let empty = BTreeSet::new();
    let before = if let Value::Set(before) = put.old { before } else { &empty };
    for added in members.difference(before) {
        tx.put(&object, added.as_str(), true)?;
    }
    for removed in before.difference(members) {
        tx.delete(&object, removed.as_str())?;
    }
    Ok(())
}

/// A canonical value as an Automerge scalar. Dates and decimals are text: JavaScript has no exact type for either.
fn encode(value: &Value) -> ScalarValue {
    match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(flag) => ScalarValue::Boolean(*flag),
        Value::Int(number) => ScalarValue::Int(*number),
        Value::Decimal(number) => ScalarValue::Str(number.normalize().to_string().into()),
        Value::Text(text) => ScalarValue::Str(text.as_str().into()),
        Value::Date(day) => ScalarValue::Str(day.to_string().into()),
        Value::DateTime(at) => ScalarValue::Timestamp(at.0),
        // A set under a register policy: its members joined by a unit separator, which no member may hold.
        Value::Set(members) => {
            ScalarValue::Str(members.iter().map(String::as_str).collect::<Vec<_>>().join("\u{1f}").into())
        }
    }
}

/// An Automerge value as a canonical one. Plain JavaScript clients write strings as `Text` objects and whole numbers as floats; both are accepted.
pub(super) fn decode(
    doc: &Automerge,
    field: &Field,
    value: &AmValue<'_>,
    id: &ObjId,
    heads: Option<&[ChangeHash]>,
) -> Result<Value, DocumentError> {
    Ok(match value {
        AmValue::Object(ObjType::Text) => {
            let text = match heads {
                Some(heads) => doc.text_at(id, heads)?,
                None => doc.text(id)?,
            };
            decode_text(field, text)
        }
        AmValue::Object(ObjType::Map | ObjType::Table) => Value::Set(match heads {
            Some(heads) => doc.keys_at(id, heads).collect(),
            None => doc.keys(id).collect(),
        }),
        AmValue::Object(ObjType::List) => Value::Set(match heads {
            Some(heads) => texts(doc, doc.values_at(id, heads)),
            None => texts(doc, doc.values(id)),
        }),
        AmValue::Scalar(scalar) => decode_scalar(field, scalar),
    })
}

/// The texts in a list: what a JavaScript client means by an array that it puts where a set belongs.
fn texts<'a>(doc: &Automerge, values: impl Iterator<Item = (AmValue<'a>, ObjId)>) -> BTreeSet<String> {
    values
        .filter_map(|(value, id)| match value {
            AmValue::Object(ObjType::Text) => doc.text(&id).ok(),
            AmValue::Scalar(scalar) => match scalar.as_ref() {
                ScalarValue::Str(text) => Some(text.to_string()),
                _ => None,
            },
            AmValue::Object(_) => None,
        })
        .collect()
}

fn decode_scalar(field: &Field, scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Boolean(flag) => Value::Bool(*flag),
        ScalarValue::Int(number) => decode_number(field, Decimal::from(*number)),
        ScalarValue::Uint(number) => decode_number(field, Decimal::from(*number)),
        ScalarValue::F64(number) => {
            Decimal::try_from(*number).map_or(Value::Null, |number| decode_number(field, number))
        }
        ScalarValue::Counter(counter) => Value::Int(counter.into()),
        ScalarValue::Timestamp(at) => Value::DateTime(Millis(*at)),
        ScalarValue::Str(text) => decode_text(field, text.to_string()),
        ScalarValue::Null | ScalarValue::Bytes(_) | ScalarValue::Unknown { .. } => Value::Null,
    }
}

fn decode_number(field: &Field, number: Decimal) -> Value {
    match field.ty {
        FieldType::Decimal { .. } => Value::Decimal(number.normalize()),
        _ => number.to_i64().map_or(Value::Decimal(number.normalize()), Value::Int),
    }
}

fn decode_text(field: &Field, text: String) -> Value {
    match &field.ty {
        FieldType::Date => text.parse().map_or(Value::Text(text), Value::Date),
        FieldType::Decimal { .. } => {
            text.parse::<Decimal>().map_or(Value::Text(text), |number| Value::Decimal(number.normalize()))
        }
        FieldType::Set { .. } => {
            Value::Set(text.split('\u{1f}').filter(|member| !member.is_empty()).map(str::to_owned).collect())
        }
        _ => Value::Text(text),
    }
}
