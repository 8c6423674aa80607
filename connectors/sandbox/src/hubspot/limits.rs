//! Request budgets over a rolling window.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Micros, SandboxClock};

/// Requests of an OAuth app in the window.
pub(crate) const BURST_MAX: usize = 110;
/// The real length of that window.
const BURST_WINDOW: Duration = Duration::from_secs(10);
/// Searches of an account in their window.
pub(crate) const SEARCHES_MAX: usize = 5;
/// The real length of that window.
const SEARCH_WINDOW: Duration = Duration::from_secs(1);

/// A budget of requests within a rolling window.
#[derive(Debug)]
struct Bucket {
    max: usize,
    window: Duration,
    taken: VecDeque<Micros>,
}

impl Bucket {
    fn new(max: usize, window: Duration) -> Self {
        Self { max, window, taken: VecDeque::with_capacity(max) }
    }

    /// Takes one request out of the budget, if there is one. A refused request costs nothing.
    fn take(&mut self, now: Micros) -> bool {
        let start = now.minus(self.window);
        while self.taken.front().is_some_and(|at| *at <= start) {
            self.taken.pop_front();
        }
        let allowed = self.taken.len() < self.max;
        if allowed {
            self.taken.push_back(now);
        }
        allowed
    }
}

/// The budgets of the app.
#[derive(Debug)]
pub(crate) struct Limits {
    burst: Bucket,
    search: Bucket,
}

/// What the general budget looks like after a request, for the rate headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The window in milliseconds.
    pub(crate) interval_ms: u64,
    /// The requests of one window.
    pub(crate) max: usize,
    /// Those that are left.
    pub(crate) remaining: usize,
}

impl Limits {
    /// Full budgets, with windows scaled like every other length of time.
    pub(crate) fn new(clock: &SandboxClock) -> Self {
        Self {
            burst: Bucket::new(BURST_MAX, clock.scaled(BURST_WINDOW)),
            search: Bucket::new(SEARCHES_MAX, clock.scaled(SEARCH_WINDOW)),
        }
    }

    /// Takes a request out of the general budget.
    pub(crate) fn take(&mut self, now: Micros) -> bool {
        self.burst.take(now)
    }

    /// Takes a search out of its budget.
    pub(crate) fn take_search(&mut self, now: Micros) -> bool {
        self.search.take(now)
    }

    /// The general budget as it stands.
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            interval_ms: u64::try_from(self.burst.window.as_millis()).unwrap_or(u64::MAX).max(1),
            max: self.burst.max,
            remaining: self.burst.max.saturating_sub(self.burst.taken.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_rolls() {
        let mut limits = Limits::new(&SandboxClock::manual(Micros(0), 0.1));
        for second in 0..5 {
            assert!(limits.take_search(Micros(second)));
        }
        assert!(!limits.take_search(Micros(99_999)));
        assert!(limits.take_search(Micros(100_000)), "a tenth of the real second has passed since the first");
        assert!(!limits.take_search(Micros(100_000)));
    }

    #[test]
    fn the_budget_counts_down() {
        let mut limits = Limits::new(&SandboxClock::manual(Micros(0), 1.0));
        assert!(limits.take(Micros(1)));
        assert_eq!(limits.budget(), Budget { interval_ms: 10_000, max: 110, remaining: 109 });
    }
}
