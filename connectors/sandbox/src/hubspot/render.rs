//! Records as the API shows them.

use serde_json::{Map, Value, json};

use super::record::{Version, View};
use super::schema::{ObjectKind, PropertyId, Schema, Storage};
use super::time::iso;

/// Which properties an answer shows, and of which it shows the history.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    properties: Vec<PropertyId>,
    history: Vec<PropertyId>,
}

impl Shape {
    /// What a read shows. Names that no property has are ignored, as the platform does.
    pub(crate) fn of_read(kind: ObjectKind, schema: &Schema, names: &[String], with_history: &[String]) -> Self {
        let history: Vec<PropertyId> = with_history.iter().filter_map(|name| schema.find(name)).collect();
        let properties = if names.is_empty() && history.is_empty() {
            find_all(schema, kind.default_properties())
        } else {
            let named = names.iter().filter_map(|name| schema.find(name));
            named.chain(history.iter().copied()).chain(find_all(schema, &kind.constant_properties())).collect()
        };
        Self { properties, history }
    }

    /// What the answer to a creation shows: everything that has a value.
    pub(crate) fn of_creation(view: &View<'_>, schema: &Schema) -> Self {
        let properties = schema.iter().map(|(id, _)| id).filter(|id| view.value(schema, *id).is_some()).collect();
        Self { properties, history: Vec::new() }
    }

    /// What the answer to an update shows: what was sent, and the properties that are always there.
    pub(crate) fn of_update<'n>(kind: ObjectKind, schema: &Schema, sent: impl IntoIterator<Item = &'n String>) -> Self {
        let sent = sent.into_iter().filter_map(|name| schema.find(name));
        Self { properties: sent.chain(find_all(schema, &kind.constant_properties())).collect(), history: Vec::new() }
    }
}

fn find_all(schema: &Schema, names: &[&str]) -> Vec<PropertyId> {
    names.iter().filter_map(|name| schema.find(name)).collect()
}

/// One record.
pub(crate) fn object(kind: ObjectKind, schema: &Schema, view: &View<'_>, shape: &Shape) -> Map<String, Value> {
    let mut properties = Map::new();
    for id in &shape.properties {
        let name = &schema.get(*id).name;
        properties.insert(name.clone(), view.value(schema, *id).into());
    }
    let record = view.record;
    let mut shown = Map::new();
    shown.insert("id".into(), view.id.to_string().into());
    shown.insert("properties".into(), properties.into());
    shown.insert("createdAt".into(), iso(record.created_ms).into());
    shown.insert("updatedAt".into(), iso(view.modified_ms).into());
    shown.insert("archived".into(), record.archived_ms.is_some().into());
    if let Some(at) = record.archived_ms {
        shown.insert("archivedAt".into(), iso(at).into());
    }
    if !shape.history.is_empty() {
        shown.insert("propertiesWithHistory".into(), history(kind, schema, view, &shape.history).into());
    }
    shown
}

fn history(kind: ObjectKind, schema: &Schema, view: &View<'_>, ids: &[PropertyId]) -> Map<String, Value> {
    ids.iter()
        .map(|id| {
            let versions = match schema.get(*id).storage {
                Storage::Derived(_) => derived_version(schema, view, *id).into_iter().collect(),
                Storage::Writable | Storage::System => {
                    let mut versions = view.record.versions(*id);
                    versions.truncate(kind.history_versions_max());
                    versions.iter().map(version).collect()
                }
            };
            (schema.get(*id).name.clone(), Value::Array(versions))
        })
        .collect()
}

fn version(version: &Version) -> Value {
    let mut shown = json!({
        "value": version.value.as_deref().unwrap_or_default(),
        "timestamp": iso(version.at_ms),
        "sourceType": version.author.source_type(),
        "sourceId": version.author.source_id(),
    });
    if let Some(fields) = shown.as_object_mut() {
        if let Some(label) = version.author.source_label() {
            fields.insert("sourceLabel".into(), label.into());
        }
        if let Some(user) = version.author.user_id() {
            fields.insert("updatedByUserId".into(), user.into());
        }
    }
    shown
}

/// A computed value has only its current version.
fn derived_version(schema: &Schema, view: &View<'_>, id: PropertyId) -> Option<Value> {
    let value = view.value(schema, id)?;
    Some(json!({"value": value, "timestamp": iso(view.modified_ms), "sourceType": "CALCULATED", "sourceId": null}))
}
