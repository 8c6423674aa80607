//! Fields as the provider spells them, and as we do.

use serde_json::{Map, Value, json};
use syncline_core::{
    remote::{Raw, Refusal},
    time::Millis,
};

use crate::{
    manifest::{
        spec::{Access, Field, FieldType, ListedFields, Marker, Object},
        words::{Format, Path},
    },
    rest::stamp,
};

/// The asked fields of a row. Fields that the answer lacks stay absent.
pub(super) fn pick(object: &Object, raw: &Value, asked: &[String]) -> Raw {
    let Some(at) = object.fields.at.find(raw) else { return Raw::new() };
    let value = |name: &String| Some((name.clone(), find(object, at, name)?));
    asked.iter().filter_map(value).collect()
}

/// The provider's names of the asked fields, with those that facts of the object stand in.
pub(super) fn remote_names(object: &Object, asked: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in asked.iter().map(|name| remote_name(object, name)).chain(object.fields.also.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What the provider calls a field.
pub(super) fn remote_name(object: &Object, field: &str) -> String {
    if let Some((marker, _)) = marked(object, field) {
        return remote_name(object, &marker.field);
    }
    if let Some((list, _)) = listed(object, field) {
        return list.path.to_string();
    }
    let known = object.fields.known.get(field).and_then(|field| field.path.as_ref());
    known.map_or_else(|| field.to_owned(), ToString::to_string)
}

fn find(object: &Object, at: &Value, name: &str) -> Option<Value> {
    if let Some((marker, _)) = marked(object, name) {
        let text = value_of(object, at, &marker.field)?;
        return Some(text.as_str().and_then(|text| split(marker, text).1).map_or(Value::Null, |key| json!(key)));
    }
    let value = value_of(object, at, name)?;
    match (markers(object).filter(|marker| marker.field == name), &value) {
        (Some(marker), Value::String(text)) => Some(json!(split(marker, text).0)),
        _ => Some(value),
    }
}

fn value_of(object: &Object, at: &Value, name: &str) -> Option<Value> {
    let fields = &object.fields;
    if let Some(field) = fields.known.get(name) {
        let value = match &field.path {
            Some(path) => path.find(at),
            None => of_name(at, name),
        };
        let nothing = || field.absent_is_null.then_some(Value::Null);
        return value.map(|value| ours(field, value)).or_else(nothing);
    }
    if let Some((list, own)) = listed(object, name) {
        let entries = list.path.find(at)?.as_array()?;
        let entry = entries.iter().find(|entry| text(&entry[&list.name]).as_deref() == Some(own))?;
        return Some(entry[&list.value].clone());
    }
    fields.others.then(|| of_name(at, name).cloned()).flatten()
}

/// The value at a name that may be a path.
fn of_name<'v>(at: &'v Value, name: &str) -> Option<&'v Value> {
    at.get(name).or_else(|| Path::parse(name).ok()?.find(at))
}

fn listed<'o, 'n>(object: &'o Object, name: &'n str) -> Option<(&'o ListedFields, &'n str)> {
    let own = |list: &'o ListedFields| Some((list, name.strip_prefix(list.prefix.as_str())?));
    object.fields.lists.iter().filter_map(own).find(|(_, own)| !own.is_empty())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A value as we spell it.
fn ours(field: &Field, value: &Value) -> Value {
    if value.is_null() || field.null_as.as_ref() == Some(value) {
        return Value::Null;
    }
    if let Some((yes, no)) = &field.truth {
        return if value == yes {
            json!(true)
        } else if value == no {
            json!(false)
        } else {
            value.clone()
        };
    }
    let changed = match field.ty {
        FieldType::Any | FieldType::Boolean => None,
        FieldType::Text => value.as_str().map(|text| json!(text.replace("\r\n", "\n"))),
        FieldType::Number => value.as_str().and_then(|text| Some(Value::Number(text.trim().parse().ok()?))),
        FieldType::Date => {
            let format = field.format.clone().unwrap_or(Format::Date);
            // A date that is spelled as one stays as it is.
            format.read(value).map(|at| Format::Date.write(at))
        }
        FieldType::Datetime => {
            let format = field.format.clone().unwrap_or_default();
            format.read(value).map(|at| json!(at.to_rfc3339()))
        }
        FieldType::Set => match (value, &field.separator) {
            (Value::String(text), Some(separator)) => {
                let members = text.split(separator.as_str()).map(str::trim).filter(|member| !member.is_empty());
                Some(members.map(Value::from).collect())
            }
            _ => None,
        },
        FieldType::Reference => value.get("id").and_then(text).or_else(|| text(value)).map(Value::from),
    };
    changed.unwrap_or_else(|| value.clone())
}

/// A value as the provider spells it.
fn theirs(field: &Field, value: &Value) -> Value {
    if value.is_null() {
        return field.null_as.clone().unwrap_or(Value::Null);
    }
    if let (Some((yes, no)), Some(truth)) = (&field.truth, value.as_bool()) {
        return if truth { yes.clone() } else { no.clone() };
    }
    let spelled = match (field.ty, value) {
        (FieldType::Date, _) => field.format.as_ref().and_then(|format| time(value).map(|at| format.write(at))),
        (FieldType::Datetime, _) => field.format.as_ref().and_then(|format| time(value).map(|at| format.write(at))),
        (FieldType::Set, Value::Array(items)) => field
            .separator
            .as_ref()
            .map(|separator| json!(items.iter().filter_map(text).collect::<Vec<_>>().join(separator))),
        (FieldType::Reference, Value::String(text)) => text.parse::<u64>().ok().map(Value::from),
        _ => None,
    };
    spelled.unwrap_or_else(|| value.clone())
}

fn time(value: &Value) -> Option<Millis> {
    stamp::read(value).or_else(|| Format::Iso8601.read(value))
}

/// What is written, and what has calls of its own.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Spelled {
    pub(super) body: Raw,
    /// Fields that are objects of their own, with their values.
    pub(super) parts: Vec<(String, Value)>,
}

/// The fields of a write as the provider takes them.
pub(super) fn spell(object: &Object, body: &Raw, creates: bool) -> Result<Spelled, Refusal> {
    let mut spelled = Spelled::default();
    for (name, value) in body {
        let Some(field) = object.fields.known.get(name) else {
            other(object, &mut spelled.body, name, value)?;
            continue;
        };
        match field.access {
            Access::Write => {}
            Access::Create if creates => {}
            Access::Create => {
                return Err(refusal("SetAtCreation", name, "is set by creations only, and is not changed later"));
            }
            Access::Read => {
                return Err(refusal(
                    "ReadOnly",
                    name,
                    "is written by the provider alone: give it the direction `read`",
                ));
            }
        }
        if let Some(max) = field.max_len
            && value.as_str().is_some_and(|text| text.chars().count() > max as usize)
        {
            return Err(refusal("TooLong", name, &format!("holds more than {max} characters")));
        }
        if field.parts.is_some() && !creates {
            spelled.parts.push((name.clone(), theirs(field, value)));
            continue;
        }
        write_path(object, name).put(&mut spelled.body, theirs(field, value));
    }
    Ok(spelled)
}

/// Where a field is written.
pub(super) fn write_path(object: &Object, name: &str) -> Path {
    let field = object.fields.known.get(name);
    field.and_then(|field| field.write_path.clone().or_else(|| field.path.clone())).unwrap_or_else(|| Path::key(name))
}

/// Our name for the field that an error speaks of.
pub(super) fn local_name(object: &Object, name: String) -> String {
    let is_meant = |field: &Field| {
        let paths = [&field.write_path, &field.path].into_iter().flatten();
        let at = object.fields.at.to_string();
        paths.into_iter().any(|path| path.to_string() == name || format!("{at}.{path}") == name)
    };
    let known = object.fields.known.iter().find(|(_, field)| is_meant(field)).map(|(name, _)| name.clone());
    known.unwrap_or(name)
}

fn refusal(code: &str, name: &str, why: &str) -> Refusal {
    Refusal { code: code.to_owned(), message: format!("`{name}` {why}"), fields: vec![name.to_owned()] }
}

/// A field that the manifest does not list by its name.
fn other(object: &Object, body: &mut Raw, name: &str, value: &Value) -> Result<(), Refusal> {
    if let Some((list, own)) = listed(object, name) {
        let key = own.parse::<u64>().map_or_else(|_| json!(own), Value::from);
        let entry = json!({ list.name.as_str(): key, list.value.as_str(): value });
        let mut entries = match list.path.in_object(body) {
            Some(Value::Array(entries)) => entries.clone(),
            _ => Vec::new(),
        };
        entries.push(entry);
        list.path.put(body, Value::Array(entries));
        return Ok(());
    }
    if !object.fields.others {
        return Err(refusal("UnknownField", name, "is no field of the manifest: add it there"));
    }
    match Path::parse(name) {
        Ok(path) if path.keys().is_some() => match (path.in_object(body), value) {
            // A whole object and a path into it may come together.
            (Some(Value::Object(there)), Value::Object(inner)) => {
                let mut merged = there.clone();
                merged.extend(inner.clone());
                path.put(body, Value::Object(merged));
            }
            _ => path.put(body, value.clone()),
        },
        _ => drop(body.insert(name.to_owned(), value.clone())),
    }
    Ok(())
}

/// The object as it was read, with what is written put into it.
pub(super) fn whole(object: &Object, raw: &Value, body: &Raw) -> Value {
    let mut whole = raw.clone();
    match object.fields.at.keys() {
        Some(keys) if !keys.is_empty() => {
            let Value::Object(top) = &mut whole else { return Value::Object(body.clone()) };
            let mut inner = object.fields.at.in_object(top).and_then(Value::as_object).cloned().unwrap_or_default();
            merge(&mut inner, body);
            object.fields.at.put(top, Value::Object(inner));
        }
        _ => match &mut whole {
            Value::Object(top) => merge(top, body),
            _ => whole = Value::Object(body.clone()),
        },
    }
    whole
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

fn markers(object: &Object) -> Option<&Marker> {
    object.key.as_ref()?.marker.as_ref()
}

/// The marker whose key goes by this name.
fn marked<'o>(object: &'o Object, name: &str) -> Option<(&'o Marker, &'o str)> {
    let key = object.key.as_ref()?;
    let field = key.field.as_deref().filter(|field| *field == name)?;
    Some((key.marker.as_ref()?, field))
}

/// A text without its marker, and the key in it. The marker is the last one.
pub(super) fn split<'t>(marker: &Marker, text: &'t str) -> (&'t str, Option<&'t str>) {
    let Some(at) = text.rfind(marker.before.as_str()) else { return (text, None) };
    let rest = &text[at + marker.before.len()..];
    match rest.strip_suffix(marker.after.trim_end()).or_else(|| rest.trim_end().strip_suffix(marker.after.trim_end())) {
        Some(key) if !key.is_empty() && !key.contains('\n') => {
            (text[..at].trim_end_matches('\n'), Some(key.trim_end()))
        }
        _ => (text, None),
    }
}

/// A text with its marker behind it.
pub(super) fn join(marker: &Marker, text: &str, key: &str) -> String {
    let (text, _) = split(marker, text);
    let between = if text.is_empty() { "" } else { "\n\n" };
    format!("{text}{between}{}{key}{}", marker.before, marker.after)
}
