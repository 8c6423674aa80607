//! The Automerge document of a record: `{ v, type, fields: { name → scalar | Text | Counter | set map }, deleted,
//! moved_to }`, read and written without the model, which only the server knows.
//!
//! The form in which a field is written follows what the document already holds, so a client does not change a field's
//! kind by accident; only a field that is new takes the kind that the application's type names.

mod read;
mod text;
mod write;

pub(crate) use read::{Shown, has_content, moved_to, show, show_at};
pub(crate) use write::{create, write};

use automerge::AutomergeError;

/// A document that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// Automerge refused.
    #[error("the document cannot be read or written ({0}); if this persists, discard the record's local edits")]
    Automerge(#[from] AutomergeError),
    /// The document is not a record's.
    #[error("the document is not a record's: it has no map `fields`")]
    NoRecord,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use automerge::Automerge;
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;
    use crate::fields::{FieldEdit, FieldValue};

    const NOW: Millis = Millis(1_700_000_000_000);

    fn set(members: &[&str]) -> FieldValue {
        FieldValue::Set(members.iter().map(|member| (*member).to_owned()).collect())
    }

    fn edit(name: &str, old: FieldValue, new: FieldValue) -> FieldEdit {
        FieldEdit { name: name.to_owned(), old, new }
    }

    fn sample() -> Automerge {
        let fields = [
            ("name".to_owned(), FieldValue::Str("Ann".into())),
            ("tags".to_owned(), set(&["a", "b"])),
            ("visits".to_owned(), FieldValue::Counter(1)),
            ("notes".to_owned(), FieldValue::Text("one two".into())),
            ("seen".to_owned(), FieldValue::Instant(NOW.0)),
            ("phone".to_owned(), FieldValue::Null),
        ];
        create([7; 16], "contact", &fields.into(), NOW).unwrap()
    }

    fn fields(doc: &Automerge) -> serde_json::Value {
        show(doc, &BTreeSet::new()).unwrap().fields().into()
    }

    #[test]
    fn a_created_record_is_shown_as_the_api_shows_it() {
        let expected = json!({"name": "Ann", "tags": ["a", "b"], "visits": 1, "notes": "one two",
            "seen": "2023-11-14T22:13:20.000Z"});
        assert_eq!(fields(&sample()), expected);
    }

    #[test]
    fn concurrent_edits_of_one_field_merge_as_its_kind_says() {
        let mut a = sample();
        let mut b = a.fork();
        let mine = [
            edit("tags", set(&["a", "b"]), set(&["b", "c"])),
            edit("visits", FieldValue::Counter(1), FieldValue::Counter(4)),
            edit("notes", FieldValue::Text("one two".into()), FieldValue::Text("zero one two".into())),
        ];
        let theirs = [
            edit("tags", set(&["a", "b"]), set(&["a", "b", "d"])),
            edit("visits", FieldValue::Counter(1), FieldValue::Counter(2)),
            edit("notes", FieldValue::Text("one two".into()), FieldValue::Text("one two three".into())),
            edit("name", FieldValue::Str("Ann".into()), FieldValue::Str("Anna".into())),
        ];
        write(&mut a, &mine, None, NOW).unwrap();
        write(&mut b, &theirs, None, NOW).unwrap();
        a.merge(&mut b).unwrap();
        let expected = json!({"name": "Anna", "tags": ["b", "c", "d"], "visits": 5, "notes": "zero one two three",
            "seen": "2023-11-14T22:13:20.000Z"});
        assert_eq!(fields(&a), expected);
    }

    #[test]
    fn an_edit_keeps_the_kind_that_the_document_holds() {
        let mut doc = sample();
        let plain = [
            edit("notes", FieldValue::Str("one two".into()), FieldValue::Str("one".into())),
            edit("visits", FieldValue::Int(1), FieldValue::Int(3)),
            edit(
                "seen",
                FieldValue::Str("2023-11-14T22:13:20.000Z".into()),
                FieldValue::Str("2023-11-14T22:13:21.500Z".into()),
            ),
        ];
        write(&mut doc, &plain, None, NOW).unwrap();
        let expected = json!({"name": "Ann", "tags": ["a", "b"], "visits": 3, "notes": "one",
            "seen": "2023-11-14T22:13:21.500Z"});
        assert_eq!(fields(&doc), expected);
        let dump = format!("{:?}", doc.hydrate(None));
        assert!(dump.contains("Counter") && dump.contains("Timestamp") && dump.contains("Text"), "{dump}");
    }

    /// Replayed on another document, an edit is made on what stands there, not on what its editor saw.
    #[test]
    fn an_edit_made_elsewhere_is_merged_into_what_stands() {
        let mut doc = sample();
        let elsewhere = [
            edit("tags", set(&["x"]), set(&["y"])),
            edit("visits", FieldValue::Counter(10), FieldValue::Counter(12)),
            edit("notes", FieldValue::Text("one".into()), FieldValue::Text("one!".into())),
        ];
        write(&mut doc, &elsewhere, None, NOW).unwrap();
        let shown = fields(&doc);
        assert_eq!((&shown["tags"], &shown["visits"]), (&json!(["a", "b", "y"]), &json!(3)));
        assert_eq!(shown["notes"], "one! two");
    }

    #[test]
    fn deleting_and_restoring_leaves_the_fields_alone() {
        let mut doc = sample();
        write(&mut doc, &[], Some(true), NOW).unwrap();
        assert_eq!(show(&doc, &BTreeSet::new()).unwrap().deleted, Some(NOW));
        write(&mut doc, &[], Some(false), NOW).unwrap();
        assert_eq!(show(&doc, &BTreeSet::new()).unwrap().deleted, None);
        assert_eq!(write(&mut doc, &[], Some(false), NOW).unwrap(), None);
    }
}
