//! When two spellings are one value: a loose comparison that knows how people type and how platforms keep what they
//! typed, and knows nothing of how the service does it.

use rust_decimal::Decimal;
use serde_json::Value as Json;
use unicode_normalization::UnicodeNormalization as _;

use crate::demo::scenario::fields::{Field, Kind};

/// Where a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Place {
    /// By the product's API.
    Product,
    /// By the account in this place.
    Account(usize),
}

/// A member's slot holds one of these.
pub(in crate::demo) const IN: &str = "in";
/// The other one.
pub(in crate::demo) const OUT: &str = "out";

/// What can be written by itself: a field, or one member of a field that holds several.
pub(in crate::demo) type Slot = String;

/// The slots of a field and what each holds, in a form that all spellings of one value share. A blank is empty.
pub(in crate::demo) fn slots(field: &Field, place: Place, value: &Json) -> Vec<(Slot, String)> {
    let Kind::Members(words) = field.kind else { return vec![(field.name.to_owned(), form(field, place, value))] };
    let members = members(value);
    let held = |word: &str| if members.iter().any(|member| member == word) { IN } else { OUT };
    words.iter().map(|word| (format!("{}/{word}", field.name), held(word).to_owned())).collect()
}

/// A value in a form that all its spellings share.
pub(in crate::demo) fn form(field: &Field, place: Place, value: &Json) -> String {
    let raw = plain(value);
    match field.kind {
        Kind::Email => text(&raw).to_lowercase(),
        Kind::Phone => raw.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect(),
        Kind::Text | Kind::Date => text(&raw),
        Kind::Number => raw.trim().parse::<Decimal>().map_or(raw.clone(), |number| number.normalize().to_string()),
        Kind::Flag => (raw == "true").to_string(),
        Kind::Choice(words) => {
            let ours =
                |theirs: &str| words.iter().find(|(_, word)| *word == theirs).map(|(word, _)| (*word).to_owned());
            match place {
                Place::Product => raw,
                Place::Account(_) => ours(&raw).unwrap_or(raw),
            }
        }
        Kind::Members(_) => {
            let mut members = members(value);
            members.sort();
            members.join(";")
        }
    }
}

/// One Unicode form, one kind of white space, none at the edges.
fn text(raw: &str) -> String {
    let composed: String = raw.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Members as a list or as text with semicolons.
fn members(value: &Json) -> Vec<String> {
    match value {
        Json::Array(members) => members.iter().map(plain).collect(),
        other => plain(other).split(';').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    }
}
