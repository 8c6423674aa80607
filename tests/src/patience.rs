//! Waiting for a condition with a deadline; no story sleeps to be in time.

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks that cost requests.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time between two looks at a counter in this process.
const GLANCE_EVERY: Duration = Duration::from_millis(1);

/// Looks until the condition holds, and panics with what kept it from holding when patience ends.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) if begun.elapsed() > PATIENCE => panic!("{what}: not within {PATIENCE:?}: {why}"),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Glances at a counter until it has reached a number.
pub async fn until_reached(what: &str, number: u64, counter: impl Fn() -> u64) {
    let begun = Instant::now();
    while counter() < number {
        assert!(begun.elapsed() < PATIENCE, "{what}: {} of {number} within {PATIENCE:?}", counter());
        tokio::time::sleep(GLANCE_EVERY).await;
    }
}
