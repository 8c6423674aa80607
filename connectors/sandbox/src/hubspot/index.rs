//! The search index, which trails the records.
//!
//! A write reaches the index after a delay of its own, and until then a search shows the version
//! before it, or nothing for a new record. Only the records in flight cost memory here.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::packed::Packed;
use super::record::{Record, RecordId, View};

/// A version of a record as the index holds it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The values.
    pub(crate) values: Packed,
    /// The time of the last change.
    pub(crate) modified_ms: i64,
}

impl Image {
    /// The current version of a record.
    pub(crate) fn of(record: &Record) -> Self {
        Self { values: record.values.clone(), modified_ms: record.modified_ms }
    }
}

/// The versions of one record that are on their way.
#[derive(Debug)]
struct Trail {
    /// What a search shows now; nothing for a record that the index does not know yet.
    shown: Option<Image>,
    /// What it will show, and from when on, in the order of arrival.
    coming: VecDeque<(i64, Image)>,
}

/// The index of one object type.
#[derive(Debug, Default)]
pub(crate) struct SearchIndex {
    /// The searchable records by the change time that the index shows.
    by_modified: BTreeSet<(i64, RecordId)>,
    trails: HashMap<RecordId, Trail>,
    /// When the next version of each trail becomes visible.
    due: BTreeSet<(i64, RecordId)>,
}

impl SearchIndex {
    /// Takes in a record's new version, to be shown from `visible_ms` on. `before` is the version
    /// that the write replaced, or nothing for a record that was not searchable.
    pub(crate) fn put(&mut self, id: RecordId, before: Option<Image>, after: &Record, visible_ms: Option<i64>) {
        if let Some(trail) = self.trails.get_mut(&id) {
            let last = trail.coming.back().map_or(i64::MIN, |(at, _)| *at);
            trail.coming.push_back((visible_ms.unwrap_or(last).max(last), Image::of(after)));
            return;
        }
        match visible_ms {
            None => {
                if let Some(before) = before {
                    self.by_modified.remove(&(before.modified_ms, id));
                }
                self.by_modified.insert((after.modified_ms, id));
            }
            Some(at) => {
                self.due.insert((at, id));
                self.trails.insert(id, Trail { shown: before, coming: VecDeque::from([(at, Image::of(after))]) });
            }
        }
    }

    /// Takes a record out at once; archived records never appear in a search.
    pub(crate) fn remove(&mut self, id: RecordId, record: &Record) {
        let shown = match self.trails.remove(&id) {
            Some(trail) => {
                if let Some((at, _)) = trail.coming.front() {
                    self.due.remove(&(*at, id));
                }
                trail.shown.map(|image| image.modified_ms)
            }
            None => Some(record.modified_ms),
        };
        if let Some(modified_ms) = shown {
            self.by_modified.remove(&(modified_ms, id));
        }
    }

    /// Makes visible what is due at `now_ms`.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        while let Some((at, id)) = self.due.first().copied()
            && at <= now_ms
        {
            self.due.remove(&(at, id));
            let Some(trail) = self.trails.get_mut(&id) else { continue };
            if let Some((_, image)) = trail.coming.pop_front() {
                if let Some(shown) = &trail.shown {
                    self.by_modified.remove(&(shown.modified_ms, id));
                }
                self.by_modified.insert((image.modified_ms, id));
                trail.shown = Some(image);
            }
            match trail.coming.front() {
                Some((next, _)) => {
                    self.due.insert((*next, id));
                }
                None => {
                    self.trails.remove(&id);
                }
            }
        }
    }

    /// The version of a live record that a search sees.
    pub(crate) fn view<'r>(&'r self, id: RecordId, record: &'r Record) -> Option<View<'r>> {
        // A search asks this for every record, and most of the time nothing is in flight.
        if self.trails.is_empty() {
            return Some(View::current(id, record));
        }
        match self.trails.get(&id) {
            None => Some(View::current(id, record)),
            Some(trail) => {
                let shown = trail.shown.as_ref()?;
                Some(View { id, record, values: &shown.values, modified_ms: shown.modified_ms })
            }
        }
    }

    /// The ids whose shown change time lies between two moments, in the order of the ids; nothing
    /// where there are more than `most`, so that a wide range costs no more than a scan.
    pub(crate) fn modified_between(&self, low_ms: i64, high_ms: i64, most: usize) -> Option<Vec<RecordId>> {
        if low_ms > high_ms {
            return Some(Vec::new());
        }
        let range = self.by_modified.range((low_ms, 0)..=(high_ms, RecordId::MAX));
        let mut ids: Vec<RecordId> = range.take(most.saturating_add(1)).map(|(_, id)| *id).collect();
        if ids.len() > most {
            return None;
        }
        ids.sort_unstable();
        Some(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::super::author::Author;
    use super::*;

    fn record(modified_ms: i64) -> Record {
        let mut record = Record::new(Packed::default(), 0, Author::Import);
        record.modified_ms = modified_ms;
        record
    }

    fn shown(index: &SearchIndex, record: &Record) -> Option<i64> {
        index.view(1, record).map(|view| view.modified_ms)
    }

    #[test]
    fn versions_appear_in_order_and_late() {
        let mut index = SearchIndex::default();
        let (first, second, third) = (record(10), record(20), record(30));
        index.put(1, None, &first, Some(100));
        assert_eq!(shown(&index, &first), None);
        index.put(1, Some(Image::of(&first)), &second, Some(50));
        index.put(1, Some(Image::of(&second)), &third, Some(300));
        index.advance(99);
        assert_eq!(shown(&index, &third), None);
        index.advance(100);
        assert_eq!(shown(&index, &third), Some(20), "a faster second version waits for the first");
        assert_eq!(index.modified_between(15, 25, 9), Some(vec![1]));
        index.advance(1_000);
        assert_eq!(shown(&index, &third), Some(30));
        assert_eq!(index.modified_between(0, 29, 9), Some(vec![]));
        assert!(index.trails.is_empty() && index.due.is_empty());
    }

    #[test]
    fn a_removed_record_leaves_nothing_behind() {
        for lag in [None, Some(100)] {
            let mut index = SearchIndex::default();
            let (first, second) = (record(10), record(20));
            index.put(1, None, &first, None);
            index.put(1, Some(Image::of(&first)), &second, lag);
            index.remove(1, &second);
            assert!(index.trails.is_empty() && index.due.is_empty() && index.by_modified.is_empty());
        }
    }

    #[test]
    fn wide_ranges_are_refused() {
        let mut index = SearchIndex::default();
        for id in 0..10 {
            index.put(id, None, &record(10), None);
        }
        assert_eq!(index.modified_between(0, 10, 9), None);
        assert_eq!(index.modified_between(0, 10, 10).map(|ids| ids.len()), Some(10));
    }
}
