//! What a run came to.

use serde::Serialize;

pub use super::{
    verifier::verdict::{Blind, Verdict},
    weather::Struck,
};

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether everything holds that must.
    pub ok: bool,
    /// Records after the accounts were linked.
    pub linked: u64,
    /// Records that the accounts make together.
    pub linked_expected: u64,
    /// Live records at the end.
    pub records: u64,
    /// Merged changes that the live subscriber heard.
    pub merges: u64,
    /// Changes that the live subscriber missed.
    pub feed_gaps: u64,
    /// Conflicts that are kept.
    pub conflicts: u64,
    /// Readings that showed our own writes or nothing new.
    pub echoes: u64,
    /// Writes sent to the accounts.
    pub writes: u64,
    /// Copies that wait for a person.
    pub parked: u64,
    /// Edits that a client made while it was cut off, and that it brought back; they are judged like all others.
    pub offline: u64,
    /// Histories of records that were begun anew meanwhile.
    pub epochs: u64,
    /// How often the service was stopped and started again in the midst of the play.
    pub restarts: u64,
    /// Contacts that a user deleted in one go.
    pub vanished: u64,
    /// How many of those deletes were held back, and refused.
    pub held: u64,
    /// How many were carried out, because so few pass.
    pub passed: u64,
    /// What the judge found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The faults that were on, and how often each struck.
    pub faults: Vec<Struck>,
    /// Seconds until both accounts were linked.
    pub linked_after_s: f64,
    /// Seconds from the start to the verdict.
    pub seconds: f64,
}

impl Report {
    /// Everything that does not hold, in words.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = self.verdict.findings.clone();
        if self.linked != self.linked_expected {
            complaints.push(format!("{} records were linked instead of {}", self.linked, self.linked_expected));
        }
        if self.feed_gaps > 0 {
            complaints.push(format!("the live feed has {} gaps", self.feed_gaps));
        }
        // One that is carried out while the list that names it is judged counts as both.
        if self.held + self.passed < self.vanished {
            complaints.push(format!(
                "of {} contacts that vanished at once, {} were held back, but {} are deleted",
                self.vanished, self.held, self.passed
            ));
        }
        for blind in self.verdict.blind.iter().filter(|blind| blind.avoidable && blind.edits > 0) {
            complaints.push(format!(
                "{} edits of {} were missed although its history shows them",
                blind.edits, blind.account
            ));
        }
        let idle = self.faults.iter().filter(|struck| struck.fired == 0);
        complaints.extend(idle.map(|struck| format!("the fault {} of {} never struck", struck.fault, struck.provider)));
        complaints
    }

    /// Whether everything holds that must.
    pub(super) fn judged(self) -> Self {
        let ok = self.complaints().is_empty() && self.verdict.holds();
        Self { ok, ..self }
    }
}
