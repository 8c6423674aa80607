//! What an edit changed.

use super::{FieldValue, FieldValues};

/// One field that an edit changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldEdit {
    /// The field.
    pub(crate) name: String,
    /// What the editor saw.
    pub(crate) old: FieldValue,
    /// What the editor wants to see.
    pub(crate) new: FieldValue,
}

/// The fields that differ. One that is missing on a side is null there, so an edit of a type that knows only some of a
/// model's fields touches only those.
pub(crate) fn diff(before: &FieldValues, after: &FieldValues) -> Vec<FieldEdit> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |values: &FieldValues, name: &String| values.get(name).cloned().unwrap_or(FieldValue::Null);
    let edits =
        names.into_iter().map(|name| FieldEdit { name: name.clone(), old: of(before, name), new: of(after, name) });
    edits.filter(|edit| edit.old != edit.new && !(edit.old.is_nothing() && edit.new.is_nothing())).collect()
}

impl FieldValue {
    /// Whether the value says nothing, so that leaving the field out says the same.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Set(members) => members.is_empty(),
            _ => false,
        }
    }
}
