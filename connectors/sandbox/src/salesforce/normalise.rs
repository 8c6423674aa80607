//! From a JSON value that a client sent to the value that the platform keeps, or its reason to refuse it.

use std::sync::Arc;

use axum::http::StatusCode;
use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value};

use super::cell::Cell;
use super::errors::ApiError;
use super::id::RecordId;
use super::schema::{Access, Field, FieldType, Schema};
use crate::clock::Micros;
use crate::faults::Faults;

/// One field of a write.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) field: Arc<Field>,
    pub(crate) cell: Cell,
    /// As the client sent it.
    pub(crate) sent: Value,
}

/// Reads the fields of a write. `attributes` is skipped; everything else must be a field that may be written.
pub(crate) fn assignments(
    schema: &Schema,
    faults: &Faults,
    fields: &Map<String, Value>,
) -> Result<Vec<Assignment>, ApiError> {
    let mut read = Vec::with_capacity(fields.len());
    for (name, sent) in fields.iter().filter(|(name, _)| *name != "attributes") {
        let field = schema.field(name).ok_or_else(|| ApiError::no_such_column(name, schema.name))?;
        if field.access == Access::Read {
            return Err(read_only(field));
        }
        let cell = normalise(field, faults, sent)?;
        if cell.is_null() && field.required {
            return Err(required(&[&field.name]));
        }
        read.push(Assignment { field: field.clone(), cell, sent: sent.clone() });
    }
    Ok(read)
}

/// The error for required fields without a value.
pub(crate) fn required(fields: &[&str]) -> ApiError {
    let message = format!("Required fields are missing: [{}]", fields.join(", "));
    ApiError::row("REQUIRED_FIELD_MISSING", message, fields)
}

fn read_only(field: &Field) -> ApiError {
    let message = format!(
        "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is \
         read/write for your profile or permission set.",
        field.name
    );
    ApiError::row("INVALID_FIELD_FOR_INSERT_UPDATE", message, &[&field.name])
}

/// The value that the platform keeps for one that was sent.
pub(crate) fn normalise(field: &Field, faults: &Faults, sent: &Value) -> Result<Cell, ApiError> {
    match &field.kind {
        FieldType::Boolean => boolean(field, sent),
        FieldType::Int { digits } => number(field, faults, sent, *digits, 0),
        FieldType::Number { precision, scale, .. } => number(field, faults, sent, *precision, *scale),
        FieldType::Date => date(field, sent),
        FieldType::DateTime => datetime(field, faults, sent),
        FieldType::Id | FieldType::Reference { .. } => reference(field, faults, sent),
        _ => text(field, faults, sent),
    }
}

fn text(field: &Field, faults: &Faults, sent: &Value) -> Result<Cell, ApiError> {
    let sent = match sent {
        Value::Null => return Ok(Cell::Null),
        Value::String(text) => text.as_str(),
        other => return Err(wrong_type("string", other)),
    };
    let trimmed = trim(faults, sent);
    if trimmed.is_empty() && fires(faults, "empty_to_null", true) {
        return Ok(Cell::Null);
    }
    let text = match &field.kind {
        FieldType::Email => email(field, faults, trimmed)?,
        FieldType::Picklist { values, restricted } => picklist(field, faults, values, *restricted, trimmed)?,
        FieldType::Multipicklist { values } => multipicklist(faults, values, trimmed),
        _ => trimmed.to_owned(),
    };
    if text.chars().count() > field.kind.length() {
        return Err(too_long(field, &text));
    }
    Ok(Cell::text(text))
}

fn trim<'a>(faults: &Faults, text: &'a str) -> &'a str {
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    if fires(faults, "trim_text", trimmed.len() < text.len()) { trimmed } else { text }
}

/// Whether a behaviour applies here: it is on, and counted only where it makes a difference.
fn fires(faults: &Faults, name: &str, differs: bool) -> bool {
    let on = differs && faults.is_on(name);
    if on {
        faults.count(name);
    }
    on
}

fn email(field: &Field, faults: &Faults, text: &str) -> Result<String, ApiError> {
    let is_address = text.split_once('@').is_some_and(|(local, domain)| {
        let dotted = domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty());
        !local.is_empty() && dotted && !domain.contains('@')
    });
    if !is_address || !text.is_ascii() || text.contains(char::is_whitespace) {
        let message = format!("{}: invalid email address: {text}", field.label);
        return Err(ApiError::row("INVALID_EMAIL_ADDRESS", message, &[&field.name]));
    }
    let lower = text.to_ascii_lowercase();
    Ok(if fires(faults, "lowercase_email", lower != text) { lower } else { text.to_owned() })
}

fn picklist(
    field: &Field,
    faults: &Faults,
    values: &[String],
    restricted: bool,
    text: &str,
) -> Result<String, ApiError> {
    // A value that differs only in case is the defined one.
    let defined = values.iter().find(|value| value.eq_ignore_ascii_case(text));
    match defined {
        Some(value) => Ok(value.clone()),
        None if restricted && fires(faults, "restricted_picklist", true) => {
            let message = format!("{}: bad value for restricted picklist field: {text}", field.label);
            Err(ApiError::row("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, &[&field.name]))
        }
        None => Ok(text.to_owned()),
    }
}

fn multipicklist(faults: &Faults, values: &[String], text: &str) -> String {
    let mut chosen: Vec<&str> = Vec::new();
    for value in text.split(';').map(str::trim).filter(|value| !value.is_empty()) {
        if !chosen.contains(&value) {
            chosen.push(value);
        }
    }
    let mut ordered = chosen.clone();
    ordered.sort_by_key(|value| values.iter().position(|known| known == value).unwrap_or(values.len()));
    if fires(faults, "multipicklist_order", ordered != chosen) { ordered.join(";") } else { chosen.join(";") }
}

fn boolean(field: &Field, sent: &Value) -> Result<Cell, ApiError> {
    match sent {
        Value::Bool(flag) => Ok(Cell::Bool(*flag)),
        Value::String(text) if text == "true" || text == "false" => Ok(Cell::Bool(text == "true")),
        Value::Null => {
            let message = format!("{}: value not of required type: ", field.label);
            Err(ApiError::row("INVALID_TYPE_ON_FIELD_IN_RECORD", message, &[&field.name]))
        }
        other => Err(wrong_type("boolean", other)),
    }
}

fn number(field: &Field, faults: &Faults, sent: &Value, precision: u32, scale: u32) -> Result<Cell, ApiError> {
    let written = match sent {
        Value::Null => return Ok(Cell::Null),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => return Ok(Cell::Null),
        Value::String(text) => text.clone(),
        other => return Err(wrong_type("double", other)),
    };
    let parsed = written.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&written));
    let Ok(number) = parsed else {
        let numeric = written.parse::<f64>().is_ok_and(f64::is_finite);
        return Err(if numeric { out_of_range(field, &written) } else { wrong_type("double", sent) });
    };
    let rounded = number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero);
    let kept = if fires(faults, "round_decimals", rounded != number) { rounded } else { number };
    let digits = kept.trunc().abs().to_string().trim_start_matches('0').len();
    if digits > precision.saturating_sub(scale) as usize {
        return Err(out_of_range(field, &written));
    }
    Ok(Cell::Number(kept))
}

fn out_of_range(field: &Field, written: &str) -> ApiError {
    let message = format!("{}: value outside of valid range on numeric field: {written}", field.label);
    ApiError::row("NUMBER_OUTSIDE_VALID_RANGE", message, &[&field.name])
}

fn date(_field: &Field, sent: &Value) -> Result<Cell, ApiError> {
    match sent {
        Value::Null => Ok(Cell::Null),
        Value::String(text) if text.is_empty() => Ok(Cell::Null),
        Value::String(text) => {
            // A datetime is accepted, and its time of day forgotten.
            let day = text.get(..10).filter(|_| text.len() == 10 || parse_datetime(text).is_some());
            let day = day.and_then(|day| day.parse::<Date>().ok());
            day.map(Cell::Date).ok_or_else(|| wrong_type("date", sent))
        }
        other => Err(wrong_type("date", other)),
    }
}

fn datetime(_field: &Field, faults: &Faults, sent: &Value) -> Result<Cell, ApiError> {
    let Value::String(text) = sent else {
        return if sent.is_null() { Ok(Cell::Null) } else { Err(wrong_type("datetime", sent)) };
    };
    if text.is_empty() {
        return Ok(Cell::Null);
    }
    let at = parse_datetime(text).ok_or_else(|| wrong_type("datetime", sent))?;
    let second = at.floor_to_second();
    // Answers have no digits for a fraction, so that without the switch a fraction is kept but never shown.
    Ok(Cell::DateTime(if fires(faults, "second_datetimes", second != at) { second } else { at }))
}

/// Reads ISO 8601 with an offset, also one without its colon (`+0000`), as the platform itself writes it.
pub(crate) fn parse_datetime(text: &str) -> Option<Micros> {
    let bare_offset = text.len() > 5
        && text.as_bytes().get(text.len() - 5).is_some_and(|sign| matches!(sign, b'+' | b'-'))
        && text.get(text.len() - 4..).is_some_and(|tail| tail.bytes().all(|byte| byte.is_ascii_digit()))
        && text.contains('T');
    let timestamp = if bare_offset {
        let (head, minutes) = text.split_at(text.len() - 2);
        format!("{head}:{minutes}").parse::<jiff::Timestamp>()
    } else {
        text.parse::<jiff::Timestamp>()
    };
    timestamp.ok().map(Micros::from_timestamp)
}

fn reference(field: &Field, faults: &Faults, sent: &Value) -> Result<Cell, ApiError> {
    let text = match sent {
        Value::Null => return Ok(Cell::Null),
        Value::String(text) if text.is_empty() => return Ok(Cell::Null),
        Value::String(text) => text,
        other => return Err(wrong_type("reference", other)),
    };
    let Some(id) = RecordId::parse(text) else {
        return Err(malformed_id(&field.label, text, &field.name));
    };
    let long = id.to_string();
    Ok(Cell::text(if fires(faults, "long_ids", long != *text) { long } else { text.clone() }))
}

/// The error for a text that is no id, or the id of another kind of object.
pub(crate) fn malformed_id(label: &str, text: &str, field: &str) -> ApiError {
    ApiError::row("MALFORMED_ID", format!("{label}: id value of incorrect type: {text}"), &[field])
}

fn too_long(field: &Field, text: &str) -> ApiError {
    let message = format!("{}: data value too large: {text} (max length={})", field.label, field.kind.length());
    ApiError::row("STRING_TOO_LONG", message, &[&field.name])
}

fn wrong_type(wanted: &str, sent: &Value) -> ApiError {
    let (token, shown) = match sent {
        Value::Null => ("VALUE_NULL", "null".to_owned()),
        Value::Bool(true) => ("VALUE_TRUE", "true".to_owned()),
        Value::Bool(false) => ("VALUE_FALSE", "false".to_owned()),
        Value::Number(number) if number.is_f64() => ("VALUE_NUMBER_FLOAT", number.to_string()),
        Value::Number(number) => ("VALUE_NUMBER_INT", number.to_string()),
        Value::String(text) => ("VALUE_STRING", text.clone()),
        Value::Array(_) => ("START_ARRAY", "[".to_owned()),
        Value::Object(_) => ("START_OBJECT", "{".to_owned()),
    };
    let message = format!(
        "Cannot deserialize instance of {wanted} from {token} value {shown} or request may be missing a required field"
    );
    ApiError::new(StatusCode::BAD_REQUEST, "JSON_PARSER_ERROR", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::NumberKind;
    use super::super::standard::stored;
    use super::super::switches::FAULTS;
    use super::*;
    use crate::faults::{FaultChange, FaultProfile};

    fn check(kind: FieldType, sent: Value, kept: Result<Value, &str>) {
        let faults = Faults::new("salesforce", 1, FAULTS, FaultProfile::Off);
        let field = stored("Field__c", "Field", kind.clone());
        let got = normalise(&field, &faults, &sent).map(|cell| cell.to_json(&kind)).map_err(|error| error.code);
        assert_eq!(got, kept, "{sent} as {}", kind.name());
    }

    #[test]
    fn values_come_back_as_the_platform_keeps_them() {
        let text = || FieldType::Text { length: 5 };
        let money = || FieldType::Number { kind: NumberKind::Currency, precision: 6, scale: 2 };
        let words = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let multi = || FieldType::Multipicklist { values: words() };
        let pick = |restricted| FieldType::Picklist { values: words(), restricted };
        let reference = || FieldType::Reference { to: "Account", relationship: "Account" };
        let long = RecordId::new(*b"001", 5).to_string();
        for (kind, sent, kept) in [
            (text(), json!(" Ann \r\n"), Ok(json!("Ann"))),
            (text(), json!("\u{a0}Ann\u{3000}"), Ok(json!("\u{a0}Ann\u{3000}"))),
            (text(), json!("  "), Ok(json!(null))),
            (text(), json!("ééééé"), Ok(json!("ééééé"))),
            (text(), json!("sixsix"), Err("STRING_TOO_LONG")),
            (text(), json!(5), Err("JSON_PARSER_ERROR")),
            (FieldType::Email, json!(" Ann@Example.COM"), Ok(json!("ann@example.com"))),
            (FieldType::Email, json!("nobody"), Err("INVALID_EMAIL_ADDRESS")),
            (FieldType::Email, json!("a@b..c"), Err("INVALID_EMAIL_ADDRESS")),
            (money(), json!(1.005), Ok(json!(1.01))),
            (money(), json!("-2.345"), Ok(json!(-2.35))),
            (money(), json!(7), Ok(json!(7.0))),
            (money(), json!(1e5), Err("NUMBER_OUTSIDE_VALID_RANGE")),
            (money(), json!(1e300), Err("NUMBER_OUTSIDE_VALID_RANGE")),
            (money(), json!("many"), Err("JSON_PARSER_ERROR")),
            (FieldType::Int { digits: 8 }, json!(12.0), Ok(json!(12))),
            (FieldType::Boolean, json!("true"), Ok(json!(true))),
            (FieldType::Boolean, json!(null), Err("INVALID_TYPE_ON_FIELD_IN_RECORD")),
            (FieldType::Date, json!("2026-02-28"), Ok(json!("2026-02-28"))),
            (FieldType::Date, json!("2026-02-30"), Err("JSON_PARSER_ERROR")),
            (FieldType::DateTime, json!("2026-05-05T10:11:10.123Z"), Ok(json!("2026-05-05T10:11:10.000+0000"))),
            (FieldType::DateTime, json!("2026-05-05T10:11:10+0200"), Ok(json!("2026-05-05T08:11:10.000+0000"))),
            (FieldType::DateTime, json!("yesterday"), Err("JSON_PARSER_ERROR")),
            (multi(), json!("c;a;c"), Ok(json!("a;c"))),
            (pick(true), json!("B"), Ok(json!("b"))),
            (pick(true), json!("z"), Err("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")),
            (pick(false), json!("z"), Ok(json!("z"))),
            (reference(), json!(long[..15]), Ok(json!(long))),
            (reference(), json!("nonsense"), Err("MALFORMED_ID")),
        ] {
            check(kind, sent, kept);
        }
    }

    #[test]
    fn a_behaviour_can_be_switched_off_and_counts_only_when_it_matters() {
        let faults = Faults::new("salesforce", 1, FAULTS, FaultProfile::Off);
        let field = stored("Email", "Email", FieldType::Email);
        let keep = || normalise(&field, &faults, &json!("A@B.CO")).unwrap();
        assert_eq!(keep(), Cell::text("a@b.co"));
        assert_eq!(faults.fired()["lowercase_email"], 1);
        assert_eq!(faults.fired()["trim_text"], 0);
        faults.set("lowercase_email", FaultChange { enabled: Some(false), probability: None }).unwrap();
        assert_eq!(keep(), Cell::text("A@B.CO"));
    }
}
