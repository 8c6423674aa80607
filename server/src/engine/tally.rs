//! Counts of what the engine did since it started.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use syncline_core::reconcile::{Outcome, Verdict};

use crate::metrics::Instruments;

/// Counters, shared by all tasks.
#[derive(Debug, Default)]
pub struct Tally {
    observed: AtomicU64,
    echoes: AtomicU64,
    stale: AtomicU64,
    changed: AtomicU64,
    created: AtomicU64,
    conflicts: AtomicU64,
    writes: AtomicU64,
    refused: AtomicU64,
    quarantined: AtomicU64,
    epochs: AtomicU64,
    /// What is counted by more than its number.
    pub instruments: Instruments,
}

/// What came of one input, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    /// Whether the input was a reading.
    pub reading: bool,
    /// What became of it.
    pub verdict: Verdict,
    /// Whether it created a record.
    pub created: bool,
    /// Conflict rows that it left.
    pub conflicts: usize,
    /// Whether it began a new epoch of the record.
    pub renewed: bool,
}

impl Noted {
    /// What to count of an outcome.
    pub fn of(reading: bool, outcome: &Outcome) -> Self {
        let Outcome { verdict, created, ref conflicts, .. } = *outcome;
        Self { reading, verdict, created, conflicts: conflicts.len(), renewed: outcome.sealed.is_some() }
    }
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Readings of provider objects taken in.
    pub observed: u64,
    /// Readings that showed nothing new: our own writes seen again, and repeats.
    pub echoes: u64,
    /// Readings dropped because they showed the past, or left for a read by id to confirm.
    pub stale: u64,
    /// Inputs that changed a record.
    pub changed: u64,
    /// Records created.
    pub created: u64,
    /// Conflict rows kept.
    pub conflicts: u64,
    /// Writes sent to providers, one per object.
    pub writes: u64,
    /// Writes that a provider refused or did not apply.
    pub refused: u64,
    /// Rows put into quarantine.
    pub quarantined: u64,
    /// Histories of records that were begun anew.
    pub epochs: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            observed: self.observed + other.observed,
            echoes: self.echoes + other.echoes,
            stale: self.stale + other.stale,
            changed: self.changed + other.changed,
            created: self.created + other.created,
            conflicts: self.conflicts + other.conflicts,
            writes: self.writes + other.writes,
            refused: self.refused + other.refused,
            quarantined: self.quarantined + other.quarantined,
            epochs: self.epochs + other.epochs,
        }
    }
}

impl Tally {
    /// Counts what came of one input.
    pub fn note(&self, noted: &Noted) {
        let add = |counter: &AtomicU64, count: usize| counter.fetch_add(count as u64, Ordering::Relaxed);
        if noted.reading {
            add(&self.observed, 1);
            match noted.verdict {
                Verdict::Echo => add(&self.echoes, 1),
                Verdict::Stale | Verdict::Unconfirmed => add(&self.stale, 1),
                Verdict::Changed | Verdict::Held | Verdict::Delivery => 0,
            };
        }
        add(&self.changed, usize::from(noted.verdict == Verdict::Changed));
        add(&self.created, usize::from(noted.created));
        add(&self.conflicts, noted.conflicts);
        add(&self.epochs, usize::from(noted.renewed));
    }

    /// Counts readings that were echoes again, and were not taken in.
    pub fn echoed(&self, count: usize) {
        self.observed.fetch_add(count as u64, Ordering::Relaxed);
        self.echoes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts writes sent to a provider.
    pub fn sent(&self, count: usize) {
        self.writes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts a write that was not applied.
    pub fn not_applied(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts rows put into quarantine.
    pub fn quarantined(&self, count: usize) {
        self.quarantined.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            observed: read(&self.observed),
            echoes: read(&self.echoes),
            stale: read(&self.stale),
            changed: read(&self.changed),
            created: read(&self.created),
            conflicts: read(&self.conflicts),
            writes: read(&self.writes),
            refused: read(&self.refused),
            quarantined: read(&self.quarantined),
            epochs: read(&self.epochs),
        }
    }
}
