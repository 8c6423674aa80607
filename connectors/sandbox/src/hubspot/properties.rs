//! Property definitions: list, get, create.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::errors::ApiError;
use super::path::ObjectPath;
use super::portal::HubSpotState;
use super::schema::{Choice, Property, PropertyType, Rule, SchemaError, Storage};

type Portal = State<Arc<HubSpotState>>;

/// The longest name of a property.
const NAME_MAX: usize = 100;

/// `GET /crm/v3/properties/{type}`
pub(crate) async fn list(State(portal): Portal, path: ObjectPath, RawQuery(query): RawQuery) -> Json<Value> {
    let archived = super::params::ReadParams::parse(query.as_deref()).archived;
    let mut tables = portal.tables();
    let schema = tables.of(path.kind).schema();
    let results: Vec<Value> =
        if archived { Vec::new() } else { schema.iter().map(|(_, property)| property.to_json()).collect() };
    Json(json!({ "results": results }))
}

/// `GET /crm/v3/properties/{type}/{id}`
pub(crate) async fn get(State(portal): Portal, path: ObjectPath) -> Result<Json<Value>, ApiError> {
    let mut tables = portal.tables();
    let schema = tables.of(path.kind).schema();
    let id = schema.find(&path.id).ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "OBJECT_NOT_FOUND",
            format!("No property exists with name {} for object type {}", path.id, path.kind.type_id()),
        )
    })?;
    Ok(Json(schema.get(id).to_json()))
}

#[derive(Deserialize)]
struct ChoiceBody {
    label: String,
    value: String,
    #[serde(default)]
    hidden: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PropertyBody {
    name: Option<String>,
    label: Option<String>,
    group_name: Option<String>,
    r#type: Option<String>,
    field_type: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    options: Vec<ChoiceBody>,
    #[serde(default)]
    has_unique_value: bool,
}

/// `POST /crm/v3/properties/{type}`
pub(crate) async fn create(State(portal): Portal, path: ObjectPath, bytes: Bytes) -> Result<Response, ApiError> {
    let body: PropertyBody = body::parse(&bytes)?;
    let property = define(body, portal.parts.clock.now().millis())?;
    let shown = property.to_json();
    let name = property.name.clone();
    let mut tables = portal.tables();
    tables.of(path.kind).schema_mut().add(property).map_err(|error| refused(&name, error))?;
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

#[derive(Deserialize)]
struct BatchBody {
    #[serde(default)]
    inputs: Vec<PropertyBody>,
}

/// `POST /crm/v3/properties/{type}/batch/create`
pub(crate) async fn create_batch(State(portal): Portal, path: ObjectPath, bytes: Bytes) -> Result<Response, ApiError> {
    let BatchBody { inputs } = body::parse(&bytes)?;
    body::check_count(inputs.len())?;
    let now = portal.parts.clock.now().millis();
    let mut tables = portal.tables();
    let schema = tables.of(path.kind).schema_mut();
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let added = define(input, now).and_then(|property| {
            let (shown, name) = (property.to_json(), property.name.clone());
            schema.add(property).map(|_| shown).map_err(|error| refused(&name, error))
        });
        match added {
            Ok(shown) => results.push(shown),
            Err(error) => errors.push(error.entry()),
        }
    }
    let status = if errors.is_empty() { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
    let at = super::time::iso(now);
    let mut answer = json!({"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at});
    if !errors.is_empty() {
        answer["numErrors"] = errors.len().into();
        answer["errors"] = errors.into();
    }
    Ok((status, Json(answer)).into_response())
}

/// Checks a definition and completes it.
fn define(body: PropertyBody, now_ms: i64) -> Result<Property, ApiError> {
    let required = |name: &str, value: Option<String>| {
        value.ok_or_else(|| ApiError::json(format!("Some required fields were not set: [{name}]")))
    };
    let name = required("name", body.name)?;
    let label = required("label", body.label)?;
    let group = required("groupName", body.group_name)?;
    let type_name = required("type", body.r#type)?;
    let field_type = required("fieldType", body.field_type)?;
    check_name(&name)?;
    let kind = PropertyType::parse(&type_name)
        .ok_or_else(|| ApiError::validation(format!("Invalid property type: {type_name}")))?;
    if !kind.field_types().contains(&field_type.as_str()) {
        return Err(ApiError::validation(format!("The fieldType {field_type} does not go with the type {type_name}")));
    }
    if body.has_unique_value && !matches!(kind, PropertyType::String | PropertyType::Number) {
        return Err(ApiError::validation(format!("A property of type {type_name} cannot have unique values")));
    }
    let choices: Vec<Choice> =
        body.options.into_iter().map(|ChoiceBody { label, value, hidden }| Choice { label, value, hidden }).collect();
    if kind == PropertyType::Enumeration && choices.is_empty() && field_type != "booleancheckbox" {
        return Err(ApiError::validation("An enumeration needs options"));
    }
    Ok(Property {
        name,
        label,
        description: body.description,
        group,
        kind,
        rule: if field_type == "phonenumber" { Rule::Phone } else { Rule::Plain },
        field_type,
        choices,
        unique: body.has_unique_value,
        storage: Storage::Writable,
        hubspot_defined: false,
        created_ms: Some(now_ms),
    })
}

/// Names are lower-case, begin with a letter, and leave the platform's prefix alone.
fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = name.len() <= NAME_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(plain);
    if !good {
        return Err(ApiError::validation(format!(
            "Invalid property name {name}: it has up to {NAME_MAX} lower-case letters, digits and underscores, and begins with a letter"
        )));
    }
    if name.starts_with("hs_") {
        return Err(ApiError::validation(format!("Invalid property name {name}: the prefix hs_ is reserved")));
    }
    Ok(())
}

fn refused(name: &str, error: SchemaError) -> ApiError {
    match error {
        SchemaError::NameTaken => ApiError::new(
            StatusCode::CONFLICT,
            "OBJECT_ALREADY_EXISTS",
            format!("A property named '{name}' already exists."),
        ),
        SchemaError::TooManyUnique => {
            ApiError::validation("There are at most 10 properties with unique values per object type")
        }
        SchemaError::Full => ApiError::validation("The account has no room for another property"),
    }
}
