//! How a record looks in an answer.

use serde_json::{Map, Value, json};

use super::errors::ApiError;
use super::schema::{Field, FieldType};
use super::table::Record;

/// The type and address that come with every record.
pub(crate) fn attributes(record: &Record<'_>, version: &str) -> Value {
    let object = record.table.schema.name;
    json!({ "type": object, "url": url(record, version) })
}

/// The address of a record.
pub(crate) fn url(record: &Record<'_>, version: &str) -> String {
    format!("/services/data/{version}/sobjects/{}/{}", record.table.schema.name, record.id())
}

/// The value of one field.
pub(crate) fn value(record: &Record<'_>, field: &Field) -> Value {
    match &field.kind {
        FieldType::Address { prefix } => address(record, prefix),
        kind => record.cell(field).to_json(kind),
    }
}

/// A record with all its fields.
pub(crate) fn whole(record: &Record<'_>, version: &str) -> Value {
    let fields = record.table.schema.fields().iter().map(|field| (field.name.clone(), value(record, field)));
    let mut answer: Map<String, Value> = fields.collect();
    answer.insert("attributes".to_owned(), attributes(record, version));
    Value::Object(answer)
}

/// A record with some of its fields.
pub(crate) fn some(record: &Record<'_>, names: &[&str], version: &str) -> Result<Value, ApiError> {
    let schema = &record.table.schema;
    let mut answer = Map::new();
    answer.insert("attributes".to_owned(), attributes(record, version));
    for name in names {
        let field = schema.field(name).ok_or_else(|| ApiError::no_such_column(name, schema.name))?;
        answer.insert(field.name.clone(), value(record, field));
    }
    Ok(Value::Object(answer))
}

/// The compound of an address: null if all its parts are.
fn address(record: &Record<'_>, prefix: &str) -> Value {
    let part = |name: &str| {
        let field = record.table.schema.field(&format!("{prefix}{name}"));
        field.map_or(Value::Null, |field| record.cell(field).to_json(&field.kind))
    };
    let parts = [
        ("street", part("Street")),
        ("city", part("City")),
        ("state", part("State")),
        ("postalCode", part("PostalCode")),
        ("country", part("Country")),
    ];
    if parts.iter().all(|(_, value)| value.is_null()) {
        return Value::Null;
    }
    let mut address: Map<String, Value> = parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for unknown in ["geocodeAccuracy", "latitude", "longitude"] {
        address.insert(unknown.to_owned(), Value::Null);
    }
    Value::Object(address)
}
