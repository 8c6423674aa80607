//! Replicas that a person should see: marked when they are committed, so that a list of them is a walk along an index.

use async_trait::async_trait;
use syncline_core::{
    ids::{ConnectionId, ExternalId, FieldName, ModelName, ObjectName, RecordId},
    outbox::Delivery,
    replica::{IntentVerb, ParkCause, Replica},
    time::Millis,
};

use super::StoreError;

/// Reads marked replicas; a mark changes only with its replica, in a commit.
#[async_trait]
pub trait Issues {
    /// Marked replicas of one connection that bear any of the wanted marks, by their marks and then by age of the record, at
    /// most `limit` (clamped to 1..=1000).
    async fn marked_replicas(&self, query: &MarkedQuery) -> Result<Vec<MarkedReplica>, StoreError>;

    /// One replica, where it is marked.
    async fn marked_replica(
        &self,
        record: RecordId,
        connection: &ConnectionId,
    ) -> Result<Option<MarkedReplica>, StoreError>;

    /// How many replicas of a connection bear each set of marks.
    async fn count_marked(&self, connection: &ConnectionId) -> Result<Vec<(Marks, u64)>, StoreError>;
}

/// What there is to see about a replica: a set of bits, stored with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks(pub u8);

impl Marks {
    /// The delivery was given up.
    pub const PARKED: Self = Self(1);
    /// Nobody knows whether the last write took effect.
    pub const UNCERTAIN: Self = Self(2);
    /// The delivery has failed [`Marks::FAILING_FROM`] times or more, and is tried on.
    pub const FAILING: Self = Self(4);
    /// A field's value was refused, or cannot be held there.
    pub const REFUSED: Self = Self(8);
    /// A field is turned to and fro by our own writes.
    pub const FLAPPING: Self = Self(16);
    /// A field waits for a person to choose.
    pub const UNDECIDED: Self = Self(32);
    /// A field waits for its field at the provider.
    pub const MISSING: Self = Self(64);
    /// Every mark.
    pub const ALL: Self = Self(127);

    /// From so many failures in a row on, a person may want to know: about a quarter of a minute of trying.
    pub const FAILING_FROM: u32 = 5;

    /// What there is to see about a replica.
    pub fn of(replica: &Replica) -> Self {
        let uncertain = replica.intent.as_ref().is_some_and(|intent| intent.uncertain);
        let delivery = match replica.delivery {
            Delivery::Parked { .. } => Self::PARKED,
            Delivery::Dirty { attempts, .. } if attempts >= Self::FAILING_FROM && !uncertain => Self::FAILING,
            Delivery::Dirty { .. } | Delivery::Clean => Self::default(),
        };
        let uncertain = if uncertain { Self::UNCERTAIN } else { Self::default() };
        replica.parked.values().map(|parked| parked.cause.into()).fold(delivery.and(uncertain), Self::and)
    }

    /// Both sets of marks.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets have a mark in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl From<ParkCause> for Marks {
    fn from(cause: ParkCause) -> Self {
        match cause {
            ParkCause::Refused | ParkCause::Unfit => Self::REFUSED,
            ParkCause::Flapping => Self::FLAPPING,
            ParkCause::Undecided => Self::UNDECIDED,
            ParkCause::Missing => Self::MISSING,
        }
    }
}

/// A place in the list of a connection's marked replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkedPlace {
    /// The replica's marks.
    pub marks: Marks,
    /// The record's row.
    pub row: i64,
}

/// Which marked replicas to list.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkedQuery {
    /// Of this connection.
    pub connection: ConnectionId,
    /// With any of these marks.
    pub marks: Marks,
    /// Only after this place.
    pub after: Option<MarkedPlace>,
    /// The most rows.
    pub limit: u32,
}

/// A marked replica, without any value of its record.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkedReplica {
    /// Its place in the list.
    pub place: MarkedPlace,
    /// The record.
    pub record: RecordId,
    /// Its model.
    pub model: ModelName,
    /// The connection.
    pub connection: ConnectionId,
    /// The provider's object name.
    pub object: ObjectName,
    /// The object, where it is known.
    pub external_id: Option<ExternalId>,
    /// The delivery.
    pub delivery: Delivery,
    /// The write whose end nobody knows: what it does, and when it was begun.
    pub uncertain: Option<(IntentVerb, Millis)>,
    /// The fields that are not sent.
    pub parked: Vec<ParkedField>,
}

/// A field that is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedField {
    /// The field.
    pub field: FieldName,
    /// What kind of trouble it is.
    pub cause: ParkCause,
    /// What happened, in words; they may quote a value.
    pub reason: String,
    /// Since when.
    pub at: Millis,
}
