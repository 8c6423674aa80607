//! Value maps: the provider's spelling of each model value, one to one.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    error::MappingProblem,
    wire::{is_blank, scalar_text},
};
use crate::{
    model::{Canonical, Field, FieldType, nearest},
    value::Value,
};

/// A checked one-to-one relation between model values and the provider's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValueMap {
    /// The provider's value by the model value's text.
    there: BTreeMap<String, Json>,
    /// The model value's text by the folded text of the provider's value.
    here: BTreeMap<String, String>,
    /// Carries the folding steps for what the provider shows.
    folding: Field,
}

impl ValueMap {
    /// Checks the pairs against the field's type; `steps` fold what the provider shows, and a map that is `written` needs a
    /// spelling for every value.
    pub(super) fn new(
        field: &Field,
        pairs: &BTreeMap<String, Json>,
        steps: &[Canonical],
        written: bool,
    ) -> Result<Self, Vec<MappingProblem>> {
        let folding = Field { canonical: steps.to_vec(), ..Field::of(FieldType::Text { max_len: u32::MAX }) };
        let mut map = Self { there: BTreeMap::new(), here: BTreeMap::new(), folding };
        let mut problems = Vec::new();
        for (key, there) in pairs {
            map.add(field, key, there).unwrap_or_else(|problem| problems.push(problem));
        }
        if written {
            problems.extend(map.missing(field, pairs));
        }
        if problems.is_empty() { Ok(map) } else { Err(problems) }
    }

    fn add(&mut self, field: &Field, key: &str, there: &Json) -> Result<(), MappingProblem> {
        if is_blank(there) || there.is_array() || there.is_object() {
            return Err(MappingProblem::ValueNotPlain { key: key.to_owned(), given: there.to_string() });
        }
        let here = own_text(field, key)?;
        let folded = self.folding.fold(scalar_text(there));
        if let Some(first) = self.here.get(&folded) {
            return Err(MappingProblem::NotOneToOne { first: first.clone(), second: here, remote: folded });
        }
        if self.there.insert(here.clone(), there.clone()).is_some() {
            let reason = "it is another spelling of a value that stands there already".to_owned();
            return Err(MappingProblem::UnknownValue { given: key.to_owned(), reason, nearest: Some(here) });
        }
        self.here.insert(folded, here);
        Ok(())
    }

    /// The values of a closed type that have no spelling there.
    fn missing(&self, field: &Field, pairs: &BTreeMap<String, Json>) -> Option<MappingProblem> {
        let all: Vec<String> = match &field.ty {
            FieldType::Enum { values } => values.clone(),
            FieldType::Set { values } => values.iter().cloned().collect(),
            FieldType::Bool => vec!["true".to_owned(), "false".to_owned()],
            _ => Vec::new(),
        };
        let missing: Vec<String> = all.into_iter().filter(|value| !pairs.contains_key(value)).collect();
        (!missing.is_empty()).then(|| MappingProblem::ValuesMissing { missing: missing.join(", ") })
    }

    /// The provider's spelling of a value.
    pub(super) fn encode(&self, value: &Value) -> Result<Json, String> {
        if value.is_blank() { Ok(Json::Null) } else { self.encode_text(&scalar_text(&value.to_json())) }
    }

    /// The provider's spelling of a value's text.
    pub(super) fn encode_text(&self, text: &str) -> Result<Json, String> {
        self.there.get(text).cloned().ok_or_else(|| format!("`{text}` has no spelling there: add it to `values`"))
    }

    /// The canonical value of the provider's.
    pub(super) fn decode(&self, field: &Field, json: &Json) -> Result<Value, String> {
        if is_blank(json) {
            return Ok(field.canonicalise(Value::Null));
        }
        if json.is_array() || json.is_object() {
            return Err(format!("{json} is no plain value, and `values` maps plain values"));
        }
        field.parse_json(&Json::from(self.decode_text(&scalar_text(json))?))
    }

    /// The model value's text for the provider's text.
    pub(super) fn decode_text(&self, text: &str) -> Result<&str, String> {
        self.here.get(&self.folding.fold(text.to_owned())).map(String::as_str).ok_or_else(|| {
            let known = self.here.keys().map(String::as_str);
            let hint = nearest(text, known).map(|known| format!(" (the nearest is `{known}`)")).unwrap_or_default();
            format!("`{text}` is none of the provider's values in `values`{hint}: add it there, or correct it at the provider")
        })
    }
}

/// The text of the model value that a key of the map names.
fn own_text(field: &Field, key: &str) -> Result<String, MappingProblem> {
    let unknown = |reason| MappingProblem::UnknownValue { given: key.to_owned(), reason, nearest: None };
    let element = match &field.ty {
        FieldType::Set { .. } => field.parse_json(&Json::from(vec![key])),
        _ => field.parse_json(&Json::from(key)),
    };
    match element.map_err(unknown)? {
        Value::Set(members) => members.into_iter().next().ok_or_else(|| unknown("it is blank".to_owned())),
        value if value.is_blank() => Err(unknown("it is blank".to_owned())),
        value => Ok(scalar_text(&value.to_json())),
    }
}
