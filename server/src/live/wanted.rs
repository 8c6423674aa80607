//! Filter values: what a caller wants a field to be, in the canonical form that the field's values have.

use serde_json::Value as Json;
use syncline_core::{
    model::{Field, FieldType},
    value::Value,
};

/// The wanted value of a field. A single text finds the sets that hold this member.
pub(crate) fn from_json(field: &Field, wanted: &Json) -> Result<Value, String> {
    match (&field.ty, wanted) {
        (FieldType::Set { .. }, Json::String(_)) => match field.parse_json(&Json::Array(vec![wanted.clone()]))? {
            Value::Set(members) => Ok(members.into_iter().next().map_or(Value::Null, Value::Text)),
            other => Ok(other),
        },
        _ => field.parse_json(wanted),
    }
}

/// The wanted value of a field as written in a query, where everything is text; nothing at all means null.
pub(crate) fn from_text(field: &Field, wanted: &str) -> Result<Value, String> {
    from_json(field, &Json::from(wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use syncline_core::{model::Canonical, policies::Policy};

    use super::*;

    fn field(ty: FieldType, canonical: Vec<Canonical>) -> Field {
        Field { ty, policy: Policy::Latest, blank_never_wins: false, computed: false, required: false, canonical }
    }

    #[test]
    fn texts_become_canonical_values_of_the_field() {
        let text = FieldType::Text { max_len: 10 };
        let set = FieldType::Set { values: BTreeSet::new() };
        for (ty, canonical, wanted, expected) in [
            (text.clone(), vec![Canonical::Trim, Canonical::Lower], " A ", Some(Value::text("a"))),
            (text, vec![], "", Some(Value::Null)),
            (FieldType::Bool, vec![], "true", Some(Value::Bool(true))),
            (FieldType::Int, vec![], "7", Some(Value::Int(7))),
            (FieldType::Int, vec![], "seven", None),
            (set, vec![], "vip", Some(Value::text("vip"))),
            (FieldType::Enum { values: vec!["a".into()] }, vec![], "b", None),
        ] {
            let shown = format!("{ty:?} {wanted}");
            assert_eq!(from_text(&field(ty, canonical), wanted).ok(), expected, "{shown}");
        }
    }
}
