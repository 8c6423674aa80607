//! Objects as answers show them.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{MalformedRow, Raw, RemoteObject, RemoteVersion},
    time::Millis,
};

use super::fields;
use crate::manifest::{
    spec::{Etag, IdKind, List, Object, Order},
    words::{Format, Paths},
};

/// The longest id, in characters.
const ID_CHARS_MAX: usize = 200;

/// A row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) object: RemoteObject,
    /// The row as it came.
    pub(super) raw: Value,
    /// The entity tag in the row.
    pub(super) etag: Option<String>,
}

/// What a row shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    Row(Box<Row>),
    /// Something that is no such object.
    Other,
    Malformed(Box<MalformedRow>),
}

/// Whether a text can be an id of that kind.
pub(super) fn is_id(kind: IdKind, text: &str) -> bool {
    let plain = !text.is_empty() && text.chars().count() <= ID_CHARS_MAX && !text.chars().any(char::is_control);
    plain
        && match kind {
            IdKind::Text => true,
            IdKind::Number => text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit()),
            IdKind::Uuid => {
                let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
                digits == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            }
        }
}

/// The id that a value is.
pub(super) fn id_of(kind: IdKind, value: &Value) -> Option<ExternalId> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    is_id(kind, &text).then(|| text.into())
}

/// Reads a row; `asked` are the fields that the caller wants.
pub(super) fn row(object: &Object, raw: Value, asked: &[String]) -> Shown {
    let malformed = |id, reason: String, raw| Shown::Malformed(Box::new(MalformedRow { id, reason, raw }));
    if object.skip.iter().any(|check| check.holds(&raw)) {
        return Shown::Other;
    }
    if !raw.is_object() {
        return malformed(None, "the row is no JSON object".to_owned(), raw);
    }
    let Some(id) = object.id.path.find(&raw).and_then(|value| id_of(object.id.ty, value)) else {
        return malformed(None, "the row has no id".to_owned(), raw);
    };
    let deleted = object.deleted.as_ref().is_some_and(|mark| mark.when.iter().any(|check| check.holds(&raw)));
    let version = match version(object, &raw, deleted) {
        Ok(version) => version,
        Err(reason) => return malformed(Some(id), reason, raw),
    };
    let shown = RemoteObject {
        aliases: aliases(object, &raw, &id),
        deleted,
        version,
        author: object.author.as_ref().and_then(|path| path.find(&raw)).and_then(author),
        fields: fields::pick(object, &raw, asked),
        ..absent(id)
    };
    let etag = match &object.etag {
        Some(Etag::Path(path)) => path.find(&raw).and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    Shown::Row(Box::new(Row { object: shown, raw, etag }))
}

fn author(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The row's stamp. One that is null stands for nothing; one that cannot be read makes the row malformed.
fn version(object: &Object, raw: &Value, deleted: bool) -> Result<Option<RemoteVersion>, String> {
    let Some(version) = &object.version else { return Ok(None) };
    let read = |paths: &Paths| match paths.find(raw) {
        None => Ok(None),
        Some(value) => version.format.read(value).map(Some).ok_or_else(|| {
            let name = paths.0.first().map(ToString::to_string).unwrap_or_default();
            format!("the row's {name} is no date-time")
        }),
    };
    let listed = |path: &crate::manifest::words::Path| path.find(raw).is_some();
    if !version.path.0.iter().any(listed) && !deleted {
        let name = version.path.0.first().map(ToString::to_string).unwrap_or_default();
        return Err(format!("the row has no {name}"));
    }
    let mut stamp = read(&version.path)?;
    if let Some(mark) = object.deleted.as_ref().filter(|_| deleted) {
        stamp = stamp.max(read(&mark.at)?);
    }
    let precision_ms = u32::try_from(version.precision.ms()).unwrap_or(u32::MAX);
    Ok(stamp.map(|stamp| RemoteVersion { stamp, precision_ms }))
}

fn aliases(object: &Object, raw: &Value, id: &ExternalId) -> Vec<ExternalId> {
    let Some(aliases) = &object.aliases else { return Vec::new() };
    let texts: Vec<ExternalId> = match (aliases.path.find(raw), &aliases.separator) {
        (Some(Value::Array(items)), _) => items.iter().filter_map(|item| id_of(object.id.ty, item)).collect(),
        (Some(Value::String(text)), Some(separator)) => {
            let ids = text.split(separator.as_str()).map(str::trim);
            ids.filter(|text| is_id(object.id.ty, text)).map(ExternalId::from).collect()
        }
        (Some(value), None) => id_of(object.id.ty, value).into_iter().collect(),
        _ => Vec::new(),
    };
    texts.into_iter().filter(|alias| alias != id).collect()
}

/// When a row took its place in a list.
pub(super) fn place(list: &List, row: &Row) -> Option<Millis> {
    let own = place_in(&list.place, &list.place_format, &row.raw);
    let stamp = row.object.version.map(|version| version.stamp);
    match list.order {
        Order::Stamp => own.max(stamp),
        Order::Id => own.or(stamp),
    }
}

fn place_in(paths: &Paths, format: &Format, raw: &Value) -> Option<Millis> {
    paths.find(raw).and_then(|value| format.read(value))
}

/// An object that the provider shows nowhere: deleted, or hidden from us, which a missing version tells.
pub(super) fn absent(id: ExternalId) -> RemoteObject {
    RemoteObject {
        id,
        aliases: Vec::new(),
        deleted: true,
        version: None,
        author: None,
        fields: Raw::new(),
        history: BTreeMap::new(),
    }
}
