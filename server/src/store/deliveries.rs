//! Deliveries: which replicas owe their system a write.

use async_trait::async_trait;
use syncline_core::{
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId},
    outbox::Delivery,
    time::Millis,
};

use super::StoreError;

/// Reads deliveries; they change only with their replica, in a commit.
#[async_trait]
pub trait Deliveries {
    /// Records of `model` whose replica in `connection` is dirty and due at `now`, the longest due first. By model, because
    /// a connection may take part in several syncs, and one that is paused must not stand in another's way. Left out are those
    /// whose object is gone, or whose record clients deleted, while a person is asked about that delete.
    async fn due_deliveries(
        &self,
        connection: &ConnectionId,
        model: &ModelName,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError>;

    /// When the next dirty replica of a record of `model` in `connection` becomes due; in the past where one is due already.
    async fn next_due(&self, connection: &ConnectionId, model: &ModelName) -> Result<Option<Millis>, StoreError>;

    /// Dirty or parked deliveries, by connection and record, at most `limit` (clamped to 1..=1000).
    async fn list_deliveries(&self, query: &DeliveryQuery) -> Result<Vec<DeliveryRow>, StoreError>;

    /// What waits to be written to one connection, found by an index of what is owed.
    async fn measure_outbox(&self, connection: &ConnectionId, now: Millis) -> Result<OutboxMeasure, StoreError>;

    /// The numbers of deliveries of one connection, or of all.
    async fn count_deliveries(&self, connection: Option<&ConnectionId>) -> Result<DeliveryCount, StoreError>;
}

/// A delivery's state, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Something is to be sent.
    Dirty,
    /// Given up until a person looks.
    Parked,
}

/// Which deliveries to list.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryQuery {
    /// In which state.
    pub state: DeliveryState,
    /// Only to this connection.
    pub connection: Option<ConnectionId>,
    /// Only after this place: the last row of the page before.
    pub after: Option<(ConnectionId, RecordId)>,
    /// The most rows.
    pub limit: u32,
}

/// A delivery as the API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
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
    /// The state.
    pub delivery: Delivery,
}

/// Numbers of deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCount {
    /// Replicas that agree with their record.
    pub clean: u64,
    /// Replicas with something to send.
    pub dirty: u64,
    /// Replicas that wait for a person.
    pub parked: u64,
}

/// What waits to be written to one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxMeasure {
    /// Replicas with something to send that is not due yet.
    pub waiting: u64,
    /// Replicas with something to send now.
    pub due: u64,
    /// Replicas that wait for a person.
    pub parked: u64,
    /// Since when the one that is due the longest has been due.
    pub oldest_due: Option<Millis>,
}
