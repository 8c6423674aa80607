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
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The row as it came.
    pub raw: serde_json::Value,
    /// When.
    pub at: Millis,
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
