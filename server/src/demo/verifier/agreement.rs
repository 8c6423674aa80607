//! Whether every side shows the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{
    evidence::{Evidence, forms},
    form::{Place, form},
};
use crate::demo::scenario::fields::{FIELDS, Field};

/// Each way in which the sides differ, in words.
pub(in crate::demo) fn differences(evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    for (place, account) in evidence.accounts.iter().enumerate() {
        let kept = Kept::of(evidence, place);
        let mut linked: BTreeMap<&str, &str> = BTreeMap::new();
        for (id, record) in evidence.records.iter().filter(|(_, record)| !record.deleted) {
            let Some(object) = record.objects.get(&place) else {
                found.push(format!("{} has no contact for record {id}", account.title));
                continue;
            };
            if let Some(other) = linked.insert(object, id) {
                found.push(format!("{} {object} stands for two records, {other} and {id}", account.title));
            }
            let Some(shown) = account.objects.get(object) else {
                found.push(format!("{} {object} of record {id} does not exist", account.title));
                continue;
            };
            let theirs = forms(place, &shown.fields);
            for field in FIELDS {
                let ours = form(field, Place::Product, record.fields.get(field.name).unwrap_or(&Json::Null));
                let theirs = &theirs[field.name];
                if ours != *theirs && !kept.is_form_of(object, field, &ours, theirs) {
                    found.push(format!(
                        "{} of {} {object} is `{theirs}`, but `{ours}` in record {id}",
                        field.name, account.title
                    ));
                }
            }
        }
        let strays = account.objects.keys().filter(|object| !linked.contains_key(object.as_str()));
        found.extend(strays.map(|object| format!("{} {object} belongs to no record", account.title)));
    }
    found
}

/// What a platform itself made of the values that were sent to it: object, field, sent, stored.
#[derive(Default)]
struct Kept(BTreeSet<(String, &'static str, String, String)>);

impl Kept {
    fn of(evidence: &Evidence, place: usize) -> Self {
        let mut kept = BTreeSet::new();
        for entry in evidence.accounts[place].log.iter().filter(|entry| entry.by_us() && entry.writes()) {
            for (name, written) in &entry.fields {
                let Some(field) = Field::of_account(place, name) else { continue };
                let sent = form(field, Place::Account(place), &written.sent);
                let after = form(field, Place::Account(place), &written.after);
                if sent != after {
                    kept.insert((entry.id.clone(), field.name, sent, after));
                }
            }
        }
        Self(kept)
    }

    fn is_form_of(&self, object: &str, field: &Field, ours: &str, theirs: &str) -> bool {
        self.0.contains(&(object.to_owned(), field.name, ours.to_owned(), theirs.to_owned()))
    }
}
