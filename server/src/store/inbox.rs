//! The webhook inbox: hints that are stored before the provider is answered and worked off later.

use async_trait::async_trait;
use syncline_connectors::connector::Hint;
use syncline_core::{ids::ConnectionId, time::Millis};

use super::StoreError;

/// Names a hint of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HintId(pub i64);

/// The most hints that wait in one connection's inbox. Beyond it new ones are refused with [`StoreError::Overloaded`], so that the provider
/// delivers them again; polling closes the gap in any case.
pub const INBOX_MAX: u64 = 100_000;

/// Stores hints and hands them out.
#[async_trait]
pub trait Inbox {
    /// Stores the hints that were not seen before, durably; returns how many those were. Calls that wait at the same time share
    /// a commit.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] where too many calls or hints wait already; or the store's.
    async fn put_hints(&self, connection: &ConnectionId, hints: &[Hint], at: Millis) -> Result<usize, StoreError>;

    /// The oldest hints that have not been worked off.
    async fn pending_hints(&self, connection: &ConnectionId, limit: u32) -> Result<Vec<PendingHint>, StoreError>;

    /// Marks hints as worked off where no commit does it.
    async fn finish_hints(&self, ids: &[HintId]) -> Result<(), StoreError>;

    /// Drops worked-off hints that arrived before `before`; until then they recognise repeats. Returns how many.
    async fn trim_hints(&self, before: Millis) -> Result<u64, StoreError>;
}

/// A hint that comes with a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintPut {
    /// The connection that it is about.
    pub connection: ConnectionId,
    /// The hint.
    pub hint: Hint,
    /// When the reason for it came up.
    pub at: Millis,
}

/// A hint that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingHint {
    /// Its name.
    pub id: HintId,
    /// The hint.
    pub hint: Hint,
    /// When it arrived.
    pub at: Millis,
}
