//! What an org tells about itself: versions, resources, limits, object types and fields.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::Version;
use super::platform::SalesforceState;
use super::quota::DAILY_REQUESTS_MAX;
use super::reply::Reply;
use super::schema::{Access, Field, FieldType, Key, Origin, Schema};
use super::store::Store;

/// `GET /services/data`: the versions served.
pub(crate) fn versions() -> Value {
    let one = |major: u32| {
        let version = format!("{major}.0");
        json!({ "label": season(major), "url": format!("/services/data/v{version}"), "version": version })
    };
    Value::Array(Version::all().map(one).collect())
}

/// Three releases a year: version 60 is Spring '24.
fn season(major: u32) -> String {
    let seasons = ["Spring", "Summer", "Winter"];
    let step = major as usize % 3;
    let year = 4 + major / 3 + u32::from(step == 2);
    format!("{} '{year:02}", seasons[step])
}

/// `GET /services/data/v60.0`: the resources of a version.
pub(crate) fn resources(version: &Version, identity: &str) -> Value {
    let at = |name: &str| format!("/services/data/{}/{name}", version.text);
    json!({
        "sobjects": at("sobjects"),
        "query": at("query"),
        "queryAll": at("queryAll"),
        "composite": at("composite"),
        "limits": at("limits"),
        "tooling": at("tooling"),
        "identity": identity,
    })
}

/// `GET …/limits`.
pub(crate) fn limits(state: &SalesforceState) -> Value {
    let remaining = state.quota.lock().remaining(state.parts.clock.now());
    json!({
        "DailyApiRequests": { "Max": DAILY_REQUESTS_MAX, "Remaining": remaining },
        "DailyBulkV2QueryJobs": { "Max": 10_000, "Remaining": 10_000 },
        "DataStorageMB": { "Max": 10_240, "Remaining": 10_000 },
    })
}

/// `GET …/sobjects`: every object type in short.
pub(crate) fn global(store: &Store, version: &Version) -> Reply {
    let objects: Vec<_> = store.tables().iter().map(|table| summary(&table.schema, version)).collect();
    Reply::ok(json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects }))
}

/// `GET …/sobjects/{object}`: one object type in short, with the records seen last.
pub(crate) fn basic(schema: &Schema, version: &Version) -> Reply {
    Reply::ok(json!({ "objectDescribe": summary(schema, version), "recentItems": [] }))
}

/// `GET …/sobjects/{object}/describe`: one object type with its fields.
pub(crate) fn whole(schema: &Schema, version: &Version) -> Reply {
    let mut body = summary(schema, version);
    body["fields"] = Value::Array(schema.fields().iter().map(|field| describe_field(field, schema)).collect());
    body["recordTypeInfos"] = json!([]);
    body["childRelationships"] = json!([]);
    Reply::with(StatusCode::OK, body)
}

fn summary(schema: &Schema, version: &Version) -> Value {
    let url = format!("/services/data/{}/sobjects/{}", version.text, schema.name);
    json!({
        "name": schema.name,
        "label": schema.label,
        "labelPlural": schema.label_plural,
        "keyPrefix": String::from_utf8_lossy(&schema.prefix),
        "custom": false,
        "createable": schema.writable,
        "updateable": schema.writable,
        "deletable": schema.writable,
        "undeletable": schema.writable,
        "mergeable": schema.writable,
        "queryable": true,
        "retrieveable": true,
        "searchable": true,
        "replicateable": true,
        "triggerable": schema.writable,
        "activateable": false,
        "deprecatedAndHidden": false,
        "urls": {
            "sobject": url,
            "describe": format!("{url}/describe"),
            "rowTemplate": format!("{url}/{{ID}}"),
        },
    })
}

fn describe_field(field: &Field, schema: &Schema) -> Value {
    let writable = field.access == Access::Write && schema.writable;
    let (precision, scale, digits) = match field.kind {
        FieldType::Number { precision, scale, .. } => (precision, scale, 0),
        FieldType::Int { digits } => (0, 0, digits),
        _ => (0, 0, 0),
    };
    let is_boolean = field.kind == FieldType::Boolean;
    let has_default = is_boolean || field.default.is_some() || field.name == "OwnerId";
    let (reference_to, relationship) = match &field.kind {
        FieldType::Reference { to, relationship } => (vec![*to], Some(*relationship)),
        _ => (Vec::new(), None),
    };
    json!({
        "name": field.name,
        "label": field.label,
        "type": field.kind.name(),
        "soapType": soap_type(&field.kind),
        "length": field.kind.length(),
        "byteLength": field.kind.length() * 3,
        "precision": precision,
        "scale": scale,
        "digits": digits,
        "nillable": writable && !field.required && !is_boolean && field.name != "OwnerId" || !writable && is_nillable(field),
        "createable": writable,
        "updateable": writable,
        "defaultedOnCreate": has_default || matches!(field.origin, Origin::System(_)),
        "defaultValue": if is_boolean { json!(false) } else { json!(field.default) },
        "custom": field.is_custom(),
        "calculated": false,
        "externalId": field.key.is_external(),
        "unique": field.key.is_unique(),
        "caseSensitive": field.key.is_case_sensitive(),
        "idLookup": matches!(field.kind, FieldType::Id) || field.key != Key::None || field.kind == FieldType::Email,
        "restrictedPicklist": matches!(field.kind, FieldType::Picklist { restricted: true, .. }),
        "picklistValues": picklist_values(&field.kind),
        "compoundFieldName": field.compound,
        "htmlFormatted": false,
        "referenceTo": reference_to,
        "relationshipName": relationship,
        "filterable": field.kind.is_filterable(),
        "sortable": field.kind.is_sortable(),
        "groupable": field.kind.is_sortable(),
        "aggregatable": field.kind.is_filterable(),
        "permissionable": field.is_custom() || writable,
        "deprecatedAndHidden": false,
        "encrypted": false,
        "nameField": field.name == "Name",
        "extraTypeInfo": extra_type(field),
    })
}

fn is_nillable(field: &Field) -> bool {
    field.is_calculated() || field.name == "MasterRecordId"
}

fn extra_type(field: &Field) -> Option<&'static str> {
    match (&field.kind, field.origin) {
        (_, Origin::FullName) => Some("personname"),
        (FieldType::TextArea { .. }, _) => Some("plaintextarea"),
        _ => None,
    }
}

fn soap_type(kind: &FieldType) -> &'static str {
    match kind {
        FieldType::Id | FieldType::Reference { .. } => "tns:ID",
        FieldType::Boolean => "xsd:boolean",
        FieldType::Int { .. } => "xsd:int",
        FieldType::Number { .. } => "xsd:double",
        FieldType::Date => "xsd:date",
        FieldType::DateTime => "xsd:dateTime",
        FieldType::Address { .. } => "urn:address",
        _ => "xsd:string",
    }
}

fn picklist_values(kind: &FieldType) -> Value {
    let values = match kind {
        FieldType::Picklist { values, .. } | FieldType::Multipicklist { values } => values.as_slice(),
        _ => &[],
    };
    let one = |value: &String| json!({ "active": true, "defaultValue": false, "label": value, "validFor": null, "value": value });
    Value::Array(values.iter().map(one).collect())
}
