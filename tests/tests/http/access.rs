//! Who may call, and whose data they reach.

use axum::http::Method;
use serde_json::json;

use crate::harness::{ACME_KEY, Api, GLOBEX_KEY, OPERATOR_KEY, ann};

#[tokio::test]
async fn only_a_known_key_opens_the_api_and_it_is_bound_to_its_tenant() {
    let api = Api::start().await;
    for (authorization, tenant, status, says) in [
        ("", "", 401, "the API key is missing or unknown"),
        ("Bearer wrong", "", 401, "the API key is missing or unknown"),
        ("Bearer ", "", 401, "the API key is missing or unknown"),
        (&format!("Basic {ACME_KEY}"), "", 401, "the API key is missing or unknown"),
        (&format!("Bearer {ACME_KEY}"), "globex", 400, "names another tenant"),
        (&format!("Bearer {OPERATOR_KEY}"), "", 400, "is missing"),
        (&format!("Bearer {OPERATOR_KEY}"), "initech", 400, "nothing in the configuration"),
    ] {
        let ask = api.ask(Method::GET, "/v1/changes").header("authorization", authorization);
        let reply = ask.header("syncline-tenant", tenant).send().await;
        reply.refused(status, says);
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
    for (key, tenant) in [(ACME_KEY, ""), (ACME_KEY, "acme"), (OPERATOR_KEY, "acme"), (OPERATOR_KEY, "globex")] {
        let ask = api.ask(Method::GET, "/v1/changes").header("authorization", &format!("Bearer {key}"));
        assert_eq!(ask.header("syncline-tenant", tenant).send().await.status, 200, "{key} {tenant}");
    }
}

#[tokio::test]
async fn a_tenant_never_reaches_what_another_one_has() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    let path = format!("/v1/records/contact/{id}");
    let globex = format!("Bearer {GLOBEX_KEY}");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/history")),
        (Method::POST, format!("{path}/undelete")),
        (Method::POST, format!("{path}/rebuild")),
        (Method::GET, "/v1/connections/acme-crm".into()),
        (Method::GET, "/v1/syncs/contacts".into()),
        (Method::POST, "/v1/syncs/contacts/pause".into()),
        (Method::GET, "/v1/deliveries?connection=acme-crm".into()),
        (Method::POST, format!("/v1/deliveries/{id}/acme-crm/replay")),
        (Method::GET, "/v1/quarantine?connection=acme-crm".into()),
    ] {
        let ask = api.ask(method.clone(), &path).header("authorization", &globex).json(&json!({}));
        ask.send().await.refused(404, "does not exist");
    }
    for path in ["/v1/records/contact", "/v1/changes", "/v1/syncs", "/v1/conflicts?state=all"] {
        let reply = api.ask(Method::GET, path).header("authorization", &globex).send().await;
        assert_eq!(reply.items().len(), 0, "{path}");
    }
    let connections = api.ask(Method::GET, "/v1/connections").header("authorization", &globex).send().await;
    assert_eq!(connections.items().len(), 1);
    assert_eq!(connections.text("/items/0/id"), "globex-crm");
    assert_eq!(api.get(&path).await.number("/_meta/version"), 1, "nothing has changed");
}

#[tokio::test]
async fn a_created_record_s_key_is_not_another_principal_s() {
    let api = Api::start().await;
    let create = async |key: &str| {
        let ask = api.ask(Method::POST, "/v1/records/contact").header("authorization", &format!("Bearer {key}"));
        let ask = ask.header("idempotency-key", "1").header("syncline-tenant", "acme");
        ask.json(&ann()).send().await.text("/_meta/id")
    };
    assert_ne!(create(ACME_KEY).await, create(OPERATOR_KEY).await);
}
