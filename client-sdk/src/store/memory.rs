//! A store that forgets everything when it is dropped: for tests, and for programs that need no offline start.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use syncline_core::{
    ids::{ModelName, RecordId},
    repo::DocumentId,
};

use super::{Row, RowQuery, SetFields, Store, StoreError, StoredDocument, SubsetState, Tally, Write};

/// A store in memory. Clones share it, so that a client can be started anew on what an earlier one left.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    rows: BTreeMap<RecordId, Row>,
    owners: HashMap<DocumentId, RecordId>,
    movers: HashMap<DocumentId, RecordId>,
    documents: HashMap<DocumentId, StoredDocument>,
    subsets: Vec<SubsetState>,
    sets: SetFields,
    tally: Tally,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Tables {
    fn apply(&mut self, write: Write) {
        match write {
            Write::PutRow(row) => self.put(row.record, Some(*row)),
            Write::DropRow(record) => self.put(record, None),
            Write::PutDocument { id, actor, saved, acked } => {
                self.documents.insert(id, StoredDocument { actor, saved, changes: Vec::new(), acked });
            }
            Write::Append { id, changes } => self.documents.entry(id).or_default().changes.push(changes),
            Write::Acknowledge { id, acked } => self.documents.entry(id).or_default().acked = acked,
            Write::DropDocument(id) => {
                self.documents.remove(&id);
            }
            Write::PutSubset { subset, cursor, listing } => {
                self.subsets.retain(|state| state.subset != subset);
                self.subsets.push(SubsetState { subset, cursor, listing });
            }
            Write::DropSubset(subset) => self.subsets.retain(|state| state.subset != subset),
            Write::PutSetField { model, field } => {
                self.sets.entry(model).or_default().insert(field);
            }
        }
    }

    fn put(&mut self, record: RecordId, row: Option<Row>) {
        let before = match &row {
            Some(row) => self.rows.insert(record, row.clone()),
            None => self.rows.remove(&record),
        };
        if let Some(before) = &before {
            forget(&mut self.owners, before.document, record);
            before.moving_to.iter().for_each(|target| forget(&mut self.movers, *target, record));
        }
        if let Some(row) = &row {
            self.owners.insert(row.document, record);
            if let Some(target) = row.moving_to {
                self.movers.insert(target, record);
            }
        }
        self.tally = self.tally.replaced(before.as_ref(), row.as_ref());
    }

    fn above(&self, after: Option<RecordId>) -> impl Iterator<Item = &Row> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows.range((from, Bound::Unbounded)).map(|(_, row)| row)
    }
}

/// A document may meanwhile have been taken over by another record.
fn forget(by: &mut HashMap<DocumentId, RecordId>, document: DocumentId, record: RecordId) {
    if by.get(&document) == Some(&record) {
        by.remove(&document);
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        writes.into_iter().for_each(|write| tables.apply(write));
        Ok(())
    }

    async fn row(&self, record: RecordId) -> Result<Option<Row>, StoreError> {
        Ok(self.tables.lock().rows.get(&record).cloned())
    }

    async fn owner(&self, document: DocumentId) -> Result<Option<Row>, StoreError> {
        let tables = self.tables.lock();
        Ok(tables.owners.get(&document).and_then(|record| tables.rows.get(record)).cloned())
    }

    async fn mover(&self, document: DocumentId) -> Result<Option<Row>, StoreError> {
        let tables = self.tables.lock();
        Ok(tables.movers.get(&document).and_then(|record| tables.rows.get(record)).cloned())
    }

    async fn rows(&self, query: RowQuery<'_>) -> Result<Vec<Row>, StoreError> {
        let tables = self.tables.lock();
        let wanted = tables
            .above(query.after)
            .filter(|row| row.deleted.is_none() && row.model == *query.model && query.filter.matches(&row.fields));
        Ok(wanted.take(query.limit).cloned().collect())
    }

    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>, StoreError> {
        Ok(self.tables.lock().documents.get(&id).cloned())
    }

    async fn stale(&self, after: Option<RecordId>, limit: usize) -> Result<Vec<(RecordId, DocumentId)>, StoreError> {
        let tables = self.tables.lock();
        let stale = tables.above(after).filter(|row| row.stale && row.refused.is_none());
        Ok(stale.take(limit).map(|row| (row.record, row.document)).collect())
    }

    async fn unlisted(
        &self,
        model: &ModelName,
        listing: u64,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError> {
        let tables = self.tables.lock();
        let unlisted = tables.above(after).filter(|row| row.model == *model && row.listed < listing);
        Ok(unlisted.take(limit).map(|row| row.record).collect())
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        Ok(self.tables.lock().tally)
    }

    async fn subsets(&self) -> Result<Vec<SubsetState>, StoreError> {
        Ok(self.tables.lock().subsets.clone())
    }

    async fn set_fields(&self) -> Result<SetFields, StoreError> {
        Ok(self.tables.lock().sets.clone())
    }
}
