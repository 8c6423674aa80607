//! Schemas, and the creation of key fields.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use syncline_core::{
    ids::ObjectName,
    remote::{ObjectSchema, ProviderError, Remedy, RemoteField},
};

use super::{Salesforce, query, session::Session, settings::Settings};
use crate::{
    connector::{Credentials, FieldCreator},
    rest::Call,
};

/// Long enough for a UUID's text.
const KEY_LEN: u32 = 64;

#[derive(Deserialize)]
struct Description {
    fields: Vec<Field>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Field {
    name: String,
    label: String,
    #[serde(rename = "type")]
    ty: String,
    length: u32,
    createable: bool,
    updateable: bool,
    external_id: bool,
    unique: bool,
    calculated: bool,
    restricted_picklist: bool,
    picklist_values: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    value: String,
    #[serde(default)]
    active: bool,
}

/// Reads an object's schema.
pub(super) async fn read(session: &Session<'_>, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
    query::identifier(object.as_str())?;
    let call = Call::get(session.settings.path(&format!("/sobjects/{object}/describe")));
    let description: Description = session.read(call).await.map_err(|mut error| {
        if error.remedy == Remedy::Gone {
            error.remedy = Remedy::Configure;
        }
        error
    })?;
    Ok(schema(description))
}

fn schema(description: Description) -> ObjectSchema {
    let fields = description.fields.into_iter().map(|field| (field.name.clone(), remote(field))).collect();
    ObjectSchema { fields }
}

fn remote(field: Field) -> RemoteField {
    let choices = field.picklist_values.into_iter().filter(|choice| choice.active).map(|choice| choice.value);
    RemoteField {
        writable: (field.createable || field.updateable) && !field.calculated,
        unique: field.unique && field.external_id,
        calculated: field.calculated,
        max_len: (field.length > 0).then_some(field.length),
        options: if field.restricted_picklist { choices.collect() } else { Vec::new() },
        label: field.label,
        ty: field.ty,
    }
}

#[async_trait]
impl FieldCreator for Salesforce {
    /// Creates the field through the Tooling API. Its visibility stays with the account's administrator: until
    /// field-level security lets our user see the field, a description does not show it.
    async fn create_key_field(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        name: &str,
    ) -> Result<(), ProviderError> {
        let session = self.session(credentials)?;
        match session.answer(creation(&self.settings, object, name)?).await {
            Ok(_) => Ok(()),
            Err(error) if error.message.contains("DUPLICATE_DEVELOPER_NAME") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn creation(settings: &Settings, object: &ObjectName, name: &str) -> Result<Call, ProviderError> {
    query::identifier(object.as_str())?;
    query::identifier(name)?;
    let Some(plain) = name.strip_suffix("__c") else {
        return Err(ProviderError {
            remedy: Remedy::Configure,
            message: format!("`{name}` is no name of a custom field: it must end with `__c`"),
        });
    };
    let body = json!({
        "FullName": format!("{object}.{name}"),
        "Metadata": {
            "label": plain.replace('_', " "),
            "type": "Text",
            "length": KEY_LEN,
            "externalId": true,
            "unique": true,
            "caseSensitive": true,
            "required": false,
            "description": "The id of this record in Syncline. Do not change.",
        },
    });
    Ok(Call::post(settings.path("/tooling/sobjects/CustomField"), body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Body;

    #[test]
    fn a_description_becomes_a_schema() {
        let description = json!({"name": "Contact", "fields": [
            {"name": "Key__c", "label": "Key", "type": "string", "length": 64, "createable": true, "updateable": true,
             "externalId": true, "unique": true, "calculated": false, "restrictedPicklist": false, "picklistValues": []},
            {"name": "Open__c", "label": "Open", "type": "picklist", "length": 255, "createable": true, "updateable": true,
             "restrictedPicklist": false, "picklistValues": [{"value": "A", "label": "A", "active": true}]},
            {"name": "Closed__c", "type": "picklist", "createable": true, "updateable": true, "restrictedPicklist": true,
             "picklistValues": [{"value": "A", "active": true}, {"value": "Old", "active": false}]},
            {"name": "Name", "type": "string", "calculated": true, "createable": true},
            {"name": "Loose__c", "type": "string", "externalId": true, "unique": false},
            {"name": "SystemModstamp", "type": "datetime"},
        ]});
        let schema = schema(serde_json::from_value(description).expect("a description"));
        let field = |name: &str| schema.fields[name].clone();
        assert!(field("Key__c").unique && field("Key__c").writable);
        assert_eq!((field("Key__c").max_len, field("Key__c").ty.as_str()), (Some(64), "string"));
        assert!(field("Open__c").options.is_empty());
        assert_eq!(field("Closed__c").options, ["A"]);
        assert!(field("Name").calculated && !field("Name").writable);
        assert!(!field("Loose__c").unique);
        assert!(!field("SystemModstamp").writable);
    }

    #[test]
    fn a_key_field_is_unique_text() {
        let call = creation(&Settings::default(), &"Contact".into(), "Syncline_Id__c").expect("a call");
        assert_eq!(call.path, "/services/data/v62.0/tooling/sobjects/CustomField");
        let Body::Json(body) = call.body else { panic!("JSON is expected") };
        assert_eq!(body["FullName"], "Contact.Syncline_Id__c");
        assert_eq!(body["Metadata"]["label"], "Syncline Id");
        for flag in ["externalId", "unique", "caseSensitive"] {
            assert_eq!(body["Metadata"][flag], true, "{flag}");
        }
        for name in ["Syncline_Id", "a b__c", "Contact.X__c'"] {
            assert!(creation(&Settings::default(), &"Contact".into(), name).is_err(), "{name}");
        }
    }
}
