//! Replicas: a record's copy in one connection, and everything known about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ExternalId, FieldName, ObjectName, RecordId},
    journal::Heads,
    mutant::{self, Rule},
    outbox::Delivery,
    remote::RemoteVersion,
    time::{Clock, Millis, Tick},
    value::{Fields, Value},
};

/// A record's copy in one connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// The provider's object name.
    pub object: ObjectName,
    /// Whether and to which object it is linked.
    pub link: Link,
    /// The canonical values of the mapped fields as last seen from, or accepted by, that system.
    pub baseline: Fields,
    /// The heads that the system reflects, by field.
    pub reflected: Reflected,
    /// The version last seen.
    pub version: Option<RemoteVersion>,
    /// When the last reading that counted was begun.
    pub looked: Tick,
    /// When the last adoption or closed intent was committed: a reading begun before this counts only with a strictly newer fine version.
    pub settled: Tick,
    /// What the system made of values that we sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stored: BTreeMap<FieldName, StoredForm>,
    /// The write that is under way, or whose end nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Observations that arrived while the intent was open, oldest first; at most [`Replica::HELD_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Observation>,
    /// Fields that were sent and have not been seen since: what the next reading by id must account for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub written: BTreeMap<FieldName, Written>,
    /// Fields that are not sent until a person looks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parked: BTreeMap<FieldName, Parked>,
    /// Our own recent writes by field, newest last, for flap detection; at most [`Replica::WRITES_MAX`] a field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writes: BTreeMap<FieldName, Vec<Value>>,
    /// The duty to bring this replica up to date.
    pub delivery: Delivery,
}

impl Replica {
    /// How many observations are held while an intent is open; beyond it the oldest gives way.
    pub const HELD_MAX: usize = 16;
    /// How many of our own writes of one field are remembered.
    pub const WRITES_MAX: usize = 4;

    /// Whether something was written here before, or an object was lost: an object with the record's key may be there.
    pub fn is_used(&self) -> bool {
        self.settled > Tick::default()
    }

    /// Whether a create is in flight, or nobody knows what became of it.
    pub fn is_creating(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.verb == IntentVerb::Create)
    }

    /// Whether a reading may show what a create made whose answer was lost: it is a read by id, begun when nothing of the
    /// create could be under way any more.
    pub fn may_have_made(&self, reading: &Observation, now: Millis) -> bool {
        let uncertain = self.is_creating() && self.intent.as_ref().is_some_and(|intent| intent.uncertain);
        let at_rest = self.delivery.due().is_none_or(|wait_until| wait_until <= now);
        uncertain && at_rest && reading.source == Source::ById && !reading.deleted && reading.begun > self.settled
    }

    /// Whether we deleted the object and have not read since what it held at the end: an edit between our last look and the
    /// delete shows only there. The baseline of an object that is gone is kept until then, and no longer.
    pub fn unread_end(&self) -> bool {
        let unread = !(self.baseline.is_empty() && self.written.is_empty());
        matches!(self.link, Link::Gone { .. }) && unread && !mutant::off(Rule::EndIsRead)
    }
}

/// Whether a replica is linked to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Link {
    /// No object is known; one is to be created or found.
    Unlinked,
    /// Linked to this object.
    Linked {
        /// The object.
        id: ExternalId,
    },
    /// The object was deleted there.
    Gone {
        /// The object that was.
        id: ExternalId,
    },
    /// A person or the delete rule cut the link; the object lives on by itself.
    Detached {
        /// The object that was linked.
        id: ExternalId,
    },
}

impl Link {
    /// The object that the replica is linked to now.
    pub fn linked(&self) -> Option<&ExternalId> {
        match self {
            Self::Linked { id } => Some(id),
            _ => None,
        }
    }

    /// The object that the replica is or was linked to.
    pub fn external_id(&self) -> Option<&ExternalId> {
        match self {
            Self::Unlinked => None,
            Self::Linked { id } | Self::Gone { id } | Self::Detached { id } => Some(id),
        }
    }
}

/// The heads that a system reflects: one set for all fields, with exceptions. Kept per field, because a system that
/// has taken one field of a merge has not thereby seen the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reflected {
    /// The heads of every field without an exception; empty means "has seen nothing".
    pub common: Heads,
    /// Fields with heads of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<FieldName, Heads>,
}

impl Reflected {
    /// The heads that the system reflects for `field`.
    pub fn of(&self, field: &FieldName) -> &Heads {
        self.fields.get(field).unwrap_or(&self.common)
    }

    /// Moves one field.
    pub fn set(&mut self, field: &FieldName, heads: Heads) {
        if heads == self.common {
            self.fields.remove(field);
        } else {
            self.fields.insert(field.clone(), heads);
        }
    }
}

/// A value that the provider stored in another form than it was sent; alive while the baseline holds `stored`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredForm {
    /// What was sent, canonical.
    pub sent: Value,
    /// What the provider made of it, canonical.
    pub stored: Value,
}

/// A write, written down before it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The tick at which it was opened; its name among the replica's intents.
    pub id: Tick,
    /// What the write does.
    pub verb: IntentVerb,
    /// The canonical values sent.
    pub fields: Fields,
    /// The document's heads when the patch was computed.
    pub heads: Heads,
    /// The version that the patch was computed against.
    pub expected: Option<RemoteVersion>,
    /// When it was opened.
    pub opened: Millis,
    /// Whether the answer was lost: then only a reading can close it.
    pub uncertain: bool,
    /// The tick at which it was first known that nothing of a lost write can be under way any more.
    #[serde(default)]
    pub rested: Option<Tick>,
}

/// What an intent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentVerb {
    /// Creates the object, or finds the one created before.
    Create,
    /// Updates the linked object.
    Update,
    /// Deletes the linked object.
    Delete,
}

/// A reading of one object through the mapping: canonical values, as this system shows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The object's id (the survivor's where objects were merged).
    pub id: ExternalId,
    /// Other ids that resolve to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<ExternalId>,
    /// Whether the object is deleted there.
    pub deleted: bool,
    /// The canonical values of the mapped fields that the reading showed.
    pub fields: Fields,
    /// Clocks of single fields, where the provider keeps a history of fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clocks: BTreeMap<FieldName, Clock>,
    /// All values that the field held, newest first and the present one included, whoever wrote them, where the provider
    /// keeps a history.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub past: BTreeMap<FieldName, Vec<Past>>,
    /// The object's version.
    pub version: Option<RemoteVersion>,
    /// How the reading was made.
    pub source: Source,
    /// When the reading was begun.
    pub begun: Tick,
    /// The record that the object's unique key field names, where it names one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RecordId>,
}

/// One value of a field in the provider's own history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// The canonical value.
    pub value: Value,
    /// When it was written; as far as the provider's clock is known to differ from ours, by ours.
    pub at: Millis,
    /// The same by the provider's own clock, as its versions are.
    #[serde(default)]
    pub stamp: Millis,
    /// Whether our own principal wrote it.
    pub by_us: bool,
}

/// How a reading was made; it decides how much the reading is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A read by id: consistent.
    ById,
    /// A row of a list, search or query: may come from an index that lags.
    List,
    /// The answer to our own write.
    Answer,
}

/// A field that was sent and has not been read back yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The canonical value sent.
    pub sent: Value,
    /// The baseline before the write.
    pub before: Value,
    /// The heads that the system reflected before the write.
    pub heads: Heads,
    /// Values seen while the write was under way that are neither of the two: edits that may have been overwritten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
}

/// A value that was seen while a write was under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The canonical value.
    pub value: Value,
    /// When it was written, as far as that can be told by our clock.
    pub clock: Clock,
    /// The version of the object that showed it, by the provider's own clock.
    #[serde(default)]
    pub version: Option<RemoteVersion>,
}

/// Why a field is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// What happened, in words.
    pub reason: String,
    /// The value that could not be sent; the field is tried again by itself when the value changes.
    pub value: Value,
    /// When.
    pub at: Millis,
    /// What kind of trouble it is, for programs.
    #[serde(default)]
    pub cause: ParkCause,
}

/// What kind of trouble keeps a field from being sent; one variant per remedy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkCause {
    /// The provider refused the value: change the value, or the provider's rule, and try again.
    #[default]
    Refused,
    /// The provider's field cannot hold the value: change the value or the mapping.
    Unfit,
    /// Our own writes turn the field to and fro: edit it once to choose.
    Flapping,
    /// A person must choose between concurrent values: resolve the conflict.
    Undecided,
    /// The provider's field is gone or has another type: bring it back or change the mapping.
    Missing,
}
