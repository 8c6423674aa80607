//! Syncs: how far each is, what went wrong, and the controls.

use serde::{Deserialize, Serialize};

use crate::{api::Api, deliveries::DeliveryCounts, error::Error, page::Page};

/// One sync of a model between its sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sync {
    /// Its id in the configuration.
    pub id: String,
    /// The model that is kept the same.
    pub model: String,
    /// The side's phase that most wants attention; `None` before the first side has started.
    pub phase: Option<Phase>,
    /// The connected systems.
    pub sides: Vec<Side>,
    /// Deletes that are too many to be carried out before a person has looked; a server that knows none shows none.
    #[serde(default)]
    pub held_deletes: Vec<HeldDeletes>,
}

/// Deletes of one source that wait for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldDeletes {
    /// The connection whose objects are gone; `None` where the product's own clients deleted the records.
    pub connection: Option<String>,
    /// Since when a person is asked.
    pub since: String,
    /// What showed them: `reading`, `named`, `missing` or `clients`.
    pub signal: String,
    /// How many wait.
    pub waiting: u64,
    /// Of how many objects, or records, when the question was asked.
    pub known: u64,
    /// The share of them that waits, in percent.
    pub share_percent: u64,
    /// A few of them.
    pub sample: Vec<HeldDelete>,
    /// What to do.
    pub remedy: String,
}

/// A delete that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldDelete {
    /// The record.
    pub record: String,
    /// The object that is gone; `None` where a client deleted the record.
    pub object: Option<String>,
}

/// One connected system's part in a sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The connection.
    pub connection: String,
    /// The provider's kind of object.
    pub object: String,
    /// What the side is doing; `None` before it has started.
    pub phase: Option<Phase>,
    /// Whether a person has allowed the first write.
    pub approved: bool,
    /// How far the first read is.
    pub progress: Progress,
    /// Where each of its streams goes on.
    pub checkpoints: Vec<Checkpoint>,
    /// What went wrong last, and not since gone right.
    pub last_error: Option<String>,
    /// When it was first started.
    pub started_at: Option<String>,
    /// When a read last ended well.
    pub last_success_at: Option<String>,
    /// Its deliveries.
    pub deliveries: DeliveryCounts,
}

/// How far the first read of a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Rows read so far.
    pub read: u64,
    /// Rows expected, where the provider tells.
    pub expected: Option<u64>,
}

/// Where a stream goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The stream: `backfill`, `changes`, `deletes` or `sweep`.
    pub stream: String,
    /// The state of its read machine, for people who look for the cause of something.
    pub state: serde_json::Value,
}

/// What a side of a sync is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Goes on as far as it can; the last error says what does not.
    Degraded,
    /// The provider refuses the credentials until a person authorises again.
    ReauthNeeded,
}

/// What to do with a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Stop reading and writing after the current step.
    Pause,
    /// Go on.
    Resume,
    /// Read now instead of at the next interval.
    Trigger,
    /// Forget the checkpoints and read everything again; records and links stay.
    Reset,
    /// Allow the first writes of a sync whose plan waits for approval, and carry out deletes that wait for a person.
    Approve,
    /// Refuse the deletes that wait for a person: what is gone is created again, and what clients deleted comes back.
    Reject,
}

impl Steering {
    /// The word in the path.
    const fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Trigger => "trigger",
            Self::Reset => "reset",
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

impl Api {
    /// The tenant's syncs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn syncs(&self) -> Result<Page<Sync>, Error> {
        self.get(&["v1", "syncs"]).read().await
    }

    /// A sync.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sync(&self, id: &str) -> Result<Sync, Error> {
        self.get(&["v1", "syncs", id]).read().await
    }

    /// Controls a sync, or one side of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn steer_sync(&self, id: &str, connection: Option<&str>, steering: Steering) -> Result<Sync, Error> {
        self.post(&["v1", "syncs", id, steering.word()]).query(&[("connection", connection)]).read().await
    }
}
