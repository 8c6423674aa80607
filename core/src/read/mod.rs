//! Reading a provider as pure state machines. Each is asked for its next [`Step`], told of the [`Page`] or the failure
//! that came of it, and saved as its checkpoint together with what the page changed; after a crash it goes on from there
//! and repeats at most one page.
//!
//! * [`Backfill`] lists everything once.
//! * [`Incremental`] reads what changed, window after window, for ever.
//! * [`Deletions`] asks for the ids deleted since the last answer, where a provider has such a feed.
//! * [`Sweep`] lists everything again to find what is missing, and infers nothing from an incomplete list.
//!
//! [`Page`]: crate::remote::Page

mod backfill;
mod deletions;
mod incremental;
mod sweep;
mod trail;

pub use crate::guard::DeleteGuard;
pub use backfill::{Backfill, BackfillState};
pub use deletions::{DeletionStep, Deletions};
pub use incremental::{Incremental, IncrementalState, Pace};
pub use sweep::{Sweep, SweepPhase, SweepState, Verdict};

use serde::{Deserialize, Serialize};

use crate::{
    ids::ObjectName,
    remote::{CursorFacts, PageRequest},
};

/// What is read: fixed while a machine runs, and not part of its checkpoint, because configuration may have changed by the
/// time the checkpoint is read again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadSpec {
    /// The provider's object name.
    pub object: ObjectName,
    /// The provider's field names to read.
    pub fields: Vec<String>,
    /// How the provider's clock and paging are to be read.
    pub facts: CursorFacts,
    /// Only deleted or archived rows.
    pub deleted: bool,
}

impl ReadSpec {
    /// Names the query. A checkpoint of another query is of no use: its token would show other columns, and the rows
    /// that it has passed were read without the new ones.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(self.object.as_str()).chain(self.fields.iter().map(String::as_str)) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&[u8::from(self.deleted)]);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(bytes)
    }
}

/// What a machine wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Fetch this page, then call `page` or `failed`.
    Fetch(PageRequest),
    /// Ask again after so many milliseconds, or earlier: asking is cheap.
    Wait {
        /// Milliseconds to wait.
        after_ms: u64,
    },
    /// Nothing is left to read.
    Done,
}

/// What a failed fetch means to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The machine has moved to a position that holds: ask for the next step again.
    Resumed,
    /// The provider no longer remembers so far back: begin a new backfill, and sweep for deletes.
    Resync,
    /// The position is untouched; the error's remedy is the caller's affair, and the next step is the same fetch.
    Caller,
}

/// A provider whose paging cannot be followed. Going on would read for ever or leave rows out, so the read stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum ReadFault {
    /// Page after page brings no row that moves the position.
    #[error(
        "reading {object} does not advance: {pages} pages in a row brought no readable row although the provider says that \
         more follow; look at the quarantined rows of this connection, then reset the sync"
    )]
    Stalled {
        /// The provider's object.
        object: ObjectName,
        /// How many pages in a row.
        pages: u32,
    },
    /// The provider showed a row again that the position had passed.
    #[error(
        "reading {object} goes in circles: the provider showed {row} again although only later rows were asked for; \
         its walk or filter is not what the connector declares"
    )]
    Circular {
        /// The provider's object.
        object: ObjectName,
        /// The row.
        row: String,
    },
}
