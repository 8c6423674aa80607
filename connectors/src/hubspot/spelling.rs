//! Values as HubSpot writes them: text, whatever the property's type.

use serde_json::Value;
use syncline_core::remote::Raw;

/// The properties of a write. Null becomes the empty text, which clears; lists become text with semicolons.
pub(super) fn properties(body: &Raw) -> Value {
    Value::Object(body.iter().map(|(name, value)| (name.clone(), Value::String(text(value)))).collect())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(members) => members.iter().map(text).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_is_text() {
        let body = json!({
            "cleared": null, "name": "Ann", "active": true, "count": 10, "share": 1.25, "tags": ["a", "b", 3], "none": [],
        });
        let expected = json!({
            "cleared": "", "name": "Ann", "active": "true", "count": "10", "share": "1.25", "tags": "a;b;3", "none": "",
        });
        assert_eq!(properties(body.as_object().expect("an object")), expected);
    }
}
