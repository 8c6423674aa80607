//! A stored value, and how it looks in JSON.

use std::cmp::Ordering;

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Number, Value};

use super::schema::FieldType;
use crate::clock::Micros;

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Cell {
    /// Nothing.
    #[default]
    Null,
    /// A checkbox.
    Bool(bool),
    /// Every kind of text, picklist and id.
    Text(Box<str>),
    /// Every kind of number.
    Number(Decimal),
    /// A day.
    Date(Date),
    /// A second.
    DateTime(Micros),
}

impl Cell {
    /// A text cell.
    pub(crate) fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The text of a text cell.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it holds nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value in an answer. Whole numbers of a decimal type have a point, as `12.0`.
    pub(crate) fn to_json(&self, kind: &FieldType) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Number(number) => number_to_json(number, kind),
            Self::Date(date) => Value::String(date.to_string()),
            Self::DateTime(at) => Value::String(datetime_text(*at)),
        }
    }

    /// The order in which a query sorts two values of one field; text without regard to case.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => folded(a).cmp(folded(b)),
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::DateTime(a), Self::DateTime(b)) => a.cmp(b),
            // One field holds one type; the arm only makes the order total.
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Date(_) => 3,
            Self::DateTime(_) => 4,
            Self::Text(_) => 5,
        }
    }
}

/// The characters of a text as comparisons see them.
pub(crate) fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// `2026-05-05T10:32:00.000+0000`: whole seconds with a fraction that is always zero.
pub(crate) fn datetime_text(at: Micros) -> String {
    at.timestamp().strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

fn number_to_json(number: &Decimal, kind: &FieldType) -> Value {
    match kind {
        FieldType::Int { .. } => number.to_i64().map_or(Value::Null, Value::from),
        _ => number.to_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
    }
}
