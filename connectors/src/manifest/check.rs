//! Holds a file against the schema of the types, so that every problem is found at its place, and all of them at once. Decoding,
//! which stops at the first, comes after it and finds nothing more.

use serde_json::Value;

use super::words::{self, Tree};
use crate::located::{Kind, Node, Report, is_null, suggest};

/// A schema with what it refers to.
pub(super) struct Checker<'a> {
    root: &'a Value,
    report: &'a Report,
}

/// The most steps from reference to reference.
const REFERENCES_MAX: usize = 8;

impl<'a> Checker<'a> {
    /// A checker by the schema `root`.
    pub(super) fn new(root: &'a Value, report: &'a Report) -> Self {
        Self { root, report }
    }

    /// Checks a whole file.
    pub(super) fn check(&self, node: &Node) {
        self.walk(self.root, node, "");
    }

    fn problem(&self, node: &Node, path: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.report.add(node.at, path, message, remedy);
    }

    /// What a schema refers to.
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..REFERENCES_MAX {
            let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) else { break };
            schema = &self.root["$defs"][name];
        }
        schema
    }

    fn walk(&self, schema: &Value, node: &Node, path: &str) {
        let schema = self.resolved(schema);
        if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            return self.choose(choices, node, path);
        }
        if schema["format"] == "tree" {
            return self.tree(node, path);
        }
        match &*node.kind {
            Kind::Map(_) if takes(schema, "object") => self.map(schema, node, path),
            Kind::List(items) if takes(schema, "array") => self.list(schema, node, items, path),
            Kind::Scalar { text, plain } if takes_scalar(schema, text, *plain) => self.scalar(schema, node, text, path),
            Kind::Scalar { text, plain: true } if is_null(text) && takes(schema, "object") && !has_required(schema) => {
            }
            _ => self.expected(schema, node, path),
        }
    }

    fn expected(&self, schema: &Value, node: &Node, path: &str) {
        let found = match &*node.kind {
            Kind::Scalar { text, plain: true } if is_null(text) => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", excerpt(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        };
        let (wanted, remedy) = wanted(schema);
        self.problem(node, path, format!("expected {wanted}, found {found}"), remedy);
    }

    fn map(&self, schema: &Value, node: &Node, path: &str) {
        let Kind::Map(entries) = &*node.kind else { return };
        let properties = schema["properties"].as_object();
        let mut seen = std::collections::BTreeSet::new();
        for (key, value) in entries {
            let below = child(path, &key.text);
            let known = properties.and_then(|properties| properties.get(&key.text));
            if !seen.insert(key.text.as_str()) {
                let message = format!("the key `{}` is repeated", excerpt(&key.text));
                self.report.add(key.at, path, message, "keep one of them and remove the others");
                continue;
            }
            match (known, &schema["additionalProperties"]) {
                (Some(schema), _) => self.walk(schema, value, &below),
                (None, others @ Value::Object(_)) => self.walk(others, value, &below),
                (None, Value::Bool(false)) => {
                    let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
                    let message = format!("unknown key `{}`", excerpt(&key.text));
                    self.report.add(key.at, path, message, suggest(&key.text, names));
                }
                _ => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !seen.contains(name) {
                let about = self.resolved(&schema["properties"][name]);
                let about = schema["properties"][name]["description"].as_str().or(about["description"].as_str());
                let about = about.unwrap_or_default().replace('\n', " ");
                self.problem(node, path, format!("`{name}` is missing"), about);
            }
        }
    }

    fn list(&self, schema: &Value, node: &Node, items: &[Node], path: &str) {
        for (place, item) in items.iter().enumerate() {
            let below = child(path, &place.to_string());
            match &schema["prefixItems"][place] {
                Value::Null => self.walk(&schema["items"], item, &below),
                fixed => self.walk(fixed, item, &below),
            }
        }
        let count = items.len() as u64;
        let (min, max) = (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64().unwrap_or(u64::MAX));
        if count < min || count > max {
            let max = if max == u64::MAX { "any number".to_owned() } else { max.to_string() };
            self.problem(node, path, format!("the list has {count} entries"), format!("give {min} to {max}"));
        }
    }

    fn scalar(&self, schema: &Value, node: &Node, text: &str, path: &str) {
        if let Some(words) = words_of(schema) {
            if !words.contains(&text) {
                let message = format!("`{}` is not known here", excerpt(text));
                self.problem(node, path, message, suggest(text, words));
            }
            return;
        }
        if let Ok(number) = text.parse::<f64>()
            && (takes(schema, "integer") || takes(schema, "number"))
        {
            let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
            if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
                let bound = |bound: Option<f64>| bound.map_or("any".to_owned(), |bound| bound.to_string());
                let remedy = format!("use a number from {} to {}", bound(min), bound(max));
                self.problem(node, path, format!("{text} is out of range"), remedy);
            }
            return;
        }
        let length = text.chars().count() as u64;
        let (min, max) = (schema["minLength"].as_u64().unwrap_or(0), schema["maxLength"].as_u64().unwrap_or(u64::MAX));
        if length < min || length > max {
            self.problem(node, path, format!("the text has {length} characters"), format!("use {min} to {max}"));
        }
        if let Some(format) = schema["format"].as_str()
            && let Err(error) = words::check(format, text)
        {
            self.problem(node, path, error.message, error.remedy);
        }
    }

    /// One of several schemas: the one that the node looks like.
    fn choose(&self, choices: &[Value], node: &Node, path: &str) {
        let choices: Vec<&Value> = choices.iter().map(|choice| self.resolved(choice)).collect();
        // A choice of choices, such as one word or a list of words.
        let (nested, flat): (Vec<&Value>, Vec<&Value>) =
            choices.iter().partition(|choice| choice["oneOf"].is_array() || choice["anyOf"].is_array());
        let nested = nested.iter().flat_map(|choice| {
            let inner = choice["oneOf"].as_array().or_else(|| choice["anyOf"].as_array());
            inner.into_iter().flatten().map(|choice| self.resolved(choice))
        });
        let choices: Vec<&Value> = flat.into_iter().chain(nested).collect();
        match &*node.kind {
            Kind::Scalar { text, plain } => {
                let words: Vec<&str> = choices.iter().filter_map(|choice| words_of(choice)).flatten().collect();
                let free =
                    choices.iter().find(|choice| words_of(choice).is_none() && takes_scalar(choice, text, *plain));
                match free {
                    _ if words.contains(&text.as_str()) => {}
                    Some(choice) => self.walk(choice, node, path),
                    None if words.is_empty() || is_null(text) => self.expected_any(&choices, node, path),
                    None => {
                        let keys = choices.iter().flat_map(|choice| keys_of(choice));
                        let all = words.iter().copied().chain(keys);
                        let message = format!("`{}` is not known here", excerpt(text));
                        self.problem(node, path, message, suggest(text, all));
                    }
                }
            }
            Kind::List(_) => match choices.iter().find(|choice| takes(choice, "array")) {
                Some(choice) => self.walk(choice, node, path),
                None => self.expected_any(&choices, node, path),
            },
            Kind::Map(entries) => {
                let maps: Vec<&&Value> = choices.iter().filter(|choice| takes(choice, "object")).collect();
                let named =
                    |choice: &&&Value| entries.iter().any(|(key, _)| choice["properties"].get(&key.text).is_some());
                match (maps.as_slice(), maps.iter().find(|choice| named(choice)), entries.first()) {
                    ([], _, _) => self.expected_any(&choices, node, path),
                    ([only], _, _) => self.walk(only, node, path),
                    (_, Some(choice), _) => self.walk(choice, node, path),
                    (_, None, Some((key, _))) => {
                        let keys = choices
                            .iter()
                            .flat_map(|choice| keys_of(choice))
                            .chain(choices.iter().filter_map(|choice| words_of(choice)).flatten());
                        let message = format!("unknown key `{}`", excerpt(&key.text));
                        self.report.add(key.at, path, message, suggest(&key.text, keys));
                    }
                    (_, None, None) => self.expected_any(&choices, node, path),
                }
            }
        }
    }

    fn expected_any(&self, choices: &[&Value], node: &Node, path: &str) {
        let words: Vec<&str> = choices.iter().filter_map(|choice| words_of(choice)).flatten().collect();
        if words.is_empty() {
            match choices.iter().find(|choice| choice["type"] != "null") {
                Some(choice) => self.expected(choice, node, path),
                None => self.expected(&Value::Null, node, path),
            }
            return;
        }
        let keys = choices.iter().flat_map(|choice| keys_of(choice));
        let all: Vec<&str> = words.iter().copied().chain(keys).collect();
        self.problem(node, path, "this is not known here", format!("use one of: {}", all.join(", ")));
    }

    /// A body: every text in it is a template.
    fn tree(&self, node: &Node, path: &str) {
        match &*node.kind {
            Kind::Scalar { text, plain } if !*plain || node.to_json().is_string() => {
                if let Err(error) = words::check("template", text) {
                    self.problem(node, path, error.message, error.remedy);
                }
            }
            Kind::Scalar { .. } => {}
            Kind::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.tree(item, &child(path, &place.to_string()));
                }
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.tree(value, &child(path, &key.text));
                }
                let conditional = entries.iter().any(|(key, _)| key.text.starts_with('$'));
                if conditional && let Err(error) = Tree::parse(&node.to_json()) {
                    self.problem(node, path, error.message, error.remedy);
                }
            }
        }
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn has_required(schema: &Value) -> bool {
    schema["required"].as_array().is_some_and(|required| !required.is_empty())
}

/// Whether a schema takes values of a type; one that names no type takes all.
fn takes(schema: &Value, ty: &str) -> bool {
    match &schema["type"] {
        Value::String(own) => own == ty,
        Value::Array(own) => own.iter().any(|own| own == ty),
        _ => schema.is_boolean() || schema["enum"].is_null() && schema["const"].is_null() && !schema.is_null(),
    }
}

fn takes_scalar(schema: &Value, text: &str, plain: bool) -> bool {
    let json = match plain {
        true => Node { at: Default::default(), kind: std::sync::Arc::new(Kind::Scalar { text: text.into(), plain }) }
            .to_json(),
        false => Value::String(text.to_owned()),
    };
    match json {
        Value::String(_) => takes(schema, "string"),
        Value::Bool(_) => takes(schema, "boolean"),
        Value::Number(number) => {
            takes(schema, "number") || (takes(schema, "integer") && (number.is_u64() || number.is_i64()))
        }
        // Nothing is written for what is not there: the key is left out.
        _ => schema["type"].is_null() && schema["enum"].is_null() && schema["const"].is_null(),
    }
}

/// The words of a closed list.
fn words_of(schema: &Value) -> Option<Vec<&str>> {
    let words: Vec<&str> = match (&schema["const"], &schema["enum"]) {
        (Value::String(word), _) => vec![word],
        (_, Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    Some(words)
}

fn keys_of(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

fn wanted(schema: &Value) -> (&'static str, &'static str) {
    match &schema["type"] {
        _ if schema["format"] == "span" => {
            ("a span of time", "write a whole number and a unit: 500ms, 15s, 5m, 24h, 7d")
        }
        _ if takes(schema, "object") => ("a map", "write `key: value` lines below this key, indented"),
        _ if takes(schema, "array") => ("a list", "write it as `[a, b]`"),
        _ if takes(schema, "string") => ("a text", "write it in double quotes"),
        _ if takes(schema, "boolean") => ("true or false", "write `true` or `false` without quotes"),
        _ => ("a whole number", "write the number without quotes"),
    }
}

/// A bounded part of a text, fit for one line of a message.
fn excerpt(text: &str) -> String {
    let line: String = text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() { format!("{line}…") } else { line }
}
