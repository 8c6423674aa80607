//! Webhook events: what the platform tells about a change.

use serde_json::{Map, Value, json};

use super::record::RecordId;
use super::schema::ObjectKind;
use super::table::Change;

/// What happened, as the second half of a subscription type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A record came into being.
    Creation,
    /// A record was archived.
    Deletion,
    /// A record was erased for privacy.
    PrivacyDeletion,
    /// A record came back.
    Restore,
    /// Records became one.
    Merge,
    /// One property of a record changed.
    PropertyChange,
}

impl EventKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 6] =
        [Self::Creation, Self::Deletion, Self::PrivacyDeletion, Self::Restore, Self::Merge, Self::PropertyChange];

    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Creation => "creation",
            Self::Deletion => "deletion",
            Self::PrivacyDeletion => "privacyDeletion",
            Self::Restore => "restore",
            Self::Merge => "merge",
            Self::PropertyChange => "propertyChange",
        }
    }

    /// Reads the name on the wire.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One thing that happened, before it is known who wants to hear of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happening {
    /// What happened.
    pub(crate) kind: EventKind,
    /// To what.
    pub(crate) object: ObjectKind,
    /// To which record.
    pub(crate) id: RecordId,
    /// The property of a property change.
    pub(crate) property: Option<String>,
    /// Members of the event that only this kind has.
    pub(crate) details: Map<String, Value>,
}

impl Happening {
    fn new(kind: EventKind, object: ObjectKind, id: RecordId, details: Value) -> Self {
        let details = match details {
            Value::Object(details) => details,
            _ => Map::new(),
        };
        Self { kind, object, id, property: None, details }
    }
}

/// A creation: the record, and each property that it started with.
pub(crate) fn created(object: ObjectKind, change: &Change) -> Vec<Happening> {
    let mut happenings = vec![Happening::new(EventKind::Creation, object, change.id, json!({"changeFlag": "CREATED"}))];
    happenings.extend(changed(object, change));
    happenings
}

/// One event per property whose stored value changed.
pub(crate) fn changed(object: ObjectKind, change: &Change) -> Vec<Happening> {
    let changed = change.fields.iter().filter(|field| field.is_change());
    changed
        .map(|field| {
            let value = field.after.as_deref().unwrap_or_default();
            let details = json!({"propertyName": field.name, "propertyValue": value});
            let happening = Happening::new(EventKind::PropertyChange, object, change.id, details);
            Happening { property: Some(field.name.clone()), ..happening }
        })
        .collect()
}

/// An archived record.
pub(crate) fn archived(object: ObjectKind, change: &Change) -> Vec<Happening> {
    vec![Happening::new(EventKind::Deletion, object, change.id, json!({"changeFlag": "DELETED"}))]
}

/// A record that came back.
pub(crate) fn restored(object: ObjectKind, change: &Change) -> Vec<Happening> {
    vec![Happening::new(EventKind::Restore, object, change.id, json!({"changeFlag": "RESTORED"}))]
}

/// A record that was erased for privacy. The platform announces it as a deletion too.
pub(crate) fn erased(object: ObjectKind, change: &Change) -> Vec<Happening> {
    let flag = json!({"changeFlag": "PRIVACY_DELETED"});
    vec![
        Happening::new(EventKind::PrivacyDeletion, object, change.id, flag),
        Happening::new(EventKind::Deletion, object, change.id, json!({"changeFlag": "DELETED"})),
    ]
}

/// Two records that became one, and the properties that the result gained.
pub(crate) fn merged(object: ObjectKind, change: &Change, primary: RecordId, other: RecordId) -> Vec<Happening> {
    let moved = change.fields.iter().filter(|field| field.is_change()).count();
    let details = json!({
        "changeFlag": "MERGED", "primaryObjectId": primary, "mergedObjectIds": [other],
        "newObjectId": change.id, "numberOfPropertiesMoved": moved,
    });
    let mut happenings = vec![Happening::new(EventKind::Merge, object, change.id, details)];
    happenings.extend(changed(object, change));
    happenings
}
