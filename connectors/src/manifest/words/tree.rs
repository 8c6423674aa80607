//! A body or parameter: YAML in which every text is a template.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Scope, Template, WordError};

/// The key whose object's entries go into the map that it stands in.
pub(in crate::manifest) const SPREAD: &str = "...";

/// The keys of an entry that is only there where something can be looked up.
pub(in crate::manifest) const IF: &str = "$if";
pub(in crate::manifest) const THEN: &str = "$then";

/// Any YAML in which every text is a template. What looks up something that is not there falls away, and what becomes empty by
/// it as well. The entries of what stands at the key `...` go into the map around it. `{$if: name, $then: …}` falls away
/// where nothing is called so.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Fixed(Value),
    Text(Template),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    When(Template, Box<Node>),
}

impl Tree {
    /// Reads a body.
    pub fn parse(value: &Value) -> Result<Self, WordError> {
        Node::parse(value).map(Self)
    }

    /// The names that it looks up.
    pub fn names(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.each(&mut |template| found.extend(template.names()));
        found
    }

    /// The first keys that it looks up below a name.
    pub fn keys_below(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        self.0.each(&mut |template| found.extend(template.keys_below(name)));
        found
    }

    /// Whether it looks up this name.
    pub fn uses(&self, name: &str) -> bool {
        let mut found = false;
        self.0.each(&mut |template| found |= template.uses(name));
        found
    }

    /// The value; `None` where it fell away.
    pub fn value(&self, scope: &Scope) -> Option<Value> {
        self.0.value(scope)
    }
}

impl Node {
    fn parse(value: &Value) -> Result<Self, WordError> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(object) if object.contains_key(IF) || object.contains_key(THEN) => conditional(object)?,
            Value::Object(object) => {
                let entry = |(key, value): (&String, &Value)| Ok((key.clone(), Self::parse(value)?));
                Self::Map(object.iter().map(entry).collect::<Result<_, WordError>>()?)
            }
            fixed => Self::Fixed(fixed.clone()),
        })
    }

    fn each<'t>(&'t self, visit: &mut impl FnMut(&'t Template)) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => visit(template),
            Self::List(items) => items.iter().for_each(|item| item.each(visit)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.each(visit)),
            Self::When(condition, then) => {
                visit(condition);
                then.each(visit);
            }
        }
    }

    fn value(&self, scope: &Scope) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text(template) => template.value(scope),
            Self::When(condition, then) => condition.value(scope).and_then(|_| then.value(scope)),
            Self::List(items) => {
                let list: Vec<Value> = items.iter().filter_map(|item| item.value(scope)).collect();
                (!list.is_empty() || items.is_empty()).then_some(Value::Array(list))
            }
            Self::Map(entries) => map(entries, scope),
        }
    }
}

fn map(entries: &[(String, Node)], scope: &Scope) -> Option<Value> {
    let mut object = Map::new();
    for (key, node) in entries {
        match node.value(scope) {
            Some(Value::Object(inner)) if key == SPREAD => {
                for (key, value) in inner {
                    object.entry(key).or_insert(value);
                }
            }
            Some(value) if key != SPREAD => drop(object.insert(key.clone(), value)),
            _ => {}
        }
    }
    // A body of no fields is still a body.
    let spreads = entries.iter().any(|(key, _)| key == SPREAD);
    (!object.is_empty() || entries.is_empty() || spreads).then_some(Value::Object(object))
}

fn conditional(object: &Map<String, Value>) -> Result<Node, WordError> {
    let wrong =
        || WordError::new("a condition has exactly `$if` and `$then`", "write `{$if: \"{after_id}\", $then: …}`");
    match (object.len(), object.get(IF), object.get(THEN)) {
        (2, Some(Value::String(condition)), Some(then)) => {
            Ok(Node::When(Template::parse(condition)?, Box::new(Node::parse(then)?)))
        }
        _ => Err(wrong()),
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Tree {
    fn schema_name() -> Cow<'static, str> {
        "Tree".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "format": "tree",
            "description": "Any value in which every text is a template. What looks up something that is not there falls away, and what becomes empty by it as well. The entries of what stands at the key `...` go into the map around it; `{$if: \"{name}\", $then: …}` is there only where the look-up finds something."
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_falls_away() {
        let scope =
            Scope::default().with("id", "7").with("body", json!({"name": "Ann", "id": 1})).with("value", json!({}));
        for (tree, expected) in [
            (json!(true), Some(json!(true))),
            (json!("{id}"), Some(json!("7"))),
            (json!("{cursor}"), None),
            (json!({"a": "{cursor}", "b": 1}), Some(json!({"b": 1}))),
            (json!({"a": {"b": ["{cursor}"]}}), None),
            (json!({"a": {}, "b": []}), Some(json!({"a": {}, "b": []}))),
            (
                json!({"user": {"...": "{body}", "new": true}}),
                Some(json!({"user": {"name": "Ann", "id": 1, "new": true}})),
            ),
            (json!({"user": {"id": "{id}", "...": "{body}"}}), Some(json!({"user": {"name": "Ann", "id": "7"}}))),
            (json!({"user": {"...": "{value}"}}), Some(json!({"user": {}}))),
            (
                json!([{"$if": "{id}", "$then": ["id", ">", "{id}"]}, {"$if": "{cursor}", "$then": 1}]),
                Some(json!([["id", ">", "7"]])),
            ),
        ] {
            let parsed = Tree::parse(&tree).expect("a tree");
            assert_eq!(parsed.value(&scope), expected, "{tree}");
        }
        for tree in [
            json!({"$if": "{id}"}),
            json!({"$if": 1, "$then": 1}),
            json!({"$if": "{id}", "$then": 1, "x": 1}),
            json!(["{x}"]),
        ] {
            assert!(Tree::parse(&tree).is_err(), "{tree}");
        }
    }
}
