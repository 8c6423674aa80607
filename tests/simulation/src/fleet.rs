//! Many runs on several threads. Each run is one thread's from its seed to its end, so threads change nothing but the time.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{
    fault::Counts,
    run::{Failure, run},
    scope::Scope,
};

/// What many runs held.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many runs there were.
    pub runs: u64,
    /// How many events were played in those that held.
    pub events: u64,
    /// How often each thing happened in those that held.
    pub counts: Counts,
    /// The runs that broke an invariant, by seed; at most [`FAILURES_MAX`] of them are kept.
    pub failures: Vec<Failure>,
    /// How many runs broke an invariant.
    pub failed: u64,
}

/// How many failures are kept.
pub const FAILURES_MAX: usize = 1_000;

/// How far a run of many goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All seeds, whatever happens.
    TheEnd,
    /// The first failure; runs that are under way are ended.
    AFailure,
}

/// Runs every scope of every seed on so many threads.
pub fn run_all(seeds: Range<u64>, scopes: &[Scope], threads: usize, until: Until) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut own = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    scopes.iter().for_each(|scope| own.add(run(seed, scope)));
                    if own.failed > 0 && until == Until::AFailure {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
                total.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
            });
        }
    });
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.failures.sort_by_key(|failure| (failure.seed, failure.scope.mode));
    total
}

impl Tally {
    fn add(&mut self, outcome: Result<crate::run::Report, Box<Failure>>) {
        self.runs += 1;
        match outcome {
            Ok(report) => {
                self.events += report.events as u64;
                self.counts.add(&report.counts);
            }
            Err(failure) => {
                self.failed += 1;
                if self.failures.len() < FAILURES_MAX {
                    self.failures.push(*failure);
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.counts.add(&other.counts);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_MAX);
    }
}
