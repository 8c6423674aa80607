//! The judge: reads all three sides through their public APIs and says where they differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::{
    accounts::{FIELDS, Object},
    api::{Api, copy_of, id_of},
    stage::Stage,
};

/// Digits of a telephone number that do not depend on how it is written.
const PHONE_DIGITS: usize = 7;

/// What all sides show.
#[derive(Debug)]
pub struct Agreement {
    /// The live records, by id.
    pub records: BTreeMap<String, Json>,
}

/// Reads all sides.
///
/// # Errors
/// The first difference, where they do not agree.
pub async fn read(stage: &Stage, api: &Api) -> Result<Agreement, String> {
    let records: BTreeMap<String, Json> =
        api.records().await.into_iter().map(|record| (id_of(&record), record)).collect();
    for account in stage.accounts() {
        let mut objects = account.objects().await;
        let connection = account.words.connection;
        distinct(connection, objects.values())?;
        for (id, record) in &records {
            let copy = copy_of(record, connection).ok_or_else(|| format!("{id} has no copy in {connection}"))?;
            let object = objects.remove(&copy).ok_or_else(|| format!("{copy} of {id} is not in {connection}"))?;
            same(connection, id, record, &object)?;
        }
        if let Some(stray) = objects.into_values().next() {
            return Err(format!("{stray:?} in {connection} belongs to no record"));
        }
    }
    Ok(Agreement { records })
}

/// Nobody stands twice in one account.
fn distinct<'a>(connection: &str, objects: impl Iterator<Item = &'a Object>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for object in objects {
        let email = loose("email", &object.fields["email"]);
        if !email.is_empty() && !seen.insert(email.clone()) {
            return Err(format!("{email} stands twice in {connection}"));
        }
    }
    Ok(())
}

fn same(connection: &str, id: &str, record: &Json, object: &Object) -> Result<(), String> {
    if !object.key.is_empty() && object.key != id {
        return Err(format!("{} in {connection} carries the key of {}, not of {id}", object.id, object.key));
    }
    for field in FIELDS {
        let (ours, theirs) = (record[field].as_str().unwrap_or_default(), object.fields[field].as_str());
        if loose(field, ours) != loose(field, theirs) {
            return Err(format!("{field} of {id} is {ours:?} in the record and {theirs:?} in {connection}"));
        }
    }
    Ok(())
}

/// A value short of what platforms may change about its form.
fn loose(field: &str, value: &str) -> String {
    let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match field {
        "email" => words.to_lowercase(),
        "phone" => {
            let digits: String = words.chars().filter(char::is_ascii_digit).collect();
            digits[digits.len().saturating_sub(PHONE_DIGITS)..].to_owned()
        }
        _ => words,
    }
}

#[test]
fn the_judge_sees_what_it_must() {
    let record = serde_json::json!({"email": "a@x.example", "phone": "+49301234567", "title": null});
    let fields = FIELDS.into_iter().map(|field| (field, String::new())).collect();
    let mut object = Object { id: "1".into(), key: "r".into(), fields };
    object.fields.insert("email", " A@x.example".into());
    object.fields.insert("phone", "(030) 123 45 67".into());
    assert_eq!(same("c", "r", &record, &object), Ok(()));
    assert!(same("c", "other", &record, &object).is_err(), "a foreign key");
    assert!(distinct("c", [&object, &object].into_iter()).is_err(), "a duplicate");
    for (field, value) in [("email", "b@x.example"), ("phone", "030 123 45 68"), ("title", "CTO")] {
        let mut other = object.clone();
        other.fields.insert(field, value.into());
        assert!(same("c", "r", &record, &other).is_err(), "{field}");
    }
}
