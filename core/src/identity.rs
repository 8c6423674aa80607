//! Operations on identity: which object is which record, decided by a person. Each is written down with what was before, so that
//! it can be taken back. [`crate::reconcile::identity`] carries them out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ConnectionId, ExternalId, FieldName, ModelName, RecordId},
    journal::Hash,
    replica::{Link, Replica},
    time::{Millis, Tick},
    value::{Fields, Value},
};

/// Names an operation of a tenant: the tick at which it was carried out, so that later ones have larger names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub u64);

impl From<Tick> for OperationId {
    fn from(tick: Tick) -> Self {
        Self(tick.0)
    }
}

/// One operation on a record's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// Who asked for it.
    pub by: String,
    /// When it was committed.
    pub at: Millis,
    /// The record's model.
    pub model: ModelName,
    /// The record that it was asked of: of a merge, the one that survives; of a split, the one that is left.
    pub record: RecordId,
    /// What was done, and what was before.
    pub deed: Deed,
    /// Who took it back, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
}

impl Operation {
    /// The other record that it concerns, where it concerns two.
    pub fn other(&self) -> Option<RecordId> {
        match &self.deed {
            Deed::Link { .. } | Deed::Unlink { .. } => None,
            Deed::Merge { absorbed, .. } => Some(*absorbed),
            Deed::Split { into, .. } => Some(*into),
        }
    }
}

/// The end of an operation that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Millis,
}

/// What an operation did, with what was before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum Deed {
    /// The record was linked to an object.
    Link {
        /// In which connection.
        connection: ConnectionId,
        /// Which object.
        object: ExternalId,
        /// The replica before.
        former: Box<Former>,
        /// The fields that the object's values changed.
        changed: Changes,
    },
    /// The record let go of an object, which lives on by itself.
    Unlink {
        /// In which connection.
        connection: ConnectionId,
        /// Which object.
        object: ExternalId,
        /// The replica before.
        former: Box<Former>,
    },
    /// Another record went into this one.
    Merge {
        /// The record that is no more.
        absorbed: RecordId,
        /// The objects that came with it, and how this record was linked there before.
        moved: BTreeMap<ConnectionId, Moved>,
        /// The absorbed record's replicas that could not come along: this record has objects of its own there.
        set_aside: BTreeMap<ConnectionId, Former>,
        /// The epoch in which the fields were changed.
        epoch: u32,
        /// The fields that the other record's values changed.
        changed: Changes,
    },
    /// An object left the record and became one of its own.
    Split {
        /// The record that it became.
        into: RecordId,
        /// In which connection.
        connection: ConnectionId,
        /// Which object.
        object: ExternalId,
        /// The replica before.
        former: Box<Former>,
        /// What the new record began with.
        fields: Fields,
    },
}

impl Deed {
    /// What was done, in one word.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Link { .. } => "link",
            Self::Unlink { .. } => "unlink",
            Self::Merge { .. } => "merge",
            Self::Split { .. } => "split",
        }
    }
}

/// A replica as it was. What it says of heads counts in its epoch only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Former {
    /// The record's epoch then.
    pub epoch: u32,
    /// The replica.
    pub replica: Replica,
}

/// An object that came along with a record that was merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which object.
    pub object: ExternalId,
    /// How the surviving record was linked there before.
    pub before: Link,
}

/// Fields that an operation changed.
pub type Changes = BTreeMap<FieldName, Changed>;

/// One field before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// The value before; null where there was none.
    pub before: Value,
    /// The value since.
    pub after: Value,
    /// The op that stands since; with it a later edit to the same value is told from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Hash>,
}
