//! Deliveries: the level-triggered duty to bring a replica up to date. A delivery holds no payload; when it is sent, the
//! patch is computed then.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The state of a replica's delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Delivery {
    /// The replica agrees with the record, as far as can be sent.
    #[default]
    Clean,
    /// Something is to be sent, not before `due`.
    Dirty {
        /// Earliest time of the next attempt.
        due: Millis,
        /// Failed attempts since the last success.
        attempts: u32,
        /// The last failure, in words.
        error: Option<String>,
    },
    /// Sending was given up until a person looks or the record changes.
    Parked {
        /// Why, in words.
        reason: String,
        /// Since when.
        since: Millis,
    },
}
