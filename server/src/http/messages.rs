//! How the messages of `/v1/live` look, for the OpenAPI document. The messages themselves are in
//! [`syncline_core::live`], which knows nothing of OpenAPI; the suites hold the one against the other.

#![expect(dead_code, reason = "these types only describe; core's are sent and received")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::changes::ChangeView;

/// What a client says on `/v1/live`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "type")]
#[schema(as = LiveClientMessage)]
pub(super) enum ClientMessageView {
    /// Asks for changes; replaces an earlier subscription of the same socket.
    Subscribe {
        /// The models; empty or missing means all.
        #[serde(default)]
        models: Vec<String>,
        /// Only records whose fields have these values; a set is found by any of its members.
        #[serde(default)]
        filter: BTreeMap<String, serde_json::Value>,
        /// Go on after this change; null or missing begins at the feed's present end.
        #[serde(default)]
        cursor: Option<u64>,
        /// Send the present records first; `cursor` is ignored then.
        #[serde(default)]
        snapshot: bool,
    },
    /// Has worked off everything up to here; never needed.
    Ack {
        /// The last change worked off.
        cursor: u64,
    },
    /// Asks for a pong, for clients that cannot send WebSocket pings.
    Ping,
}

/// What the server says on `/v1/live`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "type")]
#[schema(as = LiveServerMessage)]
pub(super) enum ServerMessageView {
    /// The subscription stands.
    Subscribed {
        /// Changes after this one follow, after the snapshot where one was asked for.
        cursor: u64,
    },
    /// A page of the records that match now.
    Snapshot {
        /// The records.
        rows: Vec<SnapshotRowView>,
    },
    /// The snapshot is complete.
    SnapshotEnd {
        /// Changes after this one follow.
        cursor: u64,
    },
    /// A change.
    Change(ChangeView),
    /// Changes were left out: subscribe again with a snapshot.
    Resync {
        /// The feed's end; changes after this one follow.
        cursor: u64,
    },
    /// The last message was not understood or cannot be served; the socket stays open.
    Error {
        /// What kind of error, for programs.
        code: ErrorCodeView,
        /// What is wrong, where, and what to do, for people.
        message: String,
    },
    /// The answer to a ping.
    Pong,
}

/// One record of a snapshot.
#[derive(Serialize, ToSchema)]
#[schema(as = SnapshotRow)]
pub(super) struct SnapshotRowView {
    /// The record.
    #[schema(format = "uuid")]
    record: String,
    /// Its model.
    model: String,
    /// Its version.
    version: u64,
    /// Its fields.
    fields: serde_json::Map<String, serde_json::Value>,
    /// When it last changed.
    #[schema(format = DateTime)]
    at: String,
}

/// What kind of error a client's message met.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LiveErrorCode)]
pub(super) enum ErrorCodeView {
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
