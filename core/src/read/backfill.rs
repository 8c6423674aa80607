//! The backfill: lists everything once, resumable at any page.

use serde::{Deserialize, Serialize};

use super::{Incremental, Pace, ReadFault, ReadSpec, Recovery, Step, trail::Trail};
use crate::{
    remote::{Page, ProviderError, Walk},
    time::Millis,
};

/// Lists all rows of an object. With [`ReadSpec::deleted`] it lists the deleted or archived ones instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Backfill {
    spec: ReadSpec,
    state: BackfillState,
}

/// The checkpoint of a [`Backfill`]: a few hundred bytes, whatever the number of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillState {
    /// The query that this is the checkpoint of, see [`ReadSpec::fingerprint`].
    query: u64,
    /// The provider's time when the backfill began.
    begun: Millis,
    trail: Trail,
    rows: u64,
    malformed: u64,
}

impl Backfill {
    /// Begins a backfill. `now` is the provider's time: this service's, corrected by the measured offset.
    pub fn begin(spec: ReadSpec, now: Millis) -> Self {
        let state =
            BackfillState { query: spec.fingerprint(), begun: now, trail: Trail::default(), rows: 0, malformed: 0 };
        Self { spec, state }
    }

    /// Goes on from a checkpoint; `None` where that is the checkpoint of another query, so that the backfill must begin
    /// anew.
    pub fn resume(spec: ReadSpec, state: BackfillState) -> Option<Self> {
        (state.query == spec.fingerprint()).then_some(Self { spec, state })
    }

    /// The checkpoint, to be committed together with what the last page changed.
    pub fn state(&self) -> &BackfillState {
        &self.state
    }

    /// The next page to fetch, or [`Step::Done`]. Asking twice gives the same answer.
    pub fn next(&self) -> Step {
        if self.is_done() { Step::Done } else { Step::Fetch(self.state.trail.request(&self.spec, None)) }
    }

    /// Takes in the page that was asked for. Malformed rows are counted and passed; to keep them is the caller's duty.
    pub fn page(&mut self, page: &Page) -> Result<(), ReadFault> {
        self.state.trail.page(&self.spec, None, page)?;
        self.state.rows += page.objects.len() as u64;
        self.state.malformed += page.malformed.len() as u64;
        Ok(())
    }

    /// What a failed fetch means: an invalid token falls back to the saved keyset.
    pub fn failed(&mut self, error: &ProviderError) -> Recovery {
        self.state.trail.failed(error)
    }

    /// Readable rows so far, for progress; a row that was read again counts again.
    pub fn rows(&self) -> u64 {
        self.state.rows
    }

    /// Malformed rows so far.
    pub fn malformed(&self) -> u64 {
        self.state.malformed
    }

    /// The provider's time when the backfill began.
    pub fn begun(&self) -> Millis {
        self.state.begun
    }

    /// The incremental reading that goes on where this backfill *began*: rows that changed behind the walk's back, or
    /// were still hidden when it passed them, lie in its first window.
    pub fn incremental(&self, pace: Pace) -> Incremental {
        Incremental::after(self.spec.clone(), self.state.begun, pace)
    }

    /// A walk by stamp is over as soon as it meets the time at which it began, because everything later is the
    /// incremental reading's; otherwise rows that are edited faster than they are read would keep it going for ever.
    fn is_done(&self) -> bool {
        let met_beginning = self.spec.facts.walk == Walk::StampThenId
            && self.state.trail.stamp().is_some_and(|stamp| stamp > self.state.begun);
        self.state.trail.ended() || met_beginning
    }
}
