//! Tags: lower-case words in alphabetical order, some of which stand for the value of a custom field.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::schema::{CustomField, FieldType, Schema};

/// A set of tags.
pub(crate) type Tags = BTreeSet<String>;

/// Reads tags from a list, or from one text with white space or commas between them.
pub(crate) fn read(raw: &Value, split: bool) -> Option<Tags> {
    match raw {
        Value::Null => Some(Tags::new()),
        Value::String(text) => Some(words(text).collect()),
        Value::Array(list) => {
            let mut tags = Tags::new();
            for entry in list {
                let text = entry.as_str()?;
                if split {
                    tags.extend(words(text));
                } else {
                    tags.extend(Some(words(text).collect::<Vec<_>>().join("_")).filter(|tag| !tag.is_empty()));
                }
            }
            Some(tags)
        }
        _ => None,
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|letter: char| letter.is_whitespace() || letter == ',');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The stored tags.
pub(crate) fn of(values: &Map<String, Value>) -> Tags {
    let list = values.get("tags").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Tags as they are stored: nothing at all for an empty set.
pub(crate) fn stored(tags: &Tags) -> Value {
    if tags.is_empty() { Value::Null } else { tags.iter().map(String::as_str).collect() }
}

/// The tags that a value of a custom field stands for.
fn mirrored(field: &CustomField, value: &Value) -> Tags {
    match (field.ty, value) {
        (FieldType::Tagger, Value::String(tag)) => Tags::from([tag.clone()]),
        (FieldType::Multiselect, Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        (FieldType::Checkbox, Value::Bool(true)) => field.tag.clone().into_iter().collect(),
        _ => Tags::new(),
    }
}

/// The tags that a custom field can stand for.
fn vocabulary(field: &CustomField) -> Tags {
    match field.ty {
        FieldType::Tagger | FieldType::Multiselect => field.choices.iter().map(|choice| choice.value.clone()).collect(),
        FieldType::Checkbox => field.tag.clone().into_iter().collect(),
        _ => Tags::new(),
    }
}

/// The value that a set of tags gives a custom field whose value was `before`.
fn reflected(field: &CustomField, before: &Value, tags: &Tags) -> Value {
    let chosen: Tags = vocabulary(field).intersection(tags).cloned().collect();
    match field.ty {
        FieldType::Tagger => match before.as_str() {
            Some(kept) if chosen.contains(kept) => before.clone(),
            _ => chosen.into_iter().next().map_or(Value::Null, Value::from),
        },
        FieldType::Multiselect if chosen.is_empty() => Value::Null,
        FieldType::Multiselect => chosen.into_iter().collect(),
        _ if !chosen.is_empty() => true.into(),
        _ if before.is_null() => Value::Null,
        _ => false.into(),
    }
}

/// Makes tags and custom fields agree after a write. Fields that were written count before tags that were written: their
/// old tags go, their new ones come; every other field follows the tags.
pub(crate) fn mirror(schema: &Schema, before: &Map<String, Value>, written: &mut Map<String, Value>) {
    let mut tags = if written.contains_key("tags") { of(written) } else { of(before) };
    let old = of(before);
    let null = Value::Null;
    for field in schema.active().filter(|field| !vocabulary(field).is_empty()) {
        let slot = schema.slot(field);
        let held = before.get(&slot).unwrap_or(&null);
        if let Some(value) = written.get(&slot) {
            tags = tags.difference(&mirrored(field, held)).cloned().collect();
            tags.extend(mirrored(field, value));
        }
    }
    for field in schema.active().filter(|field| !vocabulary(field).is_empty()) {
        let slot = schema.slot(field);
        let held = before.get(&slot).unwrap_or(&null);
        if !written.contains_key(&slot) {
            let value = reflected(field, held, &tags);
            if value != *held {
                written.insert(slot, value);
            }
        }
    }
    if tags != old || written.contains_key("tags") {
        written.insert("tags".to_owned(), stored(&tags));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::Kind;
    use super::super::schema::Choice;
    use super::*;
    use crate::clock::Micros;

    fn schema() -> Schema {
        let choice = |value: &str| Choice { id: 1, name: value.into(), value: value.into() };
        let field = |id, ty, choices: &[&str], tag: Option<&str>| CustomField {
            id,
            key: String::new(),
            title: "x".into(),
            ty,
            choices: choices.iter().map(|value| choice(value)).collect(),
            tag: tag.map(str::to_owned),
            active: true,
            created: Micros(0),
        };
        let mut schema = Schema::new(Kind::Tickets);
        schema.add(field(1, FieldType::Tagger, &["gold", "silver"], None));
        schema.add(field(2, FieldType::Multiselect, &["billing", "mobile"], None));
        schema.add(field(3, FieldType::Checkbox, &[], Some("vip")));
        schema
    }

    #[test]
    fn tags_are_read_from_lists_and_texts() {
        for (raw, split, joined) in [
            (json!(["B b", "A"]), &["a", "b"][..], &["a", "b_b"][..]),
            (json!("b, A  b"), &["a", "b"], &["a", "b"]),
            (json!([""]), &[], &[]),
            (json!(null), &[], &[]),
        ] {
            for (flag, expected) in [(true, split), (false, joined)] {
                let tags = read(&raw, flag).unwrap();
                assert_eq!(tags.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{raw} {flag}");
            }
        }
        assert_eq!(read(&json!([1]), true), None);
        assert_eq!(read(&json!({}), true), None);
    }

    #[test]
    fn fields_and_tags_follow_each_other() {
        for (before, written, expected) in [
            (json!({}), json!({"custom_fields.1": "gold"}), json!({"custom_fields.1": "gold", "tags": ["gold"]})),
            (
                json!({"custom_fields.1": "gold", "tags": ["gold", "x"]}),
                json!({"custom_fields.1": "silver"}),
                json!({"custom_fields.1": "silver", "tags": ["silver", "x"]}),
            ),
            (
                json!({"custom_fields.1": "gold", "tags": ["gold", "x"]}),
                json!({"tags": ["x"]}),
                json!({"custom_fields.1": null, "tags": ["x"]}),
            ),
            (
                json!({"custom_fields.2": ["billing", "mobile"], "tags": ["billing", "mobile"]}),
                json!({"tags": ["mobile"]}),
                json!({"custom_fields.2": ["mobile"], "tags": ["mobile"]}),
            ),
            (json!({}), json!({"tags": ["vip"]}), json!({"custom_fields.3": true, "tags": ["vip"]})),
            (
                json!({"custom_fields.3": true, "tags": ["vip"]}),
                json!({"custom_fields.3": false}),
                json!({"custom_fields.3": false, "tags": null}),
            ),
            (json!({"tags": ["x"]}), json!({"subject": "s"}), json!({"subject": "s"})),
        ] {
            let mut written = written.as_object().unwrap().clone();
            mirror(&schema(), before.as_object().unwrap(), &mut written);
            assert_eq!(Value::Object(written), expected, "{before}");
        }
    }
}
