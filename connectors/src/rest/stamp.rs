//! Date-times as providers spell them.

use syncline_core::time::Millis;

/// Reads `2026-05-05T10:32:00.000+0000`, `2026-05-05T10:32:00.123Z` and epoch milliseconds as text or number.
pub fn read(value: &serde_json::Value) -> Option<Millis> {
    match value {
        serde_json::Value::Number(number) => number.as_i64().map(Millis),
        serde_json::Value::String(text) => parse(text),
        _ => None,
    }
}

/// Reads a date-time's text.
pub fn parse(text: &str) -> Option<Millis> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(Millis(timestamp.as_millisecond()));
    }
    text.parse().ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_spellings_are_read() {
        let cases = [
            (json!("2026-05-05T10:32:00.000+0000"), Some(1_777_977_120_000)),
            (json!("2026-05-05T10:32:00.123Z"), Some(1_777_977_120_123)),
            (json!("2026-05-05T12:32:00.123+02:00"), Some(1_777_977_120_123)),
            (json!("1777977120123"), Some(1_777_977_120_123)),
            (json!(1_777_977_120_123_i64), Some(1_777_977_120_123)),
            (json!("yesterday"), None),
            (json!("2026-05-05"), None),
            (json!(null), None),
            (json!(""), None),
        ];
        for (value, expected) in cases {
            assert_eq!(read(&value), expected.map(Millis), "{value}");
        }
    }
}
