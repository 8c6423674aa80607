//! Quarantine: provider rows that could not be taken in, kept with the reason until they can.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::{ConnectionId, ExternalId, ObjectName},
    time::Millis,
};

use super::StoreError;

/// Names a quarantined row of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuarantineId(pub i64);

/// Reads quarantined rows; a commit adds and releases them.
#[async_trait]
pub trait Quarantine {
    /// Rows by id, ascending, at most `limit` (clamped to 1..=1000).
    async fn list_quarantine(
        &self,
        connection: Option<&ConnectionId>,
        after: Option<QuarantineId>,
        limit: u32,
    ) -> Result<Vec<QuarantineRow>, StoreError>;

    /// One row.
    async fn get_quarantined(&self, id: QuarantineId) -> Result<Option<QuarantineRow>, StoreError>;

    /// The rows of these objects, so that a later reading that goes well can release them.
    async fn find_quarantined(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<Vec<(ExternalId, QuarantineId)>, StoreError>;

    /// Rows of one connection and cause by id, ascending, at most `limit` (clamped to 1..=1000).
    async fn quarantined_for(
        &self,
        connection: &ConnectionId,
        cause: QuarantineCause,
        after: Option<QuarantineId>,
        limit: u32,
    ) -> Result<Vec<QuarantineRow>, StoreError>;

    /// How many rows of a connection there are of each cause.
    async fn count_causes(&self, connection: &ConnectionId) -> Result<Vec<(QuarantineCause, u64)>, StoreError>;

    /// The number of rows of one connection, or of all.
    async fn count_quarantine(&self, connection: Option<&ConnectionId>) -> Result<u64, StoreError>;
}

/// A row for quarantine. A row that is there already (same connection, object and id, or, without an id, the same
/// content) counts one more attempt and takes the new reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    /// The sync that read it.
    pub sync: String,
    /// The connection it came from.
    pub connection: ConnectionId,
    /// The provider's object name.
    pub object: ObjectName,
    /// The object, where at least its id could be read.
    pub external_id: Option<ExternalId>,
    /// What kind of trouble it is.
    pub cause: QuarantineCause,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The row as it came.
    pub raw: serde_json::Value,
    /// When.
    pub at: Millis,
}

/// What kind of trouble put a row into quarantine; one variant per remedy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuarantineCause {
    /// A value does not fit its field: mend the value or the mapping.
    #[default]
    Invalid,
    /// The row is not what the provider promises: tell us, or the provider.
    Unreadable,
    /// The object could be any of several records: make the match unique.
    Ambiguous,
    /// The object belongs to another record already: link or merge by hand.
    Taken,
    /// The provider shows the object neither as live nor as deleted: restore access, or delete the record by hand.
    Hidden,
    /// The record could not take the reading in: a fault of this service.
    Failed,
}

impl QuarantineCause {
    /// Every cause, in the order of lists.
    pub const ALL: [Self; 6] =
        [Self::Invalid, Self::Unreadable, Self::Ambiguous, Self::Taken, Self::Hidden, Self::Failed];

    /// The cause in one word, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unreadable => "unreadable",
            Self::Ambiguous => "ambiguous",
            Self::Taken => "taken",
            Self::Hidden => "hidden",
            Self::Failed => "failed",
        }
    }

    /// The cause named by the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// A quarantined row as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct QuarantineRow {
    /// Its name.
    pub id: QuarantineId,
    /// The row, with the latest reason and the time of the first attempt.
    pub row: Quarantined,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was last tried.
    pub last_at: Millis,
}
