//! The engine's time: the wall clock, and the logical clock that orders reads and writes.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use syncline_core::{
    reconcile::Now,
    time::{Millis, Tick},
};
use tokio::sync::Mutex;

use crate::{
    failpoint::{Point, reach},
    store::{Store, StoreError},
};

/// The variable that sets the wall clock of a run wrong by so many milliseconds: ahead, or negative, behind. Suites show with
/// it that nothing depends on a clock that is right; only builds with debug assertions heed it, and others refuse to start.
pub const SHIFT: &str = "SYNCLINE_CLOCK_SHIFT_MS";

/// How many ticks are reserved in the store at once; those left over at a stop are never used.
const TICKS_RESERVED: u64 = 100_000;

/// Tells the time. One per process.
pub struct Clock {
    store: Arc<dyn Store>,
    ticks: Mutex<std::ops::Range<u64>>,
}

impl Clock {
    /// A clock whose ticks are reserved in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, ticks: Mutex::new(0..0) }
    }

    /// The wall clock.
    pub fn wall() -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).plus(shift_ms())
    }

    /// The next tick: larger than every one before, also before a restart.
    ///
    /// # Errors
    /// The store cannot reserve further ticks.
    pub async fn tick(&self) -> Result<Tick, StoreError> {
        let mut ticks = self.ticks.lock().await;
        if ticks.is_empty() {
            reach(Point::TicksBefore);
            let first = self.store.reserve_ticks(TICKS_RESERVED).await?.0;
            reach(Point::TicksAfter);
            *ticks = first..first + TICKS_RESERVED;
        }
        ticks.next().map(Tick).ok_or_else(|| StoreError::Value("the logical clock has run out of ticks".into()))
    }

    /// Both clocks.
    ///
    /// # Errors
    /// The store cannot reserve further ticks.
    pub async fn now(&self) -> Result<Now, StoreError> {
        Ok(Now { at: Self::wall(), tick: self.tick().await? })
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// The environment asks for a clock that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShiftError {
    /// It is no number.
    #[error("{SHIFT} is `{text}`: give whole milliseconds, such as -3600000")]
    Number {
        /// What was asked for.
        text: String,
    },
    /// This is a release build.
    #[error("{SHIFT} is set, but the clock of a release build cannot be set wrong: unset it, or use a debug build")]
    Absent,
}

/// Sets the wall clock of this run wrong, where the environment asks for it.
///
/// # Errors
/// It asks for no number, or this is a release build.
pub fn shift() -> Result<(), ShiftError> {
    let Some(text) = std::env::var_os(SHIFT) else { return Ok(()) };
    #[cfg(debug_assertions)]
    {
        let text = text.to_string_lossy();
        let shift_ms = text.parse().map_err(|_| ShiftError::Number { text: text.into_owned() })?;
        SHIFT_MS.store(shift_ms, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
    #[cfg(not(debug_assertions))]
    {
        drop(text);
        Err(ShiftError::Absent)
    }
}

#[cfg(debug_assertions)]
static SHIFT_MS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

#[cfg(debug_assertions)]
fn shift_ms() -> i64 {
    SHIFT_MS.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(not(debug_assertions))]
const fn shift_ms() -> i64 {
    0
}
