//! Writes: each request's writes are one transaction, made under one caller at one moment, and undone as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::cell::Cell;
use super::errors::ApiError;
use super::id::RecordId;
use super::normalise::{self, Assignment};
use super::schema::{Field, FieldType, Origin};
use super::store::{Change, ObjectNo, Store};
use super::table::{Cells, Record, Row};
use crate::clock::Micros;
use crate::faults::Faults;
use crate::ledger::{Actor, ActorKind, Event, FieldWrite, Ledger, Op};

/// Who writes, and under which of the request's headers.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    /// The caller's number among the users.
    pub(crate) user: u32,
    /// Whether duplicate rules are overridden.
    pub(crate) allows_duplicates: bool,
    /// Whether assignment rules run.
    pub(crate) auto_assigns: bool,
}

impl Caller {
    /// Whether it is the connected app, on whom faults fall.
    pub(crate) fn is_integration(&self) -> bool {
        self.actor.kind == ActorKind::Integration
    }
}

/// What an upsert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Upserted {
    pub(crate) id: RecordId,
    pub(crate) created: bool,
}

/// Why an upsert was refused.
#[derive(Debug)]
pub(crate) enum UpsertError {
    /// Several records hold the key.
    Ambiguous(Vec<RecordId>),
    /// Anything else.
    Refused(ApiError),
}

impl From<ApiError> for UpsertError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// Writes in progress.
pub(crate) struct Transaction<'a> {
    pub(crate) store: &'a mut Store,
    pub(super) faults: &'a Faults,
    pub(super) ledger: &'a Ledger,
    pub(super) caller: &'a Caller,
    via: Arc<str>,
    pub(super) now: Micros,
    /// What stood there before, in order.
    undo: Vec<Change>,
    events: Vec<Event>,
}

impl<'a> Transaction<'a> {
    /// A transaction at `now`, which stamps everything it writes.
    pub(crate) fn begin(
        store: &'a mut Store,
        faults: &'a Faults,
        ledger: &'a Ledger,
        caller: &'a Caller,
        via: Arc<str>,
        now: Micros,
    ) -> Self {
        Self { store, faults, ledger, caller, via, now, undo: Vec::new(), events: Vec::new() }
    }

    /// Creates a record.
    pub(crate) fn create(&mut self, object: ObjectNo, fields: &Map<String, Value>) -> Result<RecordId, ApiError> {
        self.create_with(object, fields, None)
    }

    fn create_with(
        &mut self,
        object: ObjectNo,
        fields: &Map<String, Value>,
        key: Option<Assignment>,
    ) -> Result<RecordId, ApiError> {
        let schema = &self.store.table(object).schema;
        if !schema.writable {
            return Err(insufficient_access(schema.name));
        }
        if fields.keys().any(|name| name.eq_ignore_ascii_case("Id")) {
            let message = "cannot specify Id in an insert call";
            return Err(ApiError::row("INVALID_FIELD_FOR_INSERT_UPDATE", message, &["Id"]));
        }
        let mut assignments = normalise::assignments(schema, self.faults, fields)?;
        assignments.extend(key);
        self.fill_defaults(object, &mut assignments)?;
        self.apply_rules(object, &mut assignments);
        self.check(object, None, &assignments)?;
        self.check_duplicates(object, &assignments)?;
        self.lock_fault(&[])?;
        let mut cells = self.blank(object);
        assign(&mut cells, &assignments);
        let number = self.store.table_mut(object).reserve();
        let at = self.now.floor_to_second();
        let user = self.caller.user;
        let row = Row {
            created: at,
            created_by: user,
            modified: at,
            modified_by: user,
            stamp: at,
            deleted: None,
            master: None,
            cells: Cells::Own(cells),
        };
        self.set(object, number, Some(row));
        let written = writes(&assignments, |_| Value::Null);
        self.log(Op::Create, object, number, written, None, false);
        Ok(self.store.table(object).id(number))
    }

    /// Changes a record by id.
    pub(crate) fn update(
        &mut self,
        object: ObjectNo,
        id: RecordId,
        fields: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let schema = &self.store.table(object).schema;
        if !schema.writable {
            return Err(insufficient_access(schema.name));
        }
        let mut assignments = normalise::assignments(schema, self.faults, fields)?;
        self.wait_for(object, id.number);
        let record = self.live(object, id)?;
        let (mut cells, before) = (record.stored().to_vec(), record.row.clone());
        let stamp_before = record.stamp_text();
        self.apply_rules(object, &mut assignments);
        self.check(object, Some(id.number), &assignments)?;
        self.lock_fault(&[id])?;
        cells.resize(self.store.table(object).schema.stored_len(), Cell::Null);
        let old = cells.clone();
        assign(&mut cells, &assignments);
        let redundant = cells == old;
        let written = writes(&assignments, |field| json_of(field, &old));
        let at = self.now.floor_to_second();
        let row =
            Row { modified: at, modified_by: self.caller.user, stamp: at, cells: Cells::Own(cells.into()), ..before };
        self.set(object, id.number, Some(row));
        self.log(Op::Update, object, id.number, written, Some(stamp_before), redundant);
        Ok(())
    }

    /// Changes the record that holds `value` in the key `field`, or creates it.
    pub(crate) fn upsert(
        &mut self,
        object: ObjectNo,
        field: &Arc<Field>,
        value: &Value,
        fields: &Map<String, Value>,
        update_only: bool,
    ) -> Result<Upserted, UpsertError> {
        if fields.keys().any(|name| name.eq_ignore_ascii_case(&field.name)) {
            let message = format!("The {} field should not be specified in the sobject data.", field.name);
            return Err(ApiError::row("INVALID_FIELD", message, &[&field.name]).into());
        }
        let cell = normalise::normalise(field, self.faults, value)?;
        if cell.is_null() {
            let message = format!("{} not specified", field.name);
            return Err(ApiError::row("MISSING_ARGUMENT", message, &[]).into());
        }
        let now = self.now;
        self.store.settle_object(object, now, self.ledger);
        match *self.store.table(object).holders(field, &cell) {
            [] if update_only => Err(ApiError::not_found().into()),
            [] => {
                let key = Assignment { field: field.clone(), cell, sent: value.clone() };
                Ok(Upserted { id: self.create_with(object, fields, Some(key))?, created: true })
            }
            [number] => {
                let id = self.store.table(object).id(number);
                self.update(object, id, fields)?;
                Ok(Upserted { id, created: false })
            }
            ref several => {
                let table = self.store.table(object);
                Err(UpsertError::Ambiguous(several.iter().map(|number| table.id(*number)).collect()))
            }
        }
    }

    /// Puts a record into the recycle bin.
    pub(crate) fn delete(&mut self, object: ObjectNo, id: RecordId) -> Result<(), ApiError> {
        self.bury(object, id, None).map(|stamp_before| {
            self.log(Op::Delete, object, id.number, BTreeMap::new(), Some(stamp_before), false);
        })
    }

    /// Takes a record out of the recycle bin.
    pub(crate) fn restore(&mut self, object: ObjectNo, id: RecordId) -> Result<(), ApiError> {
        self.wait_for(object, id.number);
        let record = self.store.table(object).record(id.number).ok_or_else(ApiError::not_found)?;
        if record.row.deleted.is_none() {
            let message = "entity is not in the recycle bin";
            return Err(ApiError::row("UNDELETE_FAILED", message, &[]));
        }
        let stamp_before = record.stamp_text();
        let at = self.now.floor_to_second();
        let row = Row { deleted: None, master: None, stamp: at, ..record.row.clone() };
        self.set(object, id.number, Some(row));
        self.log(Op::Restore, object, id.number, BTreeMap::new(), Some(stamp_before), false);
        Ok(())
    }

    /// Merges a record into another of its kind, whose values win and whose gaps stay.
    pub(crate) fn merge(&mut self, object: ObjectNo, loser: RecordId, master: RecordId) -> Result<(), ApiError> {
        if loser == master {
            return Err(ApiError::row("INVALID_ARGUMENT", "a record cannot be merged into itself", &[]));
        }
        self.wait_for(object, master.number);
        let survivor = self.live(object, master)?;
        let (survivor_row, survivor_stamp) = (survivor.row.clone(), survivor.stamp_text());
        let loser_stamp = self.bury(object, loser, Some(master.number))?;
        let at = self.now.floor_to_second();
        let touched = Row { modified: at, modified_by: self.caller.user, stamp: at, ..survivor_row };
        self.set(object, master.number, Some(touched));
        let master_id = Value::String(master.to_string());
        let into = FieldWrite { before: Value::Null, sent: master_id.clone(), after: master_id };
        let fields = BTreeMap::from([("MasterRecordId".to_owned(), into)]);
        self.log(Op::Merge, object, loser.number, fields, Some(loser_stamp), false);
        self.log(Op::Update, object, master.number, BTreeMap::new(), Some(survivor_stamp), false);
        Ok(())
    }

    /// Undoes everything this transaction has done so far.
    pub(crate) fn rollback(&mut self) {
        self.events.clear();
        for change in self.undo.drain(..).rev() {
            self.store.table_mut(change.object).set(change.number, change.row);
        }
    }

    /// Makes it all visible now, or at `commits_at`; then the ticket of [`Store::hold_back`] is returned.
    pub(crate) fn commit(mut self, commits_at: Option<Micros>) -> Option<u64> {
        let events = std::mem::take(&mut self.events);
        let Some(commits_at) = commits_at.filter(|_| !self.undo.is_empty()) else {
            for event in events {
                self.ledger.append(event);
            }
            return None;
        };
        let mut held: Vec<Change> = Vec::with_capacity(self.undo.len());
        for change in self.undo.drain(..).rev() {
            let row = self.store.table_mut(change.object).set(change.number, change.row);
            let known = |seen: &Change| seen.object == change.object && seen.number == change.number;
            // Undone from the end, so the first version met of each row is its last.
            if !held.iter().any(known) {
                held.push(Change { object: change.object, number: change.number, row });
            }
        }
        Some(self.store.hold_back(commits_at, held, events))
    }

    /// Whether nothing has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.undo.is_empty()
    }

    /// The kind of object written first.
    pub(crate) fn first_object(&self) -> Option<ObjectNo> {
        self.undo.first().map(|change| change.object)
    }

    fn bury(&mut self, object: ObjectNo, id: RecordId, master: Option<u32>) -> Result<String, ApiError> {
        if !self.store.table(object).schema.writable {
            return Err(insufficient_access(self.store.table(object).schema.name));
        }
        self.wait_for(object, id.number);
        let record = self.live(object, id)?;
        let (stamp, row) = (record.stamp_text(), record.row.clone());
        self.lock_fault(&[id])?;
        let at = self.now.floor_to_second();
        self.set(object, id.number, Some(Row { deleted: Some(at), master, stamp: at, ..row }));
        Ok(stamp)
    }

    /// The platform makes a writer wait for whoever holds the row's lock; here the holder hurries up instead.
    pub(crate) fn wait_for(&mut self, object: ObjectNo, number: u32) {
        self.store.settle_row(object, number, self.now, self.ledger);
    }

    fn live(&self, object: ObjectNo, id: RecordId) -> Result<Record<'_>, ApiError> {
        let table = self.store.table(object);
        if id.prefix != table.schema.prefix {
            return Err(ApiError::not_found());
        }
        let record = table.record(id.number).ok_or_else(ApiError::not_found)?;
        if record.row.deleted.is_some() { Err(ApiError::deleted()) } else { Ok(record) }
    }

    fn blank(&self, object: ObjectNo) -> Box<[Cell]> {
        let schema = &self.store.table(object).schema;
        let mut cells = vec![Cell::Null; schema.stored_len()];
        for field in schema.fields() {
            if let (Origin::Stored(place), FieldType::Boolean) = (field.origin, &field.kind) {
                cells[place] = Cell::Bool(false);
            }
        }
        cells.into()
    }

    fn set(&mut self, object: ObjectNo, number: u32, row: Option<Row>) {
        let before = self.store.table_mut(object).set(number, row);
        self.undo.push(Change { object, number, row: before });
    }

    fn log(
        &mut self,
        op: Op,
        object: ObjectNo,
        number: u32,
        fields: BTreeMap<String, FieldWrite>,
        stamp_before: Option<String>,
        redundant: bool,
    ) {
        let table = self.store.table(object);
        let stamp_after = table.record(number).map(|record| record.stamp_text());
        self.events.push(Event {
            at_us: self.now,
            actor: self.caller.actor.clone(),
            op,
            object: table.schema.name.into(),
            id: table.id(number).to_string(),
            fields,
            stamp_before,
            stamp_after,
            redundant,
            via: self.via.clone(),
        });
    }
}

fn assign(cells: &mut [Cell], assignments: &[Assignment]) {
    for Assignment { field, cell, .. } in assignments {
        if let Origin::Stored(place) = field.origin
            && let Some(slot) = cells.get_mut(place)
        {
            slot.clone_from(cell);
        }
    }
}

fn writes(assignments: &[Assignment], before: impl Fn(&Field) -> Value) -> BTreeMap<String, FieldWrite> {
    let write = |assigned: &Assignment| FieldWrite {
        before: before(&assigned.field),
        sent: assigned.sent.clone(),
        after: assigned.cell.to_json(&assigned.field.kind),
    };
    assignments.iter().map(|assigned| (assigned.field.name.clone(), write(assigned))).collect()
}

fn json_of(field: &Field, cells: &[Cell]) -> Value {
    match field.origin {
        Origin::Stored(place) => cells.get(place).map_or(Value::Null, |cell| cell.to_json(&field.kind)),
        _ => Value::Null,
    }
}

fn insufficient_access(object: &str) -> ApiError {
    let message = format!("entity type {object} does not support this operation for this caller");
    ApiError::row("INSUFFICIENT_ACCESS_OR_READONLY", message, &[])
}
