//! O2 and O7: once the trouble has stopped, everything comes to rest, and everybody holds the same.

use std::collections::BTreeSet;

use syncline_core::{
    ids::{ExternalId, RecordId},
    matching::MatchKey,
    outbox::Delivery,
    record::RecordState,
    replica::{Link, Replica},
    value::Value,
};

use super::Invariant;
use crate::{
    client::holder::shown,
    engine::intake::{MAY_BE_ITS, TAKEN},
    provider::{KEY_TAKEN, quirks::DeleteSign},
    world::{Item, World},
};

impl World {
    /// Why something is still on its way; `None` at rest.
    pub(crate) fn unrest(&self) -> Option<String> {
        let Some(process) = &self.process else { return Some("no process runs".into()) };
        let moving = |item: &Item| matches!(item, Item::Hint { .. } | Item::Request(_) | Item::Response(_));
        if self.ahead().any(moving) {
            return Some("messages are under way".into());
        }
        if process.sides.iter().any(|side| !side.looks.is_empty()) {
            return Some("looks are owed".into());
        }
        for (tenant, store) in self.store.tenants.iter().enumerate() {
            if !store.inbox.is_empty() {
                return Some("hints wait".into());
            }
            for state in store.records.values() {
                for (connection, replica) in &state.replicas {
                    if let Some(why) = owes(replica) {
                        return Some(format!("{} at {connection} (tenant {tenant}): {why}", state.id));
                    }
                }
            }
        }
        let behind = |subscriber: &&crate::client::subscriber::Subscriber| {
            subscriber.cursor < self.store.tenants[subscriber.tenant].next_seq
        };
        self.subscribers.iter().any(|subscriber| behind(&subscriber)).then(|| "a subscriber is behind".into())
    }

    /// Where somebody holds something else; `None` where all agree. Before a sweep, deletes that leave no sign do not count.
    pub(crate) fn disagreement(&self, swept: bool) -> Option<String> {
        (0..self.plans.len())
            .find_map(|tenant| {
                let store = &self.store.tenants[tenant];
                let records = store.records.values().find_map(|state| self.disagreement_on(tenant, state, swept));
                records.or_else(|| self.stray_object(tenant, swept)).or_else(|| self.twin_records(tenant))
            })
            .or_else(|| self.holder_apart())
    }

    /// The systems that can be known: before a sweep, not those that have shown an empty list where there were objects.
    fn listed_systems(&self, tenant: usize, swept: bool) -> impl Iterator<Item = usize> {
        self.systems_of(tenant).filter(move |system| swept || !self.accounts[*system].provider.hid)
    }

    fn disagreement_on(&self, tenant: usize, state: &RecordState, swept: bool) -> Option<String> {
        self.listed_systems(tenant, swept).find_map(|system| {
            let account = &self.accounts[system];
            let provider = &account.provider;
            let replica = state.replicas.get(&account.connection)?;
            let unseen = |id: &ExternalId| {
                let gone = provider.objects.get(id).is_some_and(|object| !object.is_live());
                // A provider that has forgotten what it deleted leaves no sign either, and of an object that a list showed too late
                // the sign is past.
                let signs = provider.quirks.deletes != DeleteSign::Absence && !provider.forgot;
                !swept && gone && (!signs || provider.quirks.lags())
            };
            let name = || format!("record {} at {}", state.id, account.connection);
            match (&replica.link, state.deleted.is_some()) {
                (Link::Linked { id }, _) if unseen(id) => None,
                (Link::Linked { id }, true) => Some(format!("{}: deleted, but still linked to {id}", name())),
                (Link::Linked { id }, false) => {
                    let Some(object) = provider.objects.get(id).filter(|object| object.is_live()) else {
                        return Some(format!("{}: linked to {id}, which is gone", name()));
                    };
                    let values = self.values(system, &object.raw());
                    self.plans[tenant].model.fields.keys().find_map(|field| {
                        let blank = Value::Null;
                        let (shown, there) =
                            (state.fields.get(field).unwrap_or(&blank), values.get(field).unwrap_or(&blank));
                        // A value that two systems began in two spellings keeps both.
                        let respells =
                            provider.quirks.lowers || provider.quirks.trims || replica.stored.contains_key(field);
                        let same = there.same_as(shown) || respells && there.loose_fold() == shown.loose_fold();
                        let refused = provider.quirks.picky && replica.parked.contains_key(field);
                        (!same && !refused)
                            .then(|| format!("{}: {field} is {shown:?} here and {there:?} in {id}", name()))
                    })
                }
                (Link::Gone { id } | Link::Detached { id }, true) => provider
                    .objects
                    .get(id)
                    .filter(|object| object.is_live() && matches!(replica.link, Link::Gone { .. }))
                    .map(|_| format!("{}: deleted, but {id} lives", name())),
                (Link::Gone { id }, false) => Some(format!("{}: lives, but {id} is gone", name())),
                (Link::Detached { id }, false) => {
                    let merged = self.ledger.merged.contains(&(account.connection.clone(), id.clone()));
                    (!merged).then(|| format!("{}: cut off from {id} by nobody", name()))
                }
                (Link::Unlinked, true) => None,
                (Link::Unlinked, false) => {
                    let says_nothing = state.fields.values().all(Value::is_blank);
                    let anothers = is_anothers(&replica.delivery);
                    (!says_nothing && !anothers && !self.waits_for_a_person(tenant, system, state))
                        .then(|| format!("{}: nothing was made", name()))
                }
            }
        })
    }

    /// Whether an object that could be this record's is set aside for a person.
    fn waits_for_a_person(&self, tenant: usize, system: usize, state: &RecordState) -> bool {
        let store = &self.store.tenants[tenant];
        let model = &self.plans[tenant].model;
        let keys = MatchKey::all(model, &state.fields);
        self.accounts[system].provider.live().any(|object| {
            let set_aside =
                store.quarantine.contains_key(&(self.accounts[system].connection.clone(), object.id.clone()));
            set_aside && MatchKey::all(model, &self.values(system, &object.raw())).iter().any(|key| keys.contains(key))
        })
    }

    /// A live object that no record knows, and that nobody was told of.
    fn stray_object(&self, tenant: usize, swept: bool) -> Option<String> {
        let store = &self.store.tenants[tenant];
        self.listed_systems(tenant, swept).find_map(|system| {
            let account = &self.accounts[system];
            let links = |connection| {
                let replicas = store.records.values().filter_map(move |state| state.replicas.get(connection));
                replicas.map(|replica| &replica.link)
            };
            account.provider.live().find_map(|object| {
                let merged = account.provider.aliases(&object.id);
                let known = links(&account.connection).any(|link| match link {
                    Link::Linked { id } => *id == object.id,
                    // What was cut off by a merge lives on by itself.
                    Link::Detached { id } => *id == object.id || merged.contains(id),
                    Link::Unlinked | Link::Gone { .. } => false,
                });
                let set_aside = store.quarantine.contains_key(&(account.connection.clone(), object.id.clone()));
                (!known && !set_aside).then(|| format!("{} belongs to no record", object.id))
            })
        })
    }

    /// Two live records of one entity that no pair of objects of one system keeps apart.
    fn twin_records(&self, tenant: usize) -> Option<String> {
        let store = &self.store.tenants[tenant];
        let model = &self.plans[tenant].model;
        let mut seen: Vec<(MatchKey, RecordId, BTreeSet<&str>)> = Vec::new();
        for state in store.records.values().filter(|state| state.deleted.is_none()) {
            let seats: BTreeSet<&str> = state
                .replicas
                .iter()
                .filter(|(_, replica)| !matches!(replica.link, Link::Unlinked) || is_anothers(&replica.delivery))
                .map(|(connection, _)| connection.as_str())
                .collect();
            for key in MatchKey::all(model, &state.fields) {
                let twin = seen.iter().find(|(other, _, taken)| *other == key && taken.is_disjoint(&seats));
                if let Some((_, twin, _)) = twin {
                    return Some(format!("{twin} and {} are one entity, {}", state.id, key.value));
                }
                seen.push((key, state.id, seats.clone()));
            }
        }
        None
    }

    fn holder_apart(&self) -> Option<String> {
        self.holders.iter().enumerate().find_map(|(number, holder)| {
            let store = &self.store.tenants[holder.tenant];
            let model = &self.plans[holder.tenant].model;
            holder.copies.iter().find_map(|(record, copy)| {
                let state = store.records.get(record)?;
                if !copy.unsent.is_empty() {
                    return Some(format!("holder {number} could not hand in its edits of {record}"));
                }
                let held = shown(&copy.doc, model);
                model.fields.keys().find_map(|field| {
                    let blank = Value::Null;
                    let (here, there) = (state.fields.get(field).unwrap_or(&blank), held.get(field).unwrap_or(&blank));
                    (!here.same_as(there))
                        .then(|| format!("holder {number} has {there:?} for {field} of {record}, the record {here:?}"))
                })
            })
        })
    }

    /// What subscribers were told is what was committed.
    pub(crate) fn check_feeds(&mut self) {
        let mut broken = None;
        for (number, subscriber) in self.subscribers.iter().enumerate() {
            let feed = &self.store.tenants[subscriber.tenant].feed;
            let wrong = subscriber.told.iter().find(|entry| {
                let place = usize::try_from(entry.seq).unwrap_or_default();
                feed.get(place.wrapping_sub(1)) != Some(*entry)
            });
            if let Some(entry) = wrong {
                broken.get_or_insert(format!(
                    "subscriber {number} was told of {} at {}, which is not so",
                    entry.record, entry.seq
                ));
            }
        }
        if let Some(what) = broken {
            self.violate(Invariant::Session, what);
        }
    }
}

/// Whether the object with the record's key is another record's: somebody merged or restored it there. That is for a person.
fn is_anothers(delivery: &Delivery) -> bool {
    let (Delivery::Dirty { error: Some(why), .. } | Delivery::Parked { reason: why, .. }) = delivery else {
        return false;
    };
    why.contains(TAKEN) || why.contains(KEY_TAKEN) || why.contains(MAY_BE_ITS)
}

fn owes(replica: &Replica) -> Option<String> {
    if replica.intent.is_some() {
        return Some("a write is open".into());
    }
    if !replica.held.is_empty() {
        return Some("readings wait".into());
    }
    match &replica.delivery {
        delivery if is_anothers(delivery) => None,
        Delivery::Clean => None,
        Delivery::Dirty { error, .. } => Some(format!("something is owed ({error:?})")),
        Delivery::Parked { reason, .. } => Some(format!("given up: {reason}")),
    }
}
