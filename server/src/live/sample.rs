//! Changes for tests.

use syncline_core::{
    ids::{ModelName, RecordId},
    journal::Origin,
    live::{Action, Change, ChangedField, Cursor, FeedEvent},
    time::Millis,
};

/// A change of a contact's stage at this place of the feed.
pub(super) fn change(cursor: u64) -> Change {
    let fields = serde_json::json!({"stage": "lead", "number": cursor});
    Change {
        cursor: Cursor(cursor),
        event: FeedEvent {
            record: RecordId(uuid::Uuid::nil()),
            model: ModelName::new("contact"),
            merged_into: None,
            action: Action::Updated,
            version: cursor,
            fields: fields.as_object().cloned().unwrap_or_default(),
            changed: vec![ChangedField { field: "stage".into(), origin: Origin::Service, before: "mql".into() }],
            at: Millis(0),
        },
    }
}
