//! The records that a batch of inputs reads and changes, between the store and the effects.

use std::collections::{BTreeMap, HashMap};

use syncline_core::{ids::RecordId, repo::DocumentId};

use super::{
    effects::{Source, Touched},
    input::{Brought, Need},
};
use crate::store::{Row, Write};

/// Records as they stand in this batch. What is not here has not been asked for yet.
#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<RecordId, Option<Row>>,
    owners: HashMap<DocumentId, Option<RecordId>>,
    movers: HashMap<DocumentId, Option<RecordId>>,
    /// The changed records as they were before the batch, in a fixed order so that runs can be repeated.
    before: BTreeMap<RecordId, Option<Row>>,
    sources: BTreeMap<RecordId, BTreeMap<String, Source>>,
}

impl Rows {
    /// Takes in what was read. What the batch has changed since stands.
    pub(super) fn bring(&mut self, brought: Brought) {
        match brought {
            Brought::Row(record, row) => {
                self.rows.entry(record).or_insert(row);
            }
            Brought::Owner(document, row) => {
                self.owners.entry(document).or_insert(row.as_ref().map(|row| row.record));
                if let Some(row) = row {
                    self.rows.entry(row.record).or_insert(Some(row));
                }
            }
            Brought::Mover(document, row) => {
                self.movers.entry(document).or_insert(row.as_ref().map(|row| row.record));
                if let Some(row) = row {
                    self.rows.entry(row.record).or_insert(Some(row));
                }
            }
            Brought::Document(..) => {}
        }
    }

    pub(super) fn needs_row(&self, record: RecordId) -> Option<Need> {
        (!self.rows.contains_key(&record)).then_some(Need::Row(record))
    }

    /// What is missing to find the record of a document.
    pub(super) fn needs_owner(&self, document: DocumentId) -> Option<Need> {
        if !self.owners.contains_key(&document) {
            return Some(Need::Owner(document));
        }
        (!self.movers.contains_key(&document)).then_some(Need::Mover(document))
    }

    pub(super) fn get(&self, record: RecordId) -> Option<&Row> {
        self.rows.get(&record)?.as_ref()
    }

    /// The record that a document belongs to.
    pub(super) fn owner(&self, document: DocumentId) -> Option<&Row> {
        self.get((*self.owners.get(&document)?)?)
    }

    /// The record that is about to move to a document.
    pub(super) fn mover(&self, document: DocumentId) -> Option<&Row> {
        self.get((*self.movers.get(&document)?)?)
    }

    /// Changes or adds a record.
    pub(super) fn put(&mut self, row: Row) {
        self.replace(row.record, Some(row));
    }

    /// Forgets a record.
    pub(super) fn drop(&mut self, record: RecordId) {
        self.replace(record, None);
    }

    /// Notes who wrote a field.
    pub(super) fn wrote(&mut self, record: RecordId, field: &str, source: Source) {
        self.sources.entry(record).or_default().insert(field.to_owned(), source);
    }

    fn replace(&mut self, record: RecordId, row: Option<Row>) {
        let before = self.rows.insert(record, row.clone()).flatten();
        if let Some(before) = &before {
            unlink(&mut self.owners, Some(before.document), record);
            unlink(&mut self.movers, before.moving_to, record);
        }
        if let Some(row) = &row {
            self.owners.insert(row.document, Some(record));
            if let Some(target) = row.moving_to {
                self.movers.insert(target, Some(record));
            }
        }
        self.before.entry(record).or_insert(before);
    }

    /// Ends the batch: what has to be written, and which records changed.
    pub(super) fn finish(&mut self) -> (Vec<Write>, Vec<Touched>) {
        let mut all = std::mem::take(self);
        let (mut writes, mut touched) = (Vec::new(), Vec::new());
        for (record, before) in all.before {
            let after = all.rows.remove(&record).flatten();
            if before == after {
                continue;
            }
            match &after {
                Some(row) => writes.push(Write::PutRow(Box::new(row.clone()))),
                None => writes.push(Write::DropRow(record)),
            }
            let sources = all.sources.remove(&record).unwrap_or_default();
            touched.push(Touched { before, after, sources });
        }
        (writes, touched)
    }
}

fn unlink(by: &mut HashMap<DocumentId, Option<RecordId>>, document: Option<DocumentId>, record: RecordId) {
    let Some(document) = document else { return };
    let entry = by.entry(document).or_insert(None);
    if *entry == Some(record) {
        *entry = None;
    }
}
