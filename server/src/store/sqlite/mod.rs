//! The store in SQLite: one writing connection, a pool of reading ones, write-ahead logging, `synchronous=FULL`.
//!
//! # Layout
//!
//! * [`open`], [`writer`], [`script`], [`names`], [`failure`]: the database as a whole.
//! * [`codec`], [`values`], [`replicas`]: what rows hold.
//! * [`check`], [`copy`], `size`: databases as files: whether one is sound, backups of one, the space that it takes.
//! * [`commit`]: the one transaction that changes records. [`postbox`]: webhooks, stored together.
//! * every other module implements the trait of the same name in [`crate::store`].

pub mod check;
mod codec;
mod commit;
mod conflicts;
mod connections;
pub mod copy;
mod deliveries;
mod documents;
mod erasures;
mod failure;
mod feed;
mod held;
mod identity;
mod inbox;
mod intake;
mod issues;
mod keys;
mod mending;
mod names;
mod open;
#[cfg(test)]
mod plans;
mod postbox;
mod quarantine;
mod records;
mod replicas;
mod retention;
mod script;
mod size;
mod syncs;
mod values;
mod writer;

use std::{fmt, fs::File, path::Path, sync::Arc};

use async_trait::async_trait;
use sqlx::SqlitePool;
use syncline_core::{
    ids::{ConnectionId, TenantId},
    time::Tick,
};

pub use self::open::SqliteOptions;
use self::{
    names::{Names, TenantNames},
    postbox::Postbox,
    writer::Writer,
};
use super::{CommitBatch, CommitError, Committed, Store, StoreError, StoreSize, TenantStore};

/// The setting that holds the next free tick.
const NEXT_TICK: &str = "next_tick";

/// The store in one SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

/// What all handles share.
struct Shared {
    readers: SqlitePool,
    writer: Arc<Writer>,
    postbox: Postbox,
    names: Names,
    /// Holds the lock that keeps other processes out.
    _claim: File,
}

impl SqliteStore {
    /// Opens the file, and creates it or brings its schema up to date where needed.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(&SqliteOptions::new(path.as_ref())).await
    }

    /// Like [`SqliteStore::open`], with options.
    pub async fn open_with(options: &SqliteOptions) -> Result<Self, StoreError> {
        open::open(options).await
    }

    fn new(readers: SqlitePool, writer: Writer, names: Names, claim: File) -> Self {
        let writer = Arc::new(writer);
        let postbox = Postbox::new(writer.clone());
        Self { shared: Arc::new(Shared { readers, writer, postbox, names, _claim: claim }) }
    }

    /// How many transactions were made durable since the store was opened.
    pub fn commits(&self) -> u64 {
        self.shared.writer.commits()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn tenant(&self, tenant: &TenantId) -> Arc<dyn TenantStore> {
        Arc::new(SqliteTenant { shared: self.shared.clone(), tenant: tenant.clone() })
    }

    async fn reserve_ticks(&self, count: u64) -> Result<Tick, StoreError> {
        let mut tx = self.shared.writer.begin().await?;
        let end: i64 = sqlx::query_scalar(
            "INSERT INTO settings (name, value) VALUES (?1, CAST(1 + ?2 AS TEXT)) \
             ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + ?2 AS TEXT) \
             RETURNING CAST(value AS INTEGER)",
        )
        .bind(NEXT_TICK)
        .bind(codec::signed(count)?)
        .fetch_one(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(Tick(codec::unsigned(end) - count))
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT value FROM settings WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.shared.readers)
            .await?)
    }

    async fn put_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut tx = self.shared.writer.begin().await?;
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM settings").fetch_optional(&self.shared.readers).await?;
        // Beginning takes the write lock, which a locked or read-only database refuses.
        self.shared.writer.begin().await?.roll_back().await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        size::of(&self.shared.readers).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // The last connection to close removes the write-ahead log, and only the writer may.
        self.shared.readers.close().await;
        self.shared.writer.close().await
    }
}

/// One tenant's data.
struct SqliteTenant {
    shared: Arc<Shared>,
    tenant: TenantId,
}

impl SqliteTenant {
    fn readers(&self) -> &SqlitePool {
        &self.shared.readers
    }

    fn writer(&self) -> &Writer {
        &self.shared.writer
    }

    /// The tenant's number and connections; `None` where it has stored nothing, so that there is nothing to find.
    fn names(&self) -> Option<Arc<TenantNames>> {
        self.shared.names.get(&self.tenant)
    }

    /// The tenant's number and connections, these among them, for writing.
    async fn ensure_names<'a>(
        &self,
        connections: impl IntoIterator<Item = &'a ConnectionId>,
    ) -> Result<Arc<TenantNames>, StoreError> {
        self.shared.names.ensure(&self.shared.writer, &self.tenant, connections).await
    }
}

#[async_trait]
impl TenantStore for SqliteTenant {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    async fn commit(&self, batch: CommitBatch) -> Result<Committed, CommitError> {
        commit::commit(self, batch).await
    }
}
