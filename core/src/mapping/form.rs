//! Forms: how one provider field spells the value of one model field.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{
    parts::Separator,
    value_map::ValueMap,
    wire::{Wire, is_blank},
};
use crate::{model::Field, value::Value};

/// How a provider field spells a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// As plain JSON of this type.
    Plain(Wire),
    /// In the provider's own words.
    Values(ValueMap),
    /// A set as text, its members perhaps in the provider's own words.
    List(Separator, Option<ValueMap>),
    /// A set as a JSON array, its members perhaps in the provider's own words.
    Array(Option<ValueMap>),
}

impl Form {
    /// Whether every canonical value comes back from this form as it went in, but for the field's own folding.
    pub(super) fn is_natural(&self, field: &Field) -> bool {
        match self {
            Self::Plain(wire) => Wire::usable(&field.ty).first() == Some(wire),
            Self::Array(values) => values.is_none(),
            Self::Values(_) | Self::List(..) => false,
        }
    }

    /// The provider's JSON for a canonical value.
    pub(super) fn encode(&self, value: &Value) -> Result<Json, String> {
        match (self, value) {
            (Self::Plain(wire), value) => wire.encode(value),
            (Self::Values(values), value) => values.encode(value),
            (Self::List(..) | Self::Array(_), Value::Null) => Ok(Json::Null),
            (Self::List(_, _), Value::Set(members)) if members.is_empty() => Ok(Json::Null),
            (Self::List(separator, values), Value::Set(members)) => encode_list(separator, values.as_ref(), members),
            (Self::Array(None), value @ Value::Set(_)) => Ok(value.to_json()),
            (Self::Array(Some(values)), Value::Set(members)) => {
                members.iter().map(|member| values.encode_text(member)).collect::<Result<_, _>>().map(Json::Array)
            }
            _ => Err(format!("{} is no set", value.to_json())),
        }
    }

    /// The canonical value of the provider's JSON.
    pub(super) fn decode(&self, field: &Field, json: &Json) -> Result<Value, String> {
        if is_blank(json) {
            return Ok(field.canonicalise(Value::Null));
        }
        match self {
            Self::Plain(wire) => wire.decode(field, json),
            Self::Values(values) => values.decode(field, json),
            Self::Array(None) => field.parse_json(json),
            Self::Array(Some(values)) => {
                let Json::Array(members) = json else { return Err(not_a_list(json)) };
                let words = members.iter().map(super::wire::scalar_text).collect::<Vec<_>>();
                decode_members(field, Some(values), words.iter().map(String::as_str))
            }
            Self::List(separator, values) => {
                let Json::String(text) = json else { return Err(not_a_list(json)) };
                decode_members(field, values.as_ref(), separator.pieces(text).into_iter())
            }
        }
    }
}

fn not_a_list(json: &Json) -> String {
    format!(
        "{json} is no list: set `list` to the separator if the provider keeps the set as text, and leave it out if as an array"
    )
}

fn encode_list(separator: &Separator, values: Option<&ValueMap>, members: &BTreeSet<String>) -> Result<Json, String> {
    let mut words = Vec::with_capacity(members.len());
    for member in members {
        let word = match values {
            Some(values) => super::wire::scalar_text(&values.encode_text(member)?),
            None => member.clone(),
        };
        if separator.pieces(&word) != [word.trim()] {
            return Err(format!(
                "the member `{member}` holds the separator of the list: rename the member, or choose another `list`"
            ));
        }
        words.push(word);
    }
    Ok(Json::String(separator.join(&words.iter().map(String::as_str).collect::<Vec<_>>())))
}

fn decode_members<'a>(
    field: &Field,
    values: Option<&ValueMap>,
    words: impl Iterator<Item = &'a str>,
) -> Result<Value, String> {
    let member = |word: &'a str| match values {
        Some(values) => values.decode_text(word).map(str::to_owned),
        None => Ok(word.to_owned()),
    };
    field.admit(Value::Set(words.map(member).collect::<Result<_, _>>()?))
}
