//! Duplicates: two live contacts in one place that began as one.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    evidence::{Evidence, forms},
    form::{Place, form},
};
use crate::demo::scenario::fields::Field;

/// Each duplicate, in words: a key or an address that more than one live contact of a place holds.
pub(in crate::demo) fn found(evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    for (place, account) in evidence.accounts.iter().enumerate() {
        let mut holders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (object, shown) in &account.objects {
            let email = forms(place, &shown.fields).remove("email").filter(|email| !email.is_empty());
            let key = shown.key.clone().filter(|key| !key.is_empty());
            for mark in email.into_iter().chain(key) {
                holders.entry(mark).or_default().push(object);
            }
        }
        found.extend(doubled(&account.title, holders));
    }
    let mut holders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, record) in evidence.records.iter().filter(|(_, record)| !record.deleted) {
        let email = Field::named("email")
            .map(|field| form(field, Place::Product, record.fields.get("email").unwrap_or(&Json::Null)));
        if let Some(email) = email.filter(|email| !email.is_empty()) {
            holders.entry(email).or_default().push(id);
        }
    }
    found.extend(doubled("the product", holders));
    found
}

fn doubled(title: &str, holders: BTreeMap<String, Vec<&str>>) -> impl Iterator<Item = String> {
    let title = title.to_owned();
    let more = holders.into_iter().filter(|(_, holders)| holders.len() > 1);
    more.map(move |(mark, holders)| format!("`{mark}` stands more than once in {title}: {}", holders.join(", ")))
}
