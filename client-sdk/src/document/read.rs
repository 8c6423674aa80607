//! What a document shows.

use std::collections::BTreeSet;

use automerge::{Automerge, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use syncline_core::{live::JsonFields, repo::DocumentId, time::Millis};

use super::DocumentError;
use crate::fields::{FieldValue, FieldValues};

/// Members of a set whose policy keeps it as one value are joined by this character, which no member may hold.
pub(super) const MEMBER_SEPARATOR: char = '\u{1f}';

/// The largest whole number that a float holds without loss; plain JavaScript clients write whole numbers as floats.
const SAFE_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// A record as its document shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// The fields, each of the kind that the document holds.
    pub(crate) values: FieldValues,
    /// Since when it is deleted.
    pub(crate) deleted: Option<Millis>,
}

impl Shown {
    /// The fields in the form of the API.
    pub(crate) fn fields(&self) -> JsonFields {
        self.values.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
    }
}

/// The document as it stands. `sets` names the fields that are sets even where the document holds a text.
pub(crate) fn show(doc: &Automerge, sets: &BTreeSet<String>) -> Result<Shown, DocumentError> {
    read(&View { doc, heads: None }, sets)
}

/// The document as it stood at these heads.
pub(crate) fn show_at(doc: &Automerge, sets: &BTreeSet<String>, heads: &[ChangeHash]) -> Result<Shown, DocumentError> {
    read(&View { doc, heads: Some(heads) }, sets)
}

/// A document as it stands, or as it stood; the latter takes longer to read.
struct View<'d> {
    doc: &'d Automerge,
    heads: Option<&'d [ChangeHash]>,
}

impl<'d> View<'d> {
    fn get(&self, map: &ObjId, key: &str) -> Result<Option<(Value<'d>, ObjId)>, DocumentError> {
        Ok(match self.heads {
            Some(heads) => self.doc.get_at(map, key, heads)?,
            None => self.doc.get(map, key)?,
        })
    }

    fn keys(&self, map: &ObjId) -> Vec<String> {
        match self.heads {
            Some(heads) => self.doc.keys_at(map, heads).collect(),
            None => self.doc.keys(map).collect(),
        }
    }

    fn text(&self, id: &ObjId) -> Result<String, DocumentError> {
        Ok(match self.heads {
            Some(heads) => self.doc.text_at(id, heads)?,
            None => self.doc.text(id)?,
        })
    }
}

fn read(view: &View<'_>, sets: &BTreeSet<String>) -> Result<Shown, DocumentError> {
    let deleted = match view.get(&ROOT, "deleted")? {
        Some((Value::Scalar(scalar), _)) => instant(&scalar),
        _ => None,
    };
    let mut shown = Shown { values: FieldValues::new(), deleted };
    if let Some((Value::Object(ObjType::Map), map)) = view.get(&ROOT, "fields")? {
        for name in view.keys(&map) {
            if let Some((value, id)) = view.get(&map, &name)? {
                let value = read_value(view, &value, &id, sets.contains(&name))?;
                shown.values.insert(name, value);
            }
        }
    }
    Ok(shown)
}

/// Whether the document is a record's, rather than one of which nothing has arrived.
pub(crate) fn has_content(doc: &Automerge) -> bool {
    matches!(doc.get(ROOT, "fields"), Ok(Some((Value::Object(ObjType::Map), _))))
}

/// The document in whose place another stands now.
pub(crate) fn moved_to(doc: &Automerge) -> Option<DocumentId> {
    let url = match doc.get(ROOT, "moved_to").ok()?? {
        (Value::Scalar(scalar), _) => match scalar.as_ref() {
            ScalarValue::Str(text) => text.to_string(),
            _ => return None,
        },
        (Value::Object(ObjType::Text), id) => doc.text(&id).ok()?,
        (Value::Object(_), _) => return None,
    };
    url.parse().ok()
}

fn instant(scalar: &ScalarValue) -> Option<Millis> {
    match scalar {
        ScalarValue::Timestamp(at) | ScalarValue::Int(at) => Some(Millis(*at)),
        // A plain JavaScript client writes a number where it does not use a Date.
        ScalarValue::F64(at) => Some(Millis(*at as i64)),
        _ => None,
    }
}

fn read_value(view: &View<'_>, value: &Value<'_>, id: &ObjId, is_set: bool) -> Result<FieldValue, DocumentError> {
    Ok(match value {
        Value::Object(ObjType::Text) => FieldValue::Text(view.text(id)?),
        Value::Object(ObjType::Map | ObjType::Table) => FieldValue::Set(view.keys(id).into_iter().collect()),
        Value::Object(ObjType::List) => FieldValue::Null,
        Value::Scalar(scalar) => read_scalar(scalar, is_set),
    })
}

fn read_scalar(scalar: &ScalarValue, is_set: bool) -> FieldValue {
    match scalar {
        ScalarValue::Str(text) if is_set => {
            let members = text.split(MEMBER_SEPARATOR).filter(|member| !member.is_empty());
            FieldValue::Set(members.map(str::to_owned).collect())
        }
        ScalarValue::Str(text) => FieldValue::Str(text.to_string()),
        ScalarValue::Boolean(flag) => FieldValue::Bool(*flag),
        ScalarValue::Int(number) => FieldValue::Int(*number),
        // Beyond 63 bits only a float comes near.
        ScalarValue::Uint(number) => i64::try_from(*number).map_or(FieldValue::Float(*number as f64), FieldValue::Int),
        ScalarValue::F64(number) if number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX => {
            FieldValue::Int(*number as i64)
        }
        ScalarValue::F64(number) => FieldValue::Float(*number),
        ScalarValue::Counter(counter) => FieldValue::Counter(i64::from(counter)),
        ScalarValue::Timestamp(at) => FieldValue::Instant(*at),
        ScalarValue::Null | ScalarValue::Bytes(_) | ScalarValue::Unknown { .. } => FieldValue::Null,
    }
}
