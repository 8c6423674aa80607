//! Deliveries: the writes that connected systems are owed.

use serde::{Deserialize, Serialize};
use syncline_core::ids::RecordId;

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// A write that a connected system is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The record.
    pub record: RecordId,
    /// The record's model.
    pub model: String,
    /// The connection.
    pub connection: String,
    /// The provider's kind of object.
    pub object: String,
    /// The provider's id; `None` while the object is yet to be created.
    pub external_id: Option<String>,
    /// How the delivery stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// How a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Standing {
    /// Nothing is owed any more.
    Clean,
    /// Yet to be sent.
    Dirty {
        /// The earliest time of the next attempt.
        due: String,
        /// Failed attempts since the last success.
        attempts: u32,
        /// The last failure.
        error: Option<String>,
    },
    /// Given up until somebody looks.
    Parked {
        /// Why.
        reason: String,
        /// Since when.
        since: String,
    },
}

/// Numbers of deliveries by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Copies that agree with their record.
    pub clean: u64,
    /// Copies that are owed a write.
    pub dirty: u64,
    /// Copies that wait for a person.
    pub parked: u64,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeliveryQuery {
    /// In which state.
    pub state: DeliveryState,
    /// Only to this connection.
    pub connection: Option<String>,
}

/// In which state deliveries are to be listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Given up until somebody looks.
    #[default]
    Parked,
    /// Yet to be sent.
    Dirty,
}

impl Api {
    /// A page of deliveries.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn deliveries(&self, query: &DeliveryQuery, at: &At) -> Result<Page<Delivery>, Error> {
        self.get(&["v1", "deliveries"]).query(query).query(at).read().await
    }

    /// Tries a delivery that was given up again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replay_delivery(&self, record: RecordId, connection: &str) -> Result<(), Error> {
        self.post(&["v1", "deliveries", &record.to_string(), connection, "replay"]).done().await
    }
}
