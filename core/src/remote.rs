//! The data that connectors speak: what they read, what they are asked to write, and how calls fail. Pure data; the
//! async traits over it live in the connectors crate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ExternalId, ObjectName},
    time::Millis,
};

/// A provider's JSON object, field by field in the provider's own names and spellings.
pub type Raw = serde_json::Map<String, serde_json::Value>;

/// How a provider orders versions of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoteVersion {
    /// The object's modification stamp.
    pub stamp: Millis,
    /// How coarse the stamp is: two edits within this many milliseconds may share it.
    pub precision_ms: u32,
}

impl RemoteVersion {
    /// Whether stamps are fine enough that equal stamps mean the same state for all practical purposes.
    pub const fn is_fine(&self) -> bool {
        self.precision_ms <= 1
    }

    /// Whether `self` is strictly newer than `other`.
    pub fn newer_than(&self, other: &Self) -> bool {
        self.stamp > other.stamp
    }
}

/// One object as a provider showed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoteObject {
    /// The provider's id (the survivor's, where objects were merged).
    pub id: ExternalId,
    /// Other ids that now resolve to this object.
    pub aliases: Vec<ExternalId>,
    /// Whether the provider shows it as deleted or archived.
    pub deleted: bool,
    /// The modification stamp; `None` where the answer carries none.
    pub version: Option<RemoteVersion>,
    /// Who modified it last, where the provider tells.
    pub author: Option<String>,
    /// The fields in the provider's names. Fields that were not asked for are absent.
    pub fields: Raw,
    /// Each field's past values, newest first, where the provider keeps them.
    pub history: BTreeMap<String, Vec<PastValue>>,
}

/// One entry of a provider's own history of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastValue {
    /// The value then.
    pub value: serde_json::Value,
    /// When it was written, by the provider's clock.
    pub at: Millis,
    /// Whether our own principal wrote it.
    pub by_us: bool,
}

/// One page of a list, search or query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The rows, in the provider's order.
    pub objects: Vec<RemoteObject>,
    /// Rows that could not be understood, each kept for quarantine; the page goes on.
    pub malformed: Vec<MalformedRow>,
    /// Where the next page begins; `None` when the provider says that this is the last (never inferred from a short page).
    pub next: Option<String>,
}

/// A row that the connector could not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MalformedRow {
    /// The id, where at least that could be read.
    pub id: Option<ExternalId>,
    /// What is wrong, in words.
    pub reason: String,
    /// The row as it came.
    pub raw: serde_json::Value,
}

/// A window of modification time, inclusive at `from`, exclusive at `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First millisecond.
    pub from: Millis,
    /// First millisecond after the window.
    pub until: Millis,
}

/// A position inside a keyset walk: everything up to and including this row has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The row's stamp.
    pub stamp: Millis,
    /// The row's id.
    pub id: ExternalId,
}

/// One read of a page: what the read machines ask for and a connector turns into a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageRequest {
    /// The provider's object name.
    pub object: ObjectName,
    /// The provider's field names to read.
    pub fields: Vec<String>,
    /// Only rows modified inside this window; `None` lists everything.
    pub window: Option<Window>,
    /// Only rows after this position of the walk.
    pub after: Option<Position>,
    /// The provider's token for the next page, which replaces `after` while it is valid.
    pub token: Option<String>,
    /// Only deleted or archived rows.
    pub deleted: bool,
    /// The most rows wanted in the page; the provider's own maximum applies as well.
    pub limit: u32,
}

/// One write of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteRequest {
    /// The provider's object name.
    pub object: ObjectName,
    /// What to do.
    pub verb: WriteVerb,
    /// The provider's fields to set, in the provider's names and spellings. Empty for deletes.
    pub body: Raw,
    /// The caller's name for this row; results carry it back.
    pub trace: u32,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum WriteVerb {
    /// Create the object, or find the one created before: idempotent by the unique key.
    Create {
        /// The provider's unique key field that holds our record id; `None` where the object has none.
        key: Option<Key>,
    },
    /// Change the named fields of an existing object.
    Update {
        /// Which object.
        id: ExternalId,
        /// The version that the patch was computed against, for a precondition where the provider has one.
        expected: Option<RemoteVersion>,
    },
    /// Delete or archive the object.
    Delete {
        /// Which object.
        id: ExternalId,
        /// The version last seen.
        expected: Option<RemoteVersion>,
    },
}

/// A unique key of a provider's object and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The provider's field.
    pub field: String,
    /// The value, as the provider stores it.
    pub value: String,
}

/// How one row of a write ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteResult {
    /// The request's `trace`.
    pub trace: u32,
    /// The outcome.
    pub outcome: WriteOutcome,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum WriteOutcome {
    /// The provider accepted it.
    Applied {
        /// The object's id.
        id: ExternalId,
        /// Whether the write made a new object.
        created: bool,
        /// The object as the answer showed it; `None` where the answer was empty.
        object: Option<Box<RemoteObject>>,
        /// Whether `object` holds every field that was asked for together with a fine version, so that no read-back is needed.
        whole: bool,
    },
    /// The precondition failed: somebody wrote since `expected`. Nothing was written.
    Stale,
    /// A create met an object that holds the same unique value.
    Exists {
        /// That object, where the provider names it.
        id: Option<ExternalId>,
        /// The provider's words.
        message: String,
    },
    /// The object is gone.
    Gone,
    /// The provider refused the values; sending them again cannot help.
    Refused(Refusal),
    /// The request failed before it could have any effect, or the provider says so; it may be sent again.
    NotApplied(ProviderError),
    /// Nobody knows whether it had an effect: the answer was lost.
    Unknown {
        /// What happened to the answer.
        message: String,
    },
}

/// Why a provider refused values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The provider's code, such as `STRING_TOO_LONG`.
    pub code: String,
    /// The provider's words.
    pub message: String,
    /// The provider's field names at fault; empty where it does not say.
    pub fields: Vec<String>,
}

/// A failed call, classified by its remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What to do about it.
    pub remedy: Remedy,
    /// The provider's words, with its code; never a secret.
    pub message: String,
}

/// What to do about a failed call; one variant per remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "remedy")]
pub enum Remedy {
    /// The access token has expired: refresh it and call again.
    Refresh,
    /// The grant is gone: a person must authorise again.
    Reauthorise,
    /// A passing fault: call again after a back-off.
    Retry,
    /// A quota is used up: wait, at least so long if the provider says.
    Wait {
        /// Milliseconds to wait, where the provider says.
        after_ms: Option<u64>,
        /// Which budget is used up, in the provider's words.
        budget: String,
    },
    /// The object is in use by somebody else: try it again, no sooner than after so long. Unlike a quota this is one object's
    /// affair: others go on, and it counts as a failure, so that an object which stays in use is given up.
    Busy {
        /// Milliseconds to wait.
        after_ms: u64,
    },
    /// The read position is no longer valid: begin again from the saved keyset.
    Restart,
    /// The window is older than the provider remembers: read all ids again.
    Resync,
    /// The object or field is gone, or hidden from us.
    Gone,
    /// The request itself is wrong: a person must change configuration.
    Configure,
}

/// The schema of a provider's object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectSchema {
    /// Its fields by the provider's name.
    pub fields: BTreeMap<String, RemoteField>,
}

/// One field of a provider's object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RemoteField {
    /// The provider's label.
    pub label: String,
    /// The provider's type name.
    pub ty: String,
    /// Whether we may write it.
    pub writable: bool,
    /// Whether its values are unique, so that it can be a key.
    pub unique: bool,
    /// Whether the provider computes it.
    pub calculated: bool,
    /// The longest text in characters, where limited.
    pub max_len: Option<u32>,
    /// The allowed values of a closed list; empty for open fields.
    pub options: Vec<String>,
}

/// How a provider's modification clock is to be read: facts that the read machines turn into a safe walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorFacts {
    /// How the rows of a window are walked.
    pub walk: Walk,
    /// How coarse stamps are.
    pub precision_ms: u32,
    /// How long the newest rows may stay hidden: windows end this long before the provider's now.
    pub lag_ms: u64,
    /// How much of the past each run reads again, for rows that appear late with an earlier stamp.
    pub overlap_ms: u64,
    /// The most rows that one walk may read before it must be keyed anew; `None` for no limit.
    pub rows_max: Option<u32>,
    /// The most rows in a page.
    pub page_max: u32,
    /// Whether a token counts the rows of the result as it is by then, so that rows which leave the result meanwhile
    /// shift those behind them into pages that were read. Inside a window every page is then asked for by position.
    pub tokens_shift: bool,
}

/// How the rows of a window are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walk {
    /// By (stamp, id): the position is both.
    StampThenId,
    /// By id inside a fixed window: the position is the id, and the checkpoint moves when the window is done.
    IdWithinWindow,
}
