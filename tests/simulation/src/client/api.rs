//! A program that calls `/v1`: it reads, then writes what it made of what it read.

use std::collections::BTreeMap;

use rand::RngExt;
use syncline_core::{
    ids::{FieldName, RecordId},
    value::{Fields, Value},
};

use super::Wish;
use crate::{
    checker::Invariant,
    event::ClientDeed,
    ledger::Written,
    model::{EMAIL, Shape},
    setup::email_of,
    world::World,
};

/// What the program remembers.
#[derive(Debug, Default)]
pub(crate) struct Api {
    /// The newest version of each record that it was told of.
    pub(crate) seen: BTreeMap<RecordId, u64>,
}

impl World {
    pub(crate) fn client(&mut self, tenant: usize, pick: usize, deed: ClientDeed) {
        if self.process.is_none() {
            return;
        }
        if deed == ClientDeed::Create {
            return self.client_creates(tenant, pick);
        }
        let deleted = deed == ClientDeed::Restore;
        let records = self.store.tenants[tenant].records.values();
        let those: Vec<RecordId> =
            records.filter(|state| state.deleted.is_some() == deleted).map(|state| state.id).collect();
        let Some(record) = those.get(pick % those.len().max(1)).copied() else { return };
        self.client_reads(tenant, record);
        match deed {
            ClientDeed::Create => {}
            ClientDeed::Edit => self.client_edits(tenant, record, false),
            ClientDeed::EditIfMatch => self.client_edits(tenant, record, true),
            ClientDeed::Delete | ClientDeed::Restore => {
                let delete = deed == ClientDeed::Delete;
                if delete {
                    let fields = self.store.tenants[tenant].records[&record].fields.clone();
                    self.ledger.forgive_all(&fields);
                    self.ledger.deleted_by_clients.insert(record);
                }
                self.note(|| format!("client asks to {} {record}", if delete { "delete" } else { "restore" }));
                self.send_request(tenant, Wish::Delete { record, delete });
            }
        }
    }

    /// The program reads a record: what it wrote must be there, and nothing may be older than what it read before.
    fn client_reads(&mut self, tenant: usize, record: RecordId) {
        let version = self.store.tenants[tenant].records[&record].version;
        let seen = self.api[tenant].seen.entry(record).or_default();
        let known = std::mem::replace(seen, version.max(*seen));
        if version < known {
            self.violate(Invariant::Session, format!("{record} was at version {known}, and now at {version}"));
        }
    }

    fn client_creates(&mut self, tenant: usize, pick: usize) {
        // An entity that no system's user knows of, or one that some do.
        let email = if pick.is_multiple_of(3) { email_of(pick as u32 % 6) } else { email_of(100 + self.event) };
        let mut fields = Fields::from([(FieldName::new(EMAIL), Value::text(email))]);
        for name in self.editable(tenant) {
            if self.rng.random_bool(0.7) {
                let word = self.word(tenant);
                let value = Shape::of(&name).edited(&Value::Null, &word, &mut self.rng);
                fields.insert(name, value);
            }
        }
        let record = RecordId::created(
            &self.plans[tenant].tenant,
            &self.plans[tenant].model.name,
            &format!("{}/{}", self.event, self.words),
        );
        let values = fields.clone();
        self.note(|| format!("client asks to create {record}: {}", crate::world::brief(&values)));
        let wrote = |(field, value): (&FieldName, &Value)| Written {
            tenant,
            field: field.clone(),
            value: value.clone(),
            saw: Value::Null,
            acknowledged: false,
            who: "the client".into(),
        };
        let written: Vec<Written> = fields.iter().map(wrote).collect();
        let writes = written.into_iter().map(|write| self.ledger.wrote(write)).collect();
        self.send_request(tenant, Wish::Create { record, fields, writes });
    }

    /// The fields that clients edit.
    pub(crate) fn editable(&self, tenant: usize) -> Vec<FieldName> {
        self.plans[tenant].model.fields.keys().filter(|name| name.as_str() != EMAIL).cloned().collect()
    }

    fn client_edits(&mut self, tenant: usize, record: RecordId, if_match: bool) {
        let names = self.editable(tenant);
        let name = names[self.rng.random_range(0..names.len())].clone();
        let state = &self.store.tenants[tenant].records[&record];
        let saw = state.fields.get(&name).cloned().unwrap_or_default();
        let version = state.version;
        let word = self.word(tenant);
        let value = Shape::of(&name).edited(&saw, &word, &mut self.rng);
        self.note(|| format!("client asks to set {name} of {record} to {}", value.to_json()));
        // Without a precondition an edit is of whatever stands there when it arrives.
        let saw = if if_match { saw } else { Value::Null };
        let (field, who) = (name.clone(), "the client".to_owned());
        let write = self.ledger.wrote(Written { tenant, field, value: value.clone(), saw, acknowledged: false, who });
        let fields = Fields::from([(name, value)]);
        let if_version = if_match.then_some(version);
        self.send_request(tenant, Wish::Edit { record, fields, if_version, write, settles: false });
    }
}
