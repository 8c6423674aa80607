//! The store: where records, replicas, deliveries, the feed and everything else that must survive live.
//!
//! [`Store`] is what one database offers to the whole service; [`TenantStore`] is what it offers inside one tenant, and
//! the only way to a tenant's data: there is no query without a tenant. SQLite implements both in [`sqlite`].
//!
//! # Layout
//!
//! * [`commit`]: the one transaction that changes records, with everything that must become durable together.
//! * [`intake`]: what `reconcile` needs before it can run: finding and loading records.
//! * [`records`], [`feed`], [`conflicts`], [`deliveries`], [`issues`]: what readers of the API see.
//! * [`documents`]: what clients of the automerge-repo protocol hold.
//! * [`identity`]: what people decided about which object is which record.
//! * [`mending`]: what damaged documents are rebuilt from, and which could not be.
//! * [`syncs`], [`quarantine`], [`inbox`]: the state of reading from providers. [`held`]: deletes that wait for a person.
//! * [`erasures`]: records that are removed for good. [`retention`]: what is kept for a while.
//! * [`connections`], [`keys`]: sealed credentials, clock offsets, hashed API keys.
//! * [`error`]: one variant per remedy.

pub mod commit;
pub mod conflicts;
pub mod connections;
pub mod deliveries;
pub mod documents;
pub mod erasures;
pub mod error;
pub mod feed;
pub mod held;
pub mod identity;
pub mod inbox;
pub mod intake;
pub mod issues;
pub mod keys;
pub mod mending;
pub mod quarantine;
pub mod records;
pub mod retention;
pub mod sqlite;
pub mod syncs;

use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::{ids::TenantId, time::Tick};

pub use self::{
    commit::{Announcement, CommitBatch, Committed, ExternalRef, RecordCommit, Renewed},
    error::{CommitError, StoreError},
};

/// The setting that holds the store's [`syncline_core::writer::WriterEpochs`] as JSON; absent in a store that was never restored.
pub const WRITER_EPOCHS: &str = "writer_epochs";

/// The setting that holds the store's name among the stores that peers of the automerge-repo protocol know.
pub const STORE_NAME: &str = "repo_store";

/// One database, as the whole service sees it.
#[async_trait]
pub trait Store: keys::Keys + Send + Sync {
    /// The handle to one tenant's data. Cheap: handlers make one per request.
    fn tenant(&self, tenant: &TenantId) -> Arc<dyn TenantStore>;

    /// Reserves `count` ticks and returns the first; no tick is handed out twice, also across restarts.
    async fn reserve_ticks(&self, count: u64) -> Result<Tick, StoreError>;

    /// A setting of the instance, such as the time of the last clean-up.
    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Stores a setting of the instance.
    async fn put_setting(&self, name: &str, value: &str) -> Result<(), StoreError>;

    /// Whether the database can be read and written right now; the readiness probe calls it.
    async fn probe(&self) -> Result<(), StoreError>;

    /// How much space its files take.
    async fn size(&self) -> Result<StoreSize, StoreError>;

    /// Waits for running transactions, folds the write-ahead log into the database and closes it. Later calls fail with
    /// [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// How much space a store takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// The data, in bytes.
    pub database_bytes: u64,
    /// What was written and is not folded into the data yet, in bytes.
    pub log_bytes: u64,
}

/// One tenant's data.
#[async_trait]
pub trait TenantStore:
    intake::Intake
    + records::Records
    + feed::Feed
    + conflicts::Conflicts
    + deliveries::Deliveries
    + issues::Issues
    + documents::Documents
    + identity::Identity
    + mending::Mending
    + erasures::Erasures
    + retention::Retention
    + held::HeldDeletes
    + syncs::Syncs
    + quarantine::Quarantine
    + inbox::Inbox
    + connections::Connections
    + Send
    + Sync
{
    /// Whose data this is.
    fn tenant(&self) -> &TenantId;

    /// Commits a batch: all of it, durably, or nothing.
    async fn commit(&self, batch: CommitBatch) -> Result<Committed, CommitError>;
}
