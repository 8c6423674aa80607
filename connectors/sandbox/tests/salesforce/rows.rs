use reqwest::Method;
use serde_json::json;

use crate::org::{Who, empty};

#[tokio::test]
async fn a_record_lives_and_dies() {
    let org = empty().await;
    let got = org.post("/sobjects/Contact", json!({ "LastName": " Lee ", "Email": "Ann@X.COM", "Title": "" })).await;
    assert_eq!(got.status, 201);
    assert_eq!((&got.body["success"], &got.body["errors"]), (&json!(true), &json!([])));
    let id = got.body["id"].as_str().unwrap();
    assert_eq!(got.header("location"), format!("/services/data/v60.0/sobjects/Contact/{id}"));
    assert!(got.header("content-type").starts_with("application/json"));
    assert!(got.header("sforce-limit-info").starts_with("api-usage=1/"));

    let path = format!("/sobjects/Contact/{id}");
    let got = org.get(&path).await;
    assert_eq!(got.body["attributes"], json!({ "type": "Contact", "url": format!("/services/data/v60.0{path}") }));
    for (field, value) in [
        ("LastName", json!("Lee")),
        ("Email", json!("ann@x.com")),
        ("Title", json!(null)),
        ("Name", json!("Lee")),
        ("IsDeleted", json!(false)),
        ("DoNotCall", json!(false)),
        ("SystemModstamp", json!("2026-05-05T10:00:00.000+0000")),
        ("CreatedDate", json!("2026-05-05T10:00:00.000+0000")),
    ] {
        assert_eq!(got.body[field], value, "{field}");
    }

    org.seconds(5);
    let got = org.patch(&path, json!({ "FirstName": "Ann", "MailingCity": "Köln" })).await;
    assert_eq!((got.status, got.body.is_null()), (204, true));
    assert_eq!(org.field(id, "Name").await, "Ann Lee");
    assert_eq!(org.field(id, "MailingAddress").await["city"], "Köln");
    assert_eq!(org.field(id, "SystemModstamp").await, "2026-05-05T10:00:05.000+0000");
    // The short form of the id names the same record.
    assert_eq!(org.get(&format!("/sobjects/Contact/{}", &id[..15])).await.status, 200);

    assert_eq!(org.delete(&path).await.status, 204);
    let again = org.delete(&path).await;
    let gone = json!([{ "message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": [] }]);
    assert_eq!((again.status, again.body), (404, gone));
    assert_eq!(org.get(&path).await.error(), (404, "NOT_FOUND"));
    assert_eq!(org.patch(&path, json!({ "Title": "x" })).await.error(), (404, "ENTITY_IS_DELETED"));
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_with_the_fields_at_fault() {
    let org = empty().await;
    let long = "x".repeat(81);
    for (fields, code, at_fault) in [
        (json!({ "FirstName": "Ann" }), "REQUIRED_FIELD_MISSING", json!(["LastName"])),
        (json!({ "LastName": " " }), "REQUIRED_FIELD_MISSING", json!(["LastName"])),
        (json!({ "LastName": long }), "STRING_TOO_LONG", json!(["LastName"])),
        (json!({ "LastName": "Lee", "Nope": 1 }), "INVALID_FIELD", json!(null)),
        (json!({ "LastName": "Lee", "Name": "x" }), "INVALID_FIELD_FOR_INSERT_UPDATE", json!(["Name"])),
        (json!({ "LastName": "Lee", "Id": "x" }), "INVALID_FIELD_FOR_INSERT_UPDATE", json!(["Id"])),
        (json!({ "LastName": "Lee", "Email": "x" }), "INVALID_EMAIL_ADDRESS", json!(["Email"])),
        (
            json!({ "LastName": "Lee", "Tier__c": "zinc" }),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            json!(["Tier__c"]),
        ),
        (json!({ "LastName": "Lee", "AccountId": "nonsense" }), "MALFORMED_ID", json!(["AccountId"])),
        (json!({ "LastName": "Lee", "Score__c": 1e12 }), "NUMBER_OUTSIDE_VALID_RANGE", json!(["Score__c"])),
        (json!({ "LastName": 5 }), "JSON_PARSER_ERROR", json!(null)),
        (json!([1]), "JSON_PARSER_ERROR", json!(null)),
    ] {
        let got = org.post("/sobjects/Contact", fields.clone()).await;
        assert_eq!(got.error(), (400, code), "{fields}");
        assert_eq!(got.body[0]["fields"], at_fault, "{fields}");
    }
    assert_eq!(org.post("/sobjects/Nope", json!({})).await.error(), (404, "NOT_FOUND"));
    assert_eq!(org.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 0);
    let counts = org.admin(Method::GET, "/counts", None).await.body;
    assert_eq!(counts["writes"]["accepted"], 0);
    assert_eq!(counts["writes"]["rejected"], 11);
}

#[tokio::test]
async fn ids_that_name_nothing() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    let unknown = format!("{}z", &id[..14]);
    for (path, message) in [
        ("/sobjects/Contact/nonsense".to_owned(), "Provided external ID field does not exist"),
        (format!("/sobjects/Account/{id}"), "The requested resource does not exist"),
        (format!("/sobjects/Contact/{unknown}"), "The requested resource does not exist"),
        ("/sobjects/Nope/1".to_owned(), "The requested resource does not exist"),
        ("/nowhere".to_owned(), "The requested resource does not exist"),
        ("/services/data/v99.0/limits".to_owned(), "The requested resource does not exist"),
    ] {
        let got = org.get(&path).await;
        assert_eq!(got.error(), (404, "NOT_FOUND"), "{path}");
        assert!(got.body[0]["message"].as_str().unwrap().contains(message), "{path}: {got:?}");
    }
}

#[tokio::test]
async fn an_upsert_creates_once_and_then_updates() {
    let org = empty().await;
    org.key_field().await;
    let path = "/sobjects/Contact/Key__c/a%2F%C3%A9%20b";
    let got = org.patch(path, json!({ "LastName": "Lee" })).await;
    assert_eq!((got.status, &got.body["created"]), (201, &json!(true)));
    let id = got.body["id"].as_str().unwrap().to_owned();
    assert_eq!(org.field(&id, "Key__c").await, "a/é b");

    let got = org.patch(path, json!({ "LastName": "Li" })).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.body, json!({ "id": id, "success": true, "errors": [], "created": false }));
    let old =
        org.patch("/services/data/v45.0/sobjects/Contact/Key__c/A%2F%C3%89%20B", json!({ "LastName": "L" })).await;
    assert_eq!((old.status, old.body.is_null()), (204, true), "the key does not mind case, and v45 has no body");
    assert_eq!(org.get(path).await.body["Id"], id);

    let other = org.patch("/sobjects/Contact/Key__c/other?updateOnly=true", json!({ "LastName": "L" })).await;
    assert_eq!(other.error(), (404, "NOT_FOUND"));
    let twice = org.patch(path, json!({ "LastName": "L", "Key__c": "x" })).await;
    assert_eq!(twice.error(), (400, "INVALID_FIELD"));
    let no_key = org.patch("/sobjects/Contact/Title/x", json!({ "LastName": "L" })).await;
    assert_eq!(no_key.error(), (404, "NOT_FOUND"));
    let duplicate = org.post("/sobjects/Contact", json!({ "LastName": "L", "Key__c": "A/É B" })).await;
    assert_eq!(duplicate.error(), (400, "DUPLICATE_VALUE"));
    assert!(duplicate.body[0]["message"].as_str().unwrap().ends_with(&id));
}

#[tokio::test]
async fn a_key_that_several_records_hold_is_ambiguous() {
    let org = empty().await;
    let fields = |name| json!({ "LastName": name, "Legacy_Number__c": "7" });
    let ids = [org.contact(fields("A")).await, org.contact(fields("B")).await];
    let path = "/sobjects/Contact/Legacy_Number__c/7";
    let urls = json!(ids.clone().map(|id| format!("/services/data/v60.0/sobjects/Contact/{id}")));
    let got = org.patch(path, json!({ "LastName": "C" })).await;
    assert_eq!((got.status, &got.body), (300, &urls));
    assert_eq!(org.get(path).await.status, 300);
    assert_eq!(org.field(&ids[0], "LastName").await, "A", "nothing was written");
    // A deleted record no longer holds its key.
    org.delete(&format!("/sobjects/Contact/{}", ids[1])).await;
    assert_eq!(org.patch(path, json!({ "LastName": "C" })).await.status, 200);
}

#[tokio::test]
async fn conditional_requests_have_the_resolution_of_a_second() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    let path = format!("/sobjects/Contact/{id}");
    let stamp = org.get(&path).await.header("last-modified").to_owned();
    assert_eq!(stamp, "Tue, 05 May 2026 10:00:00 GMT");
    let (unmodified, modified) = ([("if-unmodified-since", stamp.as_str())], [("if-modified-since", stamp.as_str())]);
    let write = |body| org.send(Who::Integration, Method::PATCH, &path, &unmodified, Some(body));
    let read = || org.send(Who::Integration, Method::GET, &path, &modified, None);

    assert_eq!(read().await.unwrap().status, 304);
    assert_eq!(write(json!({ "Title": "first" })).await.unwrap().status, 204);
    assert_eq!(write(json!({ "Title": "same second" })).await.unwrap().status, 204, "the check is this weak");
    org.seconds(1);
    assert_eq!(org.patch(&path, json!({ "Title": "later" })).await.status, 204);
    assert_eq!(write(json!({ "Title": "too late" })).await.unwrap().status, 412);
    assert_eq!(org.field(&id, "Title").await, "later");
    assert_eq!(read().await.unwrap().status, 200);
    let nonsense = [("if-unmodified-since", "yesterday")];
    let refused = org.send(Who::Integration, Method::PATCH, &path, &nonsense, Some(json!({ "Title": "x" }))).await;
    assert_eq!(refused.unwrap().status, 400);
    let delete = org.send(Who::Integration, Method::DELETE, &path, &unmodified, None).await;
    assert_eq!(delete.unwrap().status, 204, "deletes have no precondition");
}

#[tokio::test]
async fn only_accounts_have_entity_tags() {
    let org = empty().await;
    let id = org.post("/sobjects/Account", json!({ "Name": "Acme" })).await.body["id"].as_str().unwrap().to_owned();
    let path = format!("/sobjects/Account/{id}");
    let tag = org.get(&path).await.header("etag").to_owned();
    assert!(tag.starts_with('"'));
    let write = |tag: String| {
        let (org, path) = (&org, &path);
        async move {
            let body = Some(json!({ "Phone": "1" }));
            org.send(Who::Integration, Method::PATCH, path, &[("if-match", &tag)], body).await.unwrap().status
        }
    };
    org.seconds(1);
    assert_eq!(write("\"other\"".to_owned()).await, 412);
    assert_eq!(write(tag.clone()).await, 204);
    assert_eq!(write(tag).await, 412);
    let contact = org.contact(json!({ "LastName": "Lee" })).await;
    assert_eq!(org.get(&format!("/sobjects/Contact/{contact}")).await.header("etag"), "");
}

#[tokio::test]
async fn normalisation_can_be_switched_off() {
    let org = empty().await;
    for (switch, field, sent, kept, raw) in [
        ("trim_text", "Title", json!(" a "), json!("a"), json!(" a ")),
        ("empty_to_null", "Title", json!(""), json!(null), json!("")),
        ("lowercase_email", "Email", json!("A@B.co"), json!("a@b.co"), json!("A@B.co")),
        ("round_decimals", "Score__c", json!(1.239), json!(1.24), json!(1.239)),
        (
            "multipicklist_order",
            "Interests__c",
            json!("mobile;billing"),
            json!("billing;mobile"),
            json!("mobile;billing"),
        ),
        ("restricted_picklist", "Tier__c", json!("Gold"), json!("gold"), json!("gold")),
    ] {
        for (on, value) in [(true, &kept), (false, &raw)] {
            org.switch(switch, on);
            let id = org.contact(json!({ "LastName": "Lee", field: sent })).await;
            assert_eq!(org.field(&id, field).await, *value, "{switch} {on}");
        }
        org.switch(switch, true);
    }
    org.switch("restricted_picklist", false);
    let id = org.contact(json!({ "LastName": "Lee", "Tier__c": "zinc" })).await;
    assert_eq!(org.field(&id, "Tier__c").await, "zinc");
}

#[tokio::test]
async fn a_client_without_patch_can_post() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    let got = org.post(&format!("/sobjects/Contact/{id}?_HttpMethod=PATCH"), json!({ "Title": "x" })).await;
    assert_eq!(got.status, 204);
    assert_eq!(org.field(&id, "Title").await, "x");
    let nowhere = org.patch("/sobjects/Contact", json!({})).await;
    assert_eq!(nowhere.error(), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(
        org.send(Who::User, Method::PUT, &format!("/sobjects/Contact/{id}"), &[], None).await.unwrap().status,
        405
    );
}
