//! Fields given on the command line: `name=value`, where the value is JSON or plain text.

use serde_json::Value as Json;
use syncline_client::JsonFields;

/// Reads `name=value`. A value that is JSON is taken as such (`true`, `12`, `null`, `["a"]`, `"12"`), any other is text.
pub(crate) fn assignment(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    if name.is_empty() {
        return Err("the name before `=` is missing".to_owned());
    }
    Ok((name.to_owned(), json_or_text(value)))
}

/// JSON where the text is JSON, else the text.
pub(crate) fn json_or_text(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}

/// Reads `name=value` with the value as text, for filters.
pub(crate) fn equality(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value; nothing after `=` means null")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// All assignments as fields.
pub(crate) fn collect(assignments: Vec<(String, Json)>) -> JsonFields {
    assignments.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_json_or_text() {
        for (text, name, value) in [
            ("email=a@b.c", "email", json!("a@b.c")),
            ("count=12", "count", json!(12)),
            ("zip=\"0123\"", "zip", json!("0123")),
            ("stage=null", "stage", Json::Null),
            ("stage=", "stage", json!("")),
            ("tags=[\"a\",\"b\"]", "tags", json!(["a", "b"])),
            ("formula=a=b", "formula", json!("a=b")),
        ] {
            assert_eq!(assignment(text), Ok((name.to_owned(), value)), "{text}");
        }
        for text in ["email", "=x"] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
