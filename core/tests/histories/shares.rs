//! How much trouble the generated histories held.

use std::fmt;

use crate::world::Scope;

/// How often each kind of trouble occurred.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) events: u64,
    pub(crate) edits: u64,
    pub(crate) races: u64,
    pub(crate) stale_reads: u64,
    pub(crate) repeats: u64,
    pub(crate) deletes: u64,
    pub(crate) lost_answers: u64,
    /// Edits that no client of the provider could have seen.
    pub(crate) blind: u64,
    /// Writes that a system could not take.
    pub(crate) refusals: u64,
    /// Deleted objects that somebody restored.
    pub(crate) restores: u64,
    pub(crate) epochs: u64,
    /// Edits of a client that was cut off in an earlier epoch.
    pub(crate) late: u64,
}

impl Shares {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.edits += other.edits;
        self.races += other.races;
        self.stale_reads += other.stale_reads;
        self.repeats += other.repeats;
        self.deletes += other.deletes;
        self.lost_answers += other.lost_answers;
        self.blind += other.blind;
        self.refusals += other.refusals;
        self.restores += other.restores;
        self.epochs += other.epochs;
        self.late += other.late;
    }

    /// Histories without trouble prove nothing: each kind must be a share of the events.
    pub(crate) fn assert_trouble(&self, scope: Scope, deletes: bool) {
        let (rare, epochs) = (scope.rare, scope.epochs);
        for (name, part, expected) in [
            ("same-field races", self.races, true),
            ("stale reads", self.stale_reads, true),
            ("repeats", self.repeats, true),
            ("deletes", self.deletes, deletes),
            ("refusals", self.refusals * 5, rare),
            ("restores", self.restores * 20, rare),
            ("epochs", self.epochs * 2, epochs),
            ("late edits", self.late * 5, epochs),
        ] {
            assert!(!expected || self.percent(part) >= 5.0, "too few {name}: {self}");
        }
    }

    /// How many of a hundred events were of this kind.
    pub(crate) fn percent(&self, part: u64) -> f64 {
        part as f64 * 100.0 / self.events.max(1) as f64
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events, {} edits", self.events, self.edits)?;
        for (name, part) in [
            ("same-field races", self.races),
            ("stale reads", self.stale_reads),
            ("repeats", self.repeats),
            ("deletes", self.deletes),
            ("lost answers", self.lost_answers),
            ("refusals", self.refusals),
            ("restores", self.restores),
            ("epochs", self.epochs),
            ("late edits", self.late),
        ] {
            write!(f, ", {name} {:.1} %", self.percent(part))?;
        }
        write!(f, ", {} edits in blind windows", self.blind)
    }
}
