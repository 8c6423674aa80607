//! What the look-ups of templates may find.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::time::Millis;

use super::filter::Kind;

/// A name that templates may look up, what it is, and what it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// What it is.
    pub(super) kind: Kind,
    /// What it stands for.
    pub about: &'static str,
}

const fn variable(name: &'static str, kind: Kind, about: &'static str) -> Variable {
    Variable { name, kind, about }
}

/// Every name. Which of them a request may use depends on its place, see `laws`.
pub const VARIABLES: &[Variable] = &[
    variable("settings", Kind::Any, "what the integration sets, by name: `{settings.site}`"),
    variable("now", Kind::Time, "this service's time, for refreshes and webhooks only"),
    variable("token", Kind::Text, "the connection's access token"),
    variable("client_id", Kind::Text, "the id of the integration's client"),
    variable("client_secret", Kind::Text, "the secret of the integration's client"),
    variable("refresh_token", Kind::Text, "the connection's refresh token"),
    variable("since", Kind::Time, "the time at which a page begins: where the walk stands, or its window begins"),
    variable("until", Kind::Time, "the time at which the window ends"),
    variable("after_id", Kind::Text, "the id of the row after which a page begins"),
    variable("cursor", Kind::Text, "the token of the next page"),
    variable("offset", Kind::Any, "how many rows lie before the page"),
    variable("page", Kind::Any, "the number of the page"),
    variable("limit", Kind::Any, "the most rows wanted in the page"),
    variable("fields", Kind::List, "the names of the fields that are read"),
    variable("id", Kind::Text, "the object's id"),
    variable("ids", Kind::List, "the ids of several objects"),
    variable("field", Kind::Text, "the name of the field that is searched by"),
    variable("value", Kind::Any, "the value that is searched for, or written"),
    variable("values", Kind::List, "the values that are searched for"),
    variable("terms", Kind::Text, "the search's terms, one for each value"),
    variable("body", Kind::Any, "the fields that are written"),
    variable("object", Kind::Any, "the object as it is just now, with the fields that are written"),
    variable("version", Kind::Time, "the object's stamp that the write was computed against"),
    variable("etag", Kind::Text, "the object's entity tag just before the write"),
    variable("key", Kind::Text, "our key of the object that is created"),
    variable("key_field", Kind::Text, "the name of the field that holds our key"),
    variable("attempt_key", Kind::Text, "a name for the creation that stays the same when it is repeated"),
    variable("once", Kind::Any, "what was asked for just before the creation, good for one"),
    variable("found", Kind::Any, "the part that was found, see `parts`"),
    variable("row", Kind::Any, "the row of an answer that a name or text is made of"),
    variable("method", Kind::Text, "the webhook's method"),
    variable("url", Kind::Text, "the address that the webhook was sent to"),
    variable("payload", Kind::Text, "the webhook's body as it came"),
    variable("timestamp", Kind::Text, "the webhook's time as it came"),
];

/// The values of one rendering.
#[derive(Clone, Debug, Default)]
pub struct Scope(BTreeMap<&'static str, Item>);

/// A value, or a time that is yet to be spelled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Value(Value),
    Time(Millis),
}

impl Scope {
    /// With a value; null is nothing.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// With a value, if there is one.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a time, if there is one.
    #[must_use]
    pub fn with_time(mut self, name: &'static str, at: Option<Millis>) -> Self {
        if let Some(at) = at {
            self.0.insert(name, Item::Time(at));
        }
        self
    }

    /// Sets a value; null is nothing.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        match value.into() {
            Value::Null => drop(self.0.remove(name)),
            value => drop(self.0.insert(name, Item::Value(value))),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Item> {
        self.0.get(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
