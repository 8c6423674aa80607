//! OAuth, tokens and their end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, CONTACTS, Lab};

async fn form(lab: &Lab, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let response = lab.http.post(format!("{}{path}", lab.running().base_url)).form(fields).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn with_token(lab: &Lab, token: &str) -> (u16, Value) {
    let url = format!("{}{CONTACTS}", lab.running().base_url);
    let response = lab.http.get(url).bearer_auth(token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn both_token_endpoints_refresh_and_keep_the_refresh_token() {
    let lab = Lab::start().await;
    let secrets = lab.running().credentials.clone();
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", &secrets.client_id),
        ("client_secret", &secrets.client_secret),
        ("refresh_token", &secrets.refresh_token),
    ];
    for (path, has_hub) in [("/oauth/v1/token", false), ("/oauth/v3/token", true), ("/oauth/2026-03/token", true)] {
        let (status, body) = form(&lab, path, &fields).await;
        assert_eq!(status, 200, "{path} {body}");
        assert_eq!(body["expires_in"], 1_800);
        assert_eq!(body["token_type"], "bearer");
        assert_eq!(body["refresh_token"], secrets.refresh_token.as_str());
        assert_eq!(body["hub_id"].is_number(), has_hub, "{path}");
        let token = body["access_token"].as_str().unwrap();
        assert!(token.len() >= 300);
        assert_eq!(with_token(&lab, token).await.0, 200);
    }
}

#[tokio::test]
async fn bad_grants_are_refused_in_each_dialect() {
    let lab = Lab::start().await;
    let secrets = lab.running().credentials.clone();
    let good = |grant: &'static str, token: &'static str| {
        vec![
            ("grant_type", grant.to_owned()),
            ("client_id", secrets.client_id.clone()),
            ("client_secret", secrets.client_secret.clone()),
            ("refresh_token", token.to_owned()),
            ("code", token.to_owned()),
        ]
    };
    for (fields, status_name, error) in [
        (good("refresh_token", "stale"), "BAD_REFRESH_TOKEN", "invalid_grant"),
        (good("authorization_code", "stale"), "BAD_AUTH_CODE", "invalid_grant"),
        (good("password", "x"), "BAD_GRANT_TYPE", "unsupported_grant_type"),
        (vec![("grant_type", "refresh_token".to_owned())], "BAD_CLIENT_ID", "invalid_client"),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, body) = form(&lab, "/oauth/v1/token", &fields).await;
        assert_eq!((status, body["status"].as_str(), body.get("error")), (400, Some(status_name), None));
        let (status, body) = form(&lab, "/oauth/v3/token", &fields).await;
        assert_eq!((status, body["error"].as_str()), (400, Some(error)));
    }
}

#[tokio::test]
async fn an_authorisation_code_works_once() {
    let lab = Lab::start().await;
    let secrets = lab.running().credentials.clone();
    let url = format!(
        "{}/oauth/authorize?client_id={}&redirect_uri=http://127.0.0.1:9/back&scope=oauth&state=s",
        lab.running().base_url,
        secrets.client_id
    );
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let response = client.get(url).send().await.unwrap();
    let location = url::Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    let query: std::collections::HashMap<_, _> = location.query_pairs().into_owned().collect();
    assert_eq!(query["state"], "s");
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", &secrets.client_id),
        ("client_secret", &secrets.client_secret),
        ("redirect_uri", "http://127.0.0.1:9/back"),
        ("code", &query["code"]),
    ];
    assert_eq!(form(&lab, "/oauth/v3/token", &fields).await.0, 200);
    assert_eq!(form(&lab, "/oauth/v3/token", &fields).await.0, 400);
}

#[tokio::test]
async fn introspection_and_revocation() {
    let lab = Lab::start().await;
    let secrets = lab.running().credentials.clone();
    let introspect = async |token: &str| {
        let fields =
            [("client_id", secrets.client_id.as_str()), ("client_secret", &secrets.client_secret), ("token", token)];
        form(&lab, "/oauth/v3/introspect", &fields).await.1
    };
    let access = introspect(&secrets.integration_token).await;
    assert_eq!((access["active"].clone(), access["hub_id"].clone()), (json!(true), json!(62_515)));
    assert_eq!(access["token_use"], "access_token");
    assert_eq!(introspect(&secrets.refresh_token).await["token_use"], "refresh_token");
    assert_eq!(introspect("nonsense").await, json!({"active": false}));
    let account = lab.ask(As::App, Method::GET, "/account-info/v3/details", Value::Null).await.expect(200);
    assert_eq!(account["portalId"], 62_515);

    let path = format!("/oauth/v1/refresh-tokens/{}", secrets.refresh_token);
    lab.get(&path).await.expect(200);
    lab.delete(&path).await.expect(204);
    assert_eq!(introspect(&secrets.refresh_token).await["active"], false);
    assert_eq!(with_token(&lab, &secrets.integration_token).await.0, 401);
}

#[tokio::test]
async fn who_has_no_good_token_is_told_why() {
    let lab = Lab::start().await;
    let body = lab.ask(As::Nobody, Method::GET, CONTACTS, Value::Null).await.expect(401);
    assert_eq!(body["category"], "INVALID_AUTHENTICATION");
    assert_eq!(with_token(&lab, "nonsense").await.1["category"], "INVALID_AUTHENTICATION");

    lab.advance_ms(1_799_000);
    lab.ask(As::App, Method::GET, CONTACTS, Value::Null).await.expect(200);
    lab.advance_ms(2_000);
    let body = lab.ask(As::App, Method::GET, CONTACTS, Value::Null).await.expect(401);
    assert_eq!(body["category"], "EXPIRED_AUTHENTICATION");
    assert!(body["context"]["expire time"][0].is_string());
    lab.get(CONTACTS).await.expect(200);
}

#[tokio::test]
async fn tokens_can_die_early_by_fault_and_by_hand() {
    let lab = Lab::start().await;
    lab.fault("early_token_expiry", 1.0).await;
    lab.ask(As::App, Method::GET, CONTACTS, Value::Null).await.expect(401);
    lab.fault("early_token_expiry", 0.0).await;
    lab.ask(As::App, Method::GET, CONTACTS, Value::Null).await.expect(401);

    let lab = Lab::start().await;
    assert_eq!(lab.post("/admin/tokens/expire", Value::Null).await.expect(200)["expired"], 1);
    lab.ask(As::App, Method::GET, CONTACTS, Value::Null).await.expect(401);
}
