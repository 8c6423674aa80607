//! Records: create, read, list, change, delete, history and the way back.

use axum::http::Method;
use serde_json::{Value as Json, json};
use syncline_server::engine::commands::CommandError;

use crate::harness::{Api, ann};

#[tokio::test]
async fn a_record_is_created_read_changed_deleted_and_brought_back() {
    let api = Api::start().await;
    let created = api.post("/v1/records/contact", ann()).await;
    assert_eq!(created.status, 201);
    let id = created.text("/_meta/id");
    let path = format!("/v1/records/contact/{id}");
    assert_eq!(created.headers["location"], format!("https://sync.example.com{path}"));
    assert_eq!(created.headers["etag"], "\"1\"");
    assert_eq!(created.body["tags"], json!(["eu", "vip"]));
    assert_eq!(created.text("/_meta/last_action"), "created");

    let read = api.get(&format!("{path}?origins=true")).await;
    assert_eq!(read.body["_meta"]["origins"]["email"], json!({"kind": "client", "id": "backend"}));
    assert_eq!(read.body["_meta"]["external_ids"], json!({}));

    let changed = api.ask(Method::PATCH, &path).json(&json!({"first_name": "Anna", "stage": null})).send().await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.headers["etag"], "\"2\"");
    assert_eq!((&changed.body["first_name"], &changed.body["stage"]), (&json!("Anna"), &Json::Null));

    assert_eq!(api.ask(Method::DELETE, &path).send().await.status, 204);
    let deleted = api.get(&path).await;
    assert_eq!(deleted.text("/_meta/last_action"), "deleted");
    assert!(deleted.body["_meta"]["deleted_at"].is_string());
    api.ask(Method::PATCH, &path).json(&json!({"first_name": "A"})).send().await.refused(409, "undelete it first");

    let back = api.ask(Method::POST, &format!("{path}/undelete")).send().await;
    assert_eq!((back.status.as_u16(), &back.body["_meta"]["deleted_at"]), (200, &Json::Null));
}

#[tokio::test]
async fn a_repeated_create_with_one_key_yields_one_record() {
    let api = Api::start().await;
    let create = async |key: &str| {
        let ask = api.ask(Method::POST, "/v1/records/contact").header("idempotency-key", key);
        ask.json(&ann()).send().await.text("/_meta/id")
    };
    let first = create("order-1").await;
    assert_eq!(create("order-1").await, first);
    assert_ne!(create("order-2").await, first);
    assert_ne!(create("").await, create("").await, "without a key every call creates");
}

#[tokio::test]
async fn a_write_with_a_stale_version_is_refused_and_changes_nothing() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    let path = format!("/v1/records/contact/{id}");
    let edit = async |tag: &str| {
        api.ask(Method::PATCH, &path).header("if-match", tag).json(&json!({"first_name": tag})).send().await
    };
    assert_eq!(edit("\"1\"").await.status, 200);
    edit("\"1\"").await.refused(412, "at version 2, not 1");
    edit("1").await.refused(400, "If-Match");
    assert_eq!(edit("*").await.status, 200);
    api.ask(Method::DELETE, &path).header("if-match", "\"1\"").send().await.refused(412, "at version 3");
    assert_eq!(api.get(&path).await.number("/_meta/version"), 3);
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let api = Api::start().await;
    for index in 0..7 {
        let stage = if index % 2 == 0 { "lead" } else { "customer" };
        api.contact(json!({"email": format!("P{index}@X.com"), "stage": stage, "tags": [format!("t{index}")]})).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/records/contact?limit=3".to_owned();
    loop {
        let page = api.get(&path).await;
        seen.extend(page.items().iter().map(|row| row["email"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/records/contact?limit=3&cursor={next}");
    }
    assert_eq!(seen, (0..7).map(|index| format!("p{index}@x.com")).collect::<Vec<_>>());

    let third = api.get("/v1/records/contact?limit=3").await.items()[2]["_meta"]["last_modified_at"].clone();
    for (query, expected) in [
        ("filter[stage]=lead".to_owned(), 4),
        ("filter[stage]=lead&filter[email]=%20P2@x.com".to_owned(), 1),
        ("filter[tags]=t3".to_owned(), 1),
        ("filter[first_name]=".to_owned(), 7),
        ("filter[stage]=mql".to_owned(), 0),
        (format!("modified_since={}", third.as_str().unwrap()), 5),
    ] {
        assert_eq!(api.get(&format!("/v1/records/contact?{query}")).await.items().len(), expected, "{query}");
    }
    let gone = api.get("/v1/records/contact?limit=1").await.text("/items/0/_meta/id");
    api.ask(Method::DELETE, &format!("/v1/records/contact/{gone}")).send().await;
    assert_eq!(api.get("/v1/records/contact").await.items().len(), 6);
    assert_eq!(api.get("/v1/records/contact?include_deleted=true&origins=true").await.items().len(), 7);
}

#[tokio::test]
async fn history_says_who_wrote_what_and_leads_back_to_it() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    let path = format!("/v1/records/contact/{id}");
    for name in ["Anna", "Anne"] {
        api.ask(Method::PATCH, &path).json(&json!({"first_name": name})).send().await;
    }
    api.ask(Method::PATCH, &path).json(&json!({"employees": 8})).send().await;

    let history = api.get(&format!("{path}/history")).await;
    let actions: Vec<_> = history.items().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["edited", "edited", "edited", "created"]);
    assert_eq!(history.items()[3]["fields"]["email"]["value"], "ann@example.com", "a genesis shows its values too");
    assert_eq!(history.items()[0]["origin"], json!({"kind": "client", "id": "backend"}));

    let names = api.get(&format!("{path}/history?field=first_name&limit=2")).await;
    let values: Vec<_> = names.items().iter().map(|entry| &entry["fields"]["first_name"]["value"]).collect();
    assert_eq!(values, ["Anne", "Anna"]);
    let rest = api.get(&format!("{path}/history?field=first_name&cursor={}", names.text("/next_cursor"))).await;
    assert_eq!(rest.items().len(), 1);
    assert_eq!(rest.body["next_cursor"], Json::Null);

    let restore = async |field: &str, change: &Json| {
        api.post(&format!("{path}/restore"), json!({"field": field, "change": change})).await
    };
    let genesis = &history.items()[3]["change"];
    let restored = restore("first_name", genesis).await;
    assert_eq!((restored.status.as_u16(), &restored.body["first_name"]), (200, &json!("Ann")));
    assert_eq!(restored.number("/_meta/version"), 5, "a restore is an edit like any other");
    restore("first_name", &history.items()[0]["change"]).await.refused(422, "was not written by the change");
    restore("first_name", &json!("00")).await.refused(422, "64 hexadecimal digits");
    restore("first_name", &json!("0".repeat(64))).await.refused(422, "not in the history");
    restore("last_name", genesis).await.refused(422, "no field of");
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong_where_and_what_to_do() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    let path = format!("/v1/records/contact/{id}");
    let nobody = "/v1/records/contact/01890000-0000-7000-8000-000000000000";
    for (method, path, body, status, says) in [
        (Method::GET, "/v1/records/contract", "", 404, "the models are: contact, ticket"),
        (Method::GET, "/v1/records/contact?limit=0", "", 400, "limit: a page holds from 1 to 1000"),
        (Method::GET, "/v1/records/contact?limt=1", "", 400, "unknown field `limt`"),
        (Method::GET, "/v1/records/contact?filter[sage]=x", "", 400, "is no field of the model `contact`"),
        (Method::GET, "/v1/records/contact?filter[stage]=x", "", 400, "filter[stage]"),
        (Method::GET, "/v1/records/contact?cursor=x", "", 400, "is no cursor of this list"),
        (Method::GET, "/v1/records/contact?modified_since=today", "", 400, "2026-01-31T12:00:00Z"),
        (Method::GET, "/v1/records/contact/7", "", 404, "ids are UUIDs"),
        (Method::GET, nobody, "", 404, "does not exist"),
        (Method::PATCH, nobody, "{}", 404, "does not exist"),
        (Method::GET, "/v1/records/contact?origins=yes", "", 400, "origins"),
        (Method::POST, "/v1/records/contact?x=1", "{}", 400, "unknown field `x`"),
        (Method::POST, "/v1/records/contact", "{\"a\": 1,\n]", 400, "line 2, column 1"),
        (Method::POST, "/v1/records/contact", "[]", 422, "wrong shape"),
        (Method::POST, "/v1/records/contact", "{\"_meta\": {}}", 422, "written by the server"),
        (Method::POST, "/v1/records/contact", "{\"nme\": 1}", 422, "is no field of"),
        (Method::PATCH, &path, "{\"stage\": \"x\"}", 422, "lead"),
        (Method::PUT, &path, "{}", 405, "does not take PUT"),
        (Method::GET, "/v1/recrds", "", 404, "/v1/openapi.json"),
        (Method::GET, &format!("{path}/history?field=x"), "", 400, "is no field"),
    ] {
        let ask = api.ask(method, path);
        let ask = if body.is_empty() { ask } else { ask.raw("application/json", body) };
        let reply = ask.send().await;
        reply.refused(status, says);
        assert_eq!(reply.body["instance"], path.split('?').next().unwrap());
    }
    api.ask(Method::POST, "/v1/records/contact").raw("text/plain", "{}").send().await.refused(415, "Content-Type");
    let long = format!("{{\"email\": \"{}\"}}", "x".repeat(1024 * 1024));
    api.ask(Method::POST, "/v1/records/contact").raw("application/json", long).send().await.refused(413, "1048576");
    let ask = api.ask(Method::POST, "/v1/records/contact").header("idempotency-key", &"k".repeat(256));
    ask.json(&ann()).send().await.refused(400, "Idempotency-Key");
    api.pen.refuse_next(CommandError::Unavailable("the store is locked".into()));
    let busy = api.post("/v1/records/contact", ann()).await;
    busy.refused(503, "the store is locked");
    assert_eq!(busy.headers["retry-after"], "1");
}
