//! Wire types: the plain JSON type in which a provider keeps a value, where it is not the natural one.

use jiff::{civil::Date, tz::TimeZone};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    model::{Field, FieldType, number_text},
    time::Millis,
    value::Value,
};

/// A provider's type for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A day, `2026-05-05`.
    Date,
    /// An instant, `2026-05-05T10:00:00.000Z`.
    DateTime,
    /// An instant, in milliseconds since 1970.
    EpochMs,
    /// An instant, in seconds since 1970.
    EpochS,
}

impl Wire {
    /// The type's name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::DateTime => "date_time",
            Self::EpochMs => "epoch_ms",
            Self::EpochS => "epoch_s",
        }
    }

    /// The wire types in which a model type can be kept, the natural one first; a set has members instead.
    pub fn usable(ty: &FieldType) -> &'static [Self] {
        match ty {
            FieldType::Text { .. } | FieldType::Enum { .. } => &[Self::Text, Self::Number],
            FieldType::Bool => &[Self::Bool, Self::Text, Self::Number],
            FieldType::Int | FieldType::Decimal { .. } => &[Self::Number, Self::Text],
            FieldType::Date => &[Self::Date, Self::DateTime, Self::EpochMs, Self::EpochS],
            FieldType::DateTime => &[Self::DateTime, Self::Date, Self::EpochMs, Self::EpochS],
            FieldType::Set { .. } => &[],
        }
    }

    /// The canonical value as this type's JSON.
    pub(super) fn encode(self, value: &Value) -> Result<Json, String> {
        match (self, value) {
            (_, Value::Null) => Ok(Json::Null),
            (Self::Number, Value::Int(number)) => Ok(Json::from(*number)),
            (Self::Number, Value::Decimal(number)) => Ok(number_json(*number)),
            (Self::Number, Value::Bool(flag)) => Ok(Json::from(u8::from(*flag))),
            (Self::Number, Value::Text(text)) => wanted_number(text).map(number_json),
            (Self::Date, Value::DateTime(at)) => Ok(Json::String(day_of(*at)?.to_string())),
            (Self::DateTime, Value::Date(day)) => Ok(Json::String(midnight(*day)?.to_rfc3339())),
            (Self::EpochMs, Value::Date(day)) => Ok(Json::from(midnight(*day)?.0)),
            (Self::EpochMs, Value::DateTime(at)) => Ok(Json::from(at.0)),
            (Self::EpochS, Value::Date(day)) => Ok(Json::from(midnight(*day)?.0 / 1_000)),
            (Self::EpochS, Value::DateTime(at)) => Ok(Json::from(at.0.div_euclid(1_000))),
            (Self::Text, Value::Bool(_) | Value::Int(_)) => Ok(Json::String(scalar_text(&value.to_json()))),
            _ => Ok(value.to_json()),
        }
    }

    /// The canonical value of this type's JSON.
    pub(super) fn decode(self, field: &Field, json: &Json) -> Result<Value, String> {
        if is_blank(json) {
            return Ok(field.canonicalise(Value::Null));
        }
        match (self, &field.ty) {
            (Self::Number, FieldType::Text { .. } | FieldType::Enum { .. }) => {
                field.parse_json(&Json::String(number(json)?.normalize().to_string()))
            }
            (Self::Number, FieldType::Bool) => flag(json),
            (Self::EpochMs, _) => instant(field, epoch(json)?),
            (Self::EpochS, _) => instant(field, epoch(json)?.checked_mul(1_000).ok_or_else(out_of_range)?),
            (Self::DateTime, FieldType::Date) => day_of_instant(field, json),
            (Self::Date, FieldType::DateTime) => instant_of_day(field, json),
            _ => field.parse_json(json),
        }
    }
}

/// Whether the JSON says nothing: null or blank text.
pub(super) fn is_blank(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// The text of a plain JSON value; text stands for itself.
pub(super) fn scalar_text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn out_of_range() -> String {
    "the time lies outside the years that can be kept: correct it there".to_owned()
}

/// A JSON number where one keeps every digit, text otherwise, so that no digit is lost to a 64-bit float.
fn number_json(number: Decimal) -> Json {
    let number = number.normalize();
    if number.is_integer()
        && let Some(whole) = number.to_i64()
    {
        return Json::from(whole);
    }
    let float = number.to_f64().map(Json::from);
    let keeps_digits = |json: &Json| number_text(&json.to_string()) == Some(number);
    float.filter(keeps_digits).unwrap_or_else(|| Json::String(number.to_string()))
}

fn wanted_number(text: &str) -> Result<Decimal, String> {
    number_text(text).ok_or_else(|| format!("`{text}` is not a number, and a number is kept there"))
}

fn number(json: &Json) -> Result<Decimal, String> {
    match json {
        Json::Number(_) | Json::String(_) => wanted_number(&scalar_text(json)),
        other => Err(format!("{other} is not a number")),
    }
}

fn flag(json: &Json) -> Result<Value, String> {
    match number(json)?.to_i64() {
        Some(0) => Ok(Value::Bool(false)),
        Some(1) => Ok(Value::Bool(true)),
        _ => Err(format!("{json} is neither 0 nor 1")),
    }
}

fn epoch(json: &Json) -> Result<i64, String> {
    number(json)?.to_i64().ok_or_else(out_of_range)
}

fn instant(field: &Field, ms: i64) -> Result<Value, String> {
    let at = Millis(ms);
    day_of(at)?;
    match field.ty {
        FieldType::Date => Ok(field.canonicalise(Value::Date(day_of(at)?))),
        _ => Ok(field.canonicalise(Value::DateTime(at))),
    }
}

fn day_of_instant(field: &Field, json: &Json) -> Result<Value, String> {
    match Field::of(FieldType::DateTime).parse_json(json)? {
        Value::DateTime(at) => Ok(field.canonicalise(Value::Date(day_of(at)?))),
        other => Ok(other),
    }
}

fn instant_of_day(field: &Field, json: &Json) -> Result<Value, String> {
    match Field::of(FieldType::Date).parse_json(json)? {
        Value::Date(day) => Ok(field.canonicalise(Value::DateTime(midnight(day)?))),
        other => Ok(other),
    }
}

fn day_of(at: Millis) -> Result<Date, String> {
    let instant = jiff::Timestamp::from_millisecond(at.0).map_err(|_| out_of_range())?;
    Ok(instant.to_zoned(TimeZone::UTC).date())
}

fn midnight(day: Date) -> Result<Millis, String> {
    let instant = day.to_zoned(TimeZone::UTC).map_err(|_| out_of_range())?;
    Ok(Millis(instant.timestamp().as_millisecond()))
}
