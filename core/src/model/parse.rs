//! From JSON to canonical values. The same spellings are taken from the API and from providers, some of which send every
//! value as text.

use jiff::{Timestamp, civil::Date};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::Value as Json;

use super::{Field, FieldType, nearest};
use crate::{time::Millis, value::Value};

/// How much of a refused value a message repeats, in characters.
const QUOTED_MAX: usize = 60;

impl Field {
    /// The canonical value of a plain JSON value. Null, blank text and (for a set) an empty array are blanks.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the value and what the field takes instead.
    pub fn parse_json(&self, json: &Json) -> Result<Value, String> {
        let value = match json {
            Json::Null => Value::Null,
            Json::String(text) if text.trim().is_empty() => Value::Null,
            json => match self.ty {
                FieldType::Text { .. } => parse_text(json, "text")?,
                FieldType::Enum { .. } => parse_text(json, "one of the field's values, as text")?,
                FieldType::Bool => parse_bool(json)?,
                FieldType::Int => parse_int(json)?,
                FieldType::Decimal { .. } => parse_decimal(json)?,
                FieldType::Date => parse_date(json)?,
                FieldType::DateTime => parse_instant(json)?,
                FieldType::Set { .. } => parse_set(json)?,
            },
        };
        self.admit(value)
    }

    /// The canonical form of a value that may come from anywhere, such as a document that clients write.
    ///
    /// # Errors
    ///
    /// A sentence that says why the field cannot hold the value: its type, its length, or that it is none of the
    /// listed ones.
    pub fn admit(&self, value: Value) -> Result<Value, String> {
        let value = self.canonicalise(value);
        match (&self.ty, &value) {
            (FieldType::Text { max_len }, Value::Text(text)) => within(text, *max_len)?,
            (FieldType::Enum { values }, Value::Text(text)) => {
                if !values.contains(text) {
                    return Err(unknown_value(text, values.iter().map(String::as_str)));
                }
            }
            (FieldType::Set { values }, Value::Set(members)) if !values.is_empty() => {
                if let Some(stranger) = members.difference(values).next() {
                    return Err(unknown_value(stranger, values.iter().map(String::as_str)));
                }
            }
            (FieldType::DateTime, Value::DateTime(at)) => {
                Timestamp::from_millisecond(at.0)
                    .map_err(|_| "the instant lies outside the years -9999 to 9999".to_owned())?;
            }
            (FieldType::Bool, Value::Bool(_))
            | (FieldType::Int, Value::Int(_))
            | (FieldType::Decimal { .. }, Value::Decimal(_))
            | (FieldType::Date, Value::Date(_))
            | (FieldType::Set { .. }, Value::Set(_))
            | (_, Value::Null) => {}
            _ => return Err(format!("{} does not fit a field of type {}", quoted(&value.to_json()), self.ty.name())),
        }
        Ok(value)
    }
}

/// Refuses a text that is too long.
fn within(text: &str, max_len: u32) -> Result<(), String> {
    // Bytes bound characters from above, so that most texts need no count.
    if text.len() <= max_len as usize {
        return Ok(());
    }
    let len = text.chars().count();
    if len <= max_len as usize {
        return Ok(());
    }
    Err(format!("the text has {len} characters and the field takes {max_len}: shorten it, or raise the field's `max`"))
}

fn parse_text(json: &Json, wanted: &str) -> Result<Value, String> {
    json.as_str().map(Value::text).ok_or_else(|| wrong_type(json, wanted))
}

fn parse_set(json: &Json) -> Result<Value, String> {
    let Json::Array(members) = json else { return Err(wrong_type(json, "an array of texts")) };
    let member = |member: &Json| {
        member.as_str().map(str::to_owned).ok_or_else(|| wrong_type(member, "text as each member of the set"))
    };
    members.iter().map(member).collect::<Result<_, _>>().map(Value::Set)
}

fn parse_bool(json: &Json) -> Result<Value, String> {
    match json {
        Json::Bool(flag) => Ok(Value::Bool(*flag)),
        Json::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Json::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        other => Err(wrong_type(other, "true or false")),
    }
}

fn parse_int(json: &Json) -> Result<Value, String> {
    if let Some(number) = json.as_i64() {
        return Ok(Value::Int(number));
    }
    let number = number(json).ok_or_else(|| wrong_type(json, "a whole number"))?;
    match number.to_i64().filter(|_| number.is_integer()) {
        Some(whole) => Ok(Value::Int(whole)),
        None => Err(wrong_type(json, "a whole number that fits 64 bits")),
    }
}

fn parse_decimal(json: &Json) -> Result<Value, String> {
    match number(json) {
        Some(number) => Ok(Value::Decimal(number)),
        None => Err(wrong_type(json, "a decimal number of at most 28 digits, such as \"12.50\"")),
    }
}

fn number(json: &Json) -> Option<Decimal> {
    match json {
        Json::String(text) => number_text(text),
        Json::Number(number) => number_text(&number.to_string()),
        _ => None,
    }
}

/// A number from text, plain or with an exponent, without separators of thousands.
pub(crate) fn number_text(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let plain = !text.contains('_');
    text.parse().or_else(|_| Decimal::from_scientific(text)).ok().filter(|_| plain)
}

fn parse_date(json: &Json) -> Result<Value, String> {
    let Json::String(text) = json else { return Err(wrong_type(json, DATE)) };
    let text = text.trim();
    let day = match instant_text(text) {
        // Some providers show a day as its first instant; any other time of day would be lost.
        Some(at) if at.as_millisecond().rem_euclid(86_400_000) == 0 => {
            Some(at.to_zoned(jiff::tz::TimeZone::UTC).date())
        }
        Some(_) => None,
        None if text.contains(['T', 't', ' ']) => None,
        None => text.parse::<Date>().ok(),
    };
    day.map(Value::Date).ok_or_else(|| wrong_type(json, DATE))
}

const DATE: &str = "a day such as \"2026-05-05\", without a time of day";

fn parse_instant(json: &Json) -> Result<Value, String> {
    let parsed = json.as_str().and_then(|text| instant_text(text.trim()));
    match parsed {
        Some(at) => Ok(Value::DateTime(Millis(at.as_millisecond()))),
        None => Err(wrong_type(json, "an instant with its zone, such as \"2026-05-05T10:00:00Z\"")),
    }
}

fn instant_text(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn wrong_type(json: &Json, wanted: &str) -> String {
    format!("{} does not fit: the field takes {wanted}", quoted(json))
}

fn unknown_value<'a>(text: &str, values: impl Iterator<Item = &'a str> + Clone) -> String {
    let hint = nearest(text, values.clone()).map(|name| format!(" (did you mean \"{name}\"?)")).unwrap_or_default();
    let values = values.collect::<Vec<_>>().join(", ");
    format!("{} is no value of the field{hint}: it takes {values}", quoted(&Json::from(text)))
}

/// The JSON text, shortened so that a message stays readable.
fn quoted(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn text(max_len: u32) -> FieldType {
        FieldType::Text { max_len }
    }

    fn stages() -> FieldType {
        FieldType::Enum { values: vec!["lead".to_owned(), "customer".to_owned()] }
    }

    fn tags(values: &[&str]) -> FieldType {
        FieldType::Set { values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    fn set(members: &[&str]) -> Value {
        Value::Set(members.iter().map(|member| (*member).to_owned()).collect::<BTreeSet<_>>())
    }

    fn decimal(text: &str) -> Value {
        Value::Decimal(text.parse().unwrap())
    }

    #[test]
    fn each_type_takes_the_spellings_that_providers_and_people_use() {
        let day = Value::Date(jiff::civil::date(2026, 5, 5));
        for (ty, json, value) in [
            (text(9), json!("Ann"), Value::text("Ann")),
            (text(9), json!(" "), Value::Null),
            (text(2), json!("日本"), Value::text("日本")),
            (FieldType::Bool, json!(false), Value::Bool(false)),
            (FieldType::Bool, json!("True"), Value::Bool(true)),
            (FieldType::Int, json!(-4), Value::Int(-4)),
            (FieldType::Int, json!(10.0), Value::Int(10)),
            (FieldType::Int, json!("10.0"), Value::Int(10)),
            (FieldType::Int, json!("9223372036854775807"), Value::Int(i64::MAX)),
            (FieldType::Decimal { scale: 2 }, json!("12.345"), decimal("12.35")),
            (FieldType::Decimal { scale: 2 }, json!(1e3), decimal("1000")),
            (FieldType::Decimal { scale: 2 }, json!("1E1"), decimal("10")),
            (FieldType::Date, json!("2026-05-05"), day.clone()),
            (FieldType::Date, json!("2026-05-05T00:00:00.000Z"), day),
            (FieldType::DateTime, json!("2026-05-05T12:00:00.123+0200"), Value::DateTime(Millis(1_777_975_200_123))),
            (FieldType::DateTime, json!("2026-05-05T10:00:00Z"), Value::DateTime(Millis(1_777_975_200_000))),
            (stages(), json!("lead"), Value::text("lead")),
            (stages(), json!(""), Value::Null),
            (tags(&[]), json!(["b", "a", "b", " "]), set(&["a", "b"])),
            (tags(&["a"]), json!(["a"]), set(&["a"])),
            (tags(&["a"]), json!([]), set(&[])),
            (tags(&["a"]), Json::Null, set(&[])),
            (FieldType::Int, Json::Null, Value::Null),
        ] {
            assert_eq!(Field::of(ty.clone()).parse_json(&json), Ok(value), "{json} as {ty:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_remedy() {
        for (ty, json, message) in [
            (text(3), json!("Anna"), "the text has 4 characters and the field takes 3"),
            (text(9), json!(5), "5 does not fit: the field takes text"),
            (FieldType::Bool, json!("yes"), "\"yes\" does not fit: the field takes true or false"),
            (FieldType::Bool, json!(1), "1 does not fit"),
            (FieldType::Int, json!(1.5), "a whole number that fits 64 bits"),
            (FieldType::Int, json!("9223372036854775808"), "a whole number that fits 64 bits"),
            (FieldType::Int, json!("1,000"), "a whole number"),
            (FieldType::Int, json!("1_000"), "a whole number"),
            (FieldType::Decimal { scale: 2 }, json!("ten"), "a decimal number"),
            (FieldType::Date, json!("2026-02-30"), "a day such as"),
            (FieldType::Date, json!("2026-05-05T10:00:00Z"), "without a time of day"),
            (FieldType::Date, json!("2026-05-05T10:00:00"), "without a time of day"),
            (FieldType::DateTime, json!("2026-05-05T10:00:00"), "an instant with its zone"),
            (FieldType::DateTime, json!(1_777_975_200_000_i64), "an instant with its zone"),
            (stages(), json!("Lead"), "did you mean \"lead\"?): it takes lead, customer"),
            (stages(), json!(7), "one of the field's values"),
            (tags(&["a"]), json!(["a", "z"]), "\"z\" is no value of the field"),
            (tags(&[]), json!("a;b"), "an array of texts"),
            (tags(&[]), json!([1]), "text as each member"),
        ] {
            let refused = Field::of(ty.clone()).parse_json(&json).unwrap_err();
            assert!(refused.contains(message), "{json} as {ty:?} was refused with: {refused}");
        }
    }

    #[test]
    fn text_is_measured_after_folding() {
        let field = Field { canonical: vec![super::super::Canonical::Trim], ..Field::of(text(3)) };
        assert_eq!(field.parse_json(&json!("  Ann  ")), Ok(Value::text("Ann")));
    }

    #[test]
    fn values_of_another_type_are_not_admitted() {
        for (ty, value) in [
            (text(9), Value::Int(1)),
            (FieldType::Int, Value::text("1")),
            (FieldType::DateTime, Value::DateTime(Millis(i64::MAX))),
            (stages(), Value::text("prospect")),
            (tags(&["a"]), set(&["b"])),
        ] {
            assert!(Field::of(ty.clone()).admit(value.clone()).is_err(), "{value:?} as {ty:?}");
        }
    }

    #[test]
    fn messages_repeat_no_more_than_a_glance_of_a_long_value() {
        let refused = Field::of(FieldType::Int).parse_json(&json!("é".repeat(500))).unwrap_err();
        assert!(refused.chars().count() < 150, "{refused}");
    }
}
