//! The journal: who wrote what, when and why, one entry per Automerge change. The document itself holds no provenance.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ConnectionId, FieldName},
    time::{Clock, Millis},
    value::{Fields, Value},
};

/// The hash of an Automerge change; together with a field it names one op.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// A set of change hashes that names a state of the document, sorted.
pub type Heads = Vec<Hash>;

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text was not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change hash is 64 hexadecimal digits")]
pub struct BadHash;

impl std::str::FromStr for Hash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(BadHash);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(BadHash)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(BadHash)?;
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Origin {
    /// A user of a connected system.
    Connection(ConnectionId),
    /// A client of the API, by its principal.
    Client(String),
    /// The service itself; compensating ops inherit the origin of the op that they repeat instead.
    Service,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(connection) => write!(f, "{connection}"),
            Self::Client(principal) => write!(f, "client:{principal}"),
            Self::Service => f.write_str("syncline"),
        }
    }
}

/// One Automerge change of a record and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// The change.
    pub hash: Hash,
    /// When this service committed it.
    pub at: Millis,
    /// Who made it.
    pub origin: Origin,
    /// What was written, by field.
    pub ops: Ops,
}

impl ChangeEntry {
    /// When the entry wrote the field; `None` where it did not.
    pub fn clock_of(&self, name: &FieldName) -> Option<Clock> {
        match &self.ops {
            Ops::Genesis { clock, clocks, .. } => Some(*clocks.get(name).unwrap_or(clock)),
            Ops::Edit(ops) => ops.get(name).map(|op| op.clock),
            Ops::Deleted(_) => None,
        }
    }

    /// Who wrote the field, of an entry that did: for a compensating op, whoever wrote what it repeats.
    pub fn origin_of(&self, name: &FieldName) -> &Origin {
        let other = match &self.ops {
            Ops::Genesis { origins, .. } => origins.get(name),
            Ops::Edit(ops) => ops.get(name).and_then(|op| op.inherited.as_ref()),
            Ops::Deleted(_) => None,
        };
        other.unwrap_or(&self.origin)
    }

    /// Whether the entry begins a later epoch of its record: it repeats what others wrote, and is nobody's edit.
    pub fn begins_epoch(&self) -> bool {
        matches!(self.ops, Ops::Genesis { .. }) && self.origin == Origin::Service
    }
}

impl Ops {
    /// What the change wrote that creates a document.
    pub fn genesis(clock: Clock, clocks: BTreeMap<FieldName, Clock>) -> Self {
        Self::Genesis { clock, clocks, origins: BTreeMap::new(), values: Fields::new() }
    }
}

/// What a change wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ops {
    /// The change that created the document: it wrote every field that the document holds at this change. Values are
    /// read from the document, so that a backfilled record costs one short row.
    Genesis {
        /// The clock of every field that has none of its own.
        clock: Clock,
        /// Fields with a clock of their own.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        clocks: BTreeMap<FieldName, Clock>,
        /// Fields that somebody else wrote than the entry says: those of a change that begins a later epoch.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        origins: BTreeMap<FieldName, Origin>,
        /// The values, where the document that held them is sealed.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: Fields,
    },
    /// An edit.
    Edit(BTreeMap<FieldName, Op>),
    /// The record was deleted (`true`) or restored (`false`).
    Deleted(bool),
}

/// One op: one value of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// The value written.
    pub value: Value,
    /// When it was written at its origin.
    pub clock: Clock,
    /// The changes whose ops of this field it directly replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Heads,
    /// For a compensating op: the op (never itself a compensation) that it repeats and stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Hash>,
    /// For a compensating op: the origin it inherits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<Origin>,
}
