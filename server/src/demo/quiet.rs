//! Waiting until nothing is left to do.

use std::{
    fmt,
    time::{Duration, Instant},
};

use syncline_client::{Api, ChangesQuery, Cursor, Phase, Sync};

use super::{DemoError, scenario::SYNC};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far a sync is, as its API tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Rows read by first reads.
    pub read: u64,
    /// Rows expected by first reads, as far as the providers tell.
    pub expected: u64,
    /// Whether every side has read everything once.
    pub backfilled: bool,
    /// Copies that are owed a write.
    pub dirty: u64,
    /// Copies that wait for a person.
    pub parked: u64,
    /// Deletes that wait for a person.
    pub held: u64,
}

impl Standing {
    fn of(sync: &Sync) -> Self {
        let held = sync.held_deletes.iter().map(|held| held.waiting).sum();
        let mut standing = Self { backfilled: !sync.sides.is_empty(), held, ..Self::default() };
        for side in &sync.sides {
            standing.read += side.progress.read;
            standing.expected += side.progress.expected.unwrap_or(side.progress.read);
            standing.backfilled &= matches!(side.phase, Some(Phase::Live | Phase::Degraded));
            standing.dirty += side.deliveries.dirty;
            standing.parked += side.deliveries.parked;
        }
        standing
    }

    /// Whether everything was read, nothing is owed, and nobody is asked.
    const fn is_settled(self) -> bool {
        self.backfilled && self.dirty == 0 && self.held == 0
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, expected, dirty, parked, held, .. } = self;
        let reading = if self.backfilled { "everything was read" } else { "reading goes on" };
        write!(
            f,
            "{reading} ({read} of {expected}), {dirty} copies are owed a write, {parked} are parked, {held} deletes are held back"
        )
    }
}

/// Waits until every side has read everything and nothing has been owed or changed for `calm`; at most `patience`.
pub(super) async fn wait(
    api: &Api,
    calm: Duration,
    patience: Duration,
    mut seen: impl FnMut(Standing),
) -> Result<Standing, DemoError> {
    let begun = Instant::now();
    let mut calm_since = None;
    let mut feed = Cursor::default();
    loop {
        let standing = Standing::of(&api.sync(SYNC).await?);
        seen(standing);
        let end = feed_end(api, feed).await?;
        if !standing.is_settled() || end != feed {
            calm_since = None;
        }
        feed = end;
        if standing.is_settled() && calm_since.get_or_insert_with(Instant::now).elapsed() >= calm {
            return Ok(standing);
        }
        if begun.elapsed() > patience {
            return Err(DemoError::NeverQuiet { patience, standing });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The end of the change feed, which is at `from` or beyond.
async fn feed_end(api: &Api, from: Cursor) -> Result<Cursor, DemoError> {
    let page = ChangesQuery { limit: Some(1_000), ..ChangesQuery::default() };
    let mut end = from;
    loop {
        let changes = api.changes(end, &page).await?;
        end = changes.cursor;
        if changes.items.len() < 1_000 {
            return Ok(end);
        }
    }
}
