//! Where a value stands in a provider's object: a field, or a field inside nested objects.

use std::fmt;

use serde_json::Value as Json;

use crate::remote::Raw;

/// A provider's field: its name, and the steps below it where it is nested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RemoteField {
    top: String,
    below: Vec<String>,
}

/// A field whose outer object is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAnObject;

impl RemoteField {
    /// A field by its name alone.
    pub(super) fn named(name: &str) -> Option<Self> {
        (!name.trim().is_empty()).then(|| Self { top: name.to_owned(), below: Vec::new() })
    }

    /// A nested field by its steps with points between them.
    pub(super) fn nested(path: &str) -> Option<Self> {
        let mut steps = path.split('.').map(str::to_owned);
        let top = steps.next()?;
        let below: Vec<String> = steps.collect();
        let whole = !top.trim().is_empty() && below.iter().all(|step| !step.trim().is_empty());
        whole.then_some(Self { top, below })
    }

    /// The field to ask the provider for.
    pub(super) fn top(&self) -> &str {
        &self.top
    }

    /// Whether writing one of the two writes (part of) the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let shared = self.below.len().min(other.below.len());
        self.top == other.top && self.below[..shared] == other.below[..shared]
    }

    /// What the object shows; `None` where it does not show the field at all.
    pub(super) fn get<'a>(&self, raw: &'a Raw) -> Result<Option<&'a Json>, NotAnObject> {
        let Some(mut json) = raw.get(&self.top) else { return Ok(None) };
        for step in &self.below {
            match json {
                // A nested object that is null as a whole says that everything in it is blank.
                Json::Null => return Ok(Some(json)),
                Json::Object(inner) => match inner.get(step) {
                    Some(below) => json = below,
                    None => return Ok(None),
                },
                _ => return Err(NotAnObject),
            }
        }
        Ok(Some(json))
    }

    /// Puts a value where the field stands, making the objects around it.
    pub(super) fn put(&self, raw: &mut Raw, json: Json) {
        put_below(raw.entry(self.top.as_str()).or_insert(Json::Null), &self.below, json);
    }
}

/// Puts a value below some steps; whatever stands on the way becomes an object.
fn put_below(place: &mut Json, steps: &[String], json: Json) {
    let Some((step, below)) = steps.split_first() else {
        *place = json;
        return;
    };
    if !place.is_object() {
        *place = Json::Object(Raw::new());
    }
    if let Json::Object(inner) = place {
        put_below(inner.entry(step.as_str()).or_insert(Json::Null), below, json);
    }
}

impl fmt::Display for RemoteField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.top)?;
        self.below.iter().try_for_each(|step| write!(f, ".{step}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: Json) -> Raw {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn nested_fields_are_found_absent_blank_or_in_the_way() {
        let street = RemoteField::nested("Address.geo.street").unwrap();
        for (object, seen) in [
            (serde_json::json!({"Address": {"geo": {"street": "High St"}}}), Ok(Some(Json::from("High St")))),
            (serde_json::json!({"Address": {"geo": {}}}), Ok(None)),
            (serde_json::json!({"Address": null}), Ok(Some(Json::Null))),
            (serde_json::json!({}), Ok(None)),
            (serde_json::json!({"Address": "High St"}), Err(NotAnObject)),
        ] {
            assert_eq!(street.get(&raw(object.clone())).map(|json| json.cloned()), seen, "{object}");
        }
    }

    #[test]
    fn neighbours_in_one_nested_object_are_written_side_by_side() {
        let mut object = Raw::new();
        RemoteField::nested("Address.street").unwrap().put(&mut object, Json::from("High St"));
        RemoteField::nested("Address.city").unwrap().put(&mut object, Json::Null);
        assert_eq!(Json::Object(object), serde_json::json!({"Address": {"street": "High St", "city": null}}));
    }

    #[test]
    fn a_nested_field_overlaps_what_holds_it_but_not_its_neighbour() {
        let field = |path| RemoteField::nested(path).unwrap();
        for (a, b, overlaps) in [("A", "A.x", true), ("A.x", "A.x", true), ("A.x", "A.y", false), ("A", "B", false)] {
            assert_eq!(field(a).overlaps(&field(b)), overlaps, "{a} and {b}");
        }
    }

    #[test]
    fn empty_steps_are_no_names() {
        for path in ["", ".", "A.", ".x", "A..x", " "] {
            assert_eq!(RemoteField::nested(path), None, "{path:?}");
        }
    }
}
