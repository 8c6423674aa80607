//! Property definitions.

use serde_json::{Value, json};

use crate::lab::{CONTACTS, Lab};

const PATH: &str = "/crm/v3/properties/contacts";

fn definition(name: &str, kind: &str, field_type: &str) -> Value {
    json!({"name": name, "label": name, "groupName": "contactinformation", "type": kind, "fieldType": field_type})
}

#[tokio::test]
async fn definitions_tell_type_options_and_who_may_write() {
    let lab = Lab::start().await;
    let list = lab.get(PATH).await.expect(200);
    let names: Vec<_> = list["results"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    for name in ["email", "lifecyclestage", "lastmodifieddate", "tier"] {
        assert!(names.contains(&json!(name)), "{name}");
    }
    let stage = lab.get(&format!("{PATH}/lifecyclestage")).await.expect(200);
    assert_eq!((stage["type"].as_str(), stage["fieldType"].as_str()), (Some("enumeration"), Some("select")));
    assert_eq!(stage["options"][0]["value"], "subscriber");
    assert_eq!(stage["hubspotDefined"], true);
    let stamp = lab.get(&format!("{PATH}/lastmodifieddate")).await.expect(200);
    assert_eq!(stamp["modificationMetadata"]["readOnlyValue"], true);
    lab.get(&format!("{PATH}/nothing")).await.expect(404);
    lab.get("/crm/v3/properties/0-2").await.expect(200);
    lab.get("/crm/v3/properties/unicorns").await.expect(400);
}

#[tokio::test]
async fn a_new_property_can_be_written_at_once() {
    let lab = Lab::start().await;
    let created = lab.post(PATH, definition("shoe_size", "number", "number")).await.expect(201);
    assert_eq!(created["hubspotDefined"], false);
    assert!(created["createdAt"].is_string());
    lab.post(PATH, definition("shoe_size", "number", "number")).await.expect(409);
    let id = lab.contact(json!({"shoe_size": 42.5})).await;
    let body = lab.get(&format!("{CONTACTS}/{id}?properties=shoe_size")).await.expect(200);
    assert_eq!(body["properties"]["shoe_size"], "42.5");
}

#[tokio::test]
async fn bad_definitions_are_400() {
    let lab = Lab::start().await;
    let unique_flag = json!({"name": "u", "label": "U", "groupName": "g", "type": "bool", "fieldType": "booleancheckbox", "hasUniqueValue": true});
    for body in [
        json!({}),
        definition("Upper", "string", "text"),
        definition("hs_mine", "string", "text"),
        definition("1st", "string", "text"),
        definition("a", "text", "text"),
        definition("a", "number", "text"),
        definition("a", "enumeration", "select"),
        unique_flag,
    ] {
        let answer = lab.post(PATH, body.clone()).await;
        assert_eq!(answer.status, 400, "{body} {}", answer.body);
    }
}

#[tokio::test]
async fn at_most_ten_properties_of_an_account_are_unique() {
    let lab = Lab::start().await;
    for number in 0..11 {
        let mut body = definition(&format!("key_{number}"), "string", "text");
        body["hasUniqueValue"] = json!(true);
        lab.post(PATH, body).await.expect(if number < 10 { 201 } else { 400 });
    }
}

#[tokio::test]
async fn definitions_can_be_made_in_a_batch() {
    let lab = Lab::start().await;
    let inputs = json!({"inputs": [definition("one", "string", "text"), definition("email", "string", "text")]});
    let body = lab.post(&format!("{PATH}/batch/create"), inputs).await.expect(207);
    assert_eq!(body["results"][0]["name"], "one");
    assert_eq!(body["errors"][0]["category"], "OBJECT_ALREADY_EXISTS");
}
