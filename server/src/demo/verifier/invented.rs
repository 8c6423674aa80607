//! Values that nobody wrote: every value that a record shows was typed by somebody, acknowledged by the API, or kept by an
//! account that has it from elsewhere than from us.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{
    evidence::Evidence,
    form::{Place, form},
};
use crate::demo::scenario::fields::{FIELDS, Field, Kind};

/// A field and a value in the form that all its spellings share.
type Known = BTreeSet<(&'static str, String)>;

/// Each value of a live record that nobody wrote, in words.
pub(in crate::demo) fn found(evidence: &Evidence) -> Vec<String> {
    let known = written(evidence);
    let live =
        evidence.records.iter().filter(|(id, record)| !record.deleted && is_known_from_its_beginning(evidence, id));
    let shown = live.flat_map(|(id, record)| {
        // A member of a set is in or out, and so can hardly be invented.
        let fields = FIELDS.iter().filter(|field| !matches!(field.kind, Kind::Members(_) | Kind::Flag));
        fields.map(move |field| {
            (id, field, form(field, Place::Product, record.fields.get(field.name).unwrap_or(&Json::Null)))
        })
    });
    shown
        .filter(|(_, field, value)| !value.is_empty() && !known.contains(&(field.name, value.clone())))
        .map(|(id, field, value)| format!("{} of record {id} is `{value}`, which nobody wrote", field.name))
        .collect()
}

/// Whether everything that the record's objects ever held can be known: an object that was there before the log began, and is
/// gone, may have brought values that nothing shows any more.
fn is_known_from_its_beginning(evidence: &Evidence, record: &str) -> bool {
    let mut linked = evidence.links.iter().filter(|(_, linked)| *linked == record).map(|(object, _)| object);
    linked.all(|(account, object)| {
        evidence.accounts.get(*account).is_some_and(|side| {
            let begun = side.log.iter().any(|entry| entry.op == "create" && entry.id == *object);
            begun || side.objects.contains_key(object)
        })
    })
}

/// Every value that somebody wrote.
fn written(evidence: &Evidence) -> Known {
    let mut known = Known::new();
    for (account, side) in evidence.accounts.iter().enumerate() {
        let place = Place::Account(account);
        let mut ours: BTreeSet<(&str, &str)> = BTreeSet::new();
        for entry in &side.log {
            for (name, written) in &entry.fields {
                let Some(field) = Field::of_account(account, name) else { continue };
                let [before, sent, after] =
                    [&written.before, &written.sent, &written.after].map(|value| form(field, place, value));
                // What stood there before our first write is the account's own.
                if !ours.contains(&(entry.id.as_str(), field.name)) {
                    known.insert((field.name, before));
                }
                let by_us = entry.by_us() && entry.writes();
                if by_us {
                    ours.insert((&entry.id, field.name));
                }
                // What a platform makes of a value that it was sent is the platform's.
                if !by_us || after != sent {
                    known.insert((field.name, after));
                }
                if !by_us {
                    known.insert((field.name, sent));
                }
            }
        }
        for (id, shown) in &side.objects {
            for field in FIELDS.iter().filter(|field| !ours.contains(&(id.as_str(), field.name))) {
                let value = shown.fields.get(field.remote[account]).unwrap_or(&Json::Null);
                known.insert((field.name, form(field, place, value)));
            }
        }
    }
    for (name, value) in evidence.acknowledged.iter().flat_map(|noted| &noted.sent) {
        if let Some(field) = Field::named(name) {
            known.insert((field.name, form(field, Place::Product, value)));
        }
    }
    known
}
