//! Time as data: the core never asks for the time, it is told.

use serde::{Deserialize, Serialize};

use crate::mutant::{self, Rule};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This time moved by `ms` milliseconds, which may be negative; saturates at the ends of the range.
    #[must_use]
    pub const fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// RFC 3339 text in UTC with milliseconds, as the API prints it. Times outside the years −9999..9999 are clamped.
    pub fn to_rfc3339(self) -> String {
        let timestamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        format!("{timestamp:.3}")
    }
}

/// A logical instant of this service: strictly increasing over reads and writes, also across restarts. It orders "was
/// this read begun before that write was closed?" without trusting any provider's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub u64);

/// When a value was written, as well as anybody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Clock {
    /// The stamp, corrected by the provider's measured offset.
    pub at: Millis,
    /// How coarse the stamp is, in milliseconds: 1000 for a provider that stamps whole seconds.
    pub precision_ms: u32,
    /// What the stamp speaks of.
    pub kind: ClockKind,
}

/// What a [`Clock`] speaks of; the order is by trust, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// Only the time at which this service saw the value: an upper bound.
    Arrival,
    /// The object's stamp: an upper bound of each field's own time, raised by edits of other fields.
    Record,
    /// The field's own stamp, from the provider's history or from our own API.
    Field,
}

impl Clock {
    /// Two clocks nearer than this many milliseconds cannot be ordered: hosts and providers disagree by so much.
    pub const UNCERTAINTY_MS_MIN: i64 = 2_000;

    /// A field-level clock of one millisecond precision.
    pub const fn exact(at: Millis) -> Self {
        Self { at, precision_ms: 1, kind: ClockKind::Field }
    }

    /// A clock that is only the time of arrival.
    pub const fn arrival(at: Millis) -> Self {
        Self { at, precision_ms: 1, kind: ClockKind::Arrival }
    }

    /// Orders two clocks where that can be done honestly; `None` within the uncertainty of either.
    pub fn order(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let uncertainty = Self::UNCERTAINTY_MS_MIN.max(i64::from(self.precision_ms)).max(i64::from(other.precision_ms));
        let distance = self.at.0.saturating_sub(other.at.0);
        let apart = distance.saturating_abs() > uncertainty || mutant::off(Rule::NearClocksDoNotOrder);
        apart.then(|| self.at.cmp(&other.at))
    }
}
