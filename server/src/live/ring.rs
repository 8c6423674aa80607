//! The newest changes of one tenant, encoded once and shared by all its subscribers.

use std::{collections::VecDeque, sync::Arc};

use axum::extract::ws::Utf8Bytes;
use syncline_core::live::{Change, Cursor, ServerMessage};

use super::limits::{self, Limits};

/// A change and its message, which is the same for every subscriber.
#[derive(Debug)]
pub(super) struct Published {
    /// The change, for filters.
    pub(super) change: Change,
    /// The message, ready to be sent.
    pub(super) text: Utf8Bytes,
}

impl Published {
    /// Encodes a change.
    pub(super) fn new(change: Change) -> Result<Self, serde_json::Error> {
        let message = ServerMessage::Change(change);
        let text = serde_json::to_string(&message)?.into();
        let ServerMessage::Change(change) = message else { unreachable!("the message was made two lines above") };
        Ok(Self { change, text })
    }
}

/// A run of changes without a gap, bounded in number and bytes. Whoever needs older ones reads the log.
#[derive(Debug)]
pub(super) struct Ring {
    changes: VecDeque<Arc<Published>>,
    bytes: usize,
    changes_max: usize,
    bytes_max: usize,
}

impl Ring {
    /// An empty ring.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            changes: VecDeque::new(),
            bytes: 0,
            changes_max: limits.ring_changes_max,
            bytes_max: limits.ring_bytes_max,
        }
    }

    /// Takes in the next change. Commits may be announced out of order: a gap before the change empties the ring, and a
    /// change that the ring has passed already is dropped, since the log holds both.
    pub(super) fn push(&mut self, published: Published) {
        let cursor = published.change.cursor;
        if let Some(newest) = self.newest() {
            if cursor <= newest {
                return;
            }
            if cursor.0 > newest.0 + 1 {
                self.clear();
            }
        }
        self.bytes += published.text.len();
        self.changes.push_back(Arc::new(published));
        while self.is_over() {
            if let Some(oldest) = self.changes.pop_front() {
                self.bytes -= oldest.text.len();
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.changes.clear();
        self.bytes = 0;
    }

    /// The changes after `cursor`, at most a batch; `None` where the ring does not reach back so far.
    pub(super) fn after(&self, cursor: Cursor) -> Option<Vec<Arc<Published>>> {
        let oldest = self.changes.front()?.change.cursor;
        let skipped = (cursor.0 + 1).checked_sub(oldest.0)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.changes.len());
        Some(self.changes.range(skipped..).take(limits::BATCH_CHANGES_MAX as usize).cloned().collect())
    }

    fn is_over(&self) -> bool {
        self.changes.len() > self.changes_max || (self.bytes > self.bytes_max && self.changes.len() > 1)
    }

    /// The newest change's place.
    pub(super) fn newest(&self) -> Option<Cursor> {
        self.changes.back().map(|published| published.change.cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    fn ring(cursors: impl IntoIterator<Item = u64>) -> Ring {
        let mut ring = Ring::new(&Limits::default());
        for cursor in cursors {
            ring.push(Published::new(sample::change(cursor)).unwrap());
        }
        ring
    }

    fn after(ring: &Ring, cursor: u64) -> Option<Vec<u64>> {
        let changes = ring.after(Cursor(cursor))?;
        Some(changes.iter().map(|published| published.change.cursor.0).collect())
    }

    #[test]
    fn the_ring_answers_only_what_it_holds_without_a_gap() {
        for (pushed, cursor, expected) in [
            (vec![5, 6, 7], 4, Some(vec![5, 6, 7])),
            (vec![5, 6, 7], 6, Some(vec![7])),
            (vec![5, 6, 7], 7, Some(vec![])),
            (vec![5, 6, 7], 99, Some(vec![])),
            (vec![5, 6, 7], 3, None),
            (vec![], 0, None),
            // Announced out of order: 7 came before 6, so the ring restarts there and leaves the rest to the log.
            (vec![5, 7, 6, 8], 4, None),
            (vec![5, 7, 6, 8], 6, Some(vec![7, 8])),
            (vec![5, 5, 6], 4, Some(vec![5, 6])),
        ] {
            assert_eq!(after(&ring(pushed.clone()), cursor), expected, "{pushed:?} after {cursor}");
        }
    }

    #[test]
    fn the_ring_is_bounded_and_answers_in_batches() {
        let max = Limits::default().ring_changes_max as u64;
        let ring = ring(1..=max + 10);
        assert_eq!(ring.changes.len() as u64, max);
        assert_eq!(ring.bytes, ring.changes.iter().map(|published| published.text.len()).sum::<usize>());
        assert_eq!(after(&ring, 9), None);
        assert_eq!(after(&ring, 10).unwrap().len(), limits::BATCH_CHANGES_MAX as usize);
    }
}
