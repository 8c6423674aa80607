//! Custom fields made over the API: `POST …/tooling/sobjects/CustomField`.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::ApiError;
use super::reply::Reply;
use super::schema::{Field, FieldType, Key, NumberKind};
use super::standard::stored;
use super::store::Store;
use crate::clock::Micros;

/// The most external-id fields that an object type may have.
const EXTERNAL_IDS_MAX: usize = 25;
/// The longest name of a field, without its suffix.
const NAME_MAX: usize = 40;

/// Makes a field from a body such as
/// `{"FullName":"Contact.Key__c","Metadata":{"type":"Text","label":"Key","length":255,"externalId":true,"unique":true}}`.
pub(crate) fn create_field(store: &mut Store, body: &Map<String, Value>, now: Micros) -> Result<Reply, ApiError> {
    let full_name = text(body, "FullName").ok_or_else(|| missing("FullName"))?;
    let metadata = body.get("Metadata").and_then(Value::as_object).ok_or_else(|| missing("Metadata"))?;
    let (object_name, name) = full_name.split_once('.').ok_or_else(|| bad_name(full_name))?;
    let object = store
        .object(object_name)
        .ok_or_else(|| ApiError::row("INVALID_TYPE", format!("Entity {object_name} does not exist"), &["FullName"]))?;
    check_name(full_name, name)?;
    let kind = field_type(metadata)?;
    let key = key(metadata, &kind)?;
    let schema = &store.table(object).schema;
    if schema.field(name).is_some() {
        let developer = name.trim_end_matches("__c");
        let message = format!("There is already a field named {developer} on {}.", schema.label);
        return Err(ApiError::row("DUPLICATE_DEVELOPER_NAME", message, &["FullName"]));
    }
    let external = schema.fields().iter().filter(|field| field.key.is_external()).count();
    if key.is_external() && external >= EXTERNAL_IDS_MAX {
        let message = "You have reached the maximum number of external ID fields on this object";
        return Err(ApiError::row("NUM_OBJECTS_EXCEEDED", message, &[]));
    }
    let label = text(metadata, "label").unwrap_or(name.trim_end_matches("__c"));
    let definition = definition_id(store.next_definition());
    let field = Field { key, definition: Some(definition.clone()), ..stored(name, label, kind) };
    store.add_field(object, field, now);
    let created = json!({ "id": definition, "success": true, "errors": [], "warnings": [], "infos": [] });
    Ok(Reply::with(StatusCode::CREATED, created))
}

/// Takes a custom field away. Its values are gone with it.
pub(crate) fn delete_field(store: &mut Store, id: &str, now: Micros) -> Result<Reply, ApiError> {
    match store.remove_field(id, now) {
        true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        false => Err(ApiError::not_found()),
    }
}

/// The custom fields of an org, as a tooling query shows them.
pub(crate) fn list_fields(store: &Store, version: &str) -> Value {
    let tables = store.tables().iter();
    let records: Vec<_> = tables
        .flat_map(|table| table.schema.fields().iter().map(|field| (table.schema.name, field)))
        .filter_map(|(object, field)| {
            let id = field.definition.as_ref()?;
            let url = format!("/services/data/{version}/tooling/sobjects/CustomField/{id}");
            Some(json!({
                "attributes": { "type": "CustomField", "url": url },
                "Id": id,
                "DeveloperName": field.name.trim_end_matches("__c"),
                "TableEnumOrId": object,
            }))
        })
        .collect();
    json!({ "size": records.len(), "totalSize": records.len(), "done": true, "records": records })
}

fn definition_id(number: u32) -> String {
    format!("00NSb0{number:09}")
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn missing(name: &str) -> ApiError {
    ApiError::row("REQUIRED_FIELD_MISSING", format!("Required fields are missing: [{name}]"), &[name])
}

fn bad_name(full_name: &str) -> ApiError {
    let message = format!(
        "The name {full_name} must be Object.Field__c, and the field part may hold only letters, digits and single \
         underscores, starting with a letter"
    );
    ApiError::row("INVALID_FULL_NAME", message, &["FullName"])
}

fn check_name(full_name: &str, name: &str) -> Result<(), ApiError> {
    let developer = name.strip_suffix("__c").ok_or_else(|| bad_name(full_name))?;
    let starts_well = developer.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let plain = developer.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if starts_well && plain && !developer.contains("__") && !developer.ends_with('_') && developer.len() <= NAME_MAX {
        return Ok(());
    }
    Err(bad_name(full_name))
}

fn number(metadata: &Map<String, Value>, name: &str, default: u64) -> u64 {
    metadata.get(name).and_then(Value::as_u64).unwrap_or(default)
}

fn field_type(metadata: &Map<String, Value>) -> Result<FieldType, ApiError> {
    let name = text(metadata, "type").ok_or_else(|| missing("type"))?;
    let length = |most: u64| -> Result<usize, ApiError> {
        let length = number(metadata, "length", 0);
        if length == 0 || length > most {
            let message = format!("Must specify 'length' between 1 and {most} for a CustomField of type {name}");
            return Err(ApiError::row("FIELD_INTEGRITY_EXCEPTION", message, &["length"]));
        }
        usize::try_from(length).map_err(|_| missing("length"))
    };
    Ok(match name {
        "Text" => FieldType::Text { length: length(255)? },
        "TextArea" => FieldType::TextArea { length: 255 },
        "LongTextArea" => FieldType::TextArea { length: length(131_072)? },
        "Email" => FieldType::Email,
        "Phone" => FieldType::Phone,
        "Url" => FieldType::Url,
        "Checkbox" => FieldType::Boolean,
        "Date" => FieldType::Date,
        "DateTime" => FieldType::DateTime,
        "Number" => decimal(metadata, NumberKind::Double)?,
        "Currency" => decimal(metadata, NumberKind::Currency)?,
        "Percent" => decimal(metadata, NumberKind::Percent)?,
        "Picklist" => FieldType::Picklist { values: values(metadata), restricted: is_restricted(metadata) },
        "MultiselectPicklist" => FieldType::Multipicklist { values: values(metadata) },
        other => {
            let message = format!("Invalid fieldType: {other}");
            return Err(ApiError::row("INVALID_FIELD_FOR_INSERT_UPDATE", message, &["type"]));
        }
    })
}

fn decimal(metadata: &Map<String, Value>, kind: NumberKind) -> Result<FieldType, ApiError> {
    let (precision, scale) = (number(metadata, "precision", 18), number(metadata, "scale", 0));
    match (u32::try_from(precision), u32::try_from(scale)) {
        (Ok(precision @ 1..=18), Ok(scale)) if scale <= precision => Ok(FieldType::Number { kind, precision, scale }),
        _ => {
            let message = "precision must lie between 1 and 18, and scale must not be above it";
            Err(ApiError::row("FIELD_INTEGRITY_EXCEPTION", message, &["precision", "scale"]))
        }
    }
}

/// The value set's definition, as the metadata API nests it.
fn value_set(metadata: &Map<String, Value>) -> Option<&Value> {
    metadata.get("valueSet")
}

fn values(metadata: &Map<String, Value>) -> Vec<String> {
    let definition = value_set(metadata).and_then(|set| set.get("valueSetDefinition"));
    let values = definition.and_then(|definition| definition.get("value")).and_then(Value::as_array);
    let names = values.into_iter().flatten().filter_map(|value| {
        ["fullName", "valueName", "label"].iter().find_map(|name| value.get(name)).and_then(Value::as_str)
    });
    names.map(str::to_owned).collect()
}

fn is_restricted(metadata: &Map<String, Value>) -> bool {
    value_set(metadata).and_then(|set| set.get("restricted")).and_then(Value::as_bool).unwrap_or(false)
}

fn key(metadata: &Map<String, Value>, kind: &FieldType) -> Result<Key, ApiError> {
    let flag = |name: &str| metadata.get(name).and_then(Value::as_bool).unwrap_or(false);
    let case_sensitive = flag("caseSensitive");
    let key = match (flag("externalId"), flag("unique")) {
        (true, true) => Key::UniqueExternal { case_sensitive },
        (true, false) => Key::External,
        (false, true) => Key::Unique { case_sensitive },
        (false, false) => Key::None,
    };
    let possible = matches!(kind, FieldType::Text { .. } | FieldType::Email | FieldType::Number { .. });
    if key == Key::None || possible {
        return Ok(key);
    }
    let message = format!("Can not specify 'externalId' or 'unique' for a CustomField of type {}", kind.name());
    Err(ApiError::row("FIELD_INTEGRITY_EXCEPTION", message, &["externalId"]))
}
