//! What is judged: what every side shows, what the platforms wrote down, and what the API acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::{
    edits::Edit,
    form::{Place, Slot, form, slots},
    ledger::Entry,
};
use crate::demo::{
    players::Acknowledged,
    scenario::{
        fields::{FIELDS, Field},
        public::Objects,
    },
};

/// All of it.
#[derive(Clone, Debug, Default)]
pub(in crate::demo) struct Evidence {
    /// Every account, in the scenario's order.
    pub(in crate::demo) accounts: Vec<Account>,
    /// Every record that the API shows, deleted ones included.
    pub(in crate::demo) records: BTreeMap<String, Record>,
    /// The record of every object that was ever linked, by account and object.
    pub(in crate::demo) links: BTreeMap<(usize, String), String>,
    /// The conflicts that the API lists, settled ones included.
    pub(in crate::demo) conflicts: Vec<Conflict>,
    /// What the API acknowledged to the product.
    pub(in crate::demo) acknowledged: Vec<Acknowledged>,
    /// Objects, by account, that vanished with so many others that a person was asked, and said that they stay.
    pub(in crate::demo) refused: BTreeSet<(usize, String)>,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub(in crate::demo) struct Account {
    /// Its name for people.
    pub(in crate::demo) title: String,
    /// Whether every edit leaves a trace that a client can find later, so that none may be missed.
    pub(in crate::demo) keeps_history: bool,
    /// Its live objects, as its users see them.
    pub(in crate::demo) objects: Objects,
    /// Its own log.
    pub(in crate::demo) log: Vec<Entry>,
}

/// One record, as the API shows it.
#[derive(Clone, Debug, Default)]
pub(in crate::demo) struct Record {
    /// Whether it is deleted.
    pub(in crate::demo) deleted: bool,
    /// Its fields.
    pub(in crate::demo) fields: Map<String, Json>,
    /// The object in each account that it is linked to now.
    pub(in crate::demo) objects: BTreeMap<usize, String>,
}

/// One conflict, as the API lists it.
#[derive(Clone, Debug, Default)]
pub(in crate::demo) struct Conflict {
    /// The record.
    pub(in crate::demo) record: String,
    /// The field; empty where a delete met an edit.
    pub(in crate::demo) field: String,
    /// The value that lost.
    pub(in crate::demo) loser: Json,
}

impl Record {
    /// What a slot holds now.
    pub(in crate::demo) fn holds(&self, slot: &str) -> String {
        shown_in(&self.fields, slot)
    }
}

impl Evidence {
    /// The record of an object.
    pub(in crate::demo) fn record_of(&self, account: usize, object: &str) -> Option<&str> {
        self.links.get(&(account, object.to_owned())).map(String::as_str)
    }

    /// Whether a conflict of the record keeps this value of this slot.
    pub(in crate::demo) fn keeps(&self, record: &str, slot: &str, value: &str) -> bool {
        self.conflicts.iter().filter(|conflict| conflict.record == record).any(|conflict| {
            Field::named(&conflict.field).is_some_and(|field| {
                let lost = slots(field, Place::Product, &conflict.loser);
                lost.iter().any(|(name, lost)| name == slot && lost == value)
            })
        })
    }

    /// Whether the service brought this edit to an account, after it was made and before a place in that account's log. The
    /// same value that was brought earlier is another edit's.
    pub(in crate::demo) fn was_brought(&self, edit: &Edit, account: usize, before: u64) -> bool {
        let Some(log) = self.accounts.get(account).map(|account| &account.log) else { return false };
        let ours = log.iter().take_while(|entry| entry.seq < before).filter(|entry| entry.by_us() && entry.writes());
        ours.filter(|entry| entry.at_us >= edit.at_us && self.record_of(account, &entry.id) == Some(&*edit.record))
            .any(|entry| written(account, entry).any(|(name, _, after)| name == edit.slot && after == edit.value))
    }
}

/// What a platform's entry wrote: slot, what it held before, what it holds now.
pub(in crate::demo) fn written(account: usize, entry: &Entry) -> impl Iterator<Item = (Slot, String, String)> {
    let place = Place::Account(account);
    let known =
        entry.fields.iter().filter_map(move |(name, written)| Some((Field::of_account(account, name)?, written)));
    known.flat_map(move |(field, written)| {
        let (before, after) = (slots(field, place, &written.before), slots(field, place, &written.after));
        before.into_iter().zip(after).map(|((slot, before), (_, after))| (slot, before, after))
    })
}

/// What a slot holds among fields that the API shows.
pub(in crate::demo) fn shown_in(fields: &Map<String, Json>, slot: &str) -> String {
    let name = slot.split('/').next().unwrap_or(slot);
    let value = fields.get(name).unwrap_or(&Json::Null);
    let found = Field::named(name).map(|field| slots(field, Place::Product, value)).unwrap_or_default();
    found.into_iter().find(|(found, _)| found == slot).map(|(_, held)| held).unwrap_or_default()
}

/// Every field of an object in the form that spellings share, by the product's names.
pub(in crate::demo) fn forms(account: usize, fields: &Map<String, Json>) -> BTreeMap<&'static str, String> {
    let place = Place::Account(account);
    let value = |field: &Field| form(field, place, fields.get(field.remote[account]).unwrap_or(&Json::Null));
    FIELDS.iter().map(|field| (field.name, value(field))).collect()
}
