//! The `history` section: how long a record's history may grow before it begins anew.

use syncline_core::record::RecordState;

use super::spot::Spot;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["changes", "bytes"];

/// A document with fewer changes is long because of what it says, and would be as long when it begins anew.
const CHANGES_MIN: usize = 100;
/// How many times the limits a history may grow while somebody has the document open.
const TIMES_WHILE_OPEN: usize = 4;

/// How long a record's history may grow. Beyond it the record begins a new document as soon as every system shows what the
/// record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Changes.
    pub changes_max: usize,
    /// Bytes of the saved document.
    pub bytes_max: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { changes_max: 1_000, bytes_max: 64 * 1024 }
    }
}

impl History {
    pub(super) fn read(spot: Option<&Spot<'_>>) -> Self {
        let usual = Self::default();
        let table = spot.and_then(|spot| spot.table(KEYS));
        let number = |key: &str, usual: usize| {
            let read = table.as_ref().and_then(|table| table.get(key)).and_then(|spot| spot.whole(1..=u32::MAX));
            read.map_or(usual, |number| number as usize)
        };
        Self { changes_max: number("changes", usual.changes_max), bytes_max: number("bytes", usual.bytes_max) }
    }

    /// Whether the record's history is too long. While somebody has the document open, and would have to follow the record to
    /// another one, it may be longer.
    pub(crate) fn is_exceeded(&self, state: &mut RecordState, is_open: impl FnOnce() -> bool) -> bool {
        let changes = state.journal.len();
        let exceeds = |state: &mut RecordState, times: usize| {
            changes > self.changes_max.saturating_mul(times)
                || changes > CHANGES_MIN && state.document.save().len() > self.bytes_max.saturating_mul(times)
        };
        exceeds(state, 1) && (!is_open() || exceeds(state, TIMES_WHILE_OPEN))
    }
}
