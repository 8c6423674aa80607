//! The sweep: lists everything again to find objects that vanished without a sign.

use serde::{Deserialize, Serialize};

use super::{ReadFault, ReadSpec, Recovery, Step, trail::Trail};
use crate::{
    guard::DeleteGuard,
    mutant::{self, Rule},
    remote::{Page, ProviderError},
    time::Tick,
};

/// Lists all live objects and, once the list is complete, lets the missing ones be looked up.
///
/// The ids that were seen are not held here, for they may be millions: the caller marks each listed object as seen by the
/// sweep of [`Sweep::begun`], in the transaction that commits the page. When the list is complete, it counts the linked
/// objects that were linked before the sweep began and lack the mark, and asks [`Sweep::judge`]. A missing id is still no
/// delete: it is read by id, and only a reading that shows it deleted counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    spec: ReadSpec,
    state: SweepState,
}

/// The checkpoint of a [`Sweep`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepState {
    query: u64,
    begun: Tick,
    trail: Trail,
    rows: u64,
    /// Rows whose id could not be read: any missing object may be one of them.
    nameless: u64,
    phase: SweepPhase,
}

/// How far a sweep has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum SweepPhase {
    /// The list is being read.
    Listing,
    /// The list is complete: count what is missing and call [`Sweep::judge`].
    Listed,
    /// More is missing than the guard lets pass: a person must look.
    AwaitingApproval {
        /// Linked objects before the sweep.
        known: u64,
        /// How many of them the list did not show.
        missing: u64,
    },
    /// The missing objects are being read by id.
    Confirming,
    /// The sweep is over, with or without anything inferred.
    Done,
}

/// What may be done about the missing objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is missing.
    Complete,
    /// Read the missing objects by id, then call [`Sweep::confirmed`].
    Confirm,
    /// Too many are missing: nothing is inferred until a person calls [`Sweep::approve`].
    AwaitApproval,
    /// The list cannot be proven complete: nothing is inferred.
    Incomplete,
}

impl Sweep {
    /// Begins a sweep. `begun` names it, and is the mark of what it has seen.
    pub fn begin(spec: ReadSpec, begun: Tick) -> Self {
        let state = SweepState {
            query: spec.fingerprint(),
            begun,
            trail: Trail::default(),
            rows: 0,
            nameless: 0,
            phase: SweepPhase::Listing,
        };
        Self { spec, state }
    }

    /// Goes on from a checkpoint; `None` where that is the checkpoint of another query.
    pub fn resume(spec: ReadSpec, state: SweepState) -> Option<Self> {
        (state.query == spec.fingerprint()).then_some(Self { spec, state })
    }

    /// The checkpoint, to be committed together with the marks of the last page.
    pub fn state(&self) -> &SweepState {
        &self.state
    }

    /// When the sweep began: an object is missing if it was linked before and not seen since.
    pub fn begun(&self) -> Tick {
        self.state.begun
    }

    /// How far the sweep has come.
    pub fn phase(&self) -> SweepPhase {
        self.state.phase
    }

    /// Readable rows so far.
    pub fn rows(&self) -> u64 {
        self.state.rows
    }

    /// The next page to fetch; [`Step::Done`] when the list is complete, see [`Sweep::phase`].
    pub fn next(&self) -> Step {
        match self.state.phase {
            SweepPhase::Listing => Step::Fetch(self.state.trail.request(&self.spec, None)),
            _ => Step::Done,
        }
    }

    /// Takes in the page that was asked for. The caller marks its objects as seen, and the malformed rows whose id is
    /// known as well: they exist.
    pub fn page(&mut self, page: &Page) -> Result<(), ReadFault> {
        self.state.trail.page(&self.spec, None, page)?;
        self.state.rows += page.objects.len() as u64;
        self.state.nameless += page.malformed.iter().filter(|row| row.id.is_none()).count() as u64;
        if self.state.trail.ended() {
            self.state.phase = SweepPhase::Listed;
        }
        Ok(())
    }

    /// What a failed fetch means. A list that had to be begun anew is still complete: marks only ever get more.
    pub fn failed(&mut self, error: &ProviderError) -> Recovery {
        self.state.trail.failed(error)
    }

    /// What may be done about `missing` of `known` objects: those linked before the sweep began and still linked.
    /// Nothing is inferred while the list is incomplete.
    pub fn judge(&mut self, guard: DeleteGuard, known: u64, missing: u64) -> Verdict {
        match self.state.phase {
            SweepPhase::Listing => return Verdict::Incomplete,
            SweepPhase::Listed | SweepPhase::AwaitingApproval { .. } => {}
            SweepPhase::Confirming => return Verdict::Confirm,
            SweepPhase::Done => return Verdict::Complete,
        }
        let (phase, verdict) = if missing == 0 {
            (SweepPhase::Done, Verdict::Complete)
        } else if self.state.nameless > 0 && !mutant::off(Rule::SweepIsComplete) {
            (SweepPhase::Done, Verdict::Incomplete)
        } else if guard.trips(known, missing) {
            (SweepPhase::AwaitingApproval { known, missing }, Verdict::AwaitApproval)
        } else {
            (SweepPhase::Confirming, Verdict::Confirm)
        };
        self.state.phase = phase;
        verdict
    }

    /// A person has looked and lets the missing objects be looked up. Without effect in any other phase.
    pub fn approve(&mut self) {
        if matches!(self.state.phase, SweepPhase::AwaitingApproval { .. }) {
            self.state.phase = SweepPhase::Confirming;
        }
    }

    /// A person has looked and infers nothing: the sweep ends. Without effect in any other phase.
    pub fn refuse(&mut self) {
        if matches!(self.state.phase, SweepPhase::AwaitingApproval { .. }) {
            self.state.phase = SweepPhase::Done;
        }
    }

    /// Every missing object has been read by id.
    pub fn confirmed(&mut self) {
        if self.state.phase == SweepPhase::Confirming {
            self.state.phase = SweepPhase::Done;
        }
    }
}
