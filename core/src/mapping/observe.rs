//! A provider's object as an observation: its fields through the mapping, and the provider's own history of fields as
//! clocks and past values.

use super::{FieldFault, Mapping, Reading, relation::Relation};
use crate::{
    remote::{PastValue, Raw, RemoteObject},
    replica::{Observation, Past, Source},
    time::{Clock, ClockKind, Millis, Tick},
};

impl Mapping {
    /// Reads an object that a provider showed. A field's clock is the newest entry of its history, whoever wrote it; without
    /// a history it has none of its own and the object's version speaks for it. Of a deleted object only what can be read
    /// counts: its values are on their way out, and the delete must not wait for somebody to mend them.
    ///
    /// # Errors
    ///
    /// Every field whose value cannot be taken; the object is for quarantine then.
    pub fn observe(
        &self,
        object: &RemoteObject,
        key_field: Option<&str>,
        source: Source,
        begun: Tick,
    ) -> Result<Observation, Vec<FieldFault>> {
        let reading = self.read(&object.fields);
        if !reading.faults.is_empty() && !object.deleted {
            return Err(reading.faults);
        }
        let key = key_field.and_then(|field| object.fields.get(field)).and_then(|json| json.as_str());
        let mut observation = Observation {
            id: object.id.clone(),
            aliases: object.aliases.clone(),
            deleted: object.deleted,
            fields: reading.fields,
            clocks: Default::default(),
            past: Default::default(),
            version: object.version,
            source,
            begun,
            key: key.and_then(|text| text.trim().parse().ok()),
        };
        if !object.history.is_empty() {
            for relation in self.relations.iter().filter(|relation| relation.direction.reads()) {
                add_history(relation, object, &mut observation);
            }
        }
        Ok(observation)
    }
}

/// Adds clocks and past values of a relation's fields. A field that is made of several provider fields has a past value for
/// each time at which any of them changed, made of what each held then.
fn add_history(relation: &Relation, object: &RemoteObject, observation: &mut Observation) {
    let tops: Vec<&str> = relation.remotes.iter().map(|remote| remote.top()).collect();
    let Some(histories) = tops.iter().map(|top| object.history.get(*top)).collect::<Option<Vec<_>>>() else { return };
    let mut times: Vec<Millis> = histories.iter().flat_map(|entries| entries.iter().map(|entry| entry.at)).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.dedup();
    let Some(newest) = times.first() else { return };

    let precision_ms = object.version.map_or(1, |version| version.precision_ms);
    let clock = Clock { at: *newest, precision_ms, kind: ClockKind::Field };
    for member in &relation.members {
        if observation.fields.contains_key(&member.name) {
            observation.clocks.insert(member.name.clone(), clock);
        }
    }
    for at in times {
        let held: Vec<Option<&PastValue>> = histories.iter().map(|entries| held_at(entries, at)).collect();
        add_past(relation, &tops, &held, at, observation);
    }
}

/// The newest of the entries written until then; entries are newest first.
fn held_at(entries: &[PastValue], at: Millis) -> Option<&PastValue> {
    entries.iter().find(|entry| entry.at <= at)
}

/// Adds what the relation's fields held at a time. Values that cannot be read are left out: a value nobody can take was
/// never one of ours.
fn add_past(
    relation: &Relation,
    tops: &[&str],
    held: &[Option<&PastValue>],
    at: Millis,
    observation: &mut Observation,
) {
    let value = |entry: &Option<&PastValue>| entry.map_or(serde_json::Value::Null, |entry| entry.value.clone());
    let raw: Raw = tops.iter().map(|top| (*top).to_owned()).zip(held.iter().map(value)).collect();
    let mut reading = Reading::default();
    relation.read(&raw, &mut reading);
    let by_us = held.iter().flatten().filter(|entry| entry.at == at).all(|entry| entry.by_us);
    for (field, value) in reading.fields {
        observation.past.entry(field).or_default().push(Past { value, at, stamp: at, by_us });
    }
}
