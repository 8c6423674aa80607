//! Which object is which record: links, merges, splits, and the way back.

use axum::http::Method;
use serde_json::{Value as Json, json};
use syncline_core::ids::RecordId;
use syncline_server::{
    engine::commands::CommandError,
    store::{CommitBatch, RecordCommit},
};

use crate::harness::{Api, GLOBEX_KEY, ann};

#[tokio::test]
async fn links_are_made_listed_cut_and_taken_back() {
    let api = Api::start().await;
    let record = format!("/v1/records/contact/{}", api.contact(ann()).await);
    let crm = format!("{record}/links/acme-crm");
    let put = async |body: Json| api.ask(Method::PUT, &crm).json(&body).send().await;
    let linked = put(json!({"external_id": "003A"})).await;
    assert_eq!(linked.status, 200, "{}", linked.body);
    assert_eq!(linked.text("/operation/verb"), "link");
    assert_eq!(linked.text("/operation/by"), "backend");
    let link = json!({"connection": "acme-crm", "object": "Contact", "external_id": "003A", "state": "linked"});
    assert_eq!(linked.body["links"], json!([link]));
    assert_eq!(api.get(&format!("{record}/links")).await.body["items"], json!([link]));
    assert_eq!(put(json!({"external_id": "003A"})).await.body["operation"], Json::Null, "it is so already");

    let cut = api.ask(Method::DELETE, &crm).send().await;
    assert_eq!((cut.text("/operation/verb"), cut.text("/links/0/state")), ("unlink".into(), "detached".into()));
    let operation = format!("/v1/identity/operations/{}", cut.number("/operation/id"));
    let undone = api.post(&format!("{operation}/undo"), Json::Null).await;
    assert_eq!((undone.status.as_u16(), undone.text("/undone/by")), (200, "backend".into()));
    assert_eq!(api.get(&operation).await.body, undone.body);

    let all = api.get("/v1/identity/operations").await;
    assert_eq!(all.items().iter().map(|item| item["verb"].clone()).collect::<Vec<_>>(), ["unlink", "link"]);
    let first = api.get("/v1/identity/operations?limit=1").await;
    let cursor = first.text("/next_cursor");
    let rest = api.get(&format!("/v1/identity/operations?limit=1&cursor={cursor}")).await;
    assert_eq!([first.items().clone(), rest.items().clone()].concat(), *all.items());
}

#[tokio::test]
async fn records_are_merged_and_split_and_say_so() {
    let api = Api::start().await;
    let (stays, goes) = (api.contact(ann()).await, api.contact(ann()).await);
    let merged = api.post(&format!("/v1/records/contact/{stays}/merge"), json!({"record": goes})).await;
    assert_eq!((merged.text("/operation/verb"), merged.text("/operation/other")), ("merge".into(), goes.clone()));
    let split = api.post(&format!("/v1/records/contact/{stays}/split"), json!({"connection": "acme-crm"})).await;
    assert_eq!(split.text("/operation/verb"), "split");
    for (record, verbs) in [(&stays, &["split", "merge"][..]), (&goes, &["merge"])] {
        let listed = api.get(&format!("/v1/identity/operations?record={record}")).await;
        assert_eq!(listed.items().iter().map(|item| item["verb"].clone()).collect::<Vec<_>>(), verbs);
    }

    // What the engine leaves behind of a record that was merged.
    let tenant = Api::acme().tenant;
    let id: RecordId = goes.parse().unwrap();
    let mut state = api.store.tenant(&tenant).load(&[id]).await.unwrap().pop().unwrap();
    state.merged_into = Some(stays.parse().unwrap());
    let mut commit = RecordCommit::new(state);
    let action = syncline_core::live::Action::Deleted;
    commit.announcement = Some(syncline_server::store::Announcement { action, changed: Vec::new() });
    commit.state.document.save();
    api.pen.commit(&tenant, CommitBatch::of(vec![commit])).await;
    assert_eq!(api.get(&format!("/v1/records/contact/{goes}")).await.text("/_meta/merged_into"), stays);
    assert!(api.get(&format!("/v1/records/contact/{stays}")).await.body["_meta"].get("merged_into").is_none());
    let last = api.get("/v1/changes").await.body["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["action"], &last["merged_into"]), (&json!("deleted"), &json!(stays)));
}

#[tokio::test]
async fn held_objects_become_records_of_their_own() {
    let api = Api::start().await;
    let made = api.post("/v1/quarantine/7/separate", Json::Null).await;
    assert_eq!(made.status, 200);
    assert!(made.text("/record").parse::<RecordId>().is_ok());
    assert_eq!(api.pen.calls().last().map(String::as_str), Some("separate acme 7"));
}

#[tokio::test]
async fn requests_about_identity_that_make_no_sense_are_refused_with_the_way_out() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    let record = format!("/v1/records/contact/{id}");
    let links = format!("{record}/links");
    let nobody = "/v1/records/contact/00000000-0000-7000-8000-000000000000";
    let object = json!({"external_id": "003A"});
    for (method, path, body, status, says) in [
        (Method::PUT, format!("{links}/acme-crm"), json!({}), 422, "external_id"),
        (Method::PUT, format!("{links}/acme-crm"), json!({"external_id": ""}), 422, "external_id"),
        (Method::PUT, format!("{links}/acme-crm"), json!({"external_id": "1", "force": true}), 422, "force"),
        (Method::PUT, format!("{links}/globex-crm"), object.clone(), 404, "globex-crm"),
        (Method::PUT, format!("{links}/nothing"), object.clone(), 404, "nothing"),
        (Method::PUT, "/v1/records/invoice/1/links/acme-crm".into(), object.clone(), 404, "invoice"),
        (Method::DELETE, format!("{links}/globex-crm"), Json::Null, 404, "globex-crm"),
        (Method::GET, format!("{nobody}/links"), Json::Null, 404, "contact"),
        (Method::POST, format!("{record}/merge"), json!({"record": "ann"}), 422, "record"),
        (Method::POST, format!("{record}/merge"), json!({}), 422, "record"),
        (Method::POST, format!("{record}/split"), json!({"connection": "globex-crm"}), 404, "globex-crm"),
        (Method::GET, "/v1/identity/operations/77".into(), Json::Null, 404, "77"),
        (Method::POST, "/v1/identity/operations/77/undo".into(), Json::Null, 404, "77"),
        (Method::POST, "/v1/identity/operations/first/undo".into(), Json::Null, 404, "names nothing"),
        (Method::GET, "/v1/identity/operations?record=ann".into(), Json::Null, 400, "record"),
        (Method::GET, "/v1/identity/operations?cursor=ann".into(), Json::Null, 400, "cursor"),
    ] {
        let ask = api.ask(method.clone(), &path);
        let reply = if body.is_null() { ask.send().await } else { ask.json(&body).send().await };
        reply.refused(status, says);
    }
    api.pen.refuse_next(CommandError::Conflict("object 003A belongs to record 7: unlink it there".into()));
    api.ask(Method::PUT, &format!("{links}/acme-crm")).json(&object).send().await.refused(409, "unlink it there");

    // A stranger's key finds neither the record nor the operation.
    let operation = api.ask(Method::PUT, &format!("{links}/acme-crm")).json(&object).send().await;
    let operation = format!("/v1/identity/operations/{}", operation.number("/operation/id"));
    for path in [links, operation] {
        let asked = api.ask(Method::GET, &path).header("authorization", &format!("Bearer {GLOBEX_KEY}")).send().await;
        assert_eq!(asked.status, 404, "{path}: {}", asked.body);
    }
    let listed = api.ask(Method::GET, "/v1/identity/operations");
    let listed = listed.header("authorization", &format!("Bearer {GLOBEX_KEY}")).send().await;
    assert!(listed.items().is_empty());
}
