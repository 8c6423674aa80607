//! Open query cursors: what is left of a result that did not fit into one page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::soql::Selection;
use crate::clock::{Micros, SandboxClock};

/// How long a locator can be used.
const CURSOR_LIFE: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Cursors that one user can have open; one more closes the oldest.
const CURSORS_MAX: usize = 10;

/// A result that is being paged through. The ids are fixed when the query runs; the values are read page by page.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    pub(crate) selection: Arc<Selection>,
    /// The numbers of all records found.
    pub(crate) found: Arc<[u32]>,
    pub(crate) batch_size: usize,
    /// Whether deleted records are shown.
    pub(crate) with_deleted: bool,
    opened_at: Micros,
    id: u64,
}

/// The open cursors of the org.
#[derive(Debug)]
pub(crate) struct Cursors {
    open: VecDeque<Cursor>,
    life: Duration,
    next_id: u64,
}

impl Cursors {
    /// No cursors; their life is scaled like every lag.
    pub(crate) fn new(clock: &SandboxClock) -> Self {
        Self { open: VecDeque::new(), life: clock.scaled_life(CURSOR_LIFE), next_id: 1 }
    }

    /// Opens a cursor and returns the id part of its locators.
    pub(crate) fn open(
        &mut self,
        selection: Arc<Selection>,
        found: Arc<[u32]>,
        batch_size: usize,
        with_deleted: bool,
        now: Micros,
    ) -> String {
        let id = self.next_id;
        self.next_id += 1;
        if self.open.len() >= CURSORS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Cursor { selection, found, batch_size, with_deleted, opened_at: now, id });
        locator(id)
    }

    /// The cursor behind a locator such as `01gSb0000000001AAA-2000`, and the place in it. Without a place it is 0.
    pub(crate) fn find(&mut self, text: &str, now: Micros) -> Option<(Cursor, usize)> {
        let life = self.life;
        self.open.retain(|cursor| now.since(cursor.opened_at) <= life);
        let (id, place) = text.split_once('-').unwrap_or((text, "0"));
        let place = place.parse().ok()?;
        let cursor = self.open.iter().find(|cursor| locator(cursor.id) == id)?;
        (place <= cursor.found.len()).then(|| (cursor.clone(), place))
    }

    /// Closes the cursor behind a locator.
    pub(crate) fn close(&mut self, text: &str) {
        let id = text.split_once('-').map_or(text, |(id, _)| id);
        self.open.retain(|cursor| locator(cursor.id) != id);
    }
}

fn locator(id: u64) -> String {
    format!("01gSb0{id:09}AAA")
}
