use reqwest::Method;
use serde_json::{Value, json};

use crate::org::{Who, empty};

fn field<'a>(describe: &'a Value, name: &str) -> &'a Value {
    let fields = describe["fields"].as_array().unwrap_or_else(|| panic!("no fields: {describe}"));
    fields.iter().find(|field| field["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn describe_tells_types_and_limits() {
    let org = empty().await;
    let contact = org.get("/sobjects/Contact/describe").await.body;
    for (name, key, value) in [
        ("Id", "type", json!("id")),
        ("Id", "nillable", json!(false)),
        ("LastName", "length", json!(80)),
        ("LastName", "nillable", json!(false)),
        ("FirstName", "nillable", json!(true)),
        ("FirstName", "compoundFieldName", json!("Name")),
        ("Name", "updateable", json!(false)),
        ("Email", "type", json!("email")),
        ("SystemModstamp", "createable", json!(false)),
        ("Score__c", "scale", json!(2)),
        ("Tier__c", "restrictedPicklist", json!(true)),
        ("AccountId", "referenceTo", json!(["Account"])),
        ("AccountId", "relationshipName", json!("Account")),
        ("Legacy_Number__c", "externalId", json!(true)),
        ("Legacy_Number__c", "unique", json!(false)),
        ("Description", "filterable", json!(false)),
        ("DoNotCall", "type", json!("boolean")),
    ] {
        assert_eq!(field(&contact, name)[key], value, "{name} {key}");
    }
    assert_eq!(field(&contact, "Tier__c")["picklistValues"][1]["value"], "silver");
    assert_eq!(org.get("/sobjects/Nope/describe").await.error(), (404, "NOT_FOUND"));
    let names = org.get("/sobjects/").await.body["sobjects"].clone();
    let names: Vec<_> = names.as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["Account", "Contact", "Lead", "User"]);
}

#[tokio::test]
async fn a_custom_field_can_be_made_and_taken_away() {
    let org = empty().await;
    let old = org.contact(json!({ "LastName": "Old" })).await;
    let since = [("if-modified-since", "Tue, 05 May 2026 10:00:00 GMT")];
    let describe = |headers| org.send(Who::Integration, Method::GET, "/sobjects/Contact/describe", headers, None);
    assert_eq!(describe(&since).await.unwrap().status, 304);
    org.seconds(1);
    org.key_field().await;
    assert_eq!(describe(&since).await.unwrap().status, 200);
    let key = field(&describe(&[]).await.unwrap().body, "Key__c").clone();
    assert_eq!(
        (&key["externalId"], &key["unique"], &key["caseSensitive"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!(org.field(&old, "Key__c").await, Value::Null);

    let flag = json!({ "FullName": "Contact.Vip__c", "Metadata": { "type": "Checkbox", "label": "VIP" } });
    let id = org.post("/tooling/sobjects/CustomField", flag.clone()).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(org.field(&old, "Vip__c").await, false, "a checkbox is never null");
    assert_eq!(org.patch(&format!("/sobjects/Contact/{old}"), json!({ "Vip__c": true })).await.status, 204);
    assert_eq!(org.field(&old, "Vip__c").await, true);
    let listed = org.get("/tooling/query?q=SELECT+Id+FROM+CustomField").await.body;
    assert!(listed["records"].as_array().unwrap().iter().any(|one| one["DeveloperName"] == "Vip"));
    assert_eq!(org.delete(&format!("/tooling/sobjects/CustomField/{id}")).await.status, 204);
    assert_eq!(org.query("SELECT Vip__c FROM Contact").await.error(), (400, "INVALID_FIELD"));

    org.post("/tooling/sobjects/CustomField", flag.clone()).await;
    assert_eq!(org.post("/tooling/sobjects/CustomField", flag).await.error(), (400, "DUPLICATE_DEVELOPER_NAME"));
}

#[tokio::test]
async fn a_bad_custom_field_is_refused() {
    let org = empty().await;
    let text = |name: &str, length: u64| json!({ "FullName": name, "Metadata": { "type": "Text", "length": length } });
    for (body, code) in [
        (json!({}), "REQUIRED_FIELD_MISSING"),
        (text("Contact.Plain", 10), "INVALID_FULL_NAME"),
        (text("Contact.1st__c", 10), "INVALID_FULL_NAME"),
        (text("Nope.Key__c", 10), "INVALID_TYPE"),
        (text("Contact.Key__c", 0), "FIELD_INTEGRITY_EXCEPTION"),
        (text("Contact.Key__c", 256), "FIELD_INTEGRITY_EXCEPTION"),
        (
            json!({ "FullName": "Contact.K__c", "Metadata": { "type": "Date", "externalId": true } }),
            "FIELD_INTEGRITY_EXCEPTION",
        ),
    ] {
        let got = org.post("/tooling/sobjects/CustomField", body.clone()).await;
        assert_eq!(got.error(), (400, code), "{body}");
    }
}

#[tokio::test]
async fn the_org_tells_about_itself() {
    let org = empty().await;
    let versions = org.get_as("nobody", "/services/data").await.body;
    assert_eq!(versions.as_array().unwrap().last().unwrap()["version"], "67.0");
    let v60 = versions.as_array().unwrap().iter().find(|one| one["version"] == "60.0").unwrap();
    assert_eq!(v60["label"], "Spring '24");
    let resources = org.send(Who::User, Method::GET, "", &[], None).await.unwrap().body;
    assert_eq!(resources["sobjects"], "/services/data/v60.0/sobjects");
    let identity = resources["identity"].as_str().unwrap().strip_prefix(&org.running().base_url).unwrap().to_owned();
    let user = &org.running().credentials.user_token;
    assert_eq!(org.get_as(user, &identity).await.body["name"], "user");
    let limits = org.get("/limits/").await.body;
    assert_eq!(limits["DailyApiRequests"], json!({ "Max": 1_000_000, "Remaining": 999_998 }));
}
