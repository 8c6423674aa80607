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
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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
