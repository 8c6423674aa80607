//! The change feed over plain HTTP.

use axum::http::Method;
use serde_json::{Value as Json, json};
use syncline_server::live::Limits;

use crate::harness::{Api, ann};

#[tokio::test]
async fn changes_come_in_order_without_a_gap_and_with_their_origin() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    api.post("/v1/records/ticket", json!({"subject": "Help"})).await;
    let path = format!("/v1/records/contact/{id}");
    api.ask(Method::PATCH, &path).json(&json!({"first_name": "Anna"})).send().await;
    api.ask(Method::DELETE, &path).send().await;
    api.ask(Method::POST, &format!("{path}/undelete")).send().await;

    let all = api.get("/v1/changes").await;
    let told: Vec<_> = all
        .items()
        .iter()
        .map(|change| (change["cursor"].as_u64().unwrap(), change["action"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(1, "created"), (2, "created"), (3, "updated"), (4, "deleted"), (5, "restored")]);
    assert_eq!(
        all.items()[2]["changed"],
        json!([{"field": "first_name", "origin": {"kind": "client", "id": "backend"}, "before": "Ann"}])
    );
    assert_eq!(all.items()[2]["fields"]["first_name"], "Anna");

    let page = api.get("/v1/changes?after=1&limit=2").await;
    assert_eq!((page.items().len(), page.number("/cursor")), (2, 3));
    let contacts = api.get("/v1/changes?model=contact").await;
    assert_eq!((contacts.items().len(), contacts.number("/cursor")), (4, 5));
    let none = api.get("/v1/changes?after=5").await;
    assert_eq!((none.items().len(), none.number("/cursor")), (0, 5));
    api.get("/v1/changes?model=contract").await.refused(404, "the models are");
    api.get("/v1/changes?wait=61").await.refused(400, "0 to 60 seconds");
}

#[tokio::test]
async fn a_cursor_that_the_feed_does_not_reach_is_gone() {
    let api = Api::start().await;
    api.pen.create_many(&Api::acme(), "contact", 20, "one of many").await;
    api.store.tenant(&Api::acme().tenant).trim_feed(5).await.unwrap();
    api.get("/v1/changes?after=1").await.refused(410, "go on with after=20");
    api.get("/v1/changes?after=21").await.refused(410, "go on with after=20");
    assert_eq!(api.get("/v1/changes?after=19").await.items().len(), 1);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_change_that_concerns_it() {
    let api = Api::start().await;
    let wait = async { api.get("/v1/changes?wait=60&model=contact").await };
    let write = async {
        api.post("/v1/records/ticket", json!({"subject": "Help"})).await;
        api.contact(ann()).await
    };
    let (waited, id) = tokio::join!(wait, write);
    assert_eq!(waited.items().len(), 1);
    assert_eq!(waited.items()[0]["record"], Json::String(id));
}

#[tokio::test]
async fn a_long_poll_ends_empty_when_the_service_closes() {
    let api = Api::start().await;
    let (waited, ()) = tokio::join!(async { api.get("/v1/changes?wait=60").await }, async { api.hub.close() });
    assert_eq!((waited.status.as_u16(), waited.items().len()), (200, 0));
    api.get("/ready").await.refused(503, "shutting down");
}

#[tokio::test]
async fn long_polls_are_bounded() {
    let api = Api::bounded(Limits { seats_per_tenant_max: 1, ..Limits::default() }).await;
    let seat = api.hub.seat(&Api::acme().tenant).unwrap();
    let full = api.get("/v1/changes?wait=60").await;
    full.refused(429, "too many sockets and long-polls");
    assert_eq!(full.headers["retry-after"], "10");
    assert_eq!(api.get("/v1/changes").await.status, 200, "a request that does not wait needs no seat");
    drop(seat);
}
