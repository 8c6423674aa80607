//! Fields as Zendesk spells them. A ticket's custom fields stand in a list by their number, and are read and written here as
//! `custom_field_{number}`, which is what Zendesk's own searches call them; those of users and organizations stand in an object
//! (`user_fields`, `organization_fields`), which mappings reach by their path.

use serde_json::{Value, json};
use syncline_core::remote::{Raw, Refusal};

use super::kind::Kind;
use crate::rest::fields;

const CUSTOM_FIELD: &str = "custom_field_";

/// The custom field's number in our name for it.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix(CUSTOM_FIELD)?.parse().ok()
}

/// Our name for a ticket's custom field.
pub(super) fn custom_field(number: u64) -> String {
    format!("{CUSTOM_FIELD}{number}")
}

/// Our name for the field that an error speaks of: a custom field is named by its number alone.
pub(super) fn name_of_fault(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), custom_field)
}

/// The asked fields of an object. Fields that the answer lacks stay absent.
pub(super) fn pick(kind: Kind, object: &Raw, asked: &[String]) -> Raw {
    let (custom, plain): (Vec<&String>, Vec<&String>) =
        asked.iter().partition(|name| kind == Kind::Tickets && number(name).is_some());
    let mut picked = fields::pick(object, &plain.into_iter().cloned().collect::<Vec<_>>());
    let list = ["custom_fields", "fields"].into_iter().find_map(|name| object.get(name)?.as_array());
    for name in custom {
        let is_meant = |field: &&Value| field["id"].as_u64().is_some_and(|id| Some(id) == number(name));
        if let Some(field) = list.and_then(|list| list.iter().find(is_meant)) {
            picked.insert(name.clone(), field["value"].clone());
        }
    }
    picked
}

/// The body of a row as Zendesk takes it, without its envelope.
pub(super) fn spelled(kind: Kind, body: &Raw, creates: bool) -> Result<Raw, Refusal> {
    match kind {
        Kind::Tickets => ticket(body, creates),
        Kind::Users => Ok(nested(body, "user_fields")),
        Kind::Organizations => Ok(nested(body, "organization_fields")),
    }
}

/// Custom fields may be named by their path in one word: they go into their object, beside those that are there.
fn nested(body: &Raw, object: &str) -> Raw {
    let path = format!("{object}.");
    let mut spelled = Raw::new();
    let mut custom = Raw::new();
    for (name, value) in body {
        match (name.strip_prefix(&path), value) {
            (Some(inner), _) => drop(custom.insert(inner.to_owned(), value.clone())),
            (None, Value::Object(inner)) if name == object => custom.extend(inner.clone()),
            (None, _) => drop(spelled.insert(name.clone(), value.clone())),
        }
    }
    if !custom.is_empty() {
        spelled.insert(object.to_owned(), Value::Object(custom));
    }
    spelled
}

fn ticket(body: &Raw, creates: bool) -> Result<Raw, Refusal> {
    let mut spelled = Raw::new();
    let mut custom = Vec::new();
    for (name, value) in body {
        match (number(name), name.as_str()) {
            (Some(number), _) => custom.push(json!({"id": number, "value": value})),
            (None, "description") if creates => drop(spelled.insert("comment".to_owned(), json!({"body": value}))),
            (None, "description") => return Err(first_comment_stands()),
            (None, _) => drop(spelled.insert(name.clone(), value.clone())),
        }
    }
    if !custom.is_empty() {
        spelled.insert("custom_fields".to_owned(), Value::Array(custom));
    }
    let worded =
        spelled.get("comment").is_some_and(|comment| comment["body"].as_str().is_some_and(|text| !text.is_empty()));
    if creates && !worded {
        // Zendesk makes no ticket without a first comment: the subject is all that there is to say.
        spelled.insert("comment".to_owned(), json!({"body": spelled.get("subject").cloned().unwrap_or_default()}));
    }
    Ok(spelled)
}

/// Zendesk would accept the change and leave it aside.
fn first_comment_stands() -> Refusal {
    Refusal {
        code: "DescriptionIsFirstComment".to_owned(),
        message: "a ticket's description is its first comment, which cannot be changed: give `description` the direction `read`"
            .to_owned(),
        fields: vec!["description".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: Value) -> Raw {
        let Value::Object(raw) = value else { panic!("an object is expected") };
        raw
    }

    #[test]
    fn custom_fields_of_tickets_have_names() {
        let ticket = raw(json!({
            "subject": "Help", "priority": null, "tags": ["a"],
            "custom_fields": [{"id": 7, "value": "x"}, {"id": 8, "value": null}],
            "fields": [{"id": 7, "value": "x"}],
        }));
        let asked = ["subject", "priority", "tags", "custom_field_7", "custom_field_8", "custom_field_9", "missing"];
        let asked = asked.map(str::to_owned);
        let expected =
            json!({"subject": "Help", "priority": null, "tags": ["a"], "custom_field_7": "x", "custom_field_8": null});
        assert_eq!(Value::Object(pick(Kind::Tickets, &ticket, &asked)), expected);
        let user = raw(json!({"name": "Ann", "user_fields": {"plan": "gold"}}));
        let asked = ["name", "user_fields", "custom_field_7"].map(str::to_owned);
        assert_eq!(Value::Object(pick(Kind::Users, &user, &asked)), Value::Object(user));
    }

    #[test]
    fn each_body_has_its_spelling() {
        let cases = [
            (
                Kind::Tickets,
                true,
                json!({"subject": "Help", "description": "It burns", "custom_field_7": ["a"], "custom_field_8": null}),
                Some(json!({"subject": "Help", "comment": {"body": "It burns"},
                            "custom_fields": [{"id": 7, "value": ["a"]}, {"id": 8, "value": null}]})),
            ),
            (
                Kind::Tickets,
                true,
                json!({"subject": "Help", "description": null}),
                Some(json!({"subject": "Help", "comment": {"body": "Help"}})),
            ),
            (Kind::Tickets, false, json!({"status": "open"}), Some(json!({"status": "open"}))),
            (Kind::Tickets, false, json!({"description": "It smokes"}), None),
            (
                Kind::Users,
                true,
                json!({"name": "Ann", "user_fields": {"plan": "gold"}}),
                Some(json!({"name": "Ann", "user_fields": {"plan": "gold"}})),
            ),
            (
                Kind::Users,
                false,
                json!({"user_fields": {"plan": "gold"}, "user_fields.seats": 3, "user_fieldsets": 1}),
                Some(json!({"user_fields": {"plan": "gold", "seats": 3}, "user_fieldsets": 1})),
            ),
            (
                Kind::Organizations,
                false,
                json!({"organization_fields.region": null, "user_fields.plan": "x"}),
                Some(json!({"organization_fields": {"region": null}, "user_fields.plan": "x"})),
            ),
        ];
        for (kind, creates, body, expected) in cases {
            let got = spelled(kind, &raw(body.clone()), creates).map(Value::Object);
            assert_eq!(got.ok(), expected, "{body}");
        }
    }

    #[test]
    fn errors_name_custom_fields_as_we_do() {
        for (name, expected) in [("360001", "custom_field_360001"), ("email", "email"), ("base", "base")] {
            assert_eq!(name_of_fault(name), expected);
        }
    }
}
