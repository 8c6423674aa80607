//! Canonical values: what a field holds once provider spellings are folded away.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::{ids::FieldName, time::Millis};

/// One canonical value of a field.
///
/// The derived serialisation is tagged and lossless: it is for the store. [`Value::to_json`] and the model's
/// `parse_json` are for people and the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Cleared on purpose. A field that nobody manages is absent instead.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal number, without trailing zeros.
    Decimal(Decimal),
    /// Unicode text.
    Text(String),
    /// A calendar day without a zone.
    Date(jiff::civil::Date),
    /// An instant with millisecond precision.
    DateTime(Millis),
    /// A set of members without order.
    Set(BTreeSet<String>),
}

/// Canonical values by field. A missing key means "not managed", [`Value::Null`] means "cleared".
pub type Fields = BTreeMap<FieldName, Value>;

impl Value {
    /// Shorthand for a text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Whether the value says nothing: null, empty text or an empty set.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Set(members) => members.is_empty(),
            _ => false,
        }
    }

    /// Whether the two say the same: equal values, or two blanks. Null, an empty set and an absent field are one answer.
    pub fn same_as(&self, other: &Self) -> bool {
        self == other || self.is_blank() && other.is_blank()
    }

    /// The value as plain JSON for the API: dates and instants as ISO 8601 text, decimals as text, sets as arrays.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Int(number) => Json::from(*number),
            Self::Decimal(number) => Json::String(number.normalize().to_string()),
            Self::Text(text) => Json::String(text.clone()),
            Self::Date(day) => Json::String(day.to_string()),
            Self::DateTime(at) => Json::String(at.to_rfc3339()),
            Self::Set(members) => Json::from_iter(members.iter().cloned()),
        }
    }

    /// Folds away everything that providers are known to change on their own: case, white space, Unicode form, line
    /// ends, number and date spelling. Two values with one loose fold are forms of the same value, never proof of an
    /// edit at first link. Not for display and not for storing.
    pub fn loose_fold(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Decimal(number) => number.normalize().to_string(),
            Self::Date(day) => day.to_string(),
            Self::DateTime(at) => fold_instant(*at),
            Self::Set(members) => members
                .iter()
                .map(|member| fold_text(member))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(";"),
            Self::Text(text) => fold_text(text),
        }
    }
}

fn fold_instant(at: Millis) -> String {
    // Several providers keep whole seconds only, and a day's first instant is that day.
    Millis(at.0.div_euclid(1_000) * 1_000).to_rfc3339()
}

fn fold_text(text: &str) -> String {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let folded = folded.split_whitespace().collect::<Vec<_>>().join(" ");
    match folded.parse::<Decimal>() {
        Ok(number) => number.normalize().to_string(),
        Err(_) => folded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_folds_join_what_providers_respell_and_nothing_else() {
        for (a, b, same) in [
            (Value::text(" Ann\u{a0}Lee "), Value::text("ann lee"), true),
            (Value::text("10.0"), Value::Int(10), true),
            (Value::text("e\u{301}"), Value::text("\u{e9}"), true),
            (Value::text("a\r\nb"), Value::text("a\nb"), true),
            (Value::text(""), Value::Null, true),
            (Value::text("Ann"), Value::text("Anna"), false),
            (Value::Bool(false), Value::Null, false),
        ] {
            assert_eq!(a.loose_fold() == b.loose_fold(), same, "{a:?} against {b:?}");
        }
    }
}
