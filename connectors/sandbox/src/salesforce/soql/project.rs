//! What a query shows of each record it found.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::filter;
use super::syntax::AggregateFunction;
use crate::salesforce::cell::Cell;
use crate::salesforce::id::RecordId;
use crate::salesforce::render;
use crate::salesforce::schema::{Field, FieldType, Origin, SystemField};
use crate::salesforce::store::{ObjectNo, Store};
use crate::salesforce::table::Record;

/// A field, reached over zero or more links.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// Each link, and the object type it leads to.
    pub(super) hops: Vec<(Arc<Field>, ObjectNo)>,
    pub(super) field: Arc<Field>,
}

impl Path {
    /// The value for a record; null where a link leads nowhere.
    pub(super) fn cell(&self, record: &Record<'_>, store: &Store) -> Cell {
        let Some((first, rest)) = self.hops.split_first() else {
            return record.cell(&self.field).into_owned();
        };
        let Some(mut current) = follow(record, first, store) else { return Cell::Null };
        for hop in rest {
            let Some(next) = follow(&current, hop, store) else { return Cell::Null };
            current = next;
        }
        current.cell(&self.field).into_owned()
    }

    /// Whether it is a system field of the record itself.
    pub(super) fn is(&self, field: SystemField) -> bool {
        self.hops.is_empty() && self.field.origin == Origin::System(field)
    }

    fn is_same(&self, other: &Self) -> bool {
        let names = |path: &Self| path.hops.iter().map(|(field, _)| field.name.clone()).collect::<Vec<_>>();
        self.field.name == other.field.name && names(self) == names(other)
    }
}

fn follow<'s>(record: &Record<'_>, (field, object): &(Arc<Field>, ObjectNo), store: &'s Store) -> Option<Record<'s>> {
    let id = RecordId::parse(record.cell(field).as_text()?)?;
    let table = store.table(*object);
    (id.prefix == table.schema.prefix).then(|| table.record(id.number)).flatten()
}

/// One thing to show for each record.
#[derive(Debug, Clone)]
pub(super) struct Column {
    path: Path,
}

impl Column {
    pub(super) fn new(path: Path) -> Self {
        Self { path }
    }

    pub(super) fn is(&self, path: &Path) -> bool {
        self.path.is_same(path)
    }

    /// Puts the value into a record's answer, nested under the names of the links.
    fn put(&self, answer: &mut Map<String, Value>, record: &Record<'_>, store: &Store, version: &str) {
        put_nested(answer, record, &self.path.hops, &self.path.field, store, version);
    }
}

fn put_nested(
    answer: &mut Map<String, Value>,
    record: &Record<'_>,
    hops: &[(Arc<Field>, ObjectNo)],
    field: &Field,
    store: &Store,
    version: &str,
) {
    let Some((hop, rest)) = hops.split_first() else {
        answer.insert(field.name.clone(), render::value(record, field));
        return;
    };
    let FieldType::Reference { relationship, .. } = &hop.0.kind else { return };
    let parent = follow(record, hop, store);
    let slot = answer.entry(*relationship).or_insert(Value::Null);
    if let Some(parent) = parent {
        if slot.is_null() {
            *slot = json!({ "attributes": render::attributes(&parent, version) });
        }
        if let Value::Object(inner) = slot {
            put_nested(inner, &parent, rest, field, store, version);
        }
    }
}

/// The columns of a query over one kind of object.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) object: ObjectNo,
    pub(super) columns: Vec<Column>,
}

impl Selection {
    /// What the query shows of a record.
    pub(crate) fn show(&self, record: &Record<'_>, store: &Store, version: &str) -> Value {
        let mut answer = Map::new();
        answer.insert("attributes".to_owned(), render::attributes(record, version));
        for column in &self.columns {
            column.put(&mut answer, record, store, version);
        }
        Value::Object(answer)
    }
}

/// An aggregate whose name is looked up.
#[derive(Debug, Clone)]
pub(super) struct Aggregated {
    pub(super) function: AggregateFunction,
    pub(super) path: Path,
    pub(super) alias: String,
}

impl Aggregated {
    /// The aggregate over all records found.
    pub(super) fn over(&self, found: &[u32], object: ObjectNo, store: &Store) -> Value {
        if self.function == AggregateFunction::Count && self.path.is(SystemField::Id) {
            return json!(found.len());
        }
        let table = store.table(object);
        let records = found.iter().filter_map(|number| table.record(*number));
        let cells = records.map(|record| self.path.cell(&record, store)).filter(|cell| !cell.is_null());
        let compare = |a: &Cell, b: &Cell| -> Ordering { filter::order(&self.path, a, b) };
        let kind = &self.path.field.kind;
        match self.function {
            AggregateFunction::Count => json!(cells.count()),
            AggregateFunction::Min => cells.min_by(compare).map_or(Value::Null, |cell| cell.to_json(kind)),
            AggregateFunction::Max => cells.max_by(compare).map_or(Value::Null, |cell| cell.to_json(kind)),
        }
    }
}
