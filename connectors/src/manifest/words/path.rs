//! Where a value stands in an answer: keys by dots, places in lists, the first entry that says something.

use serde_json::{Map, Value};

use super::{WordError, word};

/// More steps are a slip.
const STEPS_MAX: usize = 16;

/// The most values that one look-up brings back.
const FOUND_MAX: usize = 1_000;

/// A look-up: `user.id`, `errors[0].code`, `phones[type=work].number`, `details.*.error`; `.` is the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    /// A place in a list, from 0.
    Place(usize),
    /// The entries of a list in which a key holds a text.
    Where(String, String),
    /// All values of a map or list.
    Any,
}

impl Path {
    /// The whole.
    pub fn whole() -> Self {
        Self(Vec::new())
    }

    /// One key.
    pub fn key(name: &str) -> Self {
        Self(vec![Step::Key(name.to_owned())])
    }

    /// Whether this is the whole.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a path; keys hold no dot and no bracket, and at most 16 steps follow each other.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let wrong = |why: &str| {
            WordError::new(
                format!("`{text}` is no path: {why}"),
                "write keys with dots, places and conditions in brackets: `user.id`, `errors[0].code`, `phones[type=work].number`; `.` is the whole",
            )
        };
        if text == "." {
            return Ok(Self::whole());
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if key.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ']' | '{' | '}')) {
                return Err(wrong("a key holds a character that no key may hold"));
            }
            match key {
                "" if rest.is_empty() || !steps.is_empty() => return Err(wrong("a key is empty")),
                "" => {}
                "*" => steps.push(Step::Any),
                _ => steps.push(Step::Key(key.to_owned())),
            }
            while let Some(inner) = rest.strip_prefix('[') {
                let (inner, after) = inner.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
                steps.push(bracket(inner).ok_or_else(|| wrong("brackets hold a number, or a key, `=` and a text"))?);
                rest = after;
            }
            if !rest.is_empty() {
                return Err(wrong("something follows a bracket"));
            }
        }
        if steps.len() > STEPS_MAX {
            return Err(wrong("it has more than 16 steps"));
        }
        Ok(Self(steps))
    }

    /// The first value that stands there and is not null; else null if that stands there; else nothing.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let found = self.all(value);
        found.iter().copied().find(|value| !value.is_null()).or_else(|| found.first().copied())
    }

    /// All values that stand there, at most a thousand.
    pub fn all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            let next = found.into_iter().flat_map(|value| step.of(value));
            found = next.take(FOUND_MAX).collect();
        }
        found
    }

    /// The same in an object.
    pub fn in_object<'v>(&self, object: &'v Map<String, Value>) -> Option<&'v Value> {
        match self.0.split_first() {
            Some((Step::Key(key), rest)) => Self(rest.to_vec()).find(object.get(key)?),
            _ => None,
        }
    }

    /// The keys, where there is nothing else in it: then a value can be put there.
    pub fn keys(&self) -> Option<Vec<&str>> {
        let keys = self.0.iter().map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            _ => None,
        });
        keys.collect()
    }

    /// Puts a value there; without effect where the path is more than keys, or another value stands in its way.
    pub fn put(&self, object: &mut Map<String, Value>, value: Value) {
        let Some(keys) = self.keys() else { return };
        let Some((last, above)) = keys.split_last() else { return };
        let mut object = object;
        for key in above {
            let inner = object.entry((*key).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if inner.is_null() {
                *inner = Value::Object(Map::new());
            }
            let Value::Object(inner) = inner else { return };
            object = inner;
        }
        object.insert((*last).to_owned(), value);
    }
}

fn bracket(inner: &str) -> Option<Step> {
    if let Some((key, text)) = inner.split_once('=') {
        let key = key.trim();
        return (!key.is_empty()).then(|| Step::Where(key.to_owned(), text.trim().to_owned()));
    }
    inner.parse().ok().map(Step::Place)
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Key(key), Value::Object(object)) => object.get(key).into_iter().collect(),
            (Self::Place(place), Value::Array(items)) => items.get(*place).into_iter().collect(),
            (Self::Where(key, text), Value::Array(items)) => {
                items.iter().filter(|item| item.get(key).is_some_and(|value| is_text(value, text))).collect()
            }
            (Self::Any, Value::Object(object)) => object.values().collect(),
            (Self::Any, Value::Array(items)) => items.iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Number(number) => number.to_string().as_str() == text,
        Value::Bool(truth) => (if *truth { "true" } else { "false" }) == text,
        _ => false,
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (at, step) in self.0.iter().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            match step {
                Step::Key(key) => write!(f, "{dot}{key}")?,
                Step::Place(place) => write!(f, "[{place}]")?,
                Step::Where(key, text) => write!(f, "[{key}={text}]")?,
                Step::Any => write!(f, "{dot}*")?,
            }
        }
        Ok(())
    }
}

word!(
    Path,
    "path",
    "Where a value stands: `user.id`, `errors[0].code`, `phones[type=work].number`, `details.*.error`; `.` is the whole."
);

/// One path, or several of which the first that leads to something counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(from = "OneOrMany")]
#[schemars(with = "OneOrMany")]
pub struct Paths(pub Vec<Path>);

/// A path or a list of them.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(Path),
    Many(Vec<Path>),
}

impl From<OneOrMany> for Paths {
    fn from(paths: OneOrMany) -> Self {
        match paths {
            OneOrMany::One(path) => Self(vec![path]),
            OneOrMany::Many(paths) => Self(paths),
        }
    }
}

impl Paths {
    /// The first value that is not null.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().filter_map(|path| path.find(value)).find(|value| !value.is_null())
    }

    /// All values of all paths.
    pub fn all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        self.0.iter().flat_map(|path| path.all(value)).take(FOUND_MAX).collect()
    }

    /// Several paths by their texts, for defaults.
    pub(in crate::manifest) fn of(texts: &[&str]) -> Self {
        Self(texts.iter().filter_map(|text| Path::parse(text).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let value = json!({
            "user": {"id": 7, "name": null},
            "errors": [{"code": null}, {"code": "Taken"}],
            "details": {"email": [{"error": "Duplicate"}], "name": [{"error": "Blank"}]},
            "phones": [{"type": "home", "number": "1"}, {"type": "work", "number": "2"}],
        });
        for (path, expected) in [
            (".", Some(value.clone())),
            ("user.id", Some(json!(7))),
            ("user.name", Some(json!(null))),
            ("user.none", None),
            ("errors[0].code", Some(json!(null))),
            ("errors.*.code", Some(json!("Taken"))),
            ("errors[2]", None),
            ("phones[type=work].number", Some(json!("2"))),
            ("phones[type=fax].number", None),
            ("details.*.*.error", Some(json!("Duplicate"))),
            ("user[0]", None),
        ] {
            let parsed = Path::parse(path).expect(path);
            assert_eq!(parsed.find(&value).cloned(), expected, "{path}");
            assert_eq!(parsed.to_string(), path);
        }
        assert_eq!(Path::parse("[0].a").expect("a path").find(&json!([{"a": 1}])), Some(&json!(1)));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = vec!["a"; 17].join(".");
        for text in ["", "a..b", ".a", "a.", "a[", "a[x]", "a[=x]", "a[0]b", "a b", "{a}", "a]", &long] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_put_at_keys_only() {
        for (path, expected) in [
            ("a", json!({"a": 1, "x": {"y": 2}, "n": null})),
            ("x.z", json!({"x": {"y": 2, "z": 1}, "n": null})),
            ("n.m.o", json!({"x": {"y": 2}, "n": {"m": {"o": 1}}})),
            ("x.y.z", json!({"x": {"y": 2}, "n": null})),
            ("x[0]", json!({"x": {"y": 2}, "n": null})),
        ] {
            let Value::Object(mut object) = json!({"x": {"y": 2}, "n": null}) else { panic!("an object") };
            Path::parse(path).expect("a path").put(&mut object, json!(1));
            assert_eq!(Value::Object(object), expected, "{path}");
        }
    }
}
