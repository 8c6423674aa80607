//! Reading a provider's feed of deletions, where it has one.

use serde::{Deserialize, Serialize};

use super::{Pace, Recovery};
use crate::{
    remote::{ProviderError, Remedy, Window},
    time::Millis,
};

/// Asks for the ids that were deleted since the last answer. The state is the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletions {
    /// The provider has answered completely up to here.
    covered: Millis,
    /// When the next question may be asked.
    due: Millis,
}

/// What [`Deletions`] wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionStep {
    /// Ask for the deletes of this window, then call `answered` or `failed`.
    Look(Window),
    /// Ask again after so many milliseconds.
    Wait {
        /// Milliseconds to wait.
        after_ms: u64,
    },
}

impl Deletions {
    /// Reads the deletes since `begun`: the provider's time at which the backfill began.
    pub fn since(begun: Millis) -> Self {
        Self { covered: begun, due: begun }
    }

    /// The next window. It begins where the last answer was complete, not where the last question ended, because
    /// transactions that were running then hold the answer back.
    pub fn next(&self, now: Millis) -> DeletionStep {
        if now < self.due || now <= self.covered {
            let due = self.due.max(self.covered.plus(1));
            return DeletionStep::Wait { after_ms: u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0).max(1) };
        }
        DeletionStep::Look(Window { from: self.covered, until: now })
    }

    /// The question was answered, completely up to `covered_until`. The mark never moves back.
    pub fn answered(&mut self, now: Millis, covered_until: Millis, pace: Pace) {
        self.covered = self.covered.max(covered_until);
        self.due = now.plus(i64::try_from(pace.every_ms).unwrap_or(i64::MAX));
    }

    /// What a failure means. Where the provider no longer remembers the window, the mark moves to `now` and the caller
    /// must sweep to find what was deleted meanwhile.
    pub fn failed(&mut self, now: Millis, error: &ProviderError) -> Recovery {
        if error.remedy != Remedy::Resync {
            return Recovery::Caller;
        }
        self.covered = self.covered.max(now);
        Recovery::Resync
    }

    /// The next question may be asked at once.
    pub fn trigger(&mut self, now: Millis) {
        self.due = self.due.min(now);
    }
}
