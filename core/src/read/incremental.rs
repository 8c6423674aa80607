//! Incremental reading: what changed, window after window.

use serde::{Deserialize, Serialize};

use super::{ReadFault, ReadSpec, Recovery, Step, trail::Trail};
use crate::{
    remote::{Page, ProviderError, Window},
    time::Millis,
};

/// Reads the rows that changed, in windows of modification time, for ever.
///
/// A window ends `lag_ms` before the provider's present, because the newest rows may still be hidden, and begins
/// `overlap_ms` before the last one ended, because rows may appear late with an earlier stamp. So every row is read that
/// becomes visible within `lag_ms + overlap_ms` of its stamp, most of them twice; intake knows repeats for what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Incremental {
    spec: ReadSpec,
    pace: Pace,
    state: IncrementalState,
}

/// How often windows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Milliseconds from the beginning of one run to the beginning of the next.
    pub every_ms: u64,
}

/// The checkpoint of an [`Incremental`] reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementalState {
    /// The query that this is the checkpoint of, see [`ReadSpec::fingerprint`].
    query: u64,
    /// Everything before this has been read, apart from rows that appear late.
    checkpoint: Millis,
    /// When the next run may begin.
    due: Millis,
    /// The window that is being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    rows: u64,
    malformed: u64,
}

/// One window and how far it has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    window: Window,
    trail: Trail,
}

impl Incremental {
    /// Reads on after a listing that began at `begun`, by the provider's clock. Use [`super::Backfill::incremental`].
    pub(super) fn after(spec: ReadSpec, begun: Millis, pace: Pace) -> Self {
        let state = IncrementalState {
            query: spec.fingerprint(),
            checkpoint: settled(&spec, begun),
            due: begun,
            run: None,
            rows: 0,
            malformed: 0,
        };
        Self { spec, pace, state }
    }

    /// Goes on from a checkpoint; `None` where that is the checkpoint of another query, so that a new backfill must read
    /// what the old query left out.
    pub fn resume(spec: ReadSpec, pace: Pace, state: IncrementalState) -> Option<Self> {
        (state.query == spec.fingerprint()).then_some(Self { spec, pace, state })
    }

    /// The checkpoint, to be committed together with what the last page changed.
    pub fn state(&self) -> &IncrementalState {
        &self.state
    }

    /// The next page to fetch, or how long to wait for the next window. `now` is the provider's time: this service's,
    /// corrected by the measured offset. Never [`Step::Done`].
    pub fn next(&mut self, now: Millis) -> Step {
        if self.state.run.is_none() {
            match self.due_in(now) {
                0 => self.begin(now),
                after_ms => return Step::Wait { after_ms },
            }
        }
        match &self.state.run {
            Some(run) => Step::Fetch(run.trail.request(&self.spec, Some(run.window))),
            None => Step::Wait { after_ms: self.pace.every_ms.max(1) },
        }
    }

    /// Takes in the page that was asked for; whether it was the last of its window. Only then the checkpoint moves, to
    /// the window's end, which was fixed when the run began. A page that nobody asked for is left aside.
    pub fn page(&mut self, page: &Page) -> Result<bool, ReadFault> {
        let Some(run) = &mut self.state.run else { return Ok(true) };
        run.trail.page(&self.spec, Some(run.window), page)?;
        self.state.rows += page.objects.len() as u64;
        self.state.malformed += page.malformed.len() as u64;
        if !run.trail.ended() {
            return Ok(false);
        }
        self.state.checkpoint = run.window.until;
        self.state.run = None;
        Ok(true)
    }

    /// What a failed fetch means: an invalid token falls back to the keyset inside the same window.
    pub fn failed(&mut self, error: &ProviderError) -> Recovery {
        match &mut self.state.run {
            Some(run) => run.trail.failed(error),
            None => Recovery::Caller,
        }
    }

    /// The next run begins when it is next asked for, for a person who will not wait.
    pub fn trigger(&mut self, now: Millis) {
        self.state.due = self.state.due.min(now);
    }

    /// Everything before this time of the provider has been read, apart from rows that appear late.
    pub fn checkpoint(&self) -> Millis {
        self.state.checkpoint
    }

    /// Readable rows so far, repeats included.
    pub fn rows(&self) -> u64 {
        self.state.rows
    }

    /// Malformed rows so far, repeats included.
    pub fn malformed(&self) -> u64 {
        self.state.malformed
    }

    /// Milliseconds until a run may begin: when it is due and there is a window to read.
    fn due_in(&self, now: Millis) -> u64 {
        let precision = i64::from(self.spec.facts.precision_ms.max(1));
        let lag = i64::try_from(self.spec.facts.lag_ms).unwrap_or(i64::MAX);
        let first_window = self.state.checkpoint.plus(precision).plus(lag);
        let due = self.state.due.max(first_window);
        u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0)
    }

    fn begin(&mut self, now: Millis) {
        let overlap = i64::try_from(self.spec.facts.overlap_ms).unwrap_or(i64::MAX);
        let from = floored(&self.spec, self.state.checkpoint.plus(overlap.saturating_neg()));
        let window = Window { from, until: settled(&self.spec, now) };
        self.state.due = now.plus(i64::try_from(self.pace.every_ms).unwrap_or(i64::MAX));
        self.state.run = Some(Run { window, trail: Trail::default() });
    }
}

/// The time up to which stamps are settled at `now`: no row that is visible by then can still get an earlier one,
/// except late ones. Whole units of the provider's precision, so that a stamp never straddles two windows.
fn settled(spec: &ReadSpec, now: Millis) -> Millis {
    let lag = i64::try_from(spec.facts.lag_ms).unwrap_or(i64::MAX);
    floored(spec, now.plus(lag.saturating_neg()))
}

fn floored(spec: &ReadSpec, at: Millis) -> Millis {
    let precision = i64::from(spec.facts.precision_ms.max(1));
    Millis(at.0.div_euclid(precision).saturating_mul(precision))
}
