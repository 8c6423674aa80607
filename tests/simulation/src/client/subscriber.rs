//! Those who follow the feed: each holds nothing but a cursor, and is told everything behind it, in order and once.

use std::collections::BTreeMap;

use rand::RngExt;
use syncline_core::ids::RecordId;

use crate::{
    checker::Invariant,
    store::Entry,
    world::{Item, World},
};

/// A subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) tenant: usize,
    pub(crate) connected: bool,
    pub(crate) cursor: u64,
    /// Everything that it was told.
    pub(crate) told: Vec<Entry>,
    versions: BTreeMap<RecordId, u64>,
}

impl Subscriber {
    pub(crate) fn new(tenant: usize) -> Self {
        Self { tenant, connected: true, cursor: 0, told: Vec::new(), versions: BTreeMap::new() }
    }
}

impl World {
    pub(crate) fn unplug(&mut self, subscriber: usize, for_ms: u32) {
        if std::mem::take(&mut self.subscribers[subscriber].connected) {
            let at = self.now.plus(i64::from(for_ms));
            self.at(at, Item::Plug(subscriber));
        }
    }

    pub(crate) fn plug(&mut self, subscriber: usize) {
        self.subscribers[subscriber].connected = true;
        self.counts.thing("subscribers that resumed");
        self.at(self.now, Item::Feed(subscriber));
    }

    /// The process has news for the subscribers of a tenant.
    pub(crate) fn announce(&mut self, tenant: usize, entries: &[Entry]) {
        if let (Some(process), false) = (&mut self.process, entries.is_empty()) {
            process.published(tenant, entries);
            self.tell(tenant);
        }
    }

    fn tell(&mut self, tenant: usize) {
        for subscriber in 0..self.subscribers.len() {
            if self.subscribers[subscriber].tenant == tenant && self.subscribers[subscriber].connected {
                let at = self.now.plus(self.rng.random_range(1..40));
                self.at(at, Item::Feed(subscriber));
            }
        }
    }

    /// After a start of the process everybody connects again.
    pub(crate) fn reconnect(&mut self) {
        (0..self.plans.len()).for_each(|tenant| self.tell(tenant));
    }

    /// A subscriber reads what follows its cursor: from the ring in memory, or from the log where that does not reach back.
    pub(crate) fn feed(&mut self, subscriber: usize) {
        let (tenant, cursor) = (self.subscribers[subscriber].tenant, self.subscribers[subscriber].cursor);
        if !self.subscribers[subscriber].connected {
            return;
        }
        let Some(process) = &self.process else { return };
        let news = process.after(tenant, cursor).unwrap_or_else(|| {
            self.store.tenants[tenant].feed.iter().filter(|entry| entry.seq > cursor).cloned().collect()
        });
        for entry in news {
            self.check_told(tenant, &entry);
            self.hears(subscriber, entry);
        }
    }

    fn hears(&mut self, subscriber: usize, entry: Entry) {
        let listener = &mut self.subscribers[subscriber];
        let expected = listener.cursor + 1;
        let known = listener.versions.insert(entry.record, entry.version).unwrap_or_default();
        let Entry { seq, record, version, .. } = entry;
        listener.cursor = seq;
        listener.told.push(entry);
        if seq != expected {
            self.violate(Invariant::Session, format!("the feed went on with {seq} where {expected} was due"));
        }
        if version <= known {
            self.violate(
                Invariant::Session,
                format!("the feed showed {record} at version {version} after version {known}"),
            );
        }
    }
}
