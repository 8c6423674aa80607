//! Up to two hundred records in one request, with a result for each, in the order of the request.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::call::{Call, Params};
use super::errors::ApiError;
use super::id::RecordId;
use super::normalise::malformed_id;
use super::platform::SalesforceState;
use super::render;
use super::reply::Reply;
use super::sobjects::{key_field, object, visible};
use super::store::{ObjectNo, Store};
use super::transaction::{Transaction, UpsertError, Upserted};

/// Rows per request of a write.
const ROWS_MAX: usize = 200;
/// Rows per request of a read.
const READ_ROWS_MAX: usize = 2_000;

/// What a request does with its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb<'a> {
    Create,
    Update,
    Upsert { object: &'a str, field: &'a str },
}

/// Writes the rows of a body such as `{"allOrNone":false,"records":[{"attributes":{"type":"Contact"},…}]}`.
pub(crate) fn write(
    state: &SalesforceState,
    transaction: &mut Transaction<'_>,
    verb: Verb<'_>,
    body: &Map<String, Value>,
) -> Result<Reply, ApiError> {
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let records = body.get("records").and_then(Value::as_array);
    let records = records.ok_or_else(|| ApiError::unreadable_body("The records list is missing"))?;
    check_size(records.len(), ROWS_MAX)?;
    let mut seen = HashSet::new();
    let results = records.iter().map(|record| write_one(transaction, verb, record, &mut seen)).collect();
    Ok(finish(state, transaction, all_or_none, results))
}

/// Deletes the rows of `?ids=…&allOrNone=…`.
pub(crate) fn delete(
    state: &SalesforceState,
    transaction: &mut Transaction<'_>,
    params: &Params,
) -> Result<Reply, ApiError> {
    let ids = params.list("ids").unwrap_or_default();
    if ids.is_empty() {
        return Err(ApiError::row("MISSING_ARGUMENT", "ids not specified", &[]));
    }
    check_size(ids.len(), ROWS_MAX)?;
    let results = ids.iter().map(|id| delete_one(transaction, id)).collect();
    Ok(finish(state, transaction, params.flag("allOrNone"), results))
}

/// Reads rows by id; what is not there is null.
pub(crate) fn read(
    state: &SalesforceState,
    call: &Call,
    store: &Store,
    name: &str,
    ids: &[&str],
    fields: &[&str],
) -> Result<Reply, ApiError> {
    let object = object(store, name)?;
    check_size(ids.len(), READ_ROWS_MAX)?;
    if fields.is_empty() {
        return Err(ApiError::row("MISSING_ARGUMENT", "fields not specified", &[]));
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.push(match visible(store, object, id) {
            None => Value::Null,
            Some(record) => {
                state.log_read(&call.caller, &record, &call.via);
                render::some(&record, fields, &call.version.text)?
            }
        });
    }
    Ok(Reply::ok(Value::Array(rows)))
}

fn check_size(rows: usize, most: usize) -> Result<(), ApiError> {
    if rows <= most {
        return Ok(());
    }
    let message = format!("record limit reached. cannot submit more than {most} records into this call");
    Err(ApiError::row("EXCEEDED_ID_LIMIT", message, &[]))
}

type RowResult = Result<Value, ApiError>;

fn write_one(
    transaction: &mut Transaction<'_>,
    verb: Verb<'_>,
    record: &Value,
    seen: &mut HashSet<String>,
) -> RowResult {
    let fields = record.as_object().ok_or_else(|| ApiError::unreadable_body("a record must be an object"))?;
    match verb {
        Verb::Create => {
            let object = object_of(transaction, fields)?;
            let id = transaction.create(object, fields)?;
            Ok(json!({ "id": id.to_string(), "success": true, "errors": [] }))
        }
        Verb::Update => update_one(transaction, fields, seen),
        Verb::Upsert { object: name, field } => {
            let object = object(transaction.store, name)?;
            upsert_one(transaction, object, field, fields, seen)
        }
    }
}

fn update_one(transaction: &mut Transaction<'_>, fields: &Map<String, Value>, seen: &mut HashSet<String>) -> RowResult {
    let object = object_of(transaction, fields)?;
    let (id, fields) = without(fields, "Id");
    let Some(Value::String(id)) = id else {
        return Err(ApiError::row("MISSING_ARGUMENT", "Id not specified in an update call", &["Id"]));
    };
    let id = row_id(transaction, object, &id)?;
    if !seen.insert(id.to_string()) {
        return Err(ApiError::row("DUPLICATE_VALUE", format!("duplicate id in list: {id}"), &[]));
    }
    transaction.update(object, id, &fields)?;
    Ok(json!({ "id": id.to_string(), "success": true, "errors": [] }))
}

fn upsert_one(
    transaction: &mut Transaction<'_>,
    object: ObjectNo,
    field: &str,
    fields: &Map<String, Value>,
    seen: &mut HashSet<String>,
) -> RowResult {
    let (key, rest) = without(fields, field);
    if field.eq_ignore_ascii_case("Id") {
        return match key {
            None | Some(Value::Null) => {
                let id = transaction.create(object, &rest)?;
                Ok(json!({ "id": id.to_string(), "success": true, "created": true, "errors": [] }))
            }
            Some(key) => {
                let id = row_id(transaction, object, key.as_str().unwrap_or_default())?;
                transaction.update(object, id, &rest)?;
                Ok(json!({ "id": id.to_string(), "success": true, "created": false, "errors": [] }))
            }
        };
    }
    let field = key_field(transaction.store, object, field)?;
    let Some(key) = key.filter(|key| !key.is_null()) else {
        return Err(ApiError::row("MISSING_ARGUMENT", format!("{} not specified", field.name), &[]));
    };
    let spelled = if field.key.is_case_sensitive() { key.to_string() } else { key.to_string().to_lowercase() };
    if !seen.insert(spelled) {
        let message = format!("Duplicate external id specified: {}", key.as_str().unwrap_or_default());
        return Err(ApiError::row("DUPLICATE_VALUE", message, &[&field.name]));
    }
    match transaction.upsert(object, &field, &key, &rest, false) {
        Ok(Upserted { id, created }) => {
            Ok(json!({ "id": id.to_string(), "success": true, "created": created, "errors": [] }))
        }
        Err(UpsertError::Ambiguous(_)) => {
            let message = format!("{}: more than one record found for external id field", field.name);
            Err(ApiError::row("DUPLICATE_VALUE", message, &[&field.name]))
        }
        Err(UpsertError::Refused(error)) => Err(error),
    }
}

fn delete_one(transaction: &mut Transaction<'_>, text: &str) -> RowResult {
    let Some(id) = RecordId::parse(text) else {
        return Err(malformed_id("ID", text, "Id"));
    };
    let tables = transaction.store.tables();
    let place = tables.iter().position(|table| table.schema.prefix == id.prefix);
    let object = place.map(ObjectNo).ok_or_else(unknown_id)?;
    transaction.delete(object, id).map_err(as_row_error)?;
    Ok(json!({ "id": id.to_string(), "success": true, "errors": [] }))
}

/// Puts the results together; with `allOrNone` and a refused row nothing has happened at all.
fn finish(
    state: &SalesforceState,
    transaction: &mut Transaction<'_>,
    all_or_none: bool,
    results: Vec<RowResult>,
) -> Reply {
    let refused = results.iter().filter(|result| result.is_err()).count();
    (0..refused).for_each(|_| state.parts.ledger.count_rejected());
    let rolled_back = all_or_none && refused > 0;
    if rolled_back {
        transaction.rollback();
    }
    let shown = results.into_iter().map(|result| match result {
        Ok(_) if rolled_back => rolled_back_row().to_row_result(),
        Ok(row) => row,
        Err(error) => as_row_error(error).to_row_result(),
    });
    Reply::ok(Value::Array(shown.collect()))
}

fn rolled_back_row() -> ApiError {
    let message = "Record rolled back because not all records were valid and the request was using AllOrNone header";
    ApiError::row("ALL_OR_NONE_OPERATION_ROLLED_BACK", message, &[])
}

/// A row whose id names nothing is told so in other words than a request.
fn as_row_error(error: ApiError) -> ApiError {
    if error.code == "NOT_FOUND" { unknown_id() } else { error }
}

fn unknown_id() -> ApiError {
    ApiError::row("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[])
}

fn row_id(transaction: &Transaction<'_>, object: ObjectNo, text: &str) -> Result<RecordId, ApiError> {
    let schema = &transaction.store.table(object).schema;
    let id = RecordId::parse(text).filter(|id| id.prefix == schema.prefix);
    id.ok_or_else(|| malformed_id(&format!("{} ID", schema.label), text, "Id"))
}

fn object_of(transaction: &Transaction<'_>, fields: &Map<String, Value>) -> Result<ObjectNo, ApiError> {
    let name = fields.get("attributes").and_then(|attributes| attributes.get("type")).and_then(Value::as_str);
    let Some(name) = name else {
        return Err(ApiError::row("INVALID_TYPE", "Must send a concrete entity type.", &[]));
    };
    let unknown = || ApiError::row("INVALID_TYPE", format!("sObject type '{name}' is not supported."), &[]);
    transaction.store.object(name).ok_or_else(unknown)
}

/// A field taken out by name, and the others.
fn without(fields: &Map<String, Value>, name: &str) -> (Option<Value>, Map<String, Value>) {
    let (mut taken, mut rest) = (None, Map::new());
    for (known, value) in fields {
        if known.eq_ignore_ascii_case(name) {
            taken = Some(value.clone());
        } else {
            rest.insert(known.clone(), value.clone());
        }
    }
    (taken, rest)
}
