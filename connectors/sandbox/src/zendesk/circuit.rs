//! The circuit breaker between the account and one receiver.

use std::time::Duration;

use crate::clock::{Micros, SandboxClock};

/// The window in which errors are counted.
const WINDOW: Duration = Duration::from_secs(300);
/// How long a circuit stays open.
const OPEN: Duration = Duration::from_secs(5);
/// The share of errors that opens it, in hundredths.
const ERRORS_PERCENT: u64 = 70;
/// The errors that open it whatever their share.
const ERRORS_MAX: u64 = 1_000;
/// The requests below which a share says nothing.
const REQUESTS_MIN: u64 = 10;

/// Whether requests may go to a receiver.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Circuit {
    since: Micros,
    requests: u64,
    errors: u64,
    open_until: Micros,
}

impl Circuit {
    /// Whether requests are dropped now.
    pub(crate) fn is_open(&self, now: Micros) -> bool {
        now < self.open_until
    }

    /// Notes how a request ended.
    pub(crate) fn note(&mut self, failed: bool, now: Micros, clock: &SandboxClock) {
        if now.since(self.since) > clock.scaled(WINDOW) {
            (self.since, self.requests, self.errors) = (now, 0, 0);
        }
        self.requests += 1;
        self.errors += u64::from(failed);
        let share = self.requests >= REQUESTS_MIN && self.errors * 100 >= self.requests * ERRORS_PERCENT;
        if failed && (share || self.errors > ERRORS_MAX) {
            self.open_until = now.plus(clock.scaled(OPEN));
            (self.since, self.requests, self.errors) = (now, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_open_it_for_a_while() {
        let clock = SandboxClock::manual(Micros(0), 1.0);
        let mut circuit = Circuit::default();
        for failed in [true, true, true, true, true, true, false, false, false] {
            circuit.note(failed, Micros(5), &clock);
            assert!(!circuit.is_open(Micros(5)));
        }
        circuit.note(true, Micros(5), &clock);
        assert!(
            circuit.is_open(Micros(5)) && circuit.is_open(Micros(5_000_004)) && !circuit.is_open(Micros(5_000_005))
        );
    }

    #[test]
    fn old_errors_do_not_count() {
        let clock = SandboxClock::manual(Micros(0), 1.0);
        let mut circuit = Circuit::default();
        for _ in 0..9 {
            circuit.note(true, Micros(5), &clock);
        }
        circuit.note(true, Micros::from_seconds(301), &clock);
        assert!(!circuit.is_open(Micros::from_seconds(301)));
    }
}
