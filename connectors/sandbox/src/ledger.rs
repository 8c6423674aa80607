//! The append-only record of what a platform accepted and what it showed.
//!
//! A judge reads it to say which edits happened, in which order, who had seen what, and which writes changed nothing.
//! It is bounded: at the bound the oldest reads go first, then the oldest writes, and both are counted as dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Micros;

/// What kind of principal acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person who uses the platform, by its interface or by the long-lived user token.
    User,
    /// The connected app, by an OAuth access token.
    Integration,
    /// The platform itself: the seed data, a trigger, an automation.
    System,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind of principal.
    pub kind: ActorKind,
    /// Its id in the platform.
    pub id: Arc<str>,
}

impl Actor {
    /// An ordinary user of the platform.
    pub fn user(id: impl Into<Arc<str>>) -> Self {
        Self { kind: ActorKind::User, id: id.into() }
    }

    /// The connected app.
    pub fn integration(id: impl Into<Arc<str>>) -> Self {
        Self { kind: ActorKind::Integration, id: id.into() }
    }

    /// The platform itself.
    pub fn system(id: impl Into<Arc<str>>) -> Self {
        Self { kind: ActorKind::System, id: id.into() }
    }
}

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It came into being.
    Create,
    /// Its fields were written.
    Update,
    /// It was archived, put into the recycle bin or erased.
    Delete,
    /// It came back.
    Restore,
    /// It was absorbed into another object (`fields.into` names it).
    Merge,
    /// It was shown to the integration.
    Read,
}

/// One field of a write: what it held, what was sent, what it holds now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldWrite {
    /// The stored value before.
    pub before: Value,
    /// The value as the client sent it; null where the platform itself moved the field.
    pub sent: Value,
    /// The stored value after, normalised.
    pub after: Value,
}

/// What happened, as a provider reports it to [`Ledger::append`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When the platform did it.
    pub at_us: Micros,
    /// Who asked for it.
    pub actor: Actor,
    /// What was done.
    pub op: Op,
    /// The object type, in the platform's spelling.
    pub object: Arc<str>,
    /// The object's id.
    pub id: String,
    /// The fields of a write, by the platform's names; empty for a read.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldWrite>,
    /// The object's version stamp before, in the platform's own text form.
    pub stamp_before: Option<String>,
    /// The object's version stamp after (for a read: the stamp shown).
    pub stamp_after: Option<String>,
    /// An accepted write after which the stored object is what it was before (its stamps aside).
    pub redundant: bool,
    /// The route through which it came, such as `PATCH /crm/v3/objects/{type}/{id}`.
    pub via: Arc<str>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the total order of what this platform did, from 1 without gaps (until entries are dropped).
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A stretch of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The entries in order.
    pub entries: Vec<Entry>,
    /// Pass this as `after` to go on.
    pub next: u64,
    /// Entries that were dropped since the start because the ledger was full.
    pub dropped: Dropped,
}

/// How many entries the bound has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Dropped reads.
    pub reads: u64,
    /// Dropped writes.
    pub writes: u64,
}

/// Writes by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteCounts {
    /// Object writes that were carried out, the redundant ones included.
    pub accepted: u64,
    /// Object writes that were carried out and changed nothing.
    pub redundant: u64,
    /// Of the redundant ones, those that the integration sent.
    pub redundant_by_integration: u64,
    /// Object writes that were refused.
    pub rejected: u64,
}

/// The counters of one emulator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests by method and route pattern.
    pub requests: BTreeMap<String, u64>,
    /// Object writes by how they ended.
    pub writes: WriteCounts,
}

/// The ledger and counters of one emulator.
#[derive(Debug)]
pub struct Ledger {
    entries_max: usize,
    log_reads: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seq: u64,
    writes: VecDeque<Entry>,
    reads: VecDeque<Entry>,
    dropped: Dropped,
    counts: Counts,
}

impl Ledger {
    /// An empty ledger of at most `entries_max` entries (at least one), with or without reads.
    #[must_use]
    pub fn new(entries_max: usize, log_reads: bool) -> Self {
        Self { entries_max: entries_max.max(1), log_reads, inner: Mutex::default() }
    }

    /// Whether reads by the integration are to be logged; a provider need not build read events otherwise.
    #[must_use]
    pub fn log_reads(&self) -> bool {
        self.log_reads
    }

    /// Appends what happened, counts it if it is a write, and returns its place. A read is dropped silently (place 0)
    /// where reads are not logged.
    pub fn append(&self, event: Event) -> u64 {
        let is_read = event.op == Op::Read;
        if is_read && !self.log_reads {
            return 0;
        }
        let mut inner = self.inner.lock();
        inner.seq += 1;
        let entry = Entry { seq: inner.seq, event };
        if is_read {
            inner.reads.push_back(entry);
        } else {
            inner.count_write(&entry.event);
            inner.writes.push_back(entry);
        }
        inner.trim(self.entries_max);
        inner.seq
    }

    /// Counts an object write that was refused.
    pub fn count_rejected(&self) {
        self.inner.lock().counts.writes.rejected += 1;
    }

    /// Counts a request to `route` (method and route pattern).
    pub fn count_request(&self, route: &str) {
        let mut inner = self.inner.lock();
        match inner.counts.requests.get_mut(route) {
            Some(count) => *count += 1,
            None => {
                inner.counts.requests.insert(route.to_owned(), 1);
            }
        }
    }

    /// Up to `limit` entries with a place above `after`, in order.
    #[must_use]
    pub fn page(&self, after: u64, limit: usize) -> Page {
        let inner = self.inner.lock();
        let mut writes = above(&inner.writes, after).peekable();
        let mut reads = above(&inner.reads, after).peekable();
        let mut entries = Vec::new();
        while entries.len() < limit {
            let take_write = match (writes.peek(), reads.peek()) {
                (Some(write), Some(read)) => write.seq < read.seq,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let next = if take_write { writes.next() } else { reads.next() };
            entries.extend(next.cloned());
        }
        let next = entries.last().map_or(after, |entry| entry.seq);
        Page { entries, next, dropped: inner.dropped }
    }

    /// The counters so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.lock().counts.clone()
    }
}

fn above(entries: &VecDeque<Entry>, after: u64) -> impl Iterator<Item = &Entry> {
    entries.range(entries.partition_point(|entry| entry.seq <= after)..)
}

impl Inner {
    /// What the platform does by itself is nobody's write.
    fn count_write(&mut self, event: &Event) {
        if event.actor.kind == ActorKind::System {
            return;
        }
        let writes = &mut self.counts.writes;
        writes.accepted += 1;
        if event.redundant {
            writes.redundant += 1;
            writes.redundant_by_integration += u64::from(event.actor.kind == ActorKind::Integration);
        }
    }

    fn trim(&mut self, entries_max: usize) {
        while self.writes.len() + self.reads.len() > entries_max {
            if self.reads.pop_front().is_some() {
                self.dropped.reads += 1;
            } else if self.writes.pop_front().is_some() {
                self.dropped.writes += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(op: Op, id: &str, redundant: bool) -> Event {
        Event {
            at_us: Micros(1),
            actor: Actor::integration("app"),
            op,
            object: "Contact".into(),
            id: id.into(),
            fields: BTreeMap::new(),
            stamp_before: None,
            stamp_after: None,
            redundant,
            via: "PATCH /x".into(),
        }
    }

    #[test]
    fn pages_follow_the_order_across_reads_and_writes() {
        let ledger = Ledger::new(100, true);
        for number in 0..10 {
            let op = if number % 3 == 0 { Op::Read } else { Op::Update };
            ledger.append(event(op, &number.to_string(), false));
        }
        let (mut after, mut ids) = (0, Vec::new());
        loop {
            let page = ledger.page(after, 3);
            if page.entries.is_empty() {
                break;
            }
            ids.extend(page.entries.iter().map(|entry| entry.event.id.clone()));
            after = page.next;
        }
        assert_eq!(ids, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn at_the_bound_reads_go_before_writes() {
        let ledger = Ledger::new(2, true);
        for (op, id) in [(Op::Update, "w1"), (Op::Read, "r1"), (Op::Update, "w2"), (Op::Update, "w3")] {
            ledger.append(event(op, id, false));
        }
        let page = ledger.page(0, 10);
        let ids: Vec<_> = page.entries.iter().map(|entry| entry.event.id.as_str()).collect();
        assert_eq!(ids, ["w2", "w3"]);
        assert_eq!(page.dropped, Dropped { reads: 1, writes: 1 });
    }

    #[test]
    fn reads_are_kept_only_where_asked_and_never_counted_as_writes() {
        let ledger = Ledger::new(10, false);
        assert_eq!(ledger.append(event(Op::Read, "1", false)), 0);
        ledger.append(event(Op::Update, "1", true));
        ledger.count_rejected();
        ledger.count_request("GET /x");
        ledger.count_request("GET /x");
        let counts = ledger.counts();
        let expected = WriteCounts { accepted: 1, redundant: 1, redundant_by_integration: 1, rejected: 1 };
        assert_eq!(counts.writes, expected);
        assert_eq!(counts.requests["GET /x"], 2);
        assert_eq!(ledger.page(0, 10).entries.len(), 1);
    }
}
