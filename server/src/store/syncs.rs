//! The state of syncs: where reading goes on, and how each side is doing.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{ids::ConnectionId, time::Millis};

use super::StoreError;

/// Reads and writes the state of syncs.
#[async_trait]
pub trait Syncs {
    /// Where a stream goes on; `None` where it has never been read.
    async fn checkpoint(&self, stream: &Stream) -> Result<Option<String>, StoreError>;

    /// All checkpoints of a sync, for people.
    async fn checkpoints(&self, sync: &str) -> Result<Vec<(Stream, String)>, StoreError>;

    /// Forgets where the streams of a sync's side go on, so that everything is read again, and sets its progress to 0.
    async fn forget_checkpoints(&self, sync: &str, connection: &ConnectionId) -> Result<(), StoreError>;

    /// The states of all syncs' sides, by sync and connection.
    async fn sync_states(&self) -> Result<Vec<SyncState>, StoreError>;

    /// The state of one side of a sync; `None` before it was first stored.
    async fn sync_state(&self, sync: &str, connection: &ConnectionId) -> Result<Option<SyncState>, StoreError>;

    /// Stores the state of one side of a sync, but for [`SyncState::read`]: only checkpoints move that.
    async fn put_sync_state(&self, state: &SyncState) -> Result<(), StoreError>;
}

/// One thing that a side of a sync reads: `backfill`, `changes`, `deletes`, `sweep`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The sync.
    pub sync: String,
    /// The side.
    pub connection: ConnectionId,
    /// Which of the side's streams.
    pub name: String,
}

/// A checkpoint for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPut {
    /// Which stream.
    pub stream: Stream,
    /// The serialised read machine.
    pub state: String,
    /// Rows read since the checkpoint before; they are added to the side's progress.
    pub rows: u64,
}

/// How one side of a sync is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncState {
    /// The sync.
    pub sync: String,
    /// The side.
    pub connection: ConnectionId,
    /// What it is doing.
    pub phase: Phase,
    /// Since when it has been in this phase.
    pub since: Option<Millis>,
    /// Whether a person has allowed the first write.
    pub approved: bool,
    /// Rows read by the backfill so far.
    pub read: u64,
    /// Rows that the backfill expects, where the provider tells.
    pub expected: Option<u64>,
    /// What went wrong last, and not since gone right.
    pub last_error: Option<String>,
    /// When the side was first started.
    pub started_at: Option<Millis>,
    /// When a read last ended well.
    pub last_success_at: Option<Millis>,
}

impl SyncState {
    /// The state of a side that has done nothing yet.
    pub fn new(sync: impl Into<String>, connection: ConnectionId) -> Self {
        Self {
            sync: sync.into(),
            connection,
            phase: Phase::Backfilling,
            since: None,
            approved: false,
            read: 0,
            expected: None,
            last_error: None,
            started_at: None,
            last_success_at: None,
        }
    }
}

/// What a side of a sync is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reads, and waits for a person to allow the first write.
    WaitingApproval,
    /// Reads everything for the first time, or again after a reset.
    Backfilling,
    /// Follows changes.
    Live,
    /// A person has stopped it.
    Paused,
    /// Goes on as far as it can; `last_error` says what does not.
    Degraded,
    /// The provider refuses our credentials until a person authorises again.
    ReauthNeeded,
}

impl Phase {
    /// The phase in one word, as stored and as the API shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WaitingApproval => "waiting_approval",
            Self::Backfilling => "backfilling",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Degraded => "degraded",
            Self::ReauthNeeded => "reauth_needed",
        }
    }

    /// The phase named by the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::WaitingApproval, Self::Backfilling, Self::Live, Self::Paused, Self::Degraded, Self::ReauthNeeded]
            .into_iter()
            .find(|phase| phase.as_str() == word)
    }
}
