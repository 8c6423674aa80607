//! What the platform makes of a value that somebody wrote: the stored form, or a refusal.

use serde_json::{Value, json};

use super::schema::{Property, PropertyType, Rule};
use super::standard::LIFECYCLE_STAGES;
use super::time::{DAY_MS, iso, iso_day, parse_day, parse_moment};

/// The longest text of a property.
const STRING_CHARACTERS_MAX: usize = 65_536;

/// Rules that an account switches on or off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether telephone numbers are checked and brought to E.164.
    pub(crate) phone_validation: bool,
    /// Whether a funnel position may only move forward.
    pub(crate) lifecycle_forward_only: bool,
}

/// A refused value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// The property.
    pub(crate) property: String,
    /// The machine-readable reason.
    pub(crate) code: &'static str,
    /// The reason for a person.
    pub(crate) message: String,
}

impl Invalid {
    /// A refusal of one property's value.
    pub(crate) fn new(property: &str, code: &'static str, message: String) -> Self {
        Self { property: property.to_owned(), code, message }
    }

    /// The entry in the error's `errors` list.
    pub(crate) fn to_json(&self) -> Value {
        json!({"message": self.message, "code": self.code, "context": {"propertyName": [self.property]}})
    }

    /// The entry in the list that the error's message carries as text.
    pub(crate) fn to_message_json(&self, portal: u64) -> Value {
        json!({
            "isValid": false, "message": self.message, "error": self.code, "name": self.property,
            "localizedErrorMessage": self.message, "portalId": portal,
        })
    }
}

/// What becomes of an accepted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// This text is stored.
    Text(String),
    /// The property is cleared.
    Cleared,
    /// The platform keeps what it has and says nothing.
    Kept,
}

/// The text of a value as it came in JSON. Numbers and booleans are taken as their text, null
/// clears like the empty string, and lists and objects are refused.
pub(crate) fn raw_text(property: &str, value: &Value) -> Result<String, Invalid> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(_) | Value::Object(_) => {
            Err(Invalid::new(property, "INVALID_VALUE", format!("\"{property}\" must be a string, number or boolean.")))
        }
    }
}

/// Checks a value against its definition and brings it to its stored form.
pub(crate) fn normalise(
    property: &Property,
    raw: &str,
    current: Option<&str>,
    rules: Rules,
) -> Result<Stored, Invalid> {
    let refuse = |code, message: String| Err(Invalid::new(&property.name, code, message));
    if !property.is_writable() {
        return refuse(
            "READ_ONLY_VALUE",
            format!("\"{}\" is a read only property; its value cannot be set.", property.name),
        );
    }
    if raw.is_empty() {
        return Ok(Stored::Cleared);
    }
    if raw.chars().count() > STRING_CHARACTERS_MAX {
        return refuse(
            "VALUE_TOO_LONG",
            format!(
                "Property value for \"{}\" is too long. The maximum length is {STRING_CHARACTERS_MAX} characters.",
                property.name
            ),
        );
    }
    let text = match property.kind {
        PropertyType::String | PropertyType::PhoneNumber => string(property, raw, rules),
        PropertyType::Number => number(raw),
        PropertyType::Bool => boolean(raw),
        PropertyType::Date => date(raw),
        PropertyType::DateTime => datetime(raw),
        PropertyType::Enumeration => enumeration(property, raw, current),
    };
    match text {
        Err((code, message)) => refuse(code, message),
        Ok(text) if text.is_empty() => Ok(Stored::Cleared),
        Ok(text) if rules.lifecycle_forward_only && moves_back(property, current, &text) => Ok(Stored::Kept),
        Ok(text) => Ok(Stored::Text(text)),
    }
}

/// A refusal before it is bound to its property.
type Refusal = (&'static str, String);

fn string(property: &Property, raw: &str, rules: Rules) -> Result<String, Refusal> {
    match property.rule {
        Rule::Email => email(raw),
        Rule::Domain => Ok(domain(raw)),
        Rule::Phone if rules.phone_validation => phone(raw),
        Rule::Phone | Rule::Plain | Rule::LifecycleStage => Ok(raw.to_owned()),
    }
}

/// The comparable form of an e-mail address: trimmed of ASCII space and lower-cased.
pub(crate) fn fold_email(raw: &str) -> String {
    raw.trim_matches(|letter: char| letter.is_ascii_whitespace()).to_lowercase()
}

fn email(raw: &str) -> Result<String, Refusal> {
    let folded = fold_email(raw);
    let plausible = folded.split_once('@').is_some_and(|(local, domain)| {
        let labels = domain.split('.');
        !local.is_empty()
            && !domain.contains('@')
            && labels.clone().count() > 1
            && labels.clone().all(|label| !label.is_empty())
    });
    let forbidden = |letter: char| letter.is_whitespace() || letter.is_control() || "<>(),;:\"[]\\".contains(letter);
    if plausible && !folded.contains(forbidden) {
        Ok(folded)
    } else {
        Err(("INVALID_EMAIL", format!("Email address {raw} is invalid")))
    }
}

fn domain(raw: &str) -> String {
    let folded = raw.trim().to_lowercase();
    let bare = folded.split_once("://").map_or(folded.as_str(), |(_, rest)| rest);
    let bare = bare.split(['/', '?', '#']).next().unwrap_or(bare);
    bare.strip_prefix("www.").unwrap_or(bare).to_owned()
}

/// Brings a number to E.164. A number without a country code counts as North American when it has
/// ten digits, and is otherwise kept as it is, because the country is not known.
fn phone(raw: &str) -> Result<String, Refusal> {
    let (number, extension) = split_extension(raw);
    if number.chars().any(char::is_alphabetic) {
        return Err(("INVALID_PHONE_NUMBER", format!("{raw} is not a valid phone number.")));
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let national = match (number.trim_start().starts_with('+'), digits.len()) {
        (true, 7..=15) => format!("+{digits}"),
        (false, 10) => format!("+1{digits}"),
        (false, 11) if digits.starts_with('1') => format!("+{digits}"),
        (true, _) | (false, 0) => {
            return Err(("INVALID_PHONE_NUMBER", format!("{raw} is not a valid phone number.")));
        }
        (false, _) => return Ok(raw.to_owned()),
    };
    Ok(match extension {
        Some(extension) => format!("{national} ext {extension}"),
        None => national,
    })
}

/// Splits `+1 888 482 7768 x12` into the number and `12`.
fn split_extension(raw: &str) -> (&str, Option<&str>) {
    let lower = raw.to_ascii_lowercase();
    for mark in ["ext.", "ext", "x"] {
        if let Some(at) = lower.rfind(mark) {
            let extension = raw[at + mark.len()..].trim();
            if !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_digit()) {
                return (&raw[..at], Some(extension));
            }
        }
    }
    (raw, None)
}

/// Whether a text is a plain decimal number: sign, digits, fraction, exponent, and nothing else.
fn is_decimal(raw: &str) -> bool {
    raw.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && raw.bytes().any(|byte| byte.is_ascii_digit())
        && raw.parse::<f64>().is_ok_and(f64::is_finite)
}

fn number(raw: &str) -> Result<String, Refusal> {
    if is_decimal(raw) {
        Ok(raw.to_owned())
    } else {
        Err(("INVALID_DECIMAL", format!("{raw} was not a valid number.")))
    }
}

fn boolean(raw: &str) -> Result<String, Refusal> {
    match raw {
        "true" | "false" => Ok(raw.to_owned()),
        _ => Err((
            "INVALID_OPTION",
            format!(
                "{raw} was not one of the allowed options: [label: \"True\"\nvalue: \"true\"\n, label: \"False\"\nvalue: \"false\"\n]"
            ),
        )),
    }
}

fn date(raw: &str) -> Result<String, Refusal> {
    let moment = parse_day(raw).or_else(|| parse_moment(raw));
    match moment {
        None => Err(("INVALID_DATE", format!("{raw} was not a valid date."))),
        Some(ms) if ms.rem_euclid(DAY_MS) != 0 => {
            let shown = iso(ms);
            let time = shown.split_once('T').map_or("", |(_, time)| time.trim_end_matches('Z'));
            Err(("INVALID_DATE", format!("{raw} is at {time} UTC, not midnight!")))
        }
        Some(ms) => iso_day(ms).ok_or_else(|| ("INVALID_DATE", format!("{raw} was not a valid date."))),
    }
}

fn datetime(raw: &str) -> Result<String, Refusal> {
    match parse_moment(raw) {
        Some(ms) => Ok(iso(ms)),
        None => Err(("INVALID_DATE", format!("{raw} was not a valid date."))),
    }
}

fn enumeration(property: &Property, raw: &str, current: Option<&str>) -> Result<String, Refusal> {
    let known = |value: &str| property.choices.iter().any(|choice| choice.value == value);
    if !property.is_multiple() {
        return if known(raw) { Ok(raw.to_owned()) } else { Err(not_an_option(property, raw)) };
    }
    let mut chosen: Vec<&str> = raw.split(';').filter(|value| !value.is_empty()).collect();
    if let Some(unknown) = chosen.iter().find(|value| !known(value)) {
        return Err(not_an_option(property, unknown));
    }
    // A leading semicolon adds to what is there.
    if raw.starts_with(';') {
        chosen.extend(current.unwrap_or_default().split(';'));
    }
    let ordered: Vec<&str> =
        property.choices.iter().map(|choice| choice.value.as_str()).filter(|value| chosen.contains(value)).collect();
    Ok(ordered.join(";"))
}

fn not_an_option(property: &Property, value: &str) -> Refusal {
    let options: Vec<String> = property
        .choices
        .iter()
        .enumerate()
        .map(|(order, choice)| {
            format!(
                "label: \"{}\"\nvalue: \"{}\"\ndisplay_order: {order}\nhidden: {}\nread_only: false\n",
                choice.label, choice.value, choice.hidden
            )
        })
        .collect();
    ("INVALID_OPTION", format!("{value} was not one of the allowed options: [{}]", options.join(", ")))
}

/// Whether a value would move the funnel backward.
fn moves_back(property: &Property, current: Option<&str>, next: &str) -> bool {
    let place = |stage: &str| LIFECYCLE_STAGES.iter().position(|(value, _)| *value == stage);
    property.rule == Rule::LifecycleStage
        && match (current.and_then(place), place(next)) {
            (Some(now), Some(then)) => then < now,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{ObjectKind, Schema, Storage};
    use super::super::standard::{schema, visible};
    use super::*;

    const STRICT: Rules = Rules { phone_validation: true, lifecycle_forward_only: true };
    const LOOSE: Rules = Rules { phone_validation: false, lifecycle_forward_only: false };

    fn contacts() -> Schema {
        let mut schema = schema(ObjectKind::Contacts);
        for (name, kind, field_type) in [
            ("score", PropertyType::Number, "number"),
            ("subscribed", PropertyType::Bool, "booleancheckbox"),
            ("birthday", PropertyType::Date, "date"),
            ("seen", PropertyType::DateTime, "date"),
            ("interests", PropertyType::Enumeration, "checkbox"),
        ] {
            let property = Property {
                name: name.into(),
                label: name.into(),
                description: String::new(),
                group: "contactinformation".into(),
                kind,
                field_type: field_type.into(),
                choices: vec![visible("a", "A"), visible("b", "B"), visible("c", "C")],
                unique: false,
                rule: Rule::Plain,
                storage: Storage::Writable,
                hubspot_defined: false,
                created_ms: Some(0),
            };
            schema.add(property).unwrap();
        }
        schema
    }

    fn check(name: &str, raw: &str, current: Option<&str>, rules: Rules) -> Result<Stored, &'static str> {
        let schema = contacts();
        let property = schema.get(schema.find(name).unwrap());
        normalise(property, raw, current, rules).map_err(|invalid| invalid.code)
    }

    #[test]
    fn accepted_values_take_their_stored_form() {
        for (name, raw, stored) in [
            ("email", "Ann@Example.COM", "ann@example.com"),
            ("email", " ann@example.com\n", "ann@example.com"),
            ("firstname", " Ann\u{a0}", " Ann\u{a0}"),
            ("phone", "+1 (888) 482-7768", "+18884827768"),
            ("phone", "888.482.7768 ext. 12", "+18884827768 ext 12"),
            ("phone", "1-888-482-7768", "+18884827768"),
            ("phone", "030 1234", "030 1234"),
            ("score", "10.50", "10.50"),
            ("score", "-1E3", "-1E3"),
            ("subscribed", "true", "true"),
            ("birthday", "1990-02-28", "1990-02-28"),
            ("birthday", "636163200000", "1990-02-28"),
            ("birthday", "1990-02-28T00:00:00Z", "1990-02-28"),
            ("seen", "1778022600123", "2026-05-05T23:10:00.123Z"),
            ("seen", "2026-05-06", "2026-05-06T00:00:00Z"),
            ("interests", "c;a;c", "a;c"),
            ("hs_lead_status", "OPEN", "OPEN"),
        ] {
            assert_eq!(check(name, raw, None, STRICT), Ok(Stored::Text(stored.into())), "{name} {raw}");
        }
        assert_eq!(check("interests", ";b", Some("c"), STRICT), Ok(Stored::Text("b;c".into())));
        assert_eq!(check("firstname", "", Some("Ann"), STRICT), Ok(Stored::Cleared));
        assert_eq!(check("phone", "+1 (888) 482-7768", None, LOOSE), Ok(Stored::Text("+1 (888) 482-7768".into())));
    }

    #[test]
    fn refused_values_name_their_reason() {
        for (name, raw, code) in [
            ("email", "ann", "INVALID_EMAIL"),
            ("email", "ann@example", "INVALID_EMAIL"),
            ("email", "a n@example.com", "INVALID_EMAIL"),
            ("email", "ann@exa@mple.com", "INVALID_EMAIL"),
            ("email", "ann@example..com", "INVALID_EMAIL"),
            ("phone", "call me", "INVALID_PHONE_NUMBER"),
            ("phone", "+12", "INVALID_PHONE_NUMBER"),
            ("score", "1,000", "INVALID_DECIMAL"),
            ("score", " 1", "INVALID_DECIMAL"),
            ("score", "NaN", "INVALID_DECIMAL"),
            ("score", "1e999", "INVALID_DECIMAL"),
            ("subscribed", "True", "INVALID_OPTION"),
            ("birthday", "1778022600123", "INVALID_DATE"),
            ("birthday", "2026-02-30", "INVALID_DATE"),
            ("seen", "soon", "INVALID_DATE"),
            ("interests", "a; b", "INVALID_OPTION"),
            ("hs_lead_status", "open", "INVALID_OPTION"),
            ("lastmodifieddate", "2026-05-06", "READ_ONLY_VALUE"),
            ("hs_additional_emails", "a@b.de", "READ_ONLY_VALUE"),
        ] {
            assert_eq!(check(name, raw, None, STRICT), Err(code), "{name} {raw}");
        }
        let long = "ä".repeat(65_537);
        assert_eq!(check("message", &long, None, STRICT), Err("VALUE_TOO_LONG"));
        assert!(check("message", &long[2..], None, STRICT).is_ok());
    }

    #[test]
    fn the_funnel_moves_forward_only() {
        let stage = |now: Option<&str>, next: &str, rules| check("lifecyclestage", next, now, rules);
        assert_eq!(stage(Some("customer"), "lead", STRICT), Ok(Stored::Kept));
        assert_eq!(stage(Some("customer"), "lead", LOOSE), Ok(Stored::Text("lead".into())));
        assert_eq!(stage(Some("lead"), "customer", STRICT), Ok(Stored::Text("customer".into())));
        assert_eq!(stage(None, "lead", STRICT), Ok(Stored::Text("lead".into())));
        assert_eq!(stage(Some("customer"), "", STRICT), Ok(Stored::Cleared));
    }

    #[test]
    fn json_values_become_text() {
        assert_eq!(raw_text("a", &json!(true)).as_deref(), Ok("true"));
        assert_eq!(raw_text("a", &json!(1.5)).as_deref(), Ok("1.5"));
        assert_eq!(raw_text("a", &json!(null)).as_deref(), Ok(""));
        assert_eq!(raw_text("a", &json!([1])).map_err(|invalid| invalid.code), Err("INVALID_VALUE"));
    }

    #[test]
    fn domains_are_bare() {
        for (raw, bare) in [("https://www.Example.com/path", "example.com"), ("example.com", "example.com")] {
            assert_eq!(domain(raw), bare);
        }
    }
}
