//! Deliveries: the level-triggered duty to bring a replica up to date. A delivery holds no payload; when it is sent, the
//! patch is computed then. Every transition is a pure function of the state, the time and, for the back-off, a jitter that
//! the caller draws.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The state of a replica's delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Delivery {
    /// The replica agrees with the record, as far as can be sent.
    #[default]
    Clean,
    /// Something is to be sent, not before `due`.
    Dirty {
        /// Earliest time of the next attempt.
        due: Millis,
        /// Failed attempts since the last success.
        attempts: u32,
        /// The last failure, in words.
        error: Option<String>,
    },
    /// Sending was given up until a person looks or the record changes.
    Parked {
        /// Why, in words.
        reason: String,
        /// Since when.
        since: Millis,
    },
}

impl Delivery {
    /// The wait after the first failure; it doubles with each further one.
    pub const BACKOFF_MIN_MS: u64 = 1_000;
    /// The longest wait between two attempts.
    pub const BACKOFF_MAX_MS: u64 = 3_600_000;
    /// After so many failures in a row the delivery is parked. With the doubling above and without jitter that is a
    /// little more than eight hours of trying, so that a provider's outage of a working day's length passes by itself.
    pub const ATTEMPTS_MAX: u32 = 20;
    /// The longest failure text that is kept, in characters; providers have been seen to answer with whole web pages.
    pub const ERROR_LEN_MAX: usize = 500;

    /// What is to be sent has changed: the delivery is due now, unless it is dirty already. A back-off that is under way
    /// goes on, because new values are no reason to press a failing provider; a parked delivery gets a new chance.
    ///
    /// Call this when the difference between projection and baseline changes, not on every look at the record, or a
    /// parked delivery never stays parked.
    pub fn mark(&mut self, now: Millis) {
        if !matches!(self, Self::Dirty { .. }) {
            *self = Self::Dirty { due: now, attempts: 0, error: None };
        }
    }

    /// A person asks for another try: due now, with all attempts to spend. A clean delivery stays clean.
    pub fn replay(&mut self, now: Millis) {
        if *self != Self::Clean {
            *self = Self::Dirty { due: now, attempts: 0, error: None };
        }
    }

    /// An attempt failed in a way that may pass. `jitter`, 0 to 1000 per mille and drawn by the caller, spreads the next
    /// attempt over the second half of the wait, so that deliveries which failed together do not return together.
    pub fn failed(&mut self, now: Millis, error: &str, jitter: u32) {
        let attempts = self.attempts().saturating_add(1);
        if attempts >= Self::ATTEMPTS_MAX {
            return self.parked(now, &format!("gave up after {attempts} attempts: {error}"));
        }
        let due = now.plus(i64::try_from(backoff_ms(attempts, jitter)).unwrap_or(i64::MAX));
        *self = Self::Dirty { due, attempts, error: Some(clipped(error)) };
    }

    /// A quota is used up: wait without counting an attempt, since nothing is wrong with this delivery. Never brings the
    /// next attempt forward.
    pub fn wait(&mut self, now: Millis, after_ms: u64) {
        let until = now.plus(i64::try_from(after_ms).unwrap_or(i64::MAX));
        if let Self::Dirty { due, .. } = self {
            *due = (*due).max(until);
        }
    }

    /// Sending again cannot help: a person must look, or the record must change.
    pub fn parked(&mut self, now: Millis, reason: &str) {
        *self = Self::Parked { reason: clipped(reason), since: now };
    }

    /// The replica agrees with the record.
    pub fn settled(&mut self) {
        *self = Self::Clean;
    }

    /// When the next attempt may be made; `None` where nothing is to be sent.
    pub fn due(&self) -> Option<Millis> {
        match self {
            Self::Dirty { due, .. } => Some(*due),
            Self::Clean | Self::Parked { .. } => None,
        }
    }

    /// Failed attempts since the last success.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Dirty { attempts, .. } => *attempts,
            Self::Clean | Self::Parked { .. } => 0,
        }
    }
}

/// The wait after `attempts` failures: between half and the whole of the doubled minimum, capped.
fn backoff_ms(attempts: u32, jitter: u32) -> u64 {
    let doublings = attempts.saturating_sub(1).min(32);
    let whole = (Delivery::BACKOFF_MIN_MS << doublings).min(Delivery::BACKOFF_MAX_MS);
    whole / 2 + whole / 2 * u64::from(jitter.min(1_000)) / 1_000
}

fn clipped(text: &str) -> String {
    text.chars().take(Delivery::ERROR_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn dirty(due: Millis, attempts: u32, error: Option<&str>) -> Delivery {
        Delivery::Dirty { due, attempts, error: error.map(str::to_owned) }
    }

    fn parked() -> Delivery {
        Delivery::Parked { reason: "refused".into(), since: Millis(5) }
    }

    #[test]
    fn transitions_follow_the_table() {
        type Transition = fn(&mut Delivery);
        let (mark, replay): (Transition, Transition) = (|d| d.mark(NOW), |d| d.replay(NOW));
        let wait: Transition = |d| d.wait(NOW, 500);
        let late = NOW.plus(9_000);
        for (name, transition, before, after) in [
            ("mark", mark, Delivery::Clean, dirty(NOW, 0, None)),
            ("mark", mark, dirty(late, 3, Some("busy")), dirty(late, 3, Some("busy"))),
            ("mark", mark, parked(), dirty(NOW, 0, None)),
            ("replay", replay, Delivery::Clean, Delivery::Clean),
            ("replay", replay, dirty(late, 3, Some("busy")), dirty(NOW, 0, None)),
            ("replay", replay, parked(), dirty(NOW, 0, None)),
            ("wait", wait, Delivery::Clean, Delivery::Clean),
            ("wait", wait, dirty(NOW, 2, Some("busy")), dirty(NOW.plus(500), 2, Some("busy"))),
            ("wait", wait, dirty(late, 2, None), dirty(late, 2, None)),
            ("wait", wait, parked(), parked()),
            ("settled", Delivery::settled, dirty(NOW, 2, None), Delivery::Clean),
            ("settled", Delivery::settled, parked(), Delivery::Clean),
        ] {
            let mut delivery = before.clone();
            transition(&mut delivery);
            assert_eq!(delivery, after, "{name} of {before:?}");
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_stays_in_the_second_half() {
        for (failures, jitter, wait_ms) in [
            (1, 1_000, 1_000),
            (1, 0, 500),
            (2, 1_000, 2_000),
            (5, 500, 12_000),
            (12, 1_000, 2_048_000),
            (13, 1_000, Delivery::BACKOFF_MAX_MS as i64),
            (19, 0, Delivery::BACKOFF_MAX_MS as i64 / 2),
            (3, 99_999, 4_000),
        ] {
            let mut delivery = Delivery::Clean;
            delivery.mark(NOW);
            (0..failures).for_each(|_| delivery.failed(NOW, "busy", jitter));
            assert_eq!(delivery.due(), Some(NOW.plus(wait_ms)), "after {failures} failures with jitter {jitter}");
            assert_eq!(delivery.attempts(), failures);
        }
    }

    #[test]
    fn the_last_attempt_parks_with_the_reason_and_long_reasons_are_clipped() {
        let mut delivery = Delivery::Clean;
        delivery.mark(NOW);
        (0..Delivery::ATTEMPTS_MAX).for_each(|_| delivery.failed(NOW, &"ä".repeat(9_999), 0));
        let Delivery::Parked { reason, since } = &delivery else { panic!("still trying: {delivery:?}") };
        assert_eq!((reason.chars().count(), *since), (Delivery::ERROR_LEN_MAX, NOW));
        assert!(reason.starts_with("gave up after 20 attempts: ä"));
        assert_eq!((delivery.due(), delivery.attempts()), (None, 0));
    }
}
