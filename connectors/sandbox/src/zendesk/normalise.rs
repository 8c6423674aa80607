//! What becomes of a value that is written.

use rust_decimal::Decimal;
use serde_json::Value;

use super::errors::Flaw;
use super::schema::{CustomField, FieldType, Rule};
use super::tags;
use super::time::{iso, parse_day, parse_moment};

/// How many digits of a card number are kept.
const CARD_DIGITS: usize = 4;

/// The rules that can be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Numbers in custom fields are kept as texts.
    pub(crate) numbers_as_text: bool,
    /// White space separates tags.
    pub(crate) tags_split: bool,
}

/// The stored form of an attribute's value; null where it is cleared.
pub(crate) fn attribute(name: &str, rule: Rule, raw: &Value, rules: Rules) -> Result<Value, Flaw> {
    let invalid = |why: &str| Flaw::new(name, "InvalidValue", why);
    if rule == Rule::Tags {
        return tags::read(raw, rules.tags_split).map(|tags| tags::stored(&tags)).ok_or_else(|| invalid("is invalid"));
    }
    if raw.is_null() && rule != Rule::Name {
        return Ok(Value::Null);
    }
    match rule {
        Rule::Text(max) => {
            let text = text(raw).ok_or_else(|| invalid("is invalid"))?;
            if text.chars().count() > max {
                return Err(Flaw::new(name, "TooLong", &format!("is too long (maximum is {max} characters)")));
            }
            Ok(text.into())
        }
        Rule::Name => match text(raw).unwrap_or_default().trim() {
            "" => Err(Flaw::new(name, "BlankValue", "cannot be blank")),
            trimmed => Ok(trimmed.into()),
        },
        Rule::ExternalId => {
            let text = text(raw).ok_or_else(|| invalid("is invalid"))?;
            Ok(if text.is_empty() { Value::Null } else { text.into() })
        }
        Rule::Choice(words) => {
            let word = raw.as_str().unwrap_or_default().to_lowercase();
            if word.is_empty() {
                return Ok(Value::Null);
            }
            let known = words.iter().find(|known| **known == word);
            known.map(|known| (*known).into()).ok_or_else(|| invalid(&format!("{word} is not included in the list")))
        }
        Rule::Flag => flag(raw).map(Value::Bool).ok_or_else(|| invalid("is invalid")),
        Rule::Reference(_) | Rule::Number => number(raw).map(Value::from).ok_or_else(|| invalid("is not a number")),
        Rule::Numbers => {
            let list = raw.as_array().and_then(|list| list.iter().map(number).collect::<Option<Vec<_>>>());
            list.map(|list| if list.is_empty() { Value::Null } else { list.into() })
                .ok_or_else(|| invalid("is not a list of numbers"))
        }
        Rule::Moment => {
            let moment = raw.as_str().and_then(parse_moment);
            moment.map(|at| iso(at).into()).ok_or_else(|| Flaw::new(name, "InvalidFormat", "is not a valid date"))
        }
        Rule::Email => {
            let address = raw.as_str().unwrap_or_default().trim().to_lowercase();
            if address.is_empty() {
                return Ok(Value::Null);
            }
            if is_address(&address) {
                return Ok(address.into());
            }
            Err(Flaw::new(name, "InvalidFormat", &format!("{address} is not properly formatted")))
        }
        Rule::Domains => {
            let list = match raw {
                Value::String(text) => text.split_whitespace().map(str::to_lowercase).collect(),
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_lowercase).collect(),
                _ => return Err(invalid("is invalid")),
            };
            let list: Vec<String> = list;
            Ok(if list.is_empty() { Value::Null } else { list.into() })
        }
        // Tags were read above; nothing is left of them here.
        Rule::Tags => Ok(Value::Null),
    }
}

/// The stored form of a custom field's value; null where it is cleared.
pub(crate) fn custom(field: &CustomField, raw: &Value, rules: Rules) -> Result<Value, Flaw> {
    let flaw = |code, why: &str| Flaw::base(code, format!("{}: {why}", field.title));
    if raw.is_null() || raw.as_str().is_some_and(str::is_empty) {
        return Ok(Value::Null);
    }
    let choice = |raw: &Value| {
        let wanted = raw.as_str().unwrap_or_default();
        let found = field.choices.iter().find(|choice| choice.value == wanted);
        found.map(|choice| choice.value.clone()).ok_or_else(|| flaw("InvalidValue", &format!("{raw} is not a choice")))
    };
    match field.ty {
        FieldType::Text | FieldType::Textarea | FieldType::Regexp => {
            text(raw).map(Value::from).ok_or_else(|| flaw("InvalidValue", "is invalid"))
        }
        FieldType::Checkbox => flag(raw).map(Value::Bool).ok_or_else(|| flaw("InvalidValue", "is invalid")),
        FieldType::Date => {
            let day = raw.as_str().and_then(parse_day);
            day.map(Value::from).ok_or_else(|| flaw("InvalidFormat", "is not a valid date"))
        }
        FieldType::Integer => {
            let whole = text(raw).and_then(|text| text.trim().parse::<i64>().ok());
            let whole = whole.ok_or_else(|| flaw("InvalidFormat", "must be a number without decimals"))?;
            Ok(if rules.numbers_as_text { whole.to_string().into() } else { whole.into() })
        }
        FieldType::Decimal => {
            let exact = text(raw).and_then(|text| text.trim().parse::<Decimal>().ok());
            let exact = exact.ok_or_else(|| flaw("InvalidFormat", "must be a number"))?;
            let shown = exact.to_string();
            let bare = serde_json::from_str(&shown).unwrap_or(Value::Null);
            Ok(if rules.numbers_as_text { shown.into() } else { bare })
        }
        FieldType::CardNumber => {
            let digits: Vec<char> = text(raw).unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
            if digits.len() < CARD_DIGITS {
                return Err(flaw("InvalidFormat", "is not a card number"));
            }
            Ok(digits[digits.len() - CARD_DIGITS..].iter().collect::<String>().into())
        }
        FieldType::Tagger => choice(raw).map(Value::from),
        FieldType::Multiselect => {
            let list = raw.as_array().cloned().unwrap_or_else(|| vec![raw.clone()]);
            let mut chosen = list.iter().map(choice).collect::<Result<Vec<_>, _>>()?;
            chosen.sort();
            chosen.dedup();
            Ok(if chosen.is_empty() { Value::Null } else { chosen.into() })
        }
    }
}

/// A text, or a number or truth as a text.
fn text(raw: &Value) -> Option<String> {
    match raw {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(raw.to_string()),
        _ => None,
    }
}

fn flag(raw: &Value) -> Option<bool> {
    match raw {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if matches!(text.as_str(), "true" | "1") => Some(true),
        Value::String(text) if matches!(text.as_str(), "false" | "0") => Some(false),
        _ => None,
    }
}

/// A whole number, also one that travels as a text.
pub(crate) fn number(raw: &Value) -> Option<u64> {
    raw.as_u64().or_else(|| raw.as_str()?.parse().ok())
}

pub(crate) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(|letter: char| letter.is_whitespace() || letter == '@');
    plain(local) && plain(domain) && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::Kind;
    use super::super::schema::Choice;
    use super::*;
    use crate::clock::Micros;

    const RULES: Rules = Rules { numbers_as_text: true, tags_split: true };

    #[test]
    fn attributes_are_stored_in_the_platforms_form() {
        for (rule, raw, stored) in [
            (Rule::Text(9), json!(" a "), json!(" a ")),
            (Rule::Text(9), json!(""), json!("")),
            (Rule::Name, json!(" Acme  Inc "), json!("Acme  Inc")),
            (Rule::ExternalId, json!(12), json!("12")),
            (Rule::ExternalId, json!(""), json!(null)),
            (Rule::Choice(&["low"]), json!("LOW"), json!("low")),
            (Rule::Choice(&["low"]), json!(""), json!(null)),
            (Rule::Flag, json!("true"), json!(true)),
            (Rule::Reference(Kind::Users), json!("7"), json!(7)),
            (Rule::Numbers, json!([]), json!(null)),
            (Rule::Moment, json!("2026-05-05T12:00:00.5+02:00"), json!("2026-05-05T10:00:00Z")),
            (Rule::Tags, json!("B a"), json!(["a", "b"])),
            (Rule::Email, json!(" Ann@Example.COM"), json!("ann@example.com")),
            (Rule::Domains, json!("A.example b.example"), json!(["a.example", "b.example"])),
        ] {
            assert_eq!(attribute("x", rule, &raw, RULES), Ok(stored), "{rule:?} {raw}");
        }
        for (rule, raw, code) in [
            (Rule::Text(2), json!("abc"), "TooLong"),
            (Rule::Name, json!("  "), "BlankValue"),
            (Rule::Name, json!(null), "BlankValue"),
            (Rule::Choice(&["low"]), json!("high"), "InvalidValue"),
            (Rule::Flag, json!("yes"), "InvalidValue"),
            (Rule::Reference(Kind::Users), json!("x"), "InvalidValue"),
            (Rule::Moment, json!("soon"), "InvalidFormat"),
            (Rule::Email, json!("ann@"), "InvalidFormat"),
            (Rule::Email, json!("ann @example.com"), "InvalidFormat"),
        ] {
            assert_eq!(attribute("x", rule, &raw, RULES).unwrap_err().code, code, "{rule:?} {raw}");
        }
    }

    #[test]
    fn custom_fields_are_stored_in_the_platforms_form() {
        let field = |ty| CustomField {
            id: 1,
            key: String::new(),
            title: "Size".into(),
            ty,
            choices: ["small", "big"].map(|word| Choice { id: 1, name: word.into(), value: word.into() }).into(),
            tag: None,
            active: true,
            created: Micros(0),
        };
        for (ty, raw, stored) in [
            (FieldType::Text, json!(""), json!(null)),
            (FieldType::Text, json!(7), json!("7")),
            (FieldType::Date, json!("2026-05-05T10:00:00Z"), json!("2026-05-05")),
            (FieldType::Integer, json!(7), json!("7")),
            (FieldType::Decimal, json!("1.50"), json!("1.50")),
            (FieldType::CardNumber, json!("4111 1111 1111 1234"), json!("1234")),
            (FieldType::Tagger, json!("big"), json!("big")),
            (FieldType::Multiselect, json!(["small", "big", "big"]), json!(["big", "small"])),
            (FieldType::Checkbox, json!(null), json!(null)),
        ] {
            assert_eq!(custom(&field(ty), &raw, RULES), Ok(stored), "{ty:?} {raw}");
        }
        let bare = Rules { numbers_as_text: false, ..RULES };
        assert_eq!(custom(&field(FieldType::Integer), &json!("7"), bare), Ok(json!(7)));
        for (ty, raw) in [
            (FieldType::Integer, json!("1.5")),
            (FieldType::Date, json!("soon")),
            (FieldType::Tagger, json!("huge")),
            (FieldType::Multiselect, json!(["small", "huge"])),
            (FieldType::CardNumber, json!("12")),
        ] {
            let flaw = custom(&field(ty), &raw, RULES).unwrap_err();
            assert_eq!((flaw.attribute.as_str(), flaw.description.contains("Size:")), ("base", true), "{ty:?}");
        }
    }
}
