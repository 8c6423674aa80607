//! The account as the sandbox's own side door sees it.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::errors::ApiError;
use super::outbox::all_types;
use super::portal::HubSpotState;
use super::record::{Record, RecordId};
use super::schema::{ObjectKind, PropertyType, Schema};
use super::sender;
use super::table::Table;
use super::time::iso;
use crate::admin::{AdminBackend, AdminError, FieldAct, LockAct, StatePage, StateQuery, StateRow, WebhookTarget};
use crate::clock::Micros;
use crate::faults::Faults;
use crate::ledger::Ledger;

impl HubSpotState {
    /// Does something with the records of a type in the name of a person.
    fn as_person<T>(
        &self,
        object: &str,
        act: impl FnOnce(&mut Table) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let kind = kind(object)?;
        act(self.tables().of(kind))
    }
}

impl AdminBackend for HubSpotState {
    fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    fn faults(&self) -> &Faults {
        &self.parts.faults
    }

    fn state(&self, query: &StateQuery) -> Result<StatePage, AdminError> {
        let kind = kind(&query.object)?;
        let first = query.after.as_deref().map(parse).transpose()?.map_or(0, |after| after.saturating_add(1));
        let mut tables = self.tables();
        let table = &*tables.of(kind);
        let limit = query.limit();
        let wanted = table.from(first).filter(|(_, record)| query.deleted || record.archived_ms.is_none());
        let mut rows: Vec<StateRow> =
            wanted.take(limit.saturating_add(1)).map(|(id, record)| row(table.schema(), id, record)).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(|row| row.id.clone()) } else { None };
        Ok(StatePage { rows, next })
    }

    fn create(&self, user: &str, object: &str, fields: Map<String, Value>) -> Result<String, AdminError> {
        let caller = Caller::person(user, "UI create");
        self.as_person(object, |table| {
            self.create(table, &fields, &caller).map(|id| id.to_string()).map_err(AdminError::from)
        })
    }

    fn update(&self, user: &str, object: &str, id: &str, fields: Map<String, Value>) -> Result<(), AdminError> {
        let (id, caller) = (parse(id)?, Caller::person(user, "UI update"));
        self.as_person(object, |table| {
            self.update(table, id, &fields, &caller).map(drop).map_err(|error| at(error, object, id))
        })
    }

    fn delete(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        let (id, caller) = (parse(id)?, Caller::person(user, "UI delete"));
        self.as_person(object, |table| self.archive(table, id, &caller).map_err(|error| at(error, object, id)))
    }

    fn restore(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        let (id, caller) = (parse(id)?, Caller::person(user, "UI restore"));
        self.as_person(object, |table| self.restore(table, id, &caller).map_err(|error| at(error, object, id)))
    }

    fn act_on_field(&self, object: &str, field: &str, act: &FieldAct) -> Result<(), AdminError> {
        let ty = act.r#type.as_deref().map(|ty| {
            PropertyType::parse(ty).ok_or_else(|| AdminError::Refused(format!("`{ty}` is no type of a property")))
        });
        let ty = ty.transpose()?;
        self.as_person(object, |table| {
            let schema = table.schema_mut();
            let typed = ty.is_none_or(|ty| schema.set_type(field, ty));
            if typed && act.visible.is_none_or(|visible| schema.set_visible(field, visible)) {
                return Ok(());
            }
            Err(AdminError::NotFound(format!("{object} have no property `{field}`")))
        })
    }

    fn act_on_lock(&self, object: &str, id: &str, act: LockAct) -> Result<(), AdminError> {
        let number = parse(id)?;
        self.as_person(object, |table| {
            if table.set_locked(number, act.locked) {
                return Ok(());
            }
            Err(AdminError::NotFound(format!("{object} have no live record {id}")))
        })
    }

    fn merge(&self, user: &str, object: &str, id: &str, into: &str) -> Result<String, AdminError> {
        let (id, into, caller) = (parse(id)?, parse(into)?, Caller::person(user, "UI merge"));
        self.as_person(object, |table| {
            let survivor = self.merge(table, into, id, &caller).map_err(|error| at(error, object, id))?;
            Ok(survivor.to_string())
        })
    }

    fn expire_tokens(&self) -> usize {
        self.tokens.lock().expire_all(self.parts.clock.now())
    }

    fn flush(&self) -> BoxFuture<'_, Value> {
        Box::pin(async {
            for kind in ObjectKind::ALL {
                self.tables().of(kind).advance_index(i64::MAX);
            }
            let tried = sender::flush(&self.outbox, &self.parts.faults).await;
            json!({"webhook_events_sent": tried, "webhooks": self.outbox.report()})
        })
    }

    fn set_webhooks(&self, target: WebhookTarget) -> Result<Value, AdminError> {
        let WebhookTarget { target_url, subscriptions, secret } = target;
        let receiver = self.target(&target_url, secret).map_err(AdminError::Refused)?;
        let wanted = subscriptions.unwrap_or_else(all_types);
        let now = self.parts.clock.now().millis();
        let added: Result<Vec<Value>, String> = self.outbox.subscriptions(|list| {
            list.clear();
            wanted
                .iter()
                .map(|text| list.add(text, true, now).map(|added| json!({"id": added.id, "type": text})))
                .collect()
        });
        let added = added.map_err(AdminError::Refused)?;
        self.outbox.set_target(Some(receiver));
        Ok(json!({"target_url": target_url, "subscriptions": added}))
    }
}

impl From<ApiError> for AdminError {
    fn from(error: ApiError) -> Self {
        match error.status {
            http::StatusCode::NOT_FOUND => Self::NotFound(error.message),
            _ => Self::Refused(error.message),
        }
    }
}

/// An error about one object, which the platform's own message does not name.
fn at(error: ApiError, object: &str, id: RecordId) -> AdminError {
    match error.status {
        http::StatusCode::NOT_FOUND => AdminError::NotFound(format!(
            "{object} {id} does not exist in the state that this needs; GET /admin/state?object={object}&deleted=true lists what there is"
        )),
        _ => error.into(),
    }
}

fn kind(object: &str) -> Result<ObjectKind, AdminError> {
    ObjectKind::parse(object).ok_or_else(|| {
        AdminError::NotFound(format!("there is no object type `{object}` here; use contacts or companies"))
    })
}

fn parse(id: &str) -> Result<RecordId, AdminError> {
    id.parse().map_err(|_| AdminError::NotFound(format!("`{id}` is not an id; ids here are whole numbers")))
}

fn row(schema: &Schema, id: RecordId, record: &Record) -> StateRow {
    let fields =
        record.values.iter().map(|(property, text)| (schema.get(property).name.clone(), text.into())).collect();
    StateRow {
        id: id.to_string(),
        deleted: record.archived_ms.is_some(),
        created_us: Micros::from_millis(record.created_ms),
        stamp: iso(record.modified_ms),
        fields,
    }
}
