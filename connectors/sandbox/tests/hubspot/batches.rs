//! Batches and their partial failures.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, CONTACTS, Lab, id_inputs, ids};

fn path(verb: &str) -> String {
    format!("{CONTACTS}/batch/{verb}")
}

#[tokio::test]
async fn a_batch_read_reports_what_is_missing() {
    let lab = Lab::start().await;
    let ann = lab.contact(json!({"email": "ann@example.com"})).await;
    let all = lab.post(&path("read"), id_inputs(&[&ann, &ann])).await.expect(200);
    assert_eq!(ids(&all), [ann.as_str()]);
    assert_eq!(all["status"], "COMPLETE");
    assert!(all.get("errors").is_none());
    let some = lab.post(&path("read"), id_inputs(&["999", &ann, "x"])).await.expect(207);
    assert_eq!(ids(&some), [ann.as_str()]);
    assert_eq!(some["numErrors"], 1);
    assert_eq!(some["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(some["errors"][0]["context"]["ids"], json!(["999", "x"]));
    let body = json!({"inputs": [{"id": "Ann@example.com"}], "idProperty": "email", "properties": ["email"],
                      "propertiesWithHistory": ["email"]});
    let by_email = lab.post(&path("read"), body).await.expect(200);
    assert_eq!(ids(&by_email), [ann]);
    assert_eq!(by_email["results"][0]["propertiesWithHistory"]["email"][0]["value"], "ann@example.com");
}

#[tokio::test]
async fn batches_are_bounded() {
    let lab = Lab::start().await;
    let many: Vec<String> = (0..101).map(|id| id.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for verb in ["read", "archive"] {
        lab.post(&path(verb), id_inputs(&many)).await.expect(400);
        lab.post(&path(verb), id_inputs(&[])).await.expect(400);
    }
    lab.post(&path("read"), id_inputs(&many[..100])).await.expect(207);
}

#[tokio::test]
async fn traced_creates_fail_one_by_one_and_untraced_ones_together() {
    let lab = Lab::start().await;
    let ann = lab.contact(json!({"email": "ann@example.com"})).await;
    let inputs = |traced: bool| {
        let input = |row: usize, email: &str| {
            let trace = if traced { json!(row.to_string()) } else { Value::Null };
            json!({"properties": {"email": email}, "objectWriteTraceId": trace})
        };
        json!({"inputs": [input(0, "new@example.com"), input(1, "ANN@example.com"), input(2, "bad")]})
    };
    let refused = lab.post(&path("create"), inputs(false)).await.expect(409);
    assert_eq!(refused["message"], format!("Contact already exists. Existing ID: {ann}"));
    assert_eq!(ids(&lab.get(CONTACTS).await.body).len(), 1, "nothing of a refused batch is done");

    let body = lab.post(&path("create"), inputs(true)).await.expect(207);
    assert_eq!(body["results"][0]["properties"]["email"], "new@example.com");
    assert_eq!(body["results"][0]["objectWriteTraceId"], "0");
    assert_eq!(body["numErrors"], 2);
    let error = |trace: &str| {
        let errors = body["errors"].as_array().unwrap();
        errors.iter().find(|error| error["context"]["objectWriteTraceId"] == json!([trace])).unwrap().clone()
    };
    assert_eq!(error("1")["category"], "CONFLICT");
    assert_eq!(error("1")["context"]["existingId"], json!([ann]));
    assert_eq!(error("2")["category"], "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_full_success_is_201_for_creates_and_200_for_updates() {
    let lab = Lab::start().await;
    let inputs = json!({"inputs": [{"properties": {"email": "a@b.de"}}, {"properties": {"email": "c@d.de"}}]});
    let created = ids(&lab.post(&path("create"), inputs).await.expect(201));
    let inputs = json!({"inputs": created.iter().map(|id| json!({"id": id, "properties": {"city": "Bonn"}})).collect::<Vec<_>>()});
    let body = lab.post(&path("update"), inputs).await.expect(200);
    assert_eq!(body["results"][1]["properties"]["city"], "Bonn");
    lab.post(&path("archive"), id_inputs(&[&created[0], "999", "x"])).await.expect(204);
    lab.get(&format!("{CONTACTS}/{}", created[0])).await.expect(404);
}

#[tokio::test]
async fn an_update_names_the_missing_and_refuses_the_doubled() {
    let lab = Lab::start().await;
    let ann = lab.contact(json!({})).await;
    let input = |id: &str| json!({"id": id, "objectWriteTraceId": format!("t{id}"), "properties": {"city": "Bonn"}});
    let body = lab.post(&path("update"), json!({"inputs": [input("999"), input(&ann)]})).await.expect(207);
    assert_eq!(ids(&body), [ann.as_str()]);
    assert_eq!(body["errors"][0]["context"]["ids"], json!(["999"]));
    assert_eq!(body["errors"][0]["context"]["objectWriteTraceId"], json!(["t999"]));
    let body = lab.post(&path("update"), json!({"inputs": [input(&ann), input(&ann)]})).await.expect(400);
    assert_eq!(body["category"], "VALIDATION_ERROR");
    assert_eq!(body["message"], format!("Duplicate IDs found in batch input: [{ann}]. IDs must be unique"));
}

#[tokio::test]
async fn an_upsert_by_a_unique_property_is_idempotent() {
    let lab = Lab::start().await;
    let property = json!({"name": "ext_key", "label": "Key", "groupName": "contactinformation", "type": "string",
                          "fieldType": "text", "hasUniqueValue": true});
    lab.post("/crm/v3/properties/contacts", property).await.expect(201);
    let input = |key: &str, city: &str| json!({"id": key, "idProperty": "ext_key", "objectWriteTraceId": key, "properties": {"city": city}});
    let body =
        lab.post(&path("upsert"), json!({"inputs": [input("k1", "Bonn"), input("k2", "Köln")]})).await.expect(200);
    assert_eq!(body["results"][0]["new"], true);
    assert_eq!(body["results"][0]["properties"]["ext_key"], "k1");
    let first = ids(&body);
    let body =
        lab.post(&path("upsert"), json!({"inputs": [input("k1", "Bern"), input("k2", "Köln")]})).await.expect(200);
    assert_eq!(ids(&body), first);
    assert_eq!(body["results"][0]["new"], false);
    assert_eq!(body["results"][0]["properties"]["city"], "Bern");
    let inputs = json!({"inputs": [input("k1", "Bonn"),
        {"id": "k3", "idProperty": "ext_key", "objectWriteTraceId": "k3", "properties": {"email": "bad"}}]});
    let body = lab.post(&path("upsert"), inputs).await.expect(207);
    assert_eq!(body["errors"][0]["context"]["objectWriteTraceId"], json!(["k3"]));
    let clash = json!({"properties": {"ext_key": "k1"}});
    assert_eq!(lab.post(CONTACTS, clash).await.expect(400)["errors"][0]["code"], "CONFLICTING_UNIQUE_VALUE");
    let not_unique = json!({"inputs": [{"id": "x", "idProperty": "city", "properties": {}}]});
    lab.post(&path("upsert"), not_unique).await.expect(400);
}

#[tokio::test]
async fn an_upsert_by_email_is_all_or_nothing() {
    let lab = Lab::start().await;
    let input = |email: &str, phone: &str| json!({"id": email, "idProperty": "email", "objectWriteTraceId": email, "properties": {"phone": phone}});
    let inputs = json!({"inputs": [input("ann@example.com", "+18884827768"), input("bob@example.com", "call me")]});
    lab.post(&path("upsert"), inputs).await.expect(400);
    assert!(ids(&lab.get(CONTACTS).await.body).is_empty());
    let inputs = json!({"inputs": [input("ann@example.com", "+18884827768")]});
    let body = lab.post(&path("upsert"), inputs).await.expect(200);
    assert_eq!(body["results"][0]["properties"]["email"], "ann@example.com");
}

#[tokio::test]
async fn results_may_be_out_of_order() {
    let lab = Lab::start().await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(lab.contact(json!({})).await);
    }
    let refs: Vec<&str> = created.iter().map(String::as_str).collect();
    assert_eq!(ids(&lab.post(&path("read"), id_inputs(&refs)).await.body), created);
    lab.fault("results_out_of_order", 1.0).await;
    let mut mixed = ids(&lab.post(&path("read"), id_inputs(&refs)).await.body);
    assert_ne!(mixed, created);
    mixed.sort();
    assert_eq!(mixed, created);
}

#[tokio::test]
async fn a_partial_failure_is_200_in_the_newest_version_or_by_fault() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({})).await;
    let partial = id_inputs(&["999", &id]);
    for (base, status) in [("/crm/objects/2026-03/contacts", 207), ("/crm/objects/2026-09/contacts", 200)] {
        let body = lab.post(&format!("{base}/batch/read"), partial.clone()).await.expect(status);
        assert_eq!(body["numErrors"], 1);
    }
    lab.fault("batch_status_200", 1.0).await;
    assert_eq!(lab.post(&path("read"), partial).await.expect(200)["numErrors"], 1);
}

#[tokio::test]
async fn the_app_meets_locks() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({})).await;
    lab.fault("locked", 1.0).await;
    let body = json!({"properties": {"city": "Bonn"}});
    let answer = lab.ask(As::App, Method::PATCH, &format!("{CONTACTS}/{id}"), body.clone()).await;
    assert_eq!(answer.headers["retry-after"], "2");
    answer.expect(423);
    lab.patch(&format!("{CONTACTS}/{id}"), body).await.expect(200);
}
