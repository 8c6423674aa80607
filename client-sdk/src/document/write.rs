//! Writing into a document: a new record's first change, and edits field by field.

use std::collections::BTreeSet;

use automerge::{
    ActorId, Automerge, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value, hydrate,
    transaction::{CommitOptions, Transactable},
};
use syncline_core::time::Millis;

use super::{DocumentError, read::MEMBER_SEPARATOR, text};
use crate::fields::{FieldEdit, FieldValue, FieldValues};

/// The version of the document's shape, kept in it as `v`.
const SHAPE_VERSION: i64 = 1;

/// The document of a new record, made in one change. Fields that say nothing are left out: absent means "not managed".
pub(crate) fn create(
    actor: [u8; 16],
    model: &str,
    fields: &FieldValues,
    at: Millis,
) -> Result<Automerge, DocumentError> {
    let mut doc = Automerge::new().with_actor(ActorId::from(actor));
    let mut members = hydrate::Map::default();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_nothing()) {
        insert(&mut members, name, first(value, &doc));
    }
    let mut root = hydrate::Map::default();
    insert(&mut root, "v", hydrate::Value::Scalar(ScalarValue::Int(SHAPE_VERSION)));
    insert(&mut root, "type", hydrate::Value::Scalar(ScalarValue::Str(model.into())));
    insert(&mut root, "fields", hydrate::Value::Map(members));
    let mut tx = doc.transaction();
    tx.init_root_from_hydrate(&root)?;
    tx.commit_with(options(at));
    Ok(doc)
}

/// Makes the edits, and deletes or restores the record where asked to, in one change. `None` where the document already
/// says so.
pub(crate) fn write(
    doc: &mut Automerge,
    edits: &[FieldEdit],
    deleted: Option<bool>,
    at: Millis,
) -> Result<Option<ChangeHash>, DocumentError> {
    let mut tx = doc.transaction();
    let Some((Value::Object(ObjType::Map), map)) = tx.get(ROOT, "fields")? else {
        return Err(DocumentError::NoRecord);
    };
    for edit in edits {
        write_field(&mut tx, &map, edit)?;
    }
    let is_deleted = tx.get(ROOT, "deleted")?.is_some();
    match deleted {
        Some(true) if !is_deleted => tx.put(ROOT, "deleted", ScalarValue::Timestamp(at.0))?,
        Some(false) if is_deleted => tx.delete(ROOT, "deleted")?,
        _ => {}
    }
    Ok(tx.commit_with(options(at)).0)
}

fn options(at: Millis) -> CommitOptions {
    CommitOptions::default().with_time(at.0.div_euclid(1_000))
}

fn insert(map: &mut hydrate::Map, key: &str, value: hydrate::Value) {
    map.insert(key.to_owned(), hydrate::MapValue { value, conflict: false });
}

fn first(value: &FieldValue, doc: &Automerge) -> hydrate::Value {
    match value {
        FieldValue::Set(members) => {
            let mut map = hydrate::Map::default();
            for member in members {
                insert(&mut map, member, hydrate::Value::Scalar(ScalarValue::Boolean(true)));
            }
            hydrate::Value::Map(map)
        }
        FieldValue::Text(text) => hydrate::Value::Text(hydrate::Text::new(doc.text_encoding(), text)),
        value => hydrate::Value::Scalar(scalar(value)),
    }
}

/// The value as one scalar; for a set that is its members joined.
fn scalar(value: &FieldValue) -> ScalarValue {
    match value {
        FieldValue::Null => ScalarValue::Null,
        FieldValue::Bool(flag) => ScalarValue::Boolean(*flag),
        FieldValue::Int(number) => ScalarValue::Int(*number),
        FieldValue::Float(number) => ScalarValue::F64(*number),
        FieldValue::Str(text) | FieldValue::Text(text) => ScalarValue::Str(text.as_str().into()),
        FieldValue::Counter(number) => ScalarValue::counter(*number),
        FieldValue::Instant(at) => ScalarValue::Timestamp(*at),
        FieldValue::Set(members) => {
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            ScalarValue::Str(members.join(&MEMBER_SEPARATOR.to_string()).into())
        }
    }
}

/// What a field holds now, as far as the way of writing it depends on that.
enum Standing {
    Absent,
    Text(ObjId),
    Members(ObjId),
    Counter,
    Instant,
    /// A text in one piece.
    Str,
    Other,
}

fn standing<T: ReadDoc>(tx: &T, map: &ObjId, key: &str) -> Result<Standing, DocumentError> {
    Ok(match tx.get(map, key)? {
        None => Standing::Absent,
        Some((Value::Object(ObjType::Text), id)) => Standing::Text(id),
        Some((Value::Object(ObjType::Map), id)) => Standing::Members(id),
        Some((Value::Object(_), _)) => Standing::Other,
        Some((Value::Scalar(scalar), _)) => match scalar.as_ref() {
            ScalarValue::Counter(_) => Standing::Counter,
            ScalarValue::Timestamp(_) => Standing::Instant,
            ScalarValue::Str(_) => Standing::Str,
            _ => Standing::Other,
        },
    })
}

fn write_field<T: Transactable + ReadDoc>(tx: &mut T, map: &ObjId, edit: &FieldEdit) -> Result<(), DocumentError> {
    let key = edit.name.as_str();
    match (standing(tx, map, key)?, &edit.new) {
        (Standing::Absent, FieldValue::Null) => Ok(()),
        (Standing::Text(id), FieldValue::Str(new) | FieldValue::Text(new)) => write_text(tx, &id, &edit.old, new),
        (Standing::Members(id), FieldValue::Set(members)) => write_members(tx, &id, &edit.old, members),
        (Standing::Counter, FieldValue::Counter(new) | FieldValue::Int(new)) => {
            let old = if let FieldValue::Counter(old) | FieldValue::Int(old) = edit.old { old } else { 0 };
            Ok(tx.increment(map, key, new.saturating_sub(old))?)
        }
        (Standing::Instant, FieldValue::Str(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(at) => Ok(tx.put(map, key, ScalarValue::Timestamp(at.as_millisecond()))?),
            Err(_) => Ok(tx.put(map, key, text.as_str())?),
        },
        (Standing::Str, FieldValue::Set(_)) => Ok(tx.put(map, key, scalar(&edit.new))?),
        (_, FieldValue::Set(members)) => {
            let id = tx.put_object(map, key, ObjType::Map)?;
            write_members(tx, &id, &FieldValue::Null, members)
        }
        (_, FieldValue::Text(new)) => {
            let id = tx.put_object(map, key, ObjType::Text)?;
            Ok(tx.splice_text(&id, 0, 0, new)?)
        }
        (_, value) => Ok(tx.put(map, key, scalar(value))?),
    }
}

fn write_text<T: Transactable + ReadDoc>(
    tx: &mut T,
    id: &ObjId,
    old: &FieldValue,
    new: &str,
) -> Result<(), DocumentError> {
    let old = if let FieldValue::Str(old) | FieldValue::Text(old) = old { old.as_str() } else { "" };
    let merged = text::merge(old, new, &tx.text(id)?)?;
    Ok(tx.update_text(id, merged)?)
}

fn write_members<T: Transactable + ReadDoc>(
    tx: &mut T,
    id: &ObjId,
    old: &FieldValue,
    members: &BTreeSet<String>,
) -> Result<(), DocumentError> {
    let nobody = BTreeSet::new();
    let before = if let FieldValue::Set(before) = old { before } else { &nobody };
    for added in members.difference(before) {
        tx.put(id, added.as_str(), true)?;
    }
    for removed in before.difference(members) {
        if tx.get(id, removed.as_str())?.is_some() {
            tx.delete(id, removed.as_str())?;
        }
    }
    Ok(())
}
