//! The org-wide number of requests per rolling day.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Micros;

/// Requests per rolling day: an Enterprise org with nine hundred licences.
pub(crate) const DAILY_REQUESTS_MAX: u64 = 1_000_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The platform itself is accurate to five minutes.
const BUCKET: Duration = Duration::from_secs(5 * 60);

/// The requests of the last day, in buckets of five minutes.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    buckets: VecDeque<(Micros, u64)>,
    used: u64,
}

impl Quota {
    /// Counts one request and returns how many there were in the last day, this one included.
    pub(crate) fn count(&mut self, now: Micros) -> u64 {
        self.forget(now);
        match self.buckets.back_mut() {
            Some((start, count)) if now.since(*start) < BUCKET => *count += 1,
            _ => self.buckets.push_back((now, 1)),
        }
        self.used += 1;
        self.used
    }

    /// How many requests are left.
    pub(crate) fn remaining(&mut self, now: Micros) -> u64 {
        self.forget(now);
        DAILY_REQUESTS_MAX.saturating_sub(self.used)
    }

    fn forget(&mut self, now: Micros) {
        while let Some((start, count)) = self.buckets.front()
            && now.since(*start) > DAY
        {
            self.used -= count;
            self.buckets.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_forgotten_after_a_day() {
        let mut quota = Quota::default();
        let start = Micros::from_seconds(1_000);
        assert_eq!(quota.count(start), 1);
        assert_eq!(quota.count(start.plus(DAY / 2)), 2);
        assert_eq!(quota.count(start.plus(DAY + BUCKET)), 2);
        assert_eq!(quota.remaining(start.plus(DAY * 3)), DAILY_REQUESTS_MAX);
    }
}
