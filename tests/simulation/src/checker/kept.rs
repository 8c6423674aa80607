//! O1: nothing that was acknowledged is lost in silence.

use syncline_core::{policies::Merge, replica::Replica, value::Value};

use super::Invariant;
use crate::{
    ledger::Written,
    model::{Shape, outdone},
    world::World,
};

impl World {
    /// Every acknowledged write is accounted for. While trouble goes on, what is still at a provider or waits for its turn
    /// counts as well.
    pub(crate) fn check_kept(&mut self, at_rest: bool) {
        let lost = self.ledger.writes.iter().filter(|write| write.acknowledged).find_map(|write| {
            let parts = Shape::of(&write.field).contributed(&write.saw, &write.value);
            let lost = parts.into_iter().find(|part| !self.is_accounted_for(write, part, at_rest));
            lost.map(|part| format!("`{part}` of {} by {} was lost without a trace", write.field, write.who))
        });
        if let Some(what) = lost {
            self.violate(Invariant::Kept, what);
        }
    }

    fn is_accounted_for(&self, write: &Written, part: &str, at_rest: bool) -> bool {
        let store = &self.store.tenants[write.tenant];
        let field = &self.plans[write.tenant].model.fields[&write.field];
        let shape = Shape::of(&write.field);
        let holds = |value: &Value| shape.holds(value, part);
        let shows = |value: &Value| {
            holds(value) || field.policy.merge() == Merge::Register && outdone(&field.policy, &write.value, value)
        };
        let overwritten = |later: &Written| {
            later.tenant == write.tenant && later.field == write.field && holds(&later.saw) && !holds(&later.value)
        };
        let told = |rows: &Vec<syncline_core::conflict::Conflict>| {
            rows.iter().any(|row| row.field == write.field && holds(&row.loser.value))
        };
        let waits = |replica: &Replica| {
            replica.held.iter().any(|reading| reading.fields.get(&write.field).is_some_and(holds))
                || replica.written.get(&write.field).is_some_and(|written| {
                    written.suspects.iter().any(|suspect| holds(&suspect.value)) || holds(&written.before)
                })
                || replica.intent.as_ref().is_some_and(|intent| intent.fields.get(&write.field).is_some_and(holds))
        };
        store.records.values().any(|state| state.fields.get(&write.field).is_some_and(shows))
            || self.ledger.forgiven.get(&write.field).is_some_and(|forgiven| forgiven.contains(part))
            || self.ledger.writes.iter().any(overwritten)
            || store.conflicts.values().any(told)
            || self.is_at_a_provider(write, part, at_rest)
            || !at_rest && store.records.values().flat_map(|state| state.replicas.values()).any(waits)
    }

    /// Whether an object shows the value: while trouble goes on any object that can be read, at rest one that no record is
    /// linked to, which waits for a person.
    fn is_at_a_provider(&self, write: &Written, part: &str, at_rest: bool) -> bool {
        let shape = Shape::of(&write.field);
        let store = &self.store.tenants[write.tenant];
        let name = write.field.as_str();
        self.systems_of(write.tenant).any(|system| {
            let account = &self.accounts[system];
            account.provider.objects.values().any(|object| {
                let entries = object.fields.get(name).map_or(&[][..], Vec::as_slice);
                let holds = |json: &serde_json::Value| {
                    let raw = [(name.to_owned(), json.clone())].into_iter().collect();
                    shape.holds(&self.value(system, &raw, &write.field), part)
                };
                if at_rest {
                    let key = (account.connection.clone(), object.id.clone());
                    let waits = store.quarantine.contains_key(&key);
                    return object.is_live() && waits && holds(&object.value(name));
                }
                let history = account.provider.quirks.history;
                let readable = object.is_live() || account.provider.quirks.keeps_deleted;
                let newest = entries.len().saturating_sub(if history { entries.len() } else { 1 });
                readable && entries[newest..].iter().any(|entry| holds(&entry.value))
            })
        })
    }
}
