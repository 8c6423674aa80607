//! The emulator's side door: its state, and edits as any of its users.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::errors::ApiError;
use super::id::RecordId;
use super::platform::SalesforceState;
use super::render;
use super::store::{ObjectNo, Store};
use super::table::Record;
use super::transaction::Transaction;
use crate::admin::{AdminBackend, AdminError, FieldAct, LockAct, StatePage, StateQuery, StateRow};
use crate::faults::Faults;
use crate::ledger::Ledger;

impl AdminBackend for SalesforceState {
    fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    fn faults(&self) -> &Faults {
        &self.parts.faults
    }

    fn state(&self, query: &StateQuery) -> Result<StatePage, AdminError> {
        self.read(|store| {
            let table = store.table(object(store, &query.object)?);
            let start = match &query.after {
                None => 0,
                Some(after) => known_id(after)?.number.saturating_add(1),
            };
            let records = (start..table.len()).filter_map(|number| table.record(number));
            let mut wanted = records.filter(|record| query.deleted || record.row.deleted.is_none());
            let rows: Vec<_> = wanted.by_ref().take(query.limit()).map(|record| state_row(&record)).collect();
            let more = wanted.next().is_some();
            let next = rows.last().filter(|_| more).map(|row| row.id.clone());
            Ok(StatePage { rows, next })
        })
    }

    fn create(&self, user: &str, object: &str, fields: Map<String, Value>) -> Result<String, AdminError> {
        self.edit(user, "POST", object, |transaction, object| transaction.create(object, &fields))
            .map(|id| id.to_string())
    }

    fn update(&self, user: &str, object: &str, id: &str, fields: Map<String, Value>) -> Result<(), AdminError> {
        let id = known_id(id)?;
        self.edit(user, "PATCH", object, |transaction, object| transaction.update(object, id, &fields))
    }

    fn delete(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        let id = known_id(id)?;
        self.edit(user, "DELETE", object, |transaction, object| transaction.delete(object, id))
    }

    fn restore(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        let id = known_id(id)?;
        self.edit(user, "restore", object, |transaction, object| transaction.restore(object, id))
    }

    fn merge(&self, user: &str, object: &str, id: &str, into: &str) -> Result<String, AdminError> {
        let (loser, master) = (known_id(id)?, known_id(into)?);
        self.edit(user, "merge", object, |transaction, object| transaction.merge(object, loser, master))?;
        Ok(master.to_string())
    }

    fn act_on_field(&self, name: &str, field: &str, act: &FieldAct) -> Result<(), AdminError> {
        if act.r#type.is_some() {
            return Err(AdminError::Unsupported("this emulator does not convert the values of a field".to_owned()));
        }
        let Some(visible) = act.visible else { return Ok(()) };
        self.change_schema(|store, now| {
            let object = object(store, name)?;
            if store.set_visible(object, field, visible, now) {
                return Ok(());
            }
            Err(AdminError::NotFound(format!("{name} has no field `{field}` in the state that this needs")))
        })
    }

    fn act_on_lock(&self, _object: &str, _id: &str, _act: LockAct) -> Result<(), AdminError> {
        Err(AdminError::Unsupported("rows of this emulator are locked by its fault `lock_row` alone".to_owned()))
    }

    fn expire_tokens(&self) -> usize {
        self.sessions.lock().expire_all()
    }

    fn flush(&self) -> BoxFuture<'_, Value> {
        Box::pin(async { json!({ "committed": self.settle_all() }) })
    }
}

impl SalesforceState {
    /// One edit as a user, through the same rules as the public interface. It may become visible later.
    fn edit<T>(
        &self,
        user: &str,
        verb: &str,
        name: &str,
        work: impl FnOnce(&mut Transaction<'_>, ObjectNo) -> Result<T, ApiError>,
    ) -> Result<T, AdminError> {
        let caller = self.named_user(user);
        let via = format!("{verb} /admin/users/{{user}}/{{object}}");
        self.write_behind(&caller, &via, |transaction| {
            let object = object(transaction.store, name)?;
            work(transaction, object).map_err(|error| {
                self.parts.ledger.count_rejected();
                refused(&error)
            })
        })
    }
}

fn object(store: &Store, name: &str) -> Result<ObjectNo, AdminError> {
    store.object(name).ok_or_else(|| {
        let known: Vec<_> = store.tables().iter().map(|table| table.schema.name).collect();
        AdminError::NotFound(format!("there is no object type `{name}`; this org has {}", known.join(", ")))
    })
}

fn known_id(text: &str) -> Result<RecordId, AdminError> {
    RecordId::parse(text).ok_or_else(|| AdminError::NotFound(format!("`{text}` is not an id of this org")))
}

fn refused(error: &ApiError) -> AdminError {
    let message = format!("{}: {}", error.code, error.message);
    if error.status == axum::http::StatusCode::NOT_FOUND {
        AdminError::NotFound(message)
    } else {
        AdminError::Refused(message)
    }
}

fn state_row(record: &Record<'_>) -> StateRow {
    let fields = record.table.schema.fields().iter();
    StateRow {
        id: record.id().to_string(),
        deleted: record.row.deleted.is_some(),
        created_us: record.row.created,
        stamp: record.stamp_text(),
        fields: fields.map(|field| (field.name.clone(), render::value(record, field))).collect(),
    }
}
