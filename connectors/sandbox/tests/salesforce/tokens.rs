use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::org::{Got, Org, Who, empty};

async fn refresh(org: &Org, token: &str) -> Got {
    let credentials = &org.running().credentials;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
        ("refresh_token", token),
    ];
    org.form("/services/oauth2/token", &form).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

#[tokio::test]
async fn a_refresh_opens_a_session() {
    let org = empty().await;
    let got = refresh(&org, &org.running().credentials.refresh_token).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.body["instance_url"], org.running().base_url);
    assert_eq!(got.body["token_type"], "Bearer");
    assert_eq!(got.body["issued_at"], "1777975200250");
    assert!(got.body.get("refresh_token").is_none() && got.body.get("expires_in").is_none());
    assert!(text(&got.body["id"]).contains("/id/00D"));
    assert_eq!(text(&got.body["signature"]).len(), 44);
    let token = text(&got.body["access_token"]);
    assert_eq!(org.get_as(token, "/services/data/v60.0/limits").await.status, 200);
    let info = org.get_as(token, "/services/oauth2/userinfo").await;
    assert_eq!(info.body["name"], "integration");
}

#[tokio::test]
async fn a_session_ends() {
    let org = empty().await;
    let refused = json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }]);
    org.advance(Duration::from_secs(2 * 3_600 + 60));
    let got = org.get("/limits").await;
    assert_eq!((got.status, got.body), (401, refused.clone()));

    let fresh = refresh(&org, &org.running().credentials.refresh_token).await.body["access_token"].clone();
    let path = "/services/data/v60.0/limits";
    assert_eq!(org.get_as(text(&fresh), path).await.status, 200);
    assert_eq!(org.admin(Method::POST, "/tokens/expire", None).await.body, json!({ "expired": 1 }));
    assert_eq!(org.get_as(text(&fresh), path).await.body, refused);
    assert_eq!(org.get_as("nonsense", path).await.body, refused);
    let user = &org.running().credentials.user_token;
    assert_eq!(org.get_as(user, path).await.status, 200, "the user's token lives on");
}

#[tokio::test]
async fn a_session_can_die_in_the_middle_of_a_walk() {
    let org = empty().await;
    org.switch("session_expired", true);
    assert_eq!(org.get("/limits").await.error(), (401, "INVALID_SESSION_ID"));
    org.switch("session_expired", false);
    assert_eq!(org.get("/limits").await.error(), (401, "INVALID_SESSION_ID"), "it is dead, not asleep");
    let user = org.send(Who::User, Method::GET, "/limits", &[], None).await.unwrap();
    assert_eq!(user.status, 200);
}

#[tokio::test]
async fn rotation_is_a_switch() {
    let org = empty().await;
    org.switch("refresh_rotation", true);
    let first = org.running().credentials.refresh_token.clone();
    let got = refresh(&org, &first).await;
    let second = text(&got.body["refresh_token"]).to_owned();
    assert_ne!(second, first);
    let reused = refresh(&org, &first).await;
    let expired = json!({ "error": "invalid_grant", "error_description": "expired access/refresh token" });
    assert_eq!((reused.status, reused.body), (400, expired.clone()));
    assert_eq!(refresh(&org, &second).await.body, expired, "reuse revoked the family");
    assert_eq!(org.get_as(text(&got.body["access_token"]), "/services/data/v60.0/limits").await.status, 401);
}

#[tokio::test]
async fn clients_prove_themselves() {
    let org = empty().await;
    let credentials = org.running().credentials.clone();
    for (id, secret, grant, error) in [
        ("nobody", credentials.client_secret.as_str(), "refresh_token", "invalid_client_id"),
        (&credentials.client_id, "wrong", "refresh_token", "invalid_client"),
        (&credentials.client_id, &credentials.client_secret, "password", "unsupported_grant_type"),
        (&credentials.client_id, &credentials.client_secret, "refresh_token", "invalid_grant"),
    ] {
        let form = [("grant_type", grant), ("client_id", id), ("client_secret", secret), ("refresh_token", "x")];
        let got = org.form("/services/oauth2/token", &form).await;
        assert_eq!((got.status, &got.body["error"]), (400, &json!(error)), "{id} {secret} {grant}");
    }
    let own = [
        ("grant_type", "client_credentials"),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
    ];
    let got = org.form("/services/oauth2/token", &own).await;
    assert_eq!((got.status, got.body.get("refresh_token")), (200, None));
    let introspect = [own[1], own[2], ("token", text(&got.body["access_token"]))];
    assert_eq!(org.form("/services/oauth2/introspect", &introspect).await.body["active"], true);
    assert_eq!(org.form("/services/oauth2/revoke", &introspect[2..]).await.status, 200);
    assert_eq!(org.form("/services/oauth2/introspect", &introspect).await.body, json!({ "active": false }));
}

#[tokio::test]
async fn the_code_flow_ends_with_a_connection() {
    let org = empty().await;
    let credentials = org.running().credentials.clone();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let query = [
        ("response_type", "code"),
        ("client_id", &credentials.client_id),
        ("redirect_uri", "http://localhost/back"),
        ("state", "s&1"),
    ];
    let url = url::Url::parse_with_params(&format!("{}/services/oauth2/authorize", org.running().base_url), query);
    let back = browser.get(url.unwrap()).send().await.unwrap();
    assert_eq!(back.status(), 303);
    let target = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let pairs: Vec<_> = target.query_pairs().into_owned().collect();
    assert_eq!(pairs[1], ("state".to_owned(), "s&1".to_owned()));
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
        ("redirect_uri", "http://localhost/back"),
        ("code", &pairs[0].1),
    ];
    let got = org.form("/services/oauth2/token", &form).await;
    assert_eq!(refresh(&org, text(&got.body["refresh_token"])).await.status, 200);
    assert_eq!(org.form("/services/oauth2/token", &form).await.status, 400, "a code works once");
}
