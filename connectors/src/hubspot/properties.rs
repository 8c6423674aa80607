//! Schemas, and the creation of key properties.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use syncline_core::{
    ids::ObjectName,
    remote::{ObjectSchema, ProviderError, Remedy, RemoteField},
};

use super::{HubSpot, session::Session, settings::checked};
use crate::{
    connector::{Credentials, FieldCreator},
    rest::Call,
};

/// Text of any property is at most so long.
const TEXT_CHARS_MAX: u32 = 65_536;

#[derive(Deserialize)]
struct Properties {
    results: Vec<Property>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Property {
    name: String,
    label: String,
    #[serde(rename = "type")]
    ty: String,
    field_type: String,
    options: Vec<Choice>,
    has_unique_value: bool,
    calculated: bool,
    external_options: bool,
    archived: bool,
    modification_metadata: Option<ModificationMetadata>,
}

#[derive(Deserialize)]
struct Choice {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModificationMetadata {
    #[serde(default)]
    read_only_value: bool,
}

/// Reads an object's schema.
pub(super) async fn read(session: &Session<'_>, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
    let call = Call::get(format!("/crm/v3/properties/{}", checked(object)?));
    let properties: Properties = session.read(call).await.map_err(|mut error| {
        if error.remedy == Remedy::Gone {
            error.remedy = Remedy::Configure;
        }
        error
    })?;
    Ok(schema(object, properties))
}

fn schema(object: &ObjectName, properties: Properties) -> ObjectSchema {
    let live = properties.results.into_iter().filter(|property| !property.archived);
    ObjectSchema { fields: live.map(|property| (property.name.clone(), remote(object, property))).collect() }
}

fn remote(object: &ObjectName, property: Property) -> RemoteField {
    let read_only = property.modification_metadata.as_ref().is_some_and(|metadata| metadata.read_only_value);
    let is_contact_email = object.as_str() == "contacts" && property.name == "email";
    let closed = property.ty == "enumeration" && !property.external_options;
    RemoteField {
        writable: !read_only && !property.calculated,
        unique: property.has_unique_value || is_contact_email,
        calculated: property.calculated || property.field_type.starts_with("calculation"),
        max_len: (property.ty == "string").then_some(TEXT_CHARS_MAX),
        options: if closed { property.options.into_iter().map(|choice| choice.value).collect() } else { Vec::new() },
        label: property.label,
        ty: property.ty,
    }
}

#[async_trait]
impl FieldCreator for HubSpot {
    async fn create_key_field(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        name: &str,
    ) -> Result<(), ProviderError> {
        let session = self.session(credentials)?;
        let call = creation(object, name)?;
        match session.answer(call).await {
            Ok(_) => Ok(()),
            Err(error) if error.message.starts_with("HTTP 409") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn creation(object: &ObjectName, name: &str) -> Result<Call, ProviderError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        return Err(ProviderError {
            remedy: Remedy::Configure,
            message: format!(
                "`{name}` is no name of a property: use small letters, digits and `_`, such as `syncline_id`"
            ),
        });
    }
    let body = json!({
        "name": name,
        "label": name.replace('_', " "),
        "type": "string",
        "fieldType": "text",
        "groupName": group(object),
        "hasUniqueValue": true,
        "description": "The id of this record in Syncline. Do not change.",
    });
    Ok(Call::post(format!("/crm/v3/properties/{}", checked(object)?), body))
}

/// The group that every account has for the object's own properties.
fn group(object: &ObjectName) -> String {
    match object.as_str() {
        "contacts" => "contactinformation".to_owned(),
        "companies" => "companyinformation".to_owned(),
        "deals" => "dealinformation".to_owned(),
        "tickets" => "ticketinformation".to_owned(),
        custom => format!("{custom}_information"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Body;

    #[test]
    fn properties_become_a_schema() {
        let properties = json!({"results": [
            {"name": "email", "label": "Email", "type": "string", "fieldType": "text", "hasUniqueValue": false},
            {"name": "ext", "type": "string", "fieldType": "text", "hasUniqueValue": true},
            {"name": "stage", "type": "enumeration", "fieldType": "radio", "options": [{"value": "a", "label": "A"}]},
            {"name": "owner", "type": "enumeration", "externalOptions": true, "options": [{"value": "1"}]},
            {"name": "score", "type": "number", "fieldType": "calculation_equation", "calculated": true},
            {"name": "hs_object_id", "type": "number", "modificationMetadata": {"readOnlyValue": true, "archivable": true}},
            {"name": "old", "type": "string", "archived": true},
        ]});
        let schema = schema(&"contacts".into(), serde_json::from_value(properties).expect("properties"));
        let field = |name: &str| schema.fields[name].clone();
        assert!(field("email").unique && field("email").writable);
        assert!(field("ext").unique);
        assert_eq!(field("stage").options, ["a"]);
        assert!(field("owner").options.is_empty());
        assert!(field("score").calculated && !field("score").writable);
        assert!(!field("hs_object_id").writable);
        assert!(!schema.fields.contains_key("old"));
    }

    #[test]
    fn a_key_property_is_unique_text() {
        let call = creation(&"companies".into(), "syncline_id").expect("a call");
        assert_eq!(call.path, "/crm/v3/properties/companies");
        let Body::Json(body) = call.body else { panic!("JSON is expected") };
        assert_eq!((&body["hasUniqueValue"], &body["groupName"]), (&json!(true), &json!("companyinformation")));
        for name in ["Syncline_Id", "", "1a", "a b", "a-b"] {
            assert!(creation(&"contacts".into(), name).is_err(), "{name}");
        }
    }
}
