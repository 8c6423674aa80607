//! What is checked with every step.

use syncline_core::{
    ids::{ConnectionId, ExternalId, RecordId},
    live::Action,
    matching::MatchKey,
    read::DeleteGuard,
    remote::Raw,
};

use super::Invariant;
use crate::{
    model::Shape,
    provider::quirks::KeyKind,
    store::{Entry, commit::links},
    world::World,
};

impl World {
    /// O4 and O6 of what is sent to a provider.
    pub(crate) fn check_sent(&mut self, system: usize, body: &Raw) {
        let tenant = self.accounts[system].tenant;
        for (field, value) in self.values(system, body) {
            let unwritten = self.ledger.unwritten(tenant, &field, &value);
            self.blame(tenant, unwritten, &format!("{field} sent to system {system}"));
        }
    }

    /// O4, O6, O3 and deletes of what became durable.
    pub(crate) fn check_entries(&mut self, tenant: usize, entries: &[Entry]) {
        for entry in entries {
            let Some(state) = self.store.tenants[tenant].records.get(&entry.record) else { continue };
            let (fields, links) = (state.fields.clone(), links(state));
            if self.is_anothers_fruit(tenant, entry.record, &links) {
                for (field, value) in &fields {
                    self.ledger.copied.extend(Shape::of(field).parts(value));
                }
            }
            for (field, value) in fields {
                let unwritten = self.ledger.unwritten(tenant, &field, &value);
                self.blame(tenant, unwritten, &format!("{field} of {}", entry.record));
                if matches!(Shape::of(&field), Shape::Text) {
                    Shape::of(&field).parts(&value).into_iter().for_each(|part| self.check_twin(entry.record, part));
                }
            }
            let meant = links.iter().any(|link| self.ledger.ended.contains(link))
                || self.ledger.deleted_by_clients.contains(&entry.record);
            if entry.action == Action::Deleted && !meant {
                let what = format!("{} counts as deleted, and nobody deleted it", entry.record);
                self.violate(Invariant::Meant, what);
            }
        }
    }

    fn blame(&mut self, tenant: usize, unwritten: Vec<String>, whose: &str) {
        for part in unwritten {
            match self.ledger.written_elsewhere(tenant, &part) {
                Some(other) => {
                    let what = format!("`{part}` of tenant {other} is {whose}, of tenant {tenant}");
                    self.violate(Invariant::Apart, what);
                }
                None => self.violate(Invariant::Written, format!("nobody wrote `{part}`, {whose}")),
            }
        }
    }

    /// A value that was written once is one record's.
    fn check_twin(&mut self, record: RecordId, part: String) {
        if self.ledger.copied.contains(&part) {
            return;
        }
        let owner = *self.ledger.owners.entry(part.clone()).or_insert(record);
        if owner != record {
            let what = format!("`{part}` was written once, and is in two records: {owner} and {record}");
            self.violate(Invariant::Once, what);
        }
    }

    /// Whether a record holds an object that a create has made for another record, at a provider that keeps no key of ours:
    /// its match key was changed before anybody saw it, there or in the record, and then nobody can tell.
    fn is_anothers_fruit(&self, tenant: usize, record: RecordId, links: &[(ConnectionId, ExternalId)]) -> bool {
        self.systems_of(tenant).any(|system| {
            let account = &self.accounts[system];
            let objects = links.iter().filter(|(connection, _)| *connection == account.connection);
            let made_for = |id: &ExternalId| account.provider.objects.get(id).and_then(|object| object.made_for);
            let mut others = objects.filter_map(|(_, id)| made_for(id)).filter(|other| *other != record);
            account.provider.quirks.key == KeyKind::None && others.next().is_some()
        })
    }

    /// O6 of what a subscriber is told.
    pub(crate) fn check_told(&mut self, tenant: usize, entry: &Entry) {
        let foreign = if tenant == 0 { "Canary" } else { "Word" };
        let strays = entry.fields.values().any(|value| value.to_string().contains(foreign));
        if strays {
            self.violate(Invariant::Apart, format!("tenant {tenant} was told of {}", entry.record));
        }
    }

    /// O3: a create of ours has made an object.
    pub(crate) fn check_made(&mut self, system: usize, id: &ExternalId, record: RecordId) {
        let account = &mut self.accounts[system];
        if let Some(object) = account.provider.objects.get_mut(id) {
            object.made_for = Some(record);
        }
        let ended = |id: &ExternalId| self.ledger.ended.contains(&(account.connection.clone(), id.clone()));
        let made = account.provider.live().filter(|object| object.made_for == Some(record) && !ended(&object.id));
        let made: Vec<String> = made.map(|object| object.id.to_string()).collect();
        self.counts.thing("creates");
        if made.len() > 1 && !self.is_one_of_several(system, record) {
            self.violate(Invariant::Once, format!("{} were all made for {record}", made.join(" and ")));
        }
    }

    /// Whether nobody could tell, at a provider that keeps no key of ours, which record an object is that a lost create has
    /// made: other records have the same match key, the record's own is another one by now, or a user has merged another
    /// record's object into it.
    fn is_one_of_several(&self, system: usize, record: RecordId) -> bool {
        let account = &self.accounts[system];
        let store = &self.store.tenants[account.tenant];
        let Some(state) = store.records.get(&record) else { return false };
        let keys = MatchKey::all(&self.plans[account.tenant].model, &state.fields);
        let made = || account.provider.live().filter(|object| object.made_for == Some(record));
        let others =
            made().map(|object| MatchKey::all(&self.plans[account.tenant].model, &self.values(system, &object.raw())));
        account.provider.quirks.key == KeyKind::None
            && (made().any(|object| !account.provider.aliases(&object.id).is_empty())
                || keys.iter().filter_map(|key| store.keys.get(key)).any(|records| records.len() > 1)
                || others.into_iter().any(|others| others != keys))
    }

    /// More deletes than the guard lets pass need a person.
    pub(crate) fn check_guarded(&mut self, system: usize, known: u64, missing: u64, approved: bool) {
        let gone = |id: &&ExternalId| {
            self.accounts[system].provider.objects.get(*id).is_none_or(|object| object.deleted.is_some())
        };
        let store = &self.store.tenants[self.accounts[system].tenant];
        let linked = store.linked_ids(&self.accounts[system].connection);
        let really = linked.iter().filter(gone).count() as u64;
        if !approved && DeleteGuard::default().trips(known, missing) && really > 0 {
            self.violate(Invariant::Meant, format!("{missing} of {known} objects were given up without a person"));
        }
    }
}
