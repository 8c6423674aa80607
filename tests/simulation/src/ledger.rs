//! What everybody wrote, saw, deleted and was told: the evidence that the invariants are checked against. The service knows
//! nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{
    ids::{ConnectionId, ExternalId, FieldName, RecordId},
    value::{Fields, Value},
};

use crate::model::Shape;

/// A value that somebody wrote.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// In which tenant.
    pub(crate) tenant: usize,
    pub(crate) field: FieldName,
    pub(crate) value: Value,
    /// What its author saw before.
    pub(crate) saw: Value,
    /// Whether the author was told that it is kept. Providers' users always are.
    pub(crate) acknowledged: bool,
    /// Who, for people.
    pub(crate) who: String,
}

/// All evidence of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) writes: Vec<Written>,
    /// Values that somebody deleted who could see them, or that nobody could see any more.
    pub(crate) forgiven: BTreeMap<FieldName, BTreeSet<String>>,
    /// Parts that are in several records for a good reason.
    pub(crate) copied: BTreeSet<String>,
    /// Every part that was ever written, by tenant and field.
    written: BTreeMap<(usize, FieldName), BTreeSet<String>>,
    /// Objects that users deleted or merged away, ever.
    pub(crate) ended: BTreeSet<(ConnectionId, ExternalId)>,
    /// Objects that users merged into others.
    pub(crate) merged: BTreeSet<(ConnectionId, ExternalId)>,
    /// Records that clients deleted, or tried to.
    pub(crate) deleted_by_clients: BTreeSet<RecordId>,
    /// Edits in windows that no client of the provider can see into.
    pub(crate) blind: u64,
    /// The record in which each part was seen first, of values that are written once.
    pub(crate) owners: BTreeMap<String, RecordId>,
}

impl Ledger {
    /// Notes a write; its index is for [`Ledger::acknowledge`].
    pub(crate) fn wrote(&mut self, write: Written) -> usize {
        let parts = Shape::of(&write.field).parts(&write.value);
        self.written.entry((write.tenant, write.field.clone())).or_default().extend(parts);
        self.writes.push(write);
        self.writes.len() - 1
    }

    pub(crate) fn acknowledge(&mut self, write: usize) {
        self.writes[write].acknowledged = true;
    }

    /// What stood where an edit came that had named no version: its author saw that.
    pub(crate) fn stood(&mut self, write: usize, stood: &Fields) {
        let mut again = self.writes[write].clone();
        again.saw = stood.get(&again.field).cloned().unwrap_or_default();
        self.writes.push(again);
    }

    pub(crate) fn forgive(&mut self, field: &FieldName, value: &Value) {
        self.forgiven.entry(field.clone()).or_default().extend(Shape::of(field).parts(value));
    }

    pub(crate) fn forgive_all(&mut self, fields: &Fields) {
        fields.iter().for_each(|(field, value)| self.forgive(field, value));
    }

    /// The parts of a value that nobody in this tenant wrote.
    pub(crate) fn unwritten(&self, tenant: usize, field: &FieldName, value: &Value) -> Vec<String> {
        let shape = Shape::of(field);
        if shape == Shape::Prose {
            // Characters merge, so words may grow together.
            return Vec::new();
        }
        let written = self.written.get(&(tenant, field.clone()));
        let unknown = |part: &String| !written.is_some_and(|written| written.contains(part));
        shape.parts(value).into_iter().filter(unknown).collect()
    }

    /// The tenant, other than this one, in which somebody wrote the part.
    pub(crate) fn written_elsewhere(&self, tenant: usize, part: &str) -> Option<usize> {
        let here = |(owner, _): &&(usize, FieldName)| *owner == tenant;
        let unique = |(_, field): &&(usize, FieldName)| Shape::of(field).is_unique() || Shape::of(field) == Shape::Key;
        if self.written.iter().filter(|(key, _)| here(key)).any(|(_, parts)| parts.contains(part)) {
            return None;
        }
        let elsewhere = self.written.iter().filter(|(key, _)| !here(key) && unique(key));
        elsewhere.filter(|(_, parts)| parts.contains(part)).map(|((owner, _), _)| *owner).next()
    }
}
