//! Fields of a provider's object: only those that were asked for, under the names that were asked for.

use serde_json::Value;
use syncline_core::remote::Raw;

/// Picks the asked fields out of an object. A provider may answer in its own letter case; a dotted name
/// (`Account.Name`) is a path into nested objects. Fields that the answer lacks stay absent.
pub fn pick(object: &Raw, asked: &[String]) -> Raw {
    asked.iter().filter_map(|name| Some((name.clone(), find(object, name)?))).collect()
}

fn find(object: &Raw, name: &str) -> Option<Value> {
    if let Some(value) = get(object, name) {
        return Some(clean(value));
    }
    let (head, rest) = name.split_once('.')?;
    match get(object, head)? {
        Value::Object(inner) => find(inner, rest),
        Value::Null => Some(Value::Null),
        _ => None,
    }
}

fn get<'a>(object: &'a Raw, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A nested object without the provider's own description of it.
fn clean(value: &Value) -> Value {
    match value {
        Value::Object(inner) if inner.contains_key("attributes") => Value::Object(
            inner
                .iter()
                .filter(|(key, _)| *key != "attributes")
                .map(|(key, value)| (key.clone(), clean(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_asked_fields_come_under_their_asked_names() {
        let object = json!({
            "attributes": {"type": "Contact"},
            "Id": "003",
            "Email": "a@b.c",
            "MailingAddress": {"street": "Main", "city": null},
            "Account": {"attributes": {"type": "Account"}, "Name": "Acme"},
            "Owner": null,
        });
        let asked = ["email", "MailingAddress", "Account.Name", "Account", "Owner.Name", "Missing", "Email.x"];
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        let expected = json!({
            "email": "a@b.c",
            "MailingAddress": {"street": "Main", "city": null},
            "Account.Name": "Acme",
            "Account": {"Name": "Acme"},
            "Owner.Name": null,
        });
        assert_eq!(Value::Object(pick(object.as_object().expect("an object"), &asked)), expected);
    }
}
