//! What a body asks for, read against the schema before anything is looked up.

use serde_json::{Map, Value};

use super::errors::{ApiError, Flaw};
use super::kind::Kind;
use super::normalise::{self, Rules, number};
use super::schema::Schema;
use super::table::Row;
use super::tags;
use super::thread::Draft;
use super::time::parse_moment;

/// What only the creation of a ticket takes.
const ON_CREATION_ONLY: [&str; 1] = ["submitter_id"];

/// What a body asks for.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// By attribute, as the client sent it.
    pub(crate) sent: Map<String, Value>,
    /// By attribute, in stored form; null clears.
    pub(crate) values: Map<String, Value>,
    /// What is said beside it.
    pub(crate) draft: Option<Draft>,
    /// `metadata.custom`.
    pub(crate) custom: Value,
    /// A further address of a user.
    pub(crate) address: Option<String>,
    /// What is wrong so far.
    pub(crate) flaws: Vec<Flaw>,
}

impl Wish {
    /// Reads a body. Members and custom fields that the account does not know are ignored, as the platform does.
    pub(crate) fn read(
        schema: &Schema,
        kind: Kind,
        body: &Map<String, Value>,
        before: Option<&Row>,
        rules: Rules,
    ) -> Self {
        let mut wish =
            Self { custom: body.get("metadata").map_or(Value::Null, |all| all["custom"].clone()), ..Self::default() };
        for (name, raw) in body {
            if before.is_some() && ON_CREATION_ONLY.contains(&name.as_str()) {
                continue;
            }
            // A template counts as the subject where no subject is given beside it.
            let name = if name == "raw_subject" && !body.contains_key("subject") { "subject" } else { name };
            if let Some(rule) = schema.rule(name) {
                wish.take(name, raw, normalise::attribute(name, rule, raw, rules));
            }
        }
        for (name, raw) in custom_values(kind, body) {
            if let Some(field) = schema.find(&name).filter(|field| field.active) {
                // Only tickets show numbers as texts.
                let rules = Rules { numbers_as_text: rules.numbers_as_text && kind == Kind::Tickets, ..rules };
                wish.take(&schema.slot(field), &raw, normalise::custom(field, &raw, rules));
            }
        }
        wish.read_tag_changes(body, before, rules);
        if kind == Kind::Tickets {
            wish.read_comment(body, before.is_none());
        }
        wish
    }

    fn take(&mut self, name: &str, raw: &Value, stored: Result<Value, Flaw>) {
        match stored {
            Ok(value) => {
                self.sent.insert(name.to_owned(), raw.clone());
                self.values.insert(name.to_owned(), value);
            }
            Err(flaw) => self.flaws.push(flaw),
        }
    }

    /// `additional_tags` and `remove_tags`, which change the set instead of replacing it.
    fn read_tag_changes(&mut self, body: &Map<String, Value>, before: Option<&Row>, rules: Rules) {
        let read = |name: &str| body.get(name).and_then(|raw| tags::read(raw, rules.tags_split));
        let (more, less) = (read("additional_tags"), read("remove_tags"));
        if more.is_none() && less.is_none() {
            return;
        }
        let mut set = before.map(|row| tags::of(&row.values)).unwrap_or_default();
        set.extend(more.into_iter().flatten());
        for tag in less.into_iter().flatten() {
            set.remove(&tag);
        }
        self.values.insert("tags".to_owned(), tags::stored(&set));
        let sent = body.get("additional_tags").or(body.get("remove_tags")).cloned().unwrap_or_default();
        self.sent.insert("tags".to_owned(), sent);
    }

    /// A comment, or the description of a new ticket. The description of an old one is ignored: it is its first comment.
    fn read_comment(&mut self, body: &Map<String, Value>, creating: bool) {
        match body.get("comment").filter(|raw| !raw.is_null()) {
            Some(raw) => match Draft::read(raw) {
                Ok(draft) => self.draft = Some(draft),
                Err(flaw) => self.flaws.push(flaw),
            },
            None if creating => match body.get("description").and_then(Value::as_str).filter(|text| !text.is_empty()) {
                Some(text) => self.draft = Some(Draft::of_text(text)),
                None => self.flaws.push(Flaw::base("BlankValue", "Description: cannot be blank")),
            },
            None => {}
        }
    }

    /// Whether it holds an attribute, be it one that is refused.
    pub(crate) fn speaks_of(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.flaws.iter().any(|flaw| flaw.attribute == name)
    }

    /// The value that an attribute would have afterwards.
    pub(crate) fn after<'w>(&'w self, before: Option<&'w Row>, name: &str) -> &'w Value {
        match self.values.get(name) {
            Some(value) => value,
            None => before.map_or(&Value::Null, |row| row.get(name)),
        }
    }
}

/// Custom fields by id or key. Tickets take a list, or a map from id to value, under two names.
fn custom_values(kind: Kind, body: &Map<String, Value>) -> Vec<(String, Value)> {
    let names: &[&str] = if kind == Kind::Tickets { &["custom_fields", "fields"] } else { &[kind.custom_member()] };
    let mut values = Vec::new();
    for member in names.iter().filter_map(|name| body.get(*name)) {
        match member {
            Value::Object(map) => values.extend(map.iter().map(|(key, value)| (key.clone(), value.clone()))),
            Value::Array(list) => {
                let entries = list.iter().filter_map(|entry| Some((number(&entry["id"])?, entry["value"].clone())));
                values.extend(entries.map(|(id, value)| (id.to_string(), value)));
            }
            _ => {}
        }
    }
    // The side door names custom fields as the state shows them.
    let prefix = format!("{}.", kind.custom_member());
    let dotted = body.iter().filter_map(|(name, raw)| Some((name.strip_prefix(&prefix)?.to_owned(), raw.clone())));
    values.extend(dotted);
    values
}

/// Checks a guarded update against the ticket's stamp.
pub(crate) fn check_guard(body: &Map<String, Value>, row: &Row) -> Result<(), ApiError> {
    let guarded = match body.get("safe_update") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    if !guarded {
        return Ok(());
    }
    let stamp = body.get("updated_stamp").and_then(Value::as_str).and_then(parse_moment);
    let stamp = stamp.ok_or_else(|| ApiError::missing("updated_stamp"))?;
    if stamp.floor_to_second() == row.updated.floor_to_second() { Ok(()) } else { Err(ApiError::update_conflict()) }
}
