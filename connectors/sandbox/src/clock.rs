//! The sandbox's sense of time.
//!
//! Every stamp an emulator writes comes from one [`SandboxClock`]. It never shows the same microsecond twice, so the
//! order of what happened is always known, and a test can replace the wall by a clock that moves only when told.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// A point in time: microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// The point `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_micros(duration)))
    }

    /// The point `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_micros(duration)))
    }

    /// How far `earlier` lies before this point, zero if it does not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same point at a resolution of one second, as a platform with a coarse clock keeps it.
    #[must_use]
    pub fn floor_to_second(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1_000_000))
    }

    /// The same point at a resolution of one millisecond.
    #[must_use]
    pub fn floor_to_millisecond(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1_000))
    }

    /// The same point at a resolution of one minute.
    #[must_use]
    pub fn floor_to_minute(self) -> Self {
        Self(self.0 - self.0.rem_euclid(60_000_000))
    }

    /// Whole milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The point for whole milliseconds since the Unix epoch.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// The point for whole seconds since the Unix epoch.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// As a calendar timestamp; points outside the years -9999 to 9999 are drawn to the nearest end.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// The point of a calendar timestamp, cut to microseconds.
    #[must_use]
    pub fn from_timestamp(timestamp: Timestamp) -> Self {
        Self(timestamp.as_microsecond())
    }

    /// `2026-05-05T23:10:00.123Z`, the form of HubSpot and of most JSON interfaces.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }
}

/// A clock that is strictly increasing per call, with a scale for the lags that an emulator imitates.
#[derive(Debug)]
pub struct SandboxClock {
    source: Source,
    /// The last point handed out by [`SandboxClock::now`].
    last: AtomicI64,
    time_scale: f64,
}

#[derive(Debug)]
enum Source {
    Wall { ahead_us: i64 },
    Manual { at: AtomicI64, moved: Notify },
}

impl SandboxClock {
    /// A clock that follows the machine's. `time_scale` shortens (or stretches) the lags of [`SandboxClock::scaled`].
    #[must_use]
    pub fn wall(time_scale: f64) -> Self {
        Self::wall_ahead(time_scale, 0)
    }

    /// A clock that follows the machine's, so many seconds ahead of it or, negative, behind.
    #[must_use]
    pub fn wall_ahead(time_scale: f64, ahead_s: i64) -> Self {
        Self::new(Source::Wall { ahead_us: ahead_s.saturating_mul(1_000_000) }, time_scale)
    }

    /// A clock that starts at `start` and moves only by [`SandboxClock::advance`] (and by one microsecond per call of
    /// [`SandboxClock::now`], since no two calls may agree).
    #[must_use]
    pub fn manual(start: Micros, time_scale: f64) -> Self {
        let source = Source::Manual { at: AtomicI64::new(start.0), moved: Notify::new() };
        Self::new(source, time_scale)
    }

    fn new(source: Source, time_scale: f64) -> Self {
        let time_scale = if time_scale.is_finite() { time_scale.max(0.0) } else { 1.0 };
        Self { source, last: AtomicI64::new(i64::MIN), time_scale }
    }

    /// The current time, later than every time handed out before.
    pub fn now(&self) -> Micros {
        let source = self.source_now();
        let previous = self
            .last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(source.max(last.saturating_add(1))));
        let previous = previous.unwrap_or_else(|last| last);
        Micros(source.max(previous.saturating_add(1)))
    }

    /// The current time without moving it: at or after every time handed out before.
    #[must_use]
    pub fn peek(&self) -> Micros {
        Micros(self.source_now().max(self.last.load(Ordering::Acquire)))
    }

    /// A lag of real length, multiplied by the time scale.
    #[must_use]
    pub fn scaled(&self, real: Duration) -> Duration {
        real.mul_f64(self.time_scale)
    }

    /// The life of something that expires (a token, a cursor), scaled like a lag but never below a minute, so that a fast
    /// sandbox does not pull the ground from under a request.
    #[must_use]
    pub fn scaled_life(&self, real: Duration) -> Duration {
        const LIFE_MIN: Duration = Duration::from_secs(60);
        self.scaled(real).max(LIFE_MIN)
    }

    /// The factor of [`SandboxClock::scaled`].
    #[must_use]
    pub fn time_scale(&self) -> f64 {
        self.time_scale
    }

    /// Moves a manual clock forward and wakes whoever waits for it. Returns false, with nothing moved, on a wall clock.
    pub fn advance(&self, by: Duration) -> bool {
        match &self.source {
            Source::Wall { .. } => false,
            Source::Manual { at, moved } => {
                at.fetch_add(saturating_micros(by), Ordering::AcqRel);
                moved.notify_waiters();
                true
            }
        }
    }

    /// Returns once the clock shows `at` or later: sleeps on a wall clock, waits for [`SandboxClock::advance`] on a
    /// manual one.
    pub async fn wait_until(&self, at: Micros) {
        match &self.source {
            Source::Wall { .. } => tokio::time::sleep(at.since(self.peek())).await,
            Source::Manual { moved, .. } => loop {
                let woken = moved.notified();
                if self.peek() >= at {
                    return;
                }
                woken.await;
            },
        }
    }

    fn source_now(&self) -> i64 {
        match &self.source {
            Source::Wall { ahead_us } => {
                let machine = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, saturating_micros);
                machine.saturating_add(*ahead_us)
            }
            Source::Manual { at, .. } => at.load(Ordering::Acquire),
        }
    }
}

fn saturating_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_calls_agree() {
        for clock in [SandboxClock::wall(1.0), SandboxClock::manual(Micros(5), 1.0)] {
            let times: Vec<_> = (0..1_000).map(|_| clock.now()).collect();
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(clock.peek() >= times[999]);
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = SandboxClock::manual(Micros::from_seconds(10), 0.5);
        assert_eq!(clock.now(), Micros(10_000_000));
        assert!(clock.advance(Duration::from_secs(1)));
        assert_eq!(clock.now(), Micros(11_000_000));
        assert_eq!(clock.scaled(Duration::from_secs(2)), Duration::from_secs(1));
        assert!(!SandboxClock::wall(1.0).advance(Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn waiting_ends_when_the_clock_is_moved() {
        let clock = std::sync::Arc::new(SandboxClock::manual(Micros(0), 1.0));
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.wait_until(Micros(100)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_micros(100));
        waiting.await.unwrap();
    }

    #[test]
    fn points_are_cut_to_a_platforms_resolution() {
        let at = Micros(1_778_192_987_123_456);
        assert_eq!(at.floor_to_second(), Micros(1_778_192_987_000_000));
        assert_eq!(at.floor_to_millisecond(), Micros(1_778_192_987_123_000));
        assert_eq!(at.to_rfc3339_millis(), "2026-05-07T22:29:47.123Z");
        assert_eq!(Micros(-1).floor_to_second(), Micros(-1_000_000));
    }
}
