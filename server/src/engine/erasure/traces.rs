//! The texts by which a record would be known in the bytes of a file: what is searched for once it is erased.

use std::collections::BTreeSet;

use syncline_core::{
    conflict::Conflict,
    journal::{ChangeEntry, Ops},
    matching::MatchKey,
    model::Model,
    record::RecordState,
    value::{Fields, Value},
};

use crate::store::ExternalRef;

/// A shorter text is found in any file by chance, and says nothing.
const BYTES_MIN: usize = 6;
/// The most texts that are searched for; the longest are kept.
const TEXTS_MAX: usize = 2_000;

/// The texts of one record, present and past.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Traces {
    /// What is searched for.
    pub(super) texts: Vec<String>,
    /// Those of them that name the record: ids of its objects, and values of its match keys.
    pub(super) names: Vec<String>,
    /// How many were too short.
    pub(super) too_short: u64,
}

impl Traces {
    /// Collects the texts.
    pub(super) fn of(
        model: &Model,
        state: &RecordState,
        history: &[ChangeEntry],
        conflicts: &[Conflict],
        objects: &[ExternalRef],
    ) -> Self {
        let mut all = BTreeSet::new();
        add_fields(&mut all, &state.fields);
        for replica in state.replicas.values() {
            add_fields(&mut all, &replica.baseline);
            replica.stored.values().for_each(|form| {
                add(&mut all, &form.sent);
                add(&mut all, &form.stored);
            });
            replica.written.values().for_each(|written| {
                add(&mut all, &written.sent);
                add(&mut all, &written.before);
            });
            replica.held.iter().for_each(|held| add_fields(&mut all, &held.fields));
        }
        for entry in history {
            match &entry.ops {
                Ops::Genesis { values, .. } => add_fields(&mut all, values),
                Ops::Edit(ops) => ops.values().for_each(|op| add(&mut all, &op.value)),
                Ops::Deleted(_) => {}
            }
        }
        for conflict in conflicts {
            add(&mut all, &conflict.loser.value);
            add(&mut all, &conflict.winner.value);
        }
        let mut names: BTreeSet<String> = objects.iter().map(|object| object.id.as_str().to_owned()).collect();
        let keyed = |field: &_| state.fields.get(field);
        if !MatchKey::all(model, &state.fields).is_empty() {
            model.match_keys.iter().flatten().filter_map(keyed).for_each(|value| add(&mut names, value));
        }
        all.extend(names.iter().cloned());
        Self::long_enough(all, names)
    }

    /// Adds those of another record of the same person.
    pub(super) fn extend(&mut self, other: Self) {
        let too_short = self.too_short + other.too_short;
        let all = self.texts.drain(..).chain(other.texts).collect();
        let names = self.names.drain(..).chain(other.names).collect();
        *self = Self { too_short, ..Self::long_enough(all, names) };
    }

    fn long_enough(all: BTreeSet<String>, names: BTreeSet<String>) -> Self {
        let long = |text: &String| text.len() >= BYTES_MIN;
        let too_short = all.iter().filter(|text| !long(text)).count() as u64;
        let mut texts: Vec<String> = all.into_iter().filter(long).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.truncate(TEXTS_MAX);
        Self { texts, names: names.into_iter().filter(long).collect(), too_short }
    }
}

fn add_fields(texts: &mut BTreeSet<String>, fields: &Fields) {
    fields.values().for_each(|value| add(texts, value));
}

fn add(texts: &mut BTreeSet<String>, value: &Value) {
    match value {
        Value::Text(text) if !text.trim().is_empty() => drop(texts.insert(text.clone())),
        Value::Set(members) => texts.extend(members.iter().cloned()),
        _ => {}
    }
}
