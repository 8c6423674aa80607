//! An in-memory store with transactions. What is here survives a crash; nothing else does.
//!
//! # Layout
//!
//! * [`commit`]: the one transaction that changes records.
//! * this file: what is kept, and how it is looked up.

pub(crate) mod commit;

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{
    conflict::Conflict,
    document::Document,
    ids::{ConnectionId, ExternalId, RecordId},
    live::{Action, JsonFields},
    matching::MatchKey,
    outbox::Delivery,
    reconcile::Stray,
    record::RecordState,
    repo::DocumentId,
    time::{Millis, Tick},
};

/// A webhook's hint, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Hint {
    pub(crate) connection: ConnectionId,
    pub(crate) id: ExternalId,
    /// By which a second delivery of the same event is known.
    pub(crate) name: String,
}

impl Hint {
    /// The record's create has ended, and this object is another one.
    pub(crate) fn of_stray(record: RecordId, stray: &Stray) -> Self {
        let Stray { connection, id, at } = stray;
        Self { connection: connection.clone(), id: id.clone(), name: format!("{id} is not {record}'s, {}", at.0) }
    }
}

/// One entry of a tenant's feed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) record: RecordId,
    pub(crate) action: Action,
    pub(crate) version: u64,
    pub(crate) fields: JsonFields,
}

impl Entry {
    /// What subscribers are told of a record at this place.
    pub(crate) fn of(seq: u64, state: &RecordState, action: Action) -> Self {
        let fields = state.fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
        Self { seq, record: state.id, action, version: state.version, fields }
    }
}

/// A document that a record left behind.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) record: RecordId,
    pub(crate) document: Document,
}

/// Everything durable of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TenantStore {
    pub(crate) records: BTreeMap<RecordId, RecordState>,
    pub(crate) links: BTreeMap<(ConnectionId, ExternalId), RecordId>,
    pub(crate) keys: BTreeMap<MatchKey, BTreeSet<RecordId>>,
    pub(crate) conflicts: BTreeMap<RecordId, Vec<Conflict>>,
    pub(crate) feed: Vec<Entry>,
    /// The next place in the feed.
    pub(crate) next_seq: u64,
    pub(crate) checkpoints: BTreeMap<(ConnectionId, &'static str), String>,
    pub(crate) inbox: BTreeMap<u64, Hint>,
    pub(crate) hint_names: BTreeSet<String>,
    hints: u64,
    pub(crate) quarantine: BTreeMap<(ConnectionId, ExternalId), String>,
    pub(crate) moved: BTreeMap<DocumentId, Moved>,
    /// Which principal writes as which Automerge actor.
    pub(crate) actors: BTreeMap<Vec<u8>, String>,
    /// Sides that have been read completely once.
    pub(crate) live: BTreeSet<ConnectionId>,
    /// Sides whose sweep waits for a person, with what is missing.
    pub(crate) awaiting: BTreeMap<ConnectionId, u64>,
}

/// Everything durable.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) tenants: Vec<TenantStore>,
    tick: u64,
    /// How many commits there were.
    pub(crate) commits: u64,
}

impl Store {
    pub(crate) fn new(tenants: usize) -> Self {
        Self { tenants: (0..tenants).map(|_| TenantStore::default()).collect(), tick: 0, commits: 0 }
    }

    /// A tick larger than every one before, also across restarts.
    pub(crate) fn tick(&mut self) -> Tick {
        self.tick += 1;
        Tick(self.tick)
    }

    /// What is owed is forgotten, as no sound store does.
    pub(crate) fn forget_deliveries(&mut self) {
        let records = self.tenants.iter_mut().flat_map(|tenant| tenant.records.values_mut());
        records.flat_map(|state| state.replicas.values_mut()).for_each(|replica| {
            replica.delivery = Delivery::Clean;
            replica.intent = None;
        });
    }

    /// Deleted records are forgotten, as no sound store does.
    pub(crate) fn forget_tombstones(&mut self) {
        for tenant in &mut self.tenants {
            tenant.records.retain(|_, state| state.deleted.is_none());
            tenant.links.retain(|_, record| tenant.records.contains_key(record));
            tenant.keys.values_mut().for_each(|records| records.retain(|record| tenant.records.contains_key(record)));
        }
    }

    /// A process that starts anew has nothing but bytes.
    pub(crate) fn reopen(&mut self) {
        for tenant in &mut self.tenants {
            for state in tenant.records.values_mut() {
                state.document = reread(&mut state.document);
            }
            for moved in tenant.moved.values_mut() {
                moved.document = reread(&mut moved.document);
            }
        }
    }
}

fn reread(document: &mut Document) -> Document {
    let heads = document.heads().clone();
    Document::from_saved(document.save().to_vec(), heads)
}

impl TenantStore {
    /// Stores a hint once; `false` where it was known.
    pub(crate) fn put_hint(&mut self, hint: Hint) -> bool {
        if !self.hint_names.insert(hint.name.clone()) {
            return false;
        }
        self.hints += 1;
        self.inbox.insert(self.hints, hint);
        true
    }

    /// The hints about one connection, oldest first.
    pub(crate) fn pending_hints(&self, connection: &ConnectionId, limit: usize) -> Vec<(u64, ExternalId)> {
        let ours = self.inbox.iter().filter(|(_, hint)| hint.connection == *connection);
        ours.take(limit).map(|(id, hint)| (*id, hint.id.clone())).collect()
    }

    /// Records that owe this connection something now, longest due first.
    pub(crate) fn due_deliveries(&self, connection: &ConnectionId, now: Millis, limit: usize) -> Vec<RecordId> {
        let due = |state: &RecordState| match state.replicas.get(connection)?.delivery {
            Delivery::Dirty { due, .. } if due <= now => Some((due, state.id)),
            _ => None,
        };
        let mut found: Vec<(Millis, RecordId)> = self.records.values().filter_map(due).collect();
        found.sort_unstable();
        found.into_iter().take(limit).map(|(_, record)| record).collect()
    }

    /// When the next delivery to this connection is due.
    pub(crate) fn next_due(&self, connection: &ConnectionId) -> Option<Millis> {
        self.records.values().filter_map(|state| state.replicas.get(connection)?.delivery.due()).min()
    }

    /// The objects of this connection that records are linked to now.
    pub(crate) fn linked_ids(&self, connection: &ConnectionId) -> Vec<ExternalId> {
        self.records.values().filter_map(|state| state.replicas.get(connection)?.link.linked().cloned()).collect()
    }

    /// Those of the objects that a record is linked to now.
    pub(crate) fn still_linked(&self, connection: &ConnectionId, ids: &[ExternalId]) -> Vec<ExternalId> {
        let linked = |id: &&ExternalId| {
            let record = self.links.get(&(connection.clone(), (*id).clone()));
            let replica = record.and_then(|record| self.records.get(record)?.replicas.get(connection));
            replica.is_some_and(|replica| replica.link.linked() == Some(*id))
        };
        ids.iter().filter(linked).cloned().collect()
    }
}
