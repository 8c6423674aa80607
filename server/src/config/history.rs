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
    pub(crate) fn is_exceeded(&self, state: &RecordState, is_open: impl FnOnce() -> bool) -> bool {
        let (changes, bytes) = (state.journal.len(), state.document.size());
        let exceeds = |times: usize| {
            changes > self.changes_max.saturating_mul(times)
                || changes > CHANGES_MIN && bytes > self.bytes_max.saturating_mul(times)
        };
        exceeds(1) && (!is_open() || exceeds(TIMES_WHILE_OPEN))
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::{
        document::{Actor, Document},
        ids::RecordId,
        journal::{ChangeEntry, Hash, Ops, Origin},
        model::{DeleteEffect, DeleteRace, DeleteRule, Model},
        time::{Clock, Millis},
        value::Fields,
    };

    use super::*;

    /// A record with so many changes, whose document was saved with so many bytes.
    fn record(changes: usize, bytes: usize) -> RecordState {
        let model = Model {
            name: "contact".into(),
            fields: Default::default(),
            match_keys: Vec::new(),
            deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
        };
        let actor = Actor::service(&"acme".into(), 1);
        let (_, hash) = Document::genesis(&actor, &model, &Fields::new(), Millis(0)).unwrap();
        let ops = Ops::genesis(Clock::exact(Millis(0)), Default::default());
        let entry = ChangeEntry { hash, at: Millis(0), origin: Origin::Service, ops };
        RecordState {
            tenant: "acme".into(),
            id: RecordId(Default::default()),
            model: model.name,
            revision: 1,
            epoch: 0,
            version: 1,
            fields: Fields::new(),
            deleted: None,
            merged_into: None,
            document: Document::from_saved(vec![0; bytes], vec![Hash([0; 32])]),
            journal: vec![entry; changes],
            replicas: Default::default(),
            first_seen_at: Millis(0),
            last_modified_at: Millis(0),
        }
    }

    #[test]
    fn a_history_is_too_long_by_changes_or_by_bytes_and_later_while_somebody_has_it() {
        let limits = History { changes_max: 200, bytes_max: 1_000 };
        for (changes, bytes, open, exceeded) in [
            (200, 1_000, false, false),
            (201, 0, false, true),
            (201, 0, true, false),
            (801, 0, true, true),
            (101, 1_001, false, true),
            (100, 1_001, false, false),
            (101, 1_001, true, false),
            (101, 4_001, true, true),
        ] {
            let state = record(changes, bytes);
            assert_eq!(limits.is_exceeded(&state, || open), exceeded, "{changes} changes, {bytes} bytes, {open}");
        }
    }
}
