//! One live query's queue: bounded, and replaced by a fresh snapshot when it overflows.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use syncline_core::{
    ids::{ModelName, RecordId},
    live::Filter,
};
use tokio::sync::Notify;

use crate::{
    engine::{Source, Touched},
    store::Row,
};

/// The most changes that wait for one live query. One that falls further behind is given a snapshot instead: what it
/// missed are states that no longer are.
pub(crate) const QUEUE_MAX: usize = 1024;

/// A change as a live query is told of it.
#[derive(Clone, Debug)]
pub(super) enum RowEvent {
    Inserted(Box<Row>),
    Updated { row: Box<Row>, changed: BTreeMap<String, Source> },
    Removed(RecordId),
}

/// A live query.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) model: ModelName,
    pub(super) filter: Filter,
    queue: Mutex<VecDeque<RowEvent>>,
    /// Changes were left out: only a snapshot helps.
    is_behind: AtomicBool,
    is_closed: AtomicBool,
    changed: Notify,
}

/// What a live query finds in its queue.
#[derive(Debug)]
pub(super) enum Found {
    Event(RowEvent),
    /// A snapshot has to be taken first.
    Behind,
    /// The client has ended.
    Closed,
}

impl Subscriber {
    /// A query that begins with a snapshot.
    pub(super) fn new(model: ModelName, filter: Filter) -> Self {
        Self {
            model,
            filter,
            queue: Mutex::default(),
            is_behind: AtomicBool::new(true),
            is_closed: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// From here on every change is kept; a snapshot that is taken now, and what is kept, are the whole.
    pub(super) fn begin(&self) {
        self.queue.lock().clear();
        self.is_behind.store(false, Ordering::Release);
    }

    /// Takes what was kept while a snapshot was taken; `None` where that was too much, so that the snapshot is void.
    pub(super) fn take(&self) -> Option<VecDeque<RowEvent>> {
        let queue = std::mem::take(&mut *self.queue.lock());
        (!self.is_behind.load(Ordering::Acquire)).then_some(queue)
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Tells the query of a change, if it concerns it.
    pub(super) fn tell(&self, touched: &Touched) {
        if self.is_behind.load(Ordering::Acquire) {
            return;
        }
        let before = touched.before.as_ref().filter(|row| self.holds(row));
        let after = touched.after.as_ref().filter(|row| self.holds(row));
        let event = match (before, after) {
            (None, None) => return,
            (None, Some(row)) => RowEvent::Inserted(Box::new(row.clone())),
            (Some(row), None) => RowEvent::Removed(row.record),
            (Some(before), Some(after)) => {
                let changed = changed(before, after, &touched.sources);
                if changed.is_empty() && is_same_standing(before, after) {
                    return;
                }
                RowEvent::Updated { row: Box::new(after.clone()), changed }
            }
        };
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE_MAX {
            queue.clear();
            self.is_behind.store(true, Ordering::Release);
        } else {
            queue.push_back(event);
        }
        self.changed.notify_one();
    }

    fn holds(&self, row: &Row) -> bool {
        row.deleted.is_none() && row.model == self.model && self.filter.matches(&row.fields)
    }

    /// The next thing for the query; waits for it.
    pub(super) async fn next(&self) -> Found {
        loop {
            if self.is_behind.load(Ordering::Acquire) && !self.is_closed.load(Ordering::Acquire) {
                return Found::Behind;
            }
            if let Some(event) = self.queue.lock().pop_front() {
                return Found::Event(event);
            }
            if self.is_closed.load(Ordering::Acquire) {
                return Found::Closed;
            }
            self.changed.notified().await;
        }
    }
}

/// Whether everything that an item shows beside its fields is the same.
fn is_same_standing(before: &Row, after: &Row) -> bool {
    (before.pending > 0) == (after.pending > 0) && before.refused == after.refused
}

fn changed(before: &Row, after: &Row, sources: &BTreeMap<String, Source>) -> BTreeMap<String, Source> {
    let names = before.fields.keys().chain(after.fields.keys());
    let differs = |name: &&String| before.fields.get(*name) != after.fields.get(*name);
    let source = |name: &String| sources.get(name).cloned().unwrap_or(Source::Elsewhere(None));
    names.filter(differs).map(|name| (name.clone(), source(name))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::repo::DocumentId;

    use super::*;

    fn row(name: &str) -> Row {
        Row {
            record: DocumentId::from_bytes([1; 16]).record(),
            model: "contact".into(),
            document: DocumentId::from_bytes([1; 16]),
            fields: json!({"name": name}).as_object().unwrap().clone(),
            deleted: None,
            version: 1,
            held: true,
            stale: false,
            pending: 0,
            refused: None,
            moving_to: None,
            listed: 1,
        }
    }

    fn touched(before: Option<Row>, after: Option<Row>) -> Touched {
        Touched { before, after, sources: BTreeMap::new() }
    }

    #[tokio::test]
    async fn a_query_that_falls_behind_keeps_nothing_and_asks_for_a_snapshot() {
        let subscriber = Subscriber::new("contact".into(), Filter::default());
        assert!(matches!(subscriber.next().await, Found::Behind));
        subscriber.begin();
        for number in 0..QUEUE_MAX {
            subscriber.tell(&touched(Some(row("a")), Some(row(&number.to_string()))));
        }
        assert!(matches!(subscriber.next().await, Found::Event(RowEvent::Updated { .. })));
        subscriber.tell(&touched(Some(row("a")), Some(row("b"))));
        assert_eq!(subscriber.queue.lock().len(), QUEUE_MAX);
        subscriber.tell(&touched(Some(row("b")), Some(row("c"))));
        assert_eq!(subscriber.queue.lock().len(), 0);
        assert!(matches!(subscriber.next().await, Found::Behind));
    }

    #[tokio::test]
    async fn a_record_comes_and_goes_with_what_the_filter_says() {
        let filter: Filter = serde_json::from_value(json!({"name": "in"})).unwrap();
        let subscriber = Subscriber::new("contact".into(), filter);
        subscriber.begin();
        subscriber.tell(&touched(Some(row("out")), Some(row("in"))));
        assert!(matches!(subscriber.next().await, Found::Event(RowEvent::Inserted(_))));
        subscriber.tell(&touched(Some(row("in")), Some(row("out"))));
        assert!(matches!(subscriber.next().await, Found::Event(RowEvent::Removed(_))));
        subscriber.tell(&touched(Some(row("out")), Some(row("far out"))));
        subscriber.close();
        assert!(matches!(subscriber.next().await, Found::Closed));
    }
}
