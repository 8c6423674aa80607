//! The filters of templates: each takes one kind of value and yields another, which is checked when a manifest is read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Format, Parts, Span, WordError,
    scope::{Item, Scope, VARIABLES},
};
use crate::{located::suggest, rest::segment};

/// What a value is, as far as it is known before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Text,
    List,
    Any,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Time => "a time",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Any => "any value",
        }
    }
}

/// One step from what was looked up to what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Spells a time.
    Spell(Format),
    /// A later time.
    Plus(Span),
    /// An earlier time.
    Minus(Span),
    /// Small letters.
    Lower,
    /// Capital letters.
    Upper,
    /// Without white space around it.
    Trim,
    /// Without quotation marks and backslashes, white space squeezed: for searches that know no way to write them.
    Plain,
    /// Percent-encoded.
    Urlencode,
    /// Base64.
    Base64,
    /// SHA-256 in hexadecimal digits.
    Sha256,
    /// Text in front of it.
    Prepend(String),
    /// Text behind it.
    Append(String),
    /// As JSON text, so that it stands quoted.
    Json,
    /// As text.
    Text,
    /// As a number, where it is one.
    Number,
    /// A list's texts with something between them.
    Join(String),
    /// A list's first entry.
    First,
    /// A list of objects that hold each entry at this key.
    Each(String),
    /// With the percent-encoding of these characters undone.
    Decode(String),
    /// This text where there is nothing.
    Or(String),
    /// True where there is something.
    Present,
    /// Only where something else is there.
    If(String),
    /// Only where something else is not there.
    Unless(String),
}

/// Filters by name, and what each one's argument is.
pub(in crate::manifest) const FILTERS: &[(&str, &str)] = &[
    ("iso8601", ""),
    ("iso8601_ms", ""),
    ("epoch_s", ""),
    ("epoch_ms", ""),
    ("rfc1123", ""),
    ("date", ""),
    ("parts", ""),
    ("date_parts", ""),
    ("time", "a pattern"),
    ("plus", "a span"),
    ("minus", "a span"),
    ("lower", ""),
    ("upper", ""),
    ("trim", ""),
    ("plain", ""),
    ("urlencode", ""),
    ("base64", ""),
    ("sha256", ""),
    ("prepend", "a text"),
    ("append", "a text"),
    ("json", ""),
    ("text", ""),
    ("number", ""),
    ("join", "a text"),
    ("first", ""),
    ("each", "a key"),
    ("decode", "the characters"),
    ("or", "a text"),
    ("present", ""),
    ("if", "a name"),
    ("unless", "a name"),
];

impl Filter {
    /// The filter of this name and argument.
    pub(super) fn parse(name: &str, argument: Option<&str>) -> Result<Self, WordError> {
        let Some((_, takes)) = FILTERS.iter().find(|(known, _)| *known == name) else {
            return Err(WordError::new(
                format!("there is no filter `{name}`"),
                suggest(name, FILTERS.iter().map(|(name, _)| *name)),
            ));
        };
        let argument = match (argument, takes.is_empty()) {
            (None, true) => "",
            (Some(argument), false) => argument,
            (Some(_), true) => {
                return Err(WordError::new(format!("the filter `{name}` takes nothing"), format!("write `|{name}`")));
            }
            (None, false) => {
                return Err(WordError::new(format!("the filter `{name}` needs {takes}"), format!("write `|{name}:…`")));
            }
        };
        let named = || match VARIABLES.iter().any(|variable| variable.name == argument) {
            true => Ok(argument.to_owned()),
            false => Err(WordError::new(
                format!("nothing is called `{argument}`"),
                suggest(argument, VARIABLES.iter().map(|variable| variable.name)),
            )),
        };
        Ok(match name {
            "time" => match Format::parse(argument)? {
                format @ Format::Pattern(_) => Self::Spell(format),
                _ => return Err(WordError::new(format!("`{argument}` is no pattern of a time"), "write %Y-%m-%d")),
            },
            "parts" => Self::Spell(Format::Parts(Parts::DateTime)),
            "date_parts" => Self::Spell(Format::Parts(Parts::Date)),
            "plus" => Self::Plus(Span::parse(argument)?),
            "minus" => Self::Minus(Span::parse(argument)?),
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "trim" => Self::Trim,
            "plain" => Self::Plain,
            "urlencode" => Self::Urlencode,
            "base64" => Self::Base64,
            "sha256" => Self::Sha256,
            "prepend" => Self::Prepend(argument.to_owned()),
            "append" => Self::Append(argument.to_owned()),
            "json" => Self::Json,
            "text" => Self::Text,
            "number" => Self::Number,
            "join" => Self::Join(argument.to_owned()),
            "first" => Self::First,
            "each" => Self::Each(argument.to_owned()),
            "decode" => Self::Decode(argument.to_owned()),
            "or" => Self::Or(argument.to_owned()),
            "present" => Self::Present,
            "if" => Self::If(named()?),
            "unless" => Self::Unless(named()?),
            spelling => Self::Spell(Format::parse(spelling)?),
        })
    }

    /// What it makes of a kind of value; an error where it cannot take it.
    pub(super) fn of(&self, kind: Kind) -> Result<Kind, &'static str> {
        let (takes, yields) = match self {
            Self::Spell(Format::EpochMs | Format::EpochS | Format::Parts(_)) => (Kind::Time, Kind::Any),
            Self::Spell(_) => (Kind::Time, Kind::Text),
            Self::Plus(_) | Self::Minus(_) => (Kind::Time, Kind::Time),
            Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Plain
            | Self::Urlencode
            | Self::Base64
            | Self::Sha256
            | Self::Prepend(_)
            | Self::Append(_)
            | Self::Decode(_) => (Kind::Text, Kind::Text),
            Self::Join(_) => (Kind::List, Kind::Text),
            Self::First => (Kind::List, Kind::Any),
            Self::Each(_) => (Kind::List, Kind::List),
            Self::Number => (Kind::Text, Kind::Any),
            Self::Json | Self::Text => (Kind::Any, Kind::Text),
            Self::Present => (Kind::Any, Kind::Any),
            // Nothing is changed, or a text stands in.
            Self::Or(_) if kind == Kind::Text => (Kind::Any, Kind::Text),
            Self::Or(_) => (Kind::Any, Kind::Any),
            Self::If(_) | Self::Unless(_) => (Kind::Any, kind),
        };
        let spelled = takes == Kind::Any && matches!(self, Self::Json | Self::Text) && kind == Kind::Time;
        let fits = takes == kind || (takes == Kind::Any && !spelled) || (kind == Kind::Any && takes != Kind::Time);
        if fits { Ok(yields) } else { Err(takes.words()) }
    }

    /// The filter's work. Nothing stays nothing, but for [`Filter::Or`].
    pub(super) fn apply(&self, item: Option<Item>, scope: &Scope) -> Option<Item> {
        let value = |value: Value| Some(Item::Value(value));
        match (self, item) {
            (Self::Or(text), None) => value(text.as_str().into()),
            (Self::If(name), item) => item.filter(|_| scope.has(name)),
            (Self::Unless(name), item) => item.filter(|_| !scope.has(name)),
            (Self::Present, item) => item.and_then(|_| value(true.into())),
            (_, None) => None,
            (Self::Spell(format), Some(Item::Time(at))) => value(format.write(at)),
            (Self::Plus(span), Some(Item::Time(at))) => Some(Item::Time(at.plus(signed(*span)))),
            (Self::Minus(span), Some(Item::Time(at))) => Some(Item::Time(at.plus(signed(*span).saturating_neg()))),
            (Self::Join(between), Some(Item::Value(Value::Array(items)))) => {
                value(items.iter().map(text).collect::<Vec<_>>().join(between).into())
            }
            (Self::First, Some(Item::Value(Value::Array(items)))) => items.into_iter().next().and_then(value),
            (Self::Each(key), Some(Item::Value(Value::Array(items)))) => {
                let entry = |item| Value::Object([(key.clone(), item)].into_iter().collect());
                value(items.into_iter().map(entry).collect())
            }
            (Self::Json, Some(Item::Value(item))) => value(item.to_string().into()),
            (Self::Number, Some(Item::Value(item))) => value(number(item)),
            (Self::Or(_) | Self::Join(_) | Self::First | Self::Each(_), item) => item,
            (_, Some(Item::Value(item))) => value(self.of_text(&text(&item)).into()),
            (_, Some(Item::Time(at))) => value(Format::Iso8601.write(at)),
        }
    }

    fn of_text(&self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Trim => text.trim().to_owned(),
            Self::Plain => text.replace(['"', '\\'], " ").split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Urlencode => segment(text),
            Self::Base64 => STANDARD.encode(text),
            Self::Sha256 => Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Prepend(front) => format!("{front}{text}"),
            Self::Append(back) => format!("{text}{back}"),
            Self::Decode(characters) => decoded(text, characters),
            _ => text.to_owned(),
        }
    }
}

/// Undoes the percent-encoding of single characters, which some providers do before they sign.
fn decoded(text: &str, characters: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let code = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        match code.filter(|character| character.is_ascii() && characters.contains(*character)) {
            Some(character) => {
                decoded.push(character);
                rest = &rest[3..];
            }
            None => {
                decoded.push('%');
                rest = &rest[1..];
            }
        }
    }
    decoded + rest
}

fn signed(span: Span) -> i64 {
    i64::try_from(span.ms()).unwrap_or(i64::MAX)
}

/// A value as text: texts as they are, everything else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(value: Value) -> Value {
    let parsed = value.as_str().and_then(|text| serde_json::from_str::<serde_json::Number>(text.trim()).ok());
    parsed.map_or(value, Value::Number)
}
