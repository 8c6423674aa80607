//! Tokens for clients of the automerge-repo protocol.

use axum::http::Method;
use serde_json::json;

use crate::harness::{Api, OPERATOR_KEY};

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
        (json!({"access": ["destroy"]}), 400, "destroy"),
        (json!({"tenant": "globex"}), 400, "tenant"),
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
