//! The change feed's entries and the JSON messages of `/v1/live`.
//!
//! A conversation: the client sends [`ClientMessage::Subscribe`]; the server answers [`ServerMessage::Subscribed`], then,
//! where asked for, pages of [`ServerMessage::Snapshot`] and one [`ServerMessage::SnapshotEnd`], then every later
//! [`ServerMessage::Change`] in the feed's order, without a gap. A client that reconnects sends the last cursor it has
//! worked off and misses nothing. One socket holds one subscription: a further one replaces it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    ids::{FieldName, ModelName, RecordId},
    journal::Origin,
    time::Millis,
};

/// A record's fields as plain JSON, in the form the API shows them.
pub type JsonFields = serde_json::Map<String, Json>;

/// A place in a tenant's feed: changes are numbered from 1 without a gap, and 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The record is new.
    Created,
    /// Fields changed.
    Updated,
    /// The record was deleted.
    Deleted,
    /// A deleted record came back.
    Restored,
    /// The record was removed with everything that was kept of it: whoever holds a copy drops it. Earlier entries of the record
    /// say the same from then on, at their places and without values.
    Erased,
}

/// One committed change of one record, as the feed keeps it. Its place in the feed is given by the store, see [`Change`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedEvent {
    /// The record.
    pub record: RecordId,
    /// Its model.
    pub model: ModelName,
    /// What happened.
    pub action: Action,
    /// The record's version after the change.
    pub version: u64,
    /// All fields after the change.
    pub fields: JsonFields,
    /// The fields that changed, each with who wrote the value that stands now.
    pub changed: Vec<ChangedField>,
    /// Of a record that was deleted by being merged: the record that it went into. Left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<RecordId>,
    /// When it was committed.
    #[serde(with = "rfc3339")]
    pub at: Millis,
}

/// One field of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedField {
    /// The field.
    pub field: FieldName,
    /// Who wrote the value that stands now.
    pub origin: Origin,
    /// The value before; null where the field was cleared or absent. With it a filtered subscriber also hears of records
    /// that cease to match.
    #[serde(default)]
    pub before: Json,
}

/// A [`FeedEvent`] at its place in the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The place.
    pub cursor: Cursor,
    /// What happened there.
    #[serde(flatten)]
    pub event: FeedEvent,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum ClientMessage {
    /// Asks for changes. Replaces an earlier subscription of the same socket.
    Subscribe(Subscribe),
    /// Has worked off everything up to here; lets the server report how far a subscriber is behind. Never needed.
    Ack {
        /// The last change worked off.
        cursor: Cursor,
    },
    /// Asks for a [`ServerMessage::Pong`], for clients that cannot send WebSocket pings, such as browsers.
    Ping,
}

/// What a client wants to hear.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The models; empty means all.
    #[serde(default)]
    pub models: Vec<ModelName>,
    /// Only records whose fields have these values.
    #[serde(default)]
    pub filter: Filter,
    /// Go on after this change; `null` begins at the feed's present end.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// Send the present records first. Then `cursor` is ignored, and changes go on where the snapshot was taken.
    #[serde(default)]
    pub snapshot: bool,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum ServerMessage {
    /// The subscription stands; changes after `cursor` follow, after the snapshot where one was asked for.
    Subscribed {
        /// Where the subscription begins.
        cursor: Cursor,
    },
    /// A page of the records that match now.
    Snapshot {
        /// The records.
        rows: Vec<SnapshotRow>,
    },
    /// The snapshot is complete.
    SnapshotEnd {
        /// Changes after this one follow. A change may repeat what a late page of the snapshot showed already: the
        /// higher version of a record stands.
        cursor: Cursor,
    },
    /// A change.
    Change(Change),
    /// The subscriber was too slow, or its cursor is older than the feed: changes were left out. Subscribe again with a
    /// snapshot, or fetch `/v1/records`, and go on after `cursor`.
    Resync {
        /// The feed's end when this was sent.
        cursor: Cursor,
    },
    /// The last message was not understood or cannot be served; the socket stays open.
    Error {
        /// What kind of error, for programs.
        code: ErrorCode,
        /// What is wrong, where, and what to do, for people.
        message: String,
    },
    /// The answer to a ping.
    Pong,
}

/// What kind of error a client's message met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, or not one of the messages.
    BadMessage,
    /// No such model.
    UnknownModel,
    /// The filter names a field that no subscribed model has.
    UnknownField,
    /// A stated limit was passed.
    TooMuch,
    /// The store cannot be read now; try again.
    Unavailable,
}

/// One record of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotRow {
    /// The record.
    pub record: RecordId,
    /// Its model.
    pub model: ModelName,
    /// Its version.
    pub version: u64,
    /// Its fields.
    pub fields: JsonFields,
    /// When it last changed.
    #[serde(with = "rfc3339")]
    pub at: Millis,
}

/// Wanted values by field: all must hold. A set matches when it contains the wanted member, or equals the wanted set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<FieldName, Json>);

impl Filter {
    /// Whether a record with these fields matches. An absent field counts as null.
    pub fn matches(&self, fields: &JsonFields) -> bool {
        self.all(|name| fields.get(name.as_str()))
    }

    /// Whether a subscriber must hear of this change: the record matches now, or it did before, or nobody can tell any more.
    pub fn concerns(&self, event: &FeedEvent) -> bool {
        event.action == Action::Erased || self.matches(&event.fields) || self.all(|name| value_before(event, name))
    }

    fn all<'a>(&self, value_of: impl Fn(&FieldName) -> Option<&'a Json>) -> bool {
        self.0.iter().all(|(name, wanted)| holds(value_of(name).unwrap_or(&Json::Null), wanted))
    }
}

fn value_before<'a>(event: &'a FeedEvent, name: &FieldName) -> Option<&'a Json> {
    match event.changed.iter().find(|changed| changed.field == *name) {
        Some(changed) => Some(&changed.before),
        None => event.fields.get(name.as_str()),
    }
}

fn holds(value: &Json, wanted: &Json) -> bool {
    match (value, wanted) {
        (Json::Array(members), Json::Array(wanted)) => {
            members.len() == wanted.len() && wanted.iter().all(|member| members.contains(member))
        }
        (Json::Array(members), member) => members.contains(member),
        (value, wanted) => value == wanted,
    }
}

/// Times as RFC 3339 text, which every client can read.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::time::Millis;

    pub(super) fn serialize<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.to_rfc3339())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        let text = String::deserialize(deserializer)?;
        let timestamp: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Millis(timestamp.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change() -> Change {
        Change {
            cursor: Cursor(7),
            event: FeedEvent {
                record: RecordId(uuid::Uuid::from_u128(1)),
                model: "contact".into(),
                action: Action::Updated,
                merged_into: None,
                version: 3,
                fields: JsonFields::from_iter([
                    ("stage".to_owned(), json!("customer")),
                    ("tags".to_owned(), json!(["a", "b"])),
                ]),
                changed: vec![ChangedField {
                    field: "stage".into(),
                    origin: Origin::Connection("acme-hubspot".into()),
                    before: json!("mql"),
                }],
                at: Millis(1_700_000_000_123),
            },
        }
    }

    /// The wire form is a promise to clients: every message both ways, letter by letter.
    #[test]
    fn server_messages_have_the_documented_form() {
        let id = "00000000-0000-0000-0000-000000000001";
        let at = "2023-11-14T22:13:20.123Z";
        let row = SnapshotRow {
            record: change().event.record,
            model: "contact".into(),
            version: 3,
            fields: JsonFields::new(),
            at: change().event.at,
        };
        for (message, wire) in [
            (ServerMessage::Subscribed { cursor: Cursor(6) }, json!({"type": "subscribed", "cursor": 6})),
            (
                ServerMessage::Snapshot { rows: vec![row] },
                json!({"type": "snapshot",
                    "rows": [{"record": id, "model": "contact", "version": 3, "fields": {}, "at": at}]}),
            ),
            (ServerMessage::SnapshotEnd { cursor: Cursor(6) }, json!({"type": "snapshot_end", "cursor": 6})),
            (
                ServerMessage::Change(change()),
                json!({"type": "change", "cursor": 7, "record": id, "model": "contact", "action": "updated",
                    "version": 3, "fields": {"stage": "customer", "tags": ["a", "b"]}, "at": at,
                    "changed": [{"field": "stage", "before": "mql",
                        "origin": {"kind": "connection", "id": "acme-hubspot"}}]}),
            ),
            (ServerMessage::Resync { cursor: Cursor(9) }, json!({"type": "resync", "cursor": 9})),
            (
                ServerMessage::Error { code: ErrorCode::UnknownModel, message: "no model \"x\"".into() },
                json!({"type": "error", "code": "unknown_model", "message": "no model \"x\""}),
            ),
            (ServerMessage::Pong, json!({"type": "pong"})),
        ] {
            assert_eq!(serde_json::to_value(&message).unwrap(), wire);
            assert_eq!(serde_json::from_value::<ServerMessage>(wire).unwrap(), message);
        }
    }

    #[test]
    fn client_messages_are_read_as_documented_and_strictly() {
        let everything = ClientMessage::Subscribe(Subscribe::default());
        let precise = ClientMessage::Subscribe(Subscribe {
            models: vec!["contact".into()],
            filter: Filter([("stage".into(), json!("customer"))].into()),
            cursor: Some(Cursor(4)),
            snapshot: true,
        });
        for (wire, message) in [
            (json!({"type": "subscribe"}), Some(everything)),
            (
                json!({"type": "subscribe", "models": ["contact"], "filter": {"stage": "customer"}, "cursor": 4,
                    "snapshot": true}),
                Some(precise),
            ),
            (json!({"type": "ack", "cursor": 4}), Some(ClientMessage::Ack { cursor: Cursor(4) })),
            (json!({"type": "ping"}), Some(ClientMessage::Ping)),
            (json!({"type": "subscribe", "model": "contact"}), None),
            (json!({"type": "subscribe", "cursor": -1}), None),
            (json!({"type": "shout"}), None),
            (json!({}), None),
        ] {
            assert_eq!(serde_json::from_value::<ClientMessage>(wire.clone()).ok(), message, "{wire}");
        }
    }

    #[test]
    fn a_filter_hears_of_records_that_match_now_or_did_before() {
        for (filter, matches, concerns) in [
            (json!({}), true, true),
            (json!({"stage": "customer"}), true, true),
            (json!({"stage": "mql"}), false, true),
            (json!({"stage": "lead"}), false, false),
            (json!({"tags": "a"}), true, true),
            (json!({"tags": ["b", "a"]}), true, true),
            (json!({"tags": ["a"]}), false, false),
            (json!({"stage": "mql", "tags": "b"}), false, true),
            (json!({"stage": "mql", "tags": "c"}), false, false),
            (json!({"phone": null}), true, true),
        ] {
            let wanted: Filter = serde_json::from_value(filter.clone()).unwrap();
            let event = change().event;
            assert_eq!((wanted.matches(&event.fields), wanted.concerns(&event)), (matches, concerns), "{filter}");
        }
    }
}
