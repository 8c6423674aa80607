//! The invariants, each with a checker that shares nothing with the service.
//!
//! * [`steps`]: what is checked with every step. [`kept`]: O1. [`agreement`]: O2, O3 and O7 once everything is at rest.

mod agreement;
mod kept;
mod steps;

use std::fmt;

/// What every run is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// O1: an acknowledged write survives, or was overwritten by somebody who saw it, or stands in the conflict log.
    Kept,
    /// O2: at rest the record, every client and every connected system hold the same.
    Agreed,
    /// O3: one live object for each create, one record for each entity, and no redundant write.
    Once,
    /// O4: nobody ever shows what nobody wrote.
    Written,
    /// O5: a client reads its own writes, and never goes back in time; the feed has no gap.
    Session,
    /// O6: a tenant's data is seen nowhere else.
    Apart,
    /// O7: everything comes to rest within a bounded time.
    Rest,
    /// Nothing is deleted that nobody deleted, and many things only if a person agrees.
    Meant,
    /// Nothing panics, and no input of the service's own is refused by the core.
    Sound,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "O1 kept",
            Self::Agreed => "O2 agreed",
            Self::Once => "O3 once",
            Self::Written => "O4 written",
            Self::Session => "O5 session",
            Self::Apart => "O6 apart",
            Self::Rest => "O7 rest",
            Self::Meant => "deletes meant",
            Self::Sound => "sound",
        })
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How it was broken.
    pub what: String,
}
