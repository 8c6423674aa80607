//! What a document shows, and edits of it, as a program on plain Automerge makes them.

use ::samod::DocHandle;
use automerge::{Automerge, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value, transaction::Transactable};
use serde_json::{Map, Value as Json, json};

/// A document of a contact.
pub(crate) fn contact(fields: &Json) -> Automerge {
    of(&json!({"type": "contact", "fields": fields}))
}

/// A document with this content.
pub(crate) fn of(content: &Json) -> Automerge {
    let mut document = Automerge::new();
    change(&mut document, |tx| {
        for (key, value) in content.as_object().expect("a map") {
            put(tx, &ROOT, key, value);
        }
    });
    document
}

/// Sets fields of a contact.
pub(crate) fn set(handle: &DocHandle, fields: Json) {
    edit_fields(handle, |tx, map| {
        for (name, value) in fields.as_object().expect("fields") {
            put(tx, map, name, value);
        }
    });
}

/// Adds a member to a set.
pub(crate) fn add(handle: &DocHandle, field: &str, member: &str) {
    edit_fields(handle, |tx, map| {
        let (_, members) = tx.get(map, field).unwrap().expect("a set");
        tx.put(&members, member, true).unwrap();
    });
}

/// Counts up.
pub(crate) fn increment(handle: &DocHandle, field: &str, by: i64) {
    edit_fields(handle, |tx, map| tx.increment(map, field, by).unwrap());
}

/// Inserts into a text that merges.
pub(crate) fn insert(handle: &DocHandle, field: &str, at: usize, text: &str) {
    edit_fields(handle, |tx, map| {
        let (_, id) = tx.get(map, field).unwrap().expect("a text");
        tx.splice_text(&id, at, 0, text).unwrap();
    });
}

/// The fields of a contact.
pub(crate) fn fields(handle: &DocHandle) -> Json {
    content(handle)["fields"].take()
}

/// All that a document shows.
pub(crate) fn content(handle: &DocHandle) -> Json {
    handle.with_document(|document| show(document, &ROOT, ObjType::Map))
}

fn edit_fields(handle: &DocHandle, edit: impl FnOnce(&mut automerge::transaction::Transaction<'_>, &ObjId)) {
    handle.with_document(|document| {
        change(document, |tx| {
            let (_, map) = tx.get(ROOT, "fields").unwrap().expect("a contact's fields");
            edit(tx, &map);
        });
    });
}

fn change(document: &mut Automerge, edit: impl FnOnce(&mut automerge::transaction::Transaction<'_>)) {
    let mut tx = document.transaction();
    edit(&mut tx);
    tx.commit();
}

fn put(tx: &mut automerge::transaction::Transaction<'_>, map: &ObjId, key: &str, value: &Json) {
    match value {
        Json::Object(entries) => {
            let inner = tx.put_object(map, key, ObjType::Map).unwrap();
            for (key, value) in entries {
                put(tx, &inner, key, value);
            }
        }
        scalar => tx.put(map, key, scalar_of(scalar)).unwrap(),
    }
}

fn scalar_of(value: &Json) -> ScalarValue {
    match value {
        Json::Null => ScalarValue::Null,
        Json::Bool(flag) => ScalarValue::Boolean(*flag),
        Json::Number(number) => ScalarValue::Int(number.as_i64().expect("a whole number")),
        Json::String(text) => ScalarValue::Str(text.as_str().into()),
        other => panic!("{other} is no scalar"),
    }
}

fn show(document: &Automerge, id: &ObjId, kind: ObjType) -> Json {
    match kind {
        ObjType::Text => document.text(id).unwrap().into(),
        ObjType::Map | ObjType::Table => {
            let entries = document.map_range(id, ..).map(|item| {
                let (value, inner) = document.get(id, item.key.as_ref()).unwrap().expect("a key that was listed");
                (item.key.to_string(), show_value(document, &value, &inner))
            });
            Json::Object(entries.collect::<Map<_, _>>())
        }
        ObjType::List => {
            let places = 0..document.length(id);
            let values = places.filter_map(|place| document.get(id, place).unwrap());
            values.map(|(value, inner)| show_value(document, &value, &inner)).collect()
        }
    }
}

fn show_value(document: &Automerge, value: &Value<'_>, inner: &ObjId) -> Json {
    match value {
        Value::Object(kind) => show(document, inner, *kind),
        Value::Scalar(scalar) => match scalar.as_ref() {
            ScalarValue::Str(text) => text.as_str().into(),
            ScalarValue::Int(number) => (*number).into(),
            ScalarValue::Uint(number) => (*number).into(),
            ScalarValue::F64(number) => (*number).into(),
            ScalarValue::Boolean(flag) => (*flag).into(),
            ScalarValue::Counter(counter) => i64::from(counter).into(),
            ScalarValue::Timestamp(at) => (*at).into(),
            ScalarValue::Null | ScalarValue::Bytes(_) | ScalarValue::Unknown { .. } => Json::Null,
        },
    }
}
