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
