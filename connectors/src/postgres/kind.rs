//! How a column's values are read and written: the database's text of a value, and JSON.

use serde_json::{Number, Value};

/// What a column's type is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `boolean`.
    Bool,
    /// Whole numbers of up to 64 bits.
    Int,
    /// `numeric`: read as text, so that no digit is lost.
    Numeric,
    /// Numbers of floating point.
    Float,
    /// An instant.
    Instant,
    /// A day with a time and without a zone, taken as UTC.
    Local,
    /// `json` and `jsonb`.
    Json,
    /// An array, whose members are text to us.
    Array,
    /// Bytes, which are not synced.
    Bytes,
    /// Everything else, in the database's own spelling.
    Text,
}

impl Kind {
    /// The kind of a type by its name and category in the catalogue.
    pub(super) fn of(base: &str, category: &str) -> Self {
        match base {
            "bool" => Self::Bool,
            "int2" | "int4" | "int8" | "oid" => Self::Int,
            "numeric" => Self::Numeric,
            "float4" | "float8" => Self::Float,
            "timestamptz" => Self::Instant,
            "timestamp" => Self::Local,
            "json" | "jsonb" => Self::Json,
            "bytea" => Self::Bytes,
            _ if category == "A" => Self::Array,
            _ => Self::Text,
        }
    }

    /// The expression that shows a column's value as text, of the column's name in quotes.
    pub(super) fn shown(self, column: &str) -> String {
        match self {
            // The members' own text, so that numbers keep their digits.
            Self::Array => format!("to_json({column}::text[])::text"),
            _ => format!("{column}::text"),
        }
    }

    /// The expression that makes a value of text. `plain` is the column's type without bounds.
    pub(super) fn made(self, parameter: &str, plain: &str) -> String {
        match self {
            Self::Array => format!(
                "(CASE WHEN {parameter}::text IS NULL THEN NULL \
                 ELSE ARRAY(SELECT jsonb_array_elements_text({parameter}::text::jsonb)) END)::text[]::{plain}"
            ),
            _ => format!("{parameter}::text::{plain}"),
        }
    }

    /// The JSON of a value's text.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Bool => match text {
                "t" | "true" => Ok(Value::Bool(true)),
                "f" | "false" => Ok(Value::Bool(false)),
                _ => Err(unreadable("a truth value")),
            },
            Self::Int => text.parse::<i64>().map(Value::from).map_err(|_| unreadable("a whole number")),
            Self::Float => {
                let number = text.parse::<f64>().map_err(|_| unreadable("a number"))?;
                // NaN and the infinities are no numbers of JSON.
                Ok(Number::from_f64(number).map_or_else(|| Value::from(text), Value::Number))
            }
            Self::Instant => Ok(Value::from(instant(text))),
            Self::Local => Ok(Value::from(local(text))),
            Self::Json | Self::Array => serde_json::from_str(text).map_err(|_| unreadable("JSON")),
            Self::Numeric | Self::Bytes | Self::Text => Ok(Value::from(text)),
        }
    }

    /// The text of a JSON value, as a parameter; `None` is null.
    pub(super) fn written(self, value: &Value) -> Option<String> {
        match (self, value) {
            (_, Value::Null) => None,
            (Self::Array, Value::Array(_)) | (Self::Json, _) => Some(value.to_string()),
            // A single member stands for the array of it.
            (Self::Array, other) => Some(Value::Array(vec![other.clone()]).to_string()),
            // Zoneless columns hold the time in UTC.
            (Self::Local, Value::String(text)) => Some(text.trim_end_matches(['Z', 'z']).to_owned()),
            (_, Value::String(text)) => Some(text.clone()),
            (_, other) => Some(other.to_string()),
        }
    }
}

fn unreadable(what: &str) -> String {
    format!("the column does not show {what}: its type may have changed")
}

/// `2026-05-05 10:00:00.123456+00` as ISO 8601; what is no such time, such as `infinity`, stays as it is.
fn instant(text: &str) -> String {
    match text.strip_suffix("+00") {
        Some(time) => format!("{}Z", time.replacen(' ', "T", 1)),
        None => text.to_owned(),
    }
}

fn local(text: &str) -> String {
    let is_time = text.starts_with(|first: char| first.is_ascii_digit()) && !text.ends_with("BC");
    if is_time { format!("{}Z", text.replacen(' ', "T", 1)) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_has_a_kind() {
        let cases = [
            ("bool", "B", Kind::Bool),
            ("int4", "N", Kind::Int),
            ("numeric", "N", Kind::Numeric),
            ("float8", "N", Kind::Float),
            ("timestamptz", "D", Kind::Instant),
            ("timestamp", "D", Kind::Local),
            ("date", "D", Kind::Text),
            ("uuid", "U", Kind::Text),
            ("jsonb", "U", Kind::Json),
            ("_text", "A", Kind::Array),
            ("mood", "E", Kind::Text),
            ("bytea", "U", Kind::Bytes),
        ];
        for (base, category, kind) in cases {
            assert_eq!(Kind::of(base, category), kind, "{base}");
        }
    }

    #[test]
    fn values_are_read_as_they_are() {
        let cases = [
            (Kind::Bool, "true", Ok(json!(true))),
            (Kind::Bool, "yes", Err(())),
            (Kind::Int, "9223372036854775807", Ok(json!(i64::MAX))),
            (Kind::Int, "ten", Err(())),
            (Kind::Numeric, "12345678901234567890.123456789", Ok(json!("12345678901234567890.123456789"))),
            (Kind::Float, "0.1", Ok(json!(0.1))),
            (Kind::Float, "NaN", Ok(json!("NaN"))),
            (Kind::Instant, "2026-05-05 10:00:00.123456+00", Ok(json!("2026-05-05T10:00:00.123456Z"))),
            (Kind::Instant, "infinity", Ok(json!("infinity"))),
            (Kind::Local, "2026-05-05 10:00:00", Ok(json!("2026-05-05T10:00:00Z"))),
            (Kind::Local, "-infinity", Ok(json!("-infinity"))),
            (Kind::Json, r#"{"a": [1, null]}"#, Ok(json!({"a": [1, null]}))),
            (Kind::Array, r#"["a", "b"]"#, Ok(json!(["a", "b"]))),
            (Kind::Text, "2026-05-05", Ok(json!("2026-05-05"))),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(kind.read(text).map_err(drop), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn values_are_written_as_text() {
        let cases = [
            (Kind::Text, json!(null), None),
            (Kind::Bool, json!(true), Some("true")),
            (Kind::Int, json!(7), Some("7")),
            (Kind::Numeric, json!("0.10"), Some("0.10")),
            (Kind::Local, json!("2026-05-05T10:00:00.000Z"), Some("2026-05-05T10:00:00.000")),
            (Kind::Array, json!(["a", "b"]), Some(r#"["a","b"]"#)),
            (Kind::Array, json!("a"), Some(r#"["a"]"#)),
            (Kind::Json, json!("a"), Some(r#""a""#)),
            (Kind::Text, json!("a"), Some("a")),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(kind.written(&value).as_deref(), expected, "{kind:?} {value}");
        }
    }
}
