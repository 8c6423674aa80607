//! What the product was told, and what it was not: an answer that a kill has cut off says nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value as Json};
use syncline_client::{RecordId, RecordMeta};
use syncline_server::demo::Acknowledged;

/// A call whose answer never came.
#[derive(Clone, Debug)]
pub(crate) enum Doubt {
    /// A record was to be created under this key.
    Create {
        /// The idempotency key.
        key: String,
        /// What the record says.
        call: Acknowledged,
    },
    /// A record was to be edited.
    Edit(Acknowledged),
    /// A record was to be deleted.
    Delete(Acknowledged),
    /// A conflict was to be settled for the value that lost.
    Resolve {
        /// The conflict.
        conflict: i64,
        /// The edit that settles it.
        call: Acknowledged,
    },
}

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    told: Vec<Acknowledged>,
    doubts: Vec<(u64, Doubt)>,
    calls: u64,
    /// The newest version of each record that an answer named.
    versions: Vec<(RecordId, u64)>,
}

/// The place of a call that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry(u64);

impl Book {
    /// A call is about to be made. Until its answer is noted, nobody knows.
    pub(crate) fn open(&self, doubt: Doubt) -> Entry {
        let mut pages = self.pages();
        pages.calls += 1;
        let call = pages.calls;
        pages.doubts.push((call, doubt));
        Entry(call)
    }

    /// The call was acknowledged, with the record as it is now.
    pub(crate) fn acknowledged(&self, entry: Entry, record: Option<&RecordMeta>) {
        let mut pages = self.pages();
        let Some(doubt) = pages.take(entry) else { return };
        let mut call = match doubt {
            Doubt::Create { call, .. } | Doubt::Resolve { call, .. } | Doubt::Edit(call) | Doubt::Delete(call) => call,
        };
        if let Some(meta) = record {
            call.record = meta.id.to_string();
            pages.versions.push((meta.id, meta.version));
        }
        pages.told.push(call);
    }

    /// The call was refused: it had no effect.
    pub(crate) fn refused(&self, entry: Entry) {
        self.pages().take(entry);
    }

    /// What was acknowledged otherwise, such as to a program.
    pub(crate) fn note(&self, noted: impl IntoIterator<Item = Acknowledged>) {
        self.pages().told.extend(noted);
    }

    /// The calls whose answers never came.
    pub(crate) fn doubts(&self) -> Vec<(Entry, Doubt)> {
        self.pages().doubts.iter().map(|(call, doubt)| (Entry(*call), doubt.clone())).collect()
    }

    /// Everything that was acknowledged.
    pub(crate) fn told(&self) -> Vec<Acknowledged> {
        self.pages().told.clone()
    }

    /// The records of the last acknowledgements, with the version that each named; forgets them.
    pub(crate) fn take_versions(&self) -> Vec<(RecordId, u64)> {
        std::mem::take(&mut self.pages().versions)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn take(&mut self, entry: Entry) -> Option<Doubt> {
        let place = self.doubts.iter().position(|(call, _)| *call == entry.0)?;
        Some(self.doubts.remove(place).1)
    }
}

/// A call of the product that is made now, by somebody who sees the record like this.
pub(crate) fn call(record: String, seen: Map<String, Json>, sent: Map<String, Json>) -> Acknowledged {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at_us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    Acknowledged { at_us, reached_us: at_us, record, deleted: false, seen, sent: sent.into_iter().collect() }
}
