//! Single records: create, read, change, delete, by id or by a key of the customer.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::call::{Call, Params};
use super::errors::ApiError;
use super::id::RecordId;
use super::normalise;
use super::platform::SalesforceState;
use super::precondition::{self, entity_tag, http_date};
use super::render;
use super::reply::Reply;
use super::schema::Field;
use super::store::{ObjectNo, Store};
use super::table::Record;
use super::transaction::{Transaction, UpsertError, Upserted};

/// From this version on the answer to an upsert of a known record has a body.
const UPSERT_BODY_SINCE: u32 = 46;

/// A request about one record.
#[derive(Debug)]
pub(crate) struct RowRequest<'a> {
    pub(crate) method: Method,
    pub(crate) object: &'a str,
    pub(crate) address: Address<'a>,
    pub(crate) params: &'a Params,
    pub(crate) headers: &'a HeaderMap,
    /// The fields of a write.
    pub(crate) fields: Map<String, Value>,
}

/// How a request names its record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Address<'a> {
    /// Not at all: a new one.
    None,
    Id(&'a str),
    Key {
        field: &'a str,
        value: &'a str,
    },
}

/// Answers a request about one record.
pub(crate) fn answer(
    state: &SalesforceState,
    call: &Call,
    transaction: &mut Transaction<'_>,
    request: &RowRequest<'_>,
) -> Reply {
    Row { state, call, transaction, request }.answer().into()
}

struct Row<'a, 't, 's> {
    state: &'a SalesforceState,
    call: &'a Call,
    transaction: &'t mut Transaction<'s>,
    request: &'a RowRequest<'a>,
}

impl Row<'_, '_, '_> {
    fn answer(&mut self) -> Result<Reply, ApiError> {
        let object = object(self.transaction.store, self.request.object)?;
        match (&self.request.method, self.request.address) {
            (&Method::POST, Address::None) => self.create(object),
            // Creation through the key field's own name.
            (&Method::POST, Address::Id(name)) if name.eq_ignore_ascii_case("Id") => self.create(object),
            (&Method::PATCH, Address::Key { field, value }) if !field.eq_ignore_ascii_case("Id") => {
                self.upsert(object, field, value)
            }
            (method, address) => {
                let id = match self.resolve(object, address)? {
                    Ok(id) => id,
                    Err(choices) => return Ok(choices),
                };
                match *method {
                    Method::GET => self.read(object, id),
                    Method::PATCH => self.update(object, id),
                    Method::DELETE => {
                        self.transaction.delete(object, id).map(|()| Reply::empty(StatusCode::NO_CONTENT))
                    }
                    _ => Err(ApiError::method_not_allowed(method)),
                }
            }
        }
    }

    fn create(&mut self, object: ObjectNo) -> Result<Reply, ApiError> {
        let created = self.transaction.create(object, &self.request.fields);
        let id = self.counted(created)?;
        Ok(self.created(&id, json!({ "id": id.to_string(), "success": true, "errors": [] })))
    }

    fn created(&self, id: &RecordId, body: Value) -> Reply {
        let (version, object) = (&self.call.version.text, self.request.object);
        let location = format!("/services/data/{version}/sobjects/{object}/{id}");
        Reply::with(StatusCode::CREATED, body).header(header::LOCATION, &location)
    }

    fn read(&mut self, object: ObjectNo, id: RecordId) -> Result<Reply, ApiError> {
        let table = self.transaction.store.table(object);
        let record = table.live(id.number).filter(|record| record.id() == id).ok_or_else(ApiError::not_found)?;
        if let Err(failed) = precondition::check(self.request.headers, &record, true) {
            return Ok(failed);
        }
        self.state.log_read(&self.call.caller, &record, &self.call.via);
        let version = &self.call.version.text;
        let body = match self.request.params.list("fields") {
            Some(names) => render::some(&record, &names, version)?,
            None => render::whole(&record, version),
        };
        let reply = Reply::ok(body).header(header::LAST_MODIFIED, &http_date(record.row.modified));
        Ok(match entity_tag(&record) {
            Some(tag) => reply.header(header::ETAG, &tag),
            None => reply,
        })
    }

    fn update(&mut self, object: ObjectNo, id: RecordId) -> Result<Reply, ApiError> {
        if self.request.fields.keys().any(|name| name.eq_ignore_ascii_case("Id")) {
            let message = "The Id field should not be specified in the sobject data.";
            return self.counted(Err(ApiError::row("INVALID_FIELD", message, &["Id"])));
        }
        if let Some(failed) = self.failed_precondition(object, id) {
            return Ok(failed);
        }
        let updated = self.transaction.update(object, id, &self.request.fields);
        self.counted(updated)?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// The check sees what the writer sees, so whoever holds the row's lock has to commit first.
    fn failed_precondition(&mut self, object: ObjectNo, id: RecordId) -> Option<Reply> {
        self.transaction.wait_for(object, id.number);
        let record = self.transaction.store.table(object).live(id.number)?;
        let failed = precondition::check(self.request.headers, &record, false).err()?;
        self.state.parts.ledger.count_rejected();
        Some(failed)
    }

    fn upsert(&mut self, object: ObjectNo, field: &str, value: &str) -> Result<Reply, ApiError> {
        let field = key_field(self.transaction.store, object, field)?;
        let value = Value::String(value.to_owned());
        let update_only = self.request.params.flag("updateOnly");
        if let Some(id) = self.only_holder(object, &field, &value)
            && let Some(failed) = self.failed_precondition(object, id)
        {
            return Ok(failed);
        }
        let upserted = self.transaction.upsert(object, &field, &value, &self.request.fields, update_only);
        match upserted {
            Ok(Upserted { id, created }) => {
                let body = json!({ "id": id.to_string(), "success": true, "errors": [], "created": created });
                Ok(match created {
                    true => self.created(&id, body),
                    false if self.call.version.major >= UPSERT_BODY_SINCE => Reply::ok(body),
                    false => Reply::empty(StatusCode::NO_CONTENT),
                })
            }
            Err(UpsertError::Ambiguous(ids)) => {
                self.state.parts.ledger.count_rejected();
                Ok(self.choices(&ids))
            }
            Err(UpsertError::Refused(error)) => self.counted(Err(error)),
        }
    }

    fn only_holder(&self, object: ObjectNo, field: &Field, value: &Value) -> Option<RecordId> {
        let cell = normalise::normalise(field, &self.state.parts.faults, value).ok()?;
        let table = self.transaction.store.table(object);
        match table.holders(field, &cell) {
            [number] => Some(table.id(*number)),
            _ => None,
        }
    }

    /// The record meant, or the answer that lists the several that could be.
    fn resolve(&self, object: ObjectNo, address: Address<'_>) -> Result<Result<RecordId, Reply>, ApiError> {
        match address {
            Address::None => Err(ApiError::method_not_allowed(&self.request.method)),
            Address::Id(text) | Address::Key { field: "Id" | "id", value: text } => {
                if !RecordId::is_well_formed(text) {
                    return Err(ApiError::no_such_key(text));
                }
                let prefix = self.transaction.store.table(object).schema.prefix;
                let id = RecordId::parse(text).filter(|id| id.prefix == prefix);
                id.map(Ok).ok_or_else(ApiError::not_found)
            }
            Address::Key { field, value } => {
                let field = key_field(self.transaction.store, object, field)?;
                let table = self.transaction.store.table(object);
                let sent = Value::String(value.to_owned());
                let cell = normalise::normalise(&field, &self.state.parts.faults, &sent)?;
                match *table.holders(&field, &cell) {
                    [] => Err(ApiError::not_found()),
                    [number] => Ok(Ok(table.id(number))),
                    ref several => {
                        let ids: Vec<_> = several.iter().map(|number| table.id(*number)).collect();
                        Ok(Err(self.choices(&ids)))
                    }
                }
            }
        }
    }

    fn choices(&self, ids: &[RecordId]) -> Reply {
        let (version, object) = (&self.call.version.text, self.request.object);
        let urls = ids.iter().map(|id| format!("/services/data/{version}/sobjects/{object}/{id}"));
        Reply::with(StatusCode::MULTIPLE_CHOICES, json!(urls.collect::<Vec<_>>()))
    }

    /// Counts a refused write.
    fn counted<T>(&self, result: Result<T, ApiError>) -> Result<T, ApiError> {
        if result.is_err() {
            self.state.parts.ledger.count_rejected();
        }
        result
    }
}

/// An object type by the name in an address.
pub(crate) fn object(store: &Store, name: &str) -> Result<ObjectNo, ApiError> {
    store.object(name).ok_or_else(ApiError::not_found)
}

/// A field by which records can be addressed.
pub(crate) fn key_field(store: &Store, object: ObjectNo, name: &str) -> Result<Arc<Field>, ApiError> {
    let field = store.table(object).schema.field(name).filter(|field| field.key.is_external());
    field.cloned().ok_or_else(|| ApiError::no_such_key(name))
}

/// The record behind an id in any of its forms, if it is visible and of this type.
pub(crate) fn visible<'a>(store: &'a Store, object: ObjectNo, id: &str) -> Option<Record<'a>> {
    let id = RecordId::parse(id)?;
    let table = store.table(object);
    table.live(id.number).filter(|record| record.id() == id)
}
