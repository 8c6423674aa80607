//! What a side knows of its provider's object: the types of the mapped fields when they were first seen, and which of them
//! were removed or have another type since. Such a field is neither read nor written until it is as it was, so that its
//! absence is never taken for an edit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use syncline_core::{ids::FieldName, plan::Side, remote::ObjectSchema, time::Millis};

/// The stream under which the state is kept.
pub const SCHEMA: &str = "schema";

/// The checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaState {
    /// The type of each mapped field of the provider when it was first seen.
    pub types: BTreeMap<String, String>,
    /// The mapped fields of the provider that cannot be used now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, Lost>,
}

/// Why a field of the provider cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The type that it had.
    pub was: String,
    /// The type that it has; `None` where it is gone, or hidden from us.
    pub is: Option<String>,
    /// Since when.
    pub since: Millis,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.is {
            None => f.write_str("the field was removed, or is hidden from our user"),
            Some(is) => write!(f, "the field's type was {} and is {is}", self.was),
        }
    }
}

impl SchemaState {
    /// Compares the mapped fields with what the object has now. A field that was never seen is a fault of the configuration,
    /// which the provider's own answer tells; only one that was there can be lost.
    pub fn compare(&mut self, mapped: &[String], schema: &ObjectSchema, now: Millis) {
        let mapped: BTreeSet<&str> = mapped.iter().map(|name| top(name)).collect();
        self.types.retain(|name, _| mapped.contains(name.as_str()));
        self.lost.retain(|name, _| mapped.contains(name.as_str()));
        for name in mapped {
            let is = find(schema, name);
            match (self.types.get(name), is) {
                (None, Some(is)) => drop(self.types.insert(name.to_owned(), is.to_owned())),
                (None, None) => {}
                (Some(was), Some(is)) if was == is => drop(self.lost.remove(name)),
                (Some(was), is) => {
                    let is = is.map(str::to_owned);
                    let since = self.lost.get(name).map_or(now, |lost| lost.since);
                    self.lost.insert(name.to_owned(), Lost { was: was.clone(), is, since });
                }
            }
        }
    }

    /// Whether a field of the provider, or the field that a path leads into, can be used.
    pub fn has(&self, remote: &str) -> bool {
        !self.lost.contains_key(top(remote))
    }

    /// The model's fields that cannot be read or written, each with the reason in words.
    pub fn lacking(&self, side: &Side) -> BTreeMap<FieldName, String> {
        let of = |(remote, lost): (&String, &Lost)| {
            let reason = format!("`{remote}`: {lost}");
            let fields = side.mapping.fields_of_remote(remote).into_iter();
            fields.map(|field| (field, reason.clone())).collect::<Vec<_>>()
        };
        self.lost.iter().flat_map(of).collect()
    }

    /// What the side's state says of it; `None` where nothing is lost.
    pub fn trouble(&self) -> Option<String> {
        let fields: Vec<String> = self.lost.iter().map(|(field, lost)| format!("`{field}`: {lost}")).collect();
        (!fields.is_empty())
            .then(|| format!("{}; nothing was cleared: bring the field back, or change the mapping", fields.join("; ")))
    }
}

/// The first step of a path.
fn top(remote: &str) -> &str {
    remote.split('.').next().unwrap_or(remote)
}

/// The type of a field. A provider may spell names in its own letter case.
fn find<'a>(schema: &'a ObjectSchema, name: &str) -> Option<&'a str> {
    let exact = schema.fields.get(name);
    let folded = || schema.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, field)| field);
    exact.or_else(folded).map(|field| field.ty.as_str())
}

#[cfg(test)]
mod tests {
    use syncline_core::remote::RemoteField;

    use super::*;

    fn schema(fields: &[(&str, &str)]) -> ObjectSchema {
        let field = |ty: &str| RemoteField { ty: ty.into(), ..RemoteField::default() };
        ObjectSchema { fields: fields.iter().map(|(name, ty)| ((*name).to_owned(), field(ty))).collect() }
    }

    #[test]
    fn a_field_is_lost_when_it_goes_or_changes_and_found_when_it_is_as_it_was() {
        let mapped = ["Title".to_owned(), "Account.Name".to_owned()];
        let mut state = SchemaState::default();
        for (at, fields, lost) in [
            (1, &[("title", "string"), ("Account", "reference"), ("Other", "date")][..], &[][..]),
            (2, &[("Account", "reference")], &[("Title", None, 2)]),
            (3, &[("Title", "double")], &[("Account", None, 3), ("Title", Some("double"), 2)]),
            (4, &[("Title", "string"), ("Account", "reference")], &[]),
        ] {
            state.compare(&mapped, &schema(fields), Millis(at));
            let found: Vec<_> =
                state.lost.iter().map(|(name, lost)| (name.as_str(), lost.is.as_deref(), lost.since.0)).collect();
            assert_eq!(found, lost, "at {at}");
            assert_eq!(state.trouble().is_some(), !lost.is_empty());
            assert_eq!(state.has("Account.Name"), !lost.iter().any(|(name, ..)| *name == "Account"));
        }
        assert_eq!(state.types.len(), 2);
    }
}
