//! The one connection that writes, and its transactions.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::store::StoreError;

/// Begins a transaction that holds SQLite's write lock from the start, so that it cannot fail half-way for another
/// writer's sake.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Ends a transaction and makes it durable.
pub(super) const COMMIT: &str = "COMMIT";

/// The write connection. Whoever wants to write waits here, in order, instead of polling SQLite's lock.
#[derive(Debug)]
pub(super) struct Writer {
    session: Mutex<Option<Session>>,
    /// How many transactions were made durable.
    commits: AtomicU64,
}

#[derive(Debug)]
struct Session {
    connection: SqliteConnection,
    /// A transaction was begun and its end was not seen: its future was dropped, or its end failed.
    open: bool,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { session: Mutex::new(Some(Session { connection, open: false })), commits: AtomicU64::new(0) }
    }

    /// How many transactions were made durable.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        let mut tx = self.reserve().await?;
        sqlx::query(BEGIN).execute(tx.connection()).await?;
        Ok(tx)
    }

    /// A transaction whose first statement has to be [`BEGIN`], for callers that send others along with it.
    pub(super) async fn reserve(&self) -> Result<Transaction<'_>, StoreError> {
        let mut guard = self.session.lock().await;
        let session = guard.as_mut().ok_or(StoreError::Closed)?;
        session.end_abandoned().await?;
        session.open = true;
        Ok(Transaction { guard, commits: &self.commits })
    }

    /// Closes the connection, after the transaction that runs. The write-ahead log is folded into the database first.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let Some(mut session) = self.session.lock().await.take() else { return Ok(()) };
        session.end_abandoned().await?;
        // A log that cannot be folded in now is folded in at the next start.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut session.connection).await {
            tracing::warn!(%error, "the write-ahead log was not folded into the database");
        }
        Ok(session.connection.close().await?)
    }
}

impl Session {
    async fn end_abandoned(&mut self) -> Result<(), StoreError> {
        if self.open {
            self.roll_back().await?;
        }
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        // SQLite ends a transaction by itself on some errors (a full disk); then there is nothing to roll back.
        let rolled_back = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        match rolled_back {
            Err(error) if !error.to_string().contains("no transaction is active") => Err(error.into()),
            _ => {
                self.open = false;
                Ok(())
            }
        }
    }
}

/// A transaction under way. Dropped without [`Transaction::commit`], nothing of it remains.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    guard: MutexGuard<'a, Option<Session>>,
    commits: &'a AtomicU64,
}

impl Transaction<'_> {
    /// The connection to send statements on.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        // The session is only taken by `Writer::close`, which waits for the lock that this guard holds.
        &mut self.guard.as_mut().expect("the session stays while its lock is held").connection
    }

    /// Makes everything durable.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.commit_then(|| ()).await
    }

    /// Makes everything durable and calls `then` before any other transaction can begin.
    pub(super) async fn commit_then(mut self, then: impl FnOnce()) -> Result<(), StoreError> {
        sqlx::query(COMMIT).execute(self.connection()).await?;
        self.ended();
        then();
        Ok(())
    }

    /// Notes that the caller's own last statement was [`COMMIT`] and went well.
    pub(super) fn committed(mut self) {
        self.ended();
    }

    /// Undoes everything now instead of at the next transaction.
    pub(super) async fn roll_back(mut self) -> Result<(), StoreError> {
        match self.guard.as_mut() {
            Some(session) => session.roll_back().await,
            None => Ok(()),
        }
    }

    fn ended(&mut self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(session) = self.guard.as_mut() {
            session.open = false;
        }
    }
}
