//! The words that manifests are written in: texts with a meaning of their own, each parsed where it stands.
//!
//! # Layout
//!
//! * [`Path`]: where a value stands in an answer. [`Span`]: a length of time. [`Format`]: how a provider spells times.
//! * [`Template`]: a text with look-ups, `{name|filter}`; [`Tree`]: a body or parameter whose texts are templates;
//!   [`Scope`]: what look-ups may find.

mod filter;
mod format;
mod path;
mod scope;
mod span;
mod template;
mod tree;

#[cfg(test)]
pub(super) use self::filter::FILTERS;
pub use self::{
    filter::Filter,
    format::{Format, Parts},
    path::{Path, Paths},
    scope::{Scope, VARIABLES, Variable},
    span::Span,
    template::Template,
    tree::Tree,
};

/// Why a word is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WordError {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

impl WordError {
    fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

/// Checks a text by the format that the schema gives it; a format that is no word takes any text.
pub(super) fn check(format: &str, text: &str) -> Result<(), WordError> {
    match format {
        "path" => Path::parse(text).map(drop),
        "span" => Span::parse(text).map(drop),
        "template" => Template::parse(text).map(drop),
        "times" => Format::parse(text).map(drop),
        "provider" => provider(text),
        "hundred" => hundred(text),
        _ => Ok(()),
    }
}

fn provider(text: &str) -> Result<(), WordError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fits) {
        return Ok(());
    }
    Err(WordError::new(
        format!("`{text}` is no provider's name"),
        "use at most 40 small letters, digits and dashes, beginning with a letter",
    ))
}

fn hundred(text: &str) -> Result<(), WordError> {
    match text.as_bytes() {
        [b'1'..=b'5', b'x', b'x'] => Ok(()),
        _ => Err(WordError::new(format!("`{text}` is no status"), "write a number such as 409, or `4xx`")),
    }
}

/// Gives a word that is written as one text its place in the types: how it is decoded, and what the schema says of it.
macro_rules! word {
    ($word:ident, $format:literal, $description:literal) => {
        impl<'de> serde::Deserialize<'de> for $word {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                $word::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $word {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($word).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "format": $format, "description": $description})
            }
        }
    };
}

use word;
