//! Deletes that wait for a person, and what the guards of their sources have counted.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use syncline_core::{
    guard::GuardState,
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId},
    time::Millis,
};

use super::StoreError;

/// The most held deletes in one answer.
pub const HELD_PAGE_MAX: u32 = 500;

/// Reads held deletes and stores what a person answers; they come and go with commits.
#[async_trait]
pub trait HeldDeletes {
    /// What every guard of the tenant has counted and asks, by sync and source.
    async fn delete_guards(&self) -> Result<Vec<GuardPut>, StoreError>;

    /// How the deletes of these records stand that came from the source; records without one are left out.
    async fn held_deletes(
        &self,
        source: &DeleteSource,
        records: &[RecordId],
    ) -> Result<HashMap<RecordId, Standing>, StoreError>;

    /// Held deletes of a sync's source in this standing, in a lasting order, after `after`; at most `limit` (clamped to
    /// 1..=[`HELD_PAGE_MAX`]).
    async fn list_held(
        &self,
        sync: &str,
        source: &DeleteSource,
        standing: Standing,
        after: Option<HeldPlace>,
        limit: u32,
    ) -> Result<Vec<HeldRow>, StoreError>;

    /// The numbers of a sync's held deletes.
    async fn count_held(&self, sync: &str) -> Result<BTreeMap<(DeleteSource, Standing), u64>, StoreError>;

    /// Stores what a person has answered about all deletes of the source that wait, with the guard as it is then.
    async fn answer_held(&self, guard: &GuardPut, answer: Standing) -> Result<(), StoreError>;

    /// How many objects of a connection belong to live records, counted up to `at_most`.
    async fn count_live_objects(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        at_most: u64,
    ) -> Result<u64, StoreError>;

    /// How many live records a model has, counted up to `at_most`.
    async fn count_live_records(&self, model: &ModelName, at_most: u64) -> Result<u64, StoreError>;
}

/// Where deletes come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeleteSource {
    /// The product's own clients.
    Clients,
    /// A connected system.
    Connection(ConnectionId),
}

impl DeleteSource {
    /// The connection, if it is one.
    pub fn connection(&self) -> Option<&ConnectionId> {
        match self {
            Self::Clients => None,
            Self::Connection(connection) => Some(connection),
        }
    }
}

/// How a held delete stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// A person is asked.
    Waits,
    /// It is to be carried out.
    Approved,
    /// It is not to be carried out: what is gone is created again.
    Rejected,
}

/// A delete to be held, or one that is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldWrite {
    /// It waits from now on; one that is known already is left as it is.
    Hold {
        /// The sync.
        sync: String,
        /// Where it came from.
        source: DeleteSource,
        /// The record.
        record: RecordId,
        /// The object that is gone; `None` where clients deleted the record.
        object: Option<ExternalId>,
        /// Since when.
        at: Millis,
    },
    /// It was carried out, undone, or proved wrong.
    LetGo {
        /// Where it came from.
        source: DeleteSource,
        /// The record.
        record: RecordId,
    },
}

/// What a guard has counted and asks.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardPut {
    /// The sync.
    pub sync: String,
    /// The source of the deletes.
    pub source: DeleteSource,
    /// The guard.
    pub state: GuardState,
}

/// A held delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// Its place in the list.
    pub place: HeldPlace,
    /// The record.
    pub record: RecordId,
    /// The object that is gone; `None` where clients deleted the record.
    pub object: Option<ExternalId>,
    /// Since when it waits.
    pub at: Millis,
}

/// A place in a list of held deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldPlace(pub(crate) i64);
