//! The mass-delete guard: deletes are counted by where they come from, and more of them at once than a sync allows wait for
//! a person. Whether one delete is right is decided elsewhere; the guard asks only whether so many can be.

use serde::{Deserialize, Serialize};

use crate::{
    mutant::{self, Rule},
    time::Millis,
};

/// The parts that a window of counting is divided into: what is older than the window is forgotten part by part.
const SPANS: usize = 12;

/// How many deletes may come from one source within a window before a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteGuard {
    /// So many deletes always pass, so that small accounts are not held up by single deletes.
    pub missing_min: u64,
    /// More deletes than this never pass without a person, however large the account.
    pub missing_max: u64,
    /// Between the two, the largest share of the known objects that passes, in percent.
    pub share_percent_max: u8,
}

impl Default for DeleteGuard {
    fn default() -> Self {
        Self { missing_min: 5, missing_max: 1_000, share_percent_max: 5 }
    }
}

impl DeleteGuard {
    /// Whether so many deletes, of so many known objects, need a person's approval.
    pub fn trips(&self, known: u64, missing: u64) -> bool {
        let over_share = u128::from(missing) * 100 > u128::from(known) * u128::from(self.share_percent_max);
        missing > self.missing_min && (missing > self.missing_max || over_share) && !mutant::off(Rule::MassDeleteWaits)
    }

    /// Whether the number of known objects decides about so many deletes.
    pub fn asks_for_share(&self, missing: u64) -> bool {
        missing > self.missing_min && missing <= self.missing_max
    }

    /// Knowing of more objects than this makes no difference: there, the count trips before the share does.
    pub fn known_enough(&self) -> u64 {
        match self.share_percent_max {
            0 => 0,
            share => self.missing_max.saturating_mul(100).div_ceil(u64::from(share)),
        }
    }
}

/// What the guard knows of one source of deletes: one connection of a sync, or the product's own clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardState {
    /// Deletes that passed of late, oldest first; at most [`SPANS`] and one.
    recent: Vec<Span>,
    /// What a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    question: Option<Question>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    begun: Millis,
    deletes: u64,
}

/// What a person is asked while deletes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Since when.
    pub since: Millis,
    /// What showed the deletes that were too many.
    pub signal: Signal,
    /// The deletes of the window when they were too many, those that had passed before included.
    pub deletes: u64,
    /// The objects, or records, that were known then.
    pub known: u64,
}

/// What shows a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Objects read by id, because a webhook, a poll or a delivery asked for it.
    Reading,
    /// The provider's own list of what was deleted or archived.
    Named,
    /// A complete listing that does not show them.
    Missing,
    /// Clients of the product.
    Clients,
}

impl Signal {
    /// The signal in one word, as the API shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Named => "named",
            Self::Missing => "missing",
            Self::Clients => "clients",
        }
    }
}

impl GuardState {
    /// The deletes that passed within the window before `now`, in milliseconds.
    pub fn recent(&self, now: Millis, window_ms: u64) -> u64 {
        let from = window_begin(now, window_ms);
        self.recent.iter().filter(|span| span.begun > from).map(|span| span.deletes).sum()
    }

    /// What a person is asked, while deletes wait.
    pub fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// Lets so many further deletes pass and counts them, or opens the question; `true` where they pass. While the question is
    /// open, none does.
    pub fn admit(&mut self, limits: &DeleteGuard, window_ms: u64, now: Millis, coming: Coming) -> bool {
        if self.would_hold(limits, window_ms, now, coming) {
            let deletes = self.recent(now, window_ms).saturating_add(coming.deletes);
            let question = Question { since: now, signal: coming.signal, deletes, known: coming.known };
            self.question.get_or_insert(question);
            return false;
        }
        self.count(now, window_ms, coming.deletes);
        true
    }

    /// Whether so many further deletes would have to wait.
    pub fn would_hold(&self, limits: &DeleteGuard, window_ms: u64, now: Millis, coming: Coming) -> bool {
        let deletes = self.recent(now, window_ms).saturating_add(coming.deletes);
        self.question.is_some() || coming.deletes > 0 && limits.trips(coming.known, deletes)
    }

    fn count(&mut self, now: Millis, window_ms: u64, deletes: u64) {
        let from = window_begin(now, window_ms);
        self.recent.retain(|span| span.begun > from);
        // A clock that was set back must not make deletes look as if they were still to come.
        self.recent.iter_mut().for_each(|span| span.begun = span.begun.min(now));
        let span_ms = i64::try_from(window_ms / SPANS as u64).unwrap_or(i64::MAX).max(1);
        match self.recent.last_mut().filter(|span| span.begun.plus(span_ms) > now) {
            Some(span) => span.deletes = span.deletes.saturating_add(deletes),
            None => self.recent.push(Span { begun: now, deletes }),
        }
    }

    /// Deletes wait that were named before anybody looked at the objects.
    pub fn ask(&mut self, question: Question) {
        self.question.get_or_insert(question);
    }

    /// A person has answered: counting begins anew.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// Nothing waits any more: the objects are there after all, or their records came back.
    pub fn subside(&mut self) {
        self.question = None;
    }
}

/// Deletes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coming {
    /// How many.
    pub deletes: u64,
    /// The objects, or records, that are known before them, where [`DeleteGuard::asks_for_share`].
    pub known: u64,
    /// What showed them.
    pub signal: Signal,
}

fn window_begin(now: Millis, window_ms: u64) -> Millis {
    now.plus(i64::try_from(window_ms).map_or(i64::MIN, |window| -window))
}
