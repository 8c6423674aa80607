//! Tokens for clients of the automerge-repo protocol.

use axum::http::Method;
use serde_json::json;

use crate::harness::{Api, OPERATOR_KEY, ann};

const TOKENS: &str = "/v1/repo/tokens";

#[tokio::test]
async fn a_token_is_an_address_that_holds_it() {
    let api = Api::start().await;
    for wanted in [
        json!({}),
        json!({"name": "ada@example.com", "models": ["contact"], "access": ["read", "write"], "expires_in_seconds": 60}),
        json!({"models": [], "access": []}),
    ] {
        let reply = api.post(TOKENS, wanted).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let (url, token) = (reply.text("/url"), reply.text("/token"));
        assert!(url.starts_with("ws") && url.ends_with(&format!("/v1/repo?token={token}")), "{url}");
    }
}

#[tokio::test]
async fn what_a_token_cannot_be_is_said_by_field() {
    let api = Api::start().await;
    for (wanted, status, says) in [
        (json!({"models": ["contcat"]}), 422, "there is no model `contcat`"),
        (json!({"expires_in_seconds": 0}), 422, "must be from 1 to"),
        (json!({"expires_in_seconds": 400 * 24 * 60 * 60}), 422, "must be from 1 to"),
        (json!({"name": "  "}), 422, "printable"),
        (json!({"name": "a".repeat(101)}), 422, "printable"),
        (json!({"name": "a\nb"}), 422, "printable"),
        (json!({"access": ["destroy"]}), 422, "destroy"),
        (json!({"tenant": "globex"}), 422, "tenant"),
    ] {
        let reply = api.post(TOKENS, wanted.clone()).await;
        assert_eq!(reply.status, status, "{wanted}");
        assert!(reply.body.to_string().contains(says), "{wanted} is answered {}", reply.body);
    }
}

#[tokio::test]
async fn only_a_key_makes_a_token_and_only_for_a_tenant() {
    let api = Api::start().await;
    let ask = || api.ask(Method::POST, TOKENS).json(&json!({}));
    assert_eq!(ask().header("authorization", "").send().await.status, 401);
    assert_eq!(ask().header("authorization", "Bearer guess").send().await.status, 401);
    let operator = format!("Bearer {OPERATOR_KEY}");
    assert_eq!(ask().header("authorization", &operator).send().await.status, 400);
    let named = ask().header("authorization", &operator).header("syncline-tenant", "acme").send().await;
    assert_eq!(named.status, 201, "{}", named.body);
}

#[tokio::test]
async fn a_token_reads_what_it_may_reach_and_changes_nothing() {
    let api = Api::start().await;
    let id = api.contact(ann()).await;
    let token = async |wanted| format!("Bearer {}", api.post(TOKENS, wanted).await.text("/token"));
    let all = token(json!({})).await;
    let nothing = token(json!({"models": []})).await;
    let writer = token(json!({"access": ["write"]})).await;
    let contact = format!("/v1/records/contact/{id}");
    for (bearer, path, status) in [
        (&all, "/v1/records/contact", 200),
        (&all, contact.as_str(), 200),
        (&all, &format!("{contact}/history"), 200),
        (&nothing, "/v1/records/contact", 404),
        (&nothing, &contact, 404),
        (&writer, "/v1/records/contact", 401),
        (&all, "/v1/changes", 401),
        (&all, "/v1/syncs", 401),
    ] {
        let reply = api.ask(Method::GET, path).header("authorization", bearer).send().await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
    }
    for (method, path) in [(Method::DELETE, contact.as_str()), (Method::POST, TOKENS)] {
        let ask = api.ask(method, path).header("authorization", &all);
        assert_eq!(ask.json(&json!({})).send().await.status, 401, "{path}");
    }
}
