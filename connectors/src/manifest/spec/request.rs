//! Calls, and conditions on what comes back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::manifest::words::{Path, Template, Tree};

/// A call: exactly one of `get`, `post`, `put`, `patch` and `delete`, and at most one of `json` and `form`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// The path of a GET. Whatever is looked up in a path is one encoded segment of it.
    pub get: Option<Template>,
    /// The path of a POST.
    pub post: Option<Template>,
    /// The path of a PUT.
    pub put: Option<Template>,
    /// The path of a PATCH.
    pub patch: Option<Template>,
    /// The path of a DELETE.
    pub delete: Option<Template>,
    /// Parameters of the address. A list is given once for each entry, a map as JSON; what looks up something that is not there is
    /// left out. A name may be looked up as well.
    pub query: BTreeMap<String, Tree>,
    /// Headers; one that looks up something that is not there is left out.
    pub headers: BTreeMap<String, Template>,
    /// A JSON body.
    pub json: Option<Tree>,
    /// A form's body, written like parameters. What stands at `...` goes into it field by field.
    pub form: Option<BTreeMap<String, Tree>>,
}

impl Request {
    /// Method and path; `None` unless there is exactly one.
    pub fn line(&self) -> Option<(http::Method, &Template)> {
        let lines = [
            (http::Method::GET, &self.get),
            (http::Method::POST, &self.post),
            (http::Method::PUT, &self.put),
            (http::Method::PATCH, &self.patch),
            (http::Method::DELETE, &self.delete),
        ];
        let mut lines = lines.into_iter().filter_map(|(method, path)| Some((method, path.as_ref()?)));
        let line = lines.next()?;
        lines.next().is_none().then_some(line)
    }

    /// The names that it looks up, each possibly several times.
    pub fn names(&self) -> Vec<&str> {
        let paths = [&self.get, &self.post, &self.put, &self.patch, &self.delete].into_iter().flatten();
        let texts = paths.chain(self.headers.values()).flat_map(Template::names);
        texts.chain(self.trees().flat_map(Tree::names)).collect()
    }

    /// The first keys that it looks up below a name.
    pub fn keys_below(&self, name: &str) -> Vec<String> {
        let paths = [&self.get, &self.post, &self.put, &self.patch, &self.delete].into_iter().flatten();
        let mut keys: Vec<String> = Vec::new();
        for template in paths.chain(self.headers.values()) {
            keys.extend(template.keys_below(name));
        }
        keys.extend(self.trees().flat_map(|tree| tree.keys_below(name)));
        keys
    }

    /// Whether it looks up this name.
    pub fn uses(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.query.values().chain(&self.json).chain(self.form.iter().flat_map(BTreeMap::values))
    }
}

/// A condition on a value: everything that is given must hold. With a path alone, something must stand there.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Where the value stands.
    pub path: Path,
    /// The value; numbers and their texts are the same.
    #[serde(default)]
    pub equals: Option<Value>,
    /// One of these values.
    #[serde(default)]
    pub one_of: Vec<Value>,
    /// None of these values, where a value stands there.
    #[serde(default)]
    pub none_of: Vec<Value>,
    /// Whether something other than null stands there.
    #[serde(default)]
    pub present: Option<bool>,
    /// A part of the text.
    #[serde(default)]
    pub contains: Option<String>,
    /// The beginning of the text.
    #[serde(default)]
    pub starts_with: Option<String>,
}

impl Check {
    /// Whether it holds for any of the values at its path.
    pub fn holds(&self, value: &Value) -> bool {
        let found = self.path.all(value);
        let present = found.iter().any(|value| !value.is_null());
        if self.present == Some(false) {
            return !present;
        }
        let simple = self.equals.is_none()
            && self.none_of.is_empty()
            && self.one_of.is_empty()
            && self.contains.is_none()
            && self.starts_with.is_none();
        if simple {
            return present;
        }
        found.into_iter().any(|value| {
            let equal = |wanted: &Value| same(value, wanted);
            self.equals.as_ref().is_none_or(equal)
                && (self.one_of.is_empty() || self.one_of.iter().any(equal))
                && !self.none_of.iter().any(equal)
                && self.contains.as_ref().is_none_or(|part| value.as_str().is_some_and(|text| text.contains(part)))
                && self
                    .starts_with
                    .as_ref()
                    .is_none_or(|part| value.as_str().is_some_and(|text| text.starts_with(part)))
        })
    }
}

fn same(value: &Value, wanted: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    value == wanted || (text(value).is_some() && text(value) == text(wanted))
}

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_or_do_not() {
        let value = json!({"active": false, "status": "deleted", "n": 5, "gone": null, "list": [{"a": 1}, {"a": 2}]});
        for (check, expected) in [
            (json!({"path": "active"}), true),
            (json!({"path": "gone"}), false),
            (json!({"path": "gone", "present": false}), true),
            (json!({"path": "missing", "present": true}), false),
            (json!({"path": "active", "equals": false}), true),
            (json!({"path": "n", "equals": "5"}), true),
            (json!({"path": "n", "none_of": [5, 6]}), false),
            (json!({"path": "n", "none_of": [6]}), true),
            (json!({"path": "missing", "none_of": [6]}), false),
            (json!({"path": "status", "one_of": ["gone", "deleted"]}), true),
            (json!({"path": "status", "starts_with": "del", "contains": "ted"}), true),
            (json!({"path": "status", "starts_with": "x", "contains": "ted"}), false),
            (json!({"path": "list.*.a", "equals": 2}), true),
        ] {
            let parsed: Check = serde_json::from_value(check.clone()).expect("a condition");
            assert_eq!(parsed.holds(&value), expected, "{check}");
        }
    }
}
