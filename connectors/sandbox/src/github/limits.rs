//! Limits: the primary one by the hour, and the secondary ones, which punish haste.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Micros, SandboxClock};

/// Requests in an hour.
pub(crate) const PRIMARY_MAX: u64 = 5_000;
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
/// Points in a minute: 1 for a read, 5 for a write.
const POINTS_MAX: u64 = 900;
/// Creations in a minute and in an hour.
const CREATIONS_A_MINUTE: u64 = 80;
const CREATIONS_AN_HOUR: u64 = 500;
/// The least time between writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    Read,
    Write,
    /// A write that makes content which people are told of.
    Creation,
}

impl Cost {
    const fn points(self) -> u64 {
        match self {
            Self::Read => 1,
            Self::Write | Self::Creation => 5,
        }
    }
}

/// A count over a rolling window.
#[derive(Debug)]
struct Rolling {
    max: u64,
    window: Duration,
    taken: VecDeque<(Micros, u64)>,
    sum: u64,
}

impl Rolling {
    fn new(max: u64, window: Duration, clock: &SandboxClock) -> Self {
        Self { max, window: clock.scaled(window), taken: VecDeque::new(), sum: 0 }
    }

    fn has(&mut self, amount: u64, now: Micros) -> bool {
        let start = now.minus(self.window);
        while let Some((_, amount)) = self.taken.pop_front_if(|(at, _)| *at <= start) {
            self.sum -= amount;
        }
        self.sum + amount <= self.max
    }

    fn take(&mut self, amount: u64, now: Micros) {
        self.taken.push_back((now, amount));
        self.sum += amount;
    }
}

/// The primary limit, for its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Requests that were used.
    pub(crate) used: u64,
    /// When the window ends.
    pub(crate) resets: Micros,
}

/// The limits of the integration.
#[derive(Debug)]
pub(crate) struct Limits {
    hour: Duration,
    primary: Budget,
    points: Rolling,
    by_minute: Rolling,
    by_hour: Rolling,
    interval: Duration,
    last_write: Option<Micros>,
    /// Until when a secondary limit holds.
    punished: Micros,
}

impl Limits {
    /// Full budgets, with windows scaled like every other length of time.
    pub(crate) fn new(clock: &SandboxClock) -> Self {
        Self {
            hour: clock.scaled(HOUR),
            primary: Budget { used: 0, resets: Micros(0) },
            points: Rolling::new(POINTS_MAX, MINUTE, clock),
            by_minute: Rolling::new(CREATIONS_A_MINUTE, MINUTE, clock),
            by_hour: Rolling::new(CREATIONS_AN_HOUR, HOUR, clock),
            interval: clock.scaled(WRITE_INTERVAL),
            last_write: None,
            punished: Micros(0),
        }
    }

    /// The primary limit as it stands.
    pub(crate) fn budget(&mut self, now: Micros) -> Budget {
        if self.primary.resets <= now {
            self.primary = Budget { used: 0, resets: now.plus(self.hour) };
        }
        self.primary
    }

    /// Takes a request out of the primary limit; false where it is used up.
    pub(crate) fn take(&mut self, now: Micros) -> bool {
        let allowed = self.budget(now).used < PRIMARY_MAX;
        self.primary.used += u64::from(allowed);
        allowed
    }

    /// Gives a request back, whose answer was that nothing had changed.
    pub(crate) fn give_back(&mut self) {
        self.primary.used = self.primary.used.saturating_sub(1);
    }

    /// Uses the primary limit up.
    pub(crate) fn exhaust(&mut self, now: Micros, length: Duration) {
        self.primary = Budget { used: PRIMARY_MAX, resets: now.plus(length) };
    }

    /// Checks the secondary limits and takes a request out of them; false where one is broken. `strict` is whether writes
    /// must lie a second apart.
    pub(crate) fn take_secondary(&mut self, cost: Cost, strict: bool, now: Micros) -> bool {
        // The site counts in milliseconds.
        let passed = |last: Micros| now.floor_to_millisecond().since(last.floor_to_millisecond());
        let hasty = strict && cost != Cost::Read && self.last_write.is_some_and(|last| passed(last) < self.interval);
        let creates = u64::from(cost == Cost::Creation);
        let within = self.points.has(cost.points(), now)
            && self.by_minute.has(creates, now)
            && self.by_hour.has(creates, now)
            && now >= self.punished;
        if !within || hasty {
            return false;
        }
        self.points.take(cost.points(), now);
        if cost != Cost::Read {
            self.last_write = Some(now);
        }
        if creates > 0 {
            self.by_minute.take(1, now);
            self.by_hour.take(1, now);
        }
        true
    }

    /// Refuses everything for a while.
    pub(crate) fn punish(&mut self, until: Micros) {
        self.punished = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haste_and_mass_are_refused() {
        let mut limits = Limits::new(&SandboxClock::manual(Micros(0), 1.0));
        let at = Micros::from_seconds;
        assert!(limits.take_secondary(Cost::Write, true, at(10)));
        assert!(!limits.take_secondary(Cost::Write, true, Micros(10_999_999)));
        assert!(limits.take_secondary(Cost::Read, true, Micros(10_999_999)));
        assert!(limits.take_secondary(Cost::Write, true, at(11)));
        for _ in 0..80 {
            assert!(limits.take_secondary(Cost::Creation, false, at(12)));
        }
        assert!(!limits.take_secondary(Cost::Creation, false, at(12)), "eighty creations a minute");
        assert!(limits.take_secondary(Cost::Write, false, at(12)));
        limits.punish(at(50));
        assert!(!limits.take_secondary(Cost::Read, false, at(49)) && limits.take_secondary(Cost::Read, false, at(50)));
    }

    #[test]
    fn the_primary_limit_resets_by_the_hour() {
        let mut limits = Limits::new(&SandboxClock::manual(Micros(0), 1.0));
        for _ in 0..PRIMARY_MAX {
            assert!(limits.take(Micros(5)));
        }
        assert!(!limits.take(Micros(6)));
        limits.give_back();
        assert!(limits.take(Micros(6)) && !limits.take(Micros(7)));
        assert!(limits.take(Micros::from_seconds(3_601)));
    }
}
