//! Tokens: the API token, OAuth with pairs that are used once, and what the platform says to the others.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{Answer, As, INTEGRATION, Lab};

async fn tokens(lab: &Lab, body: Value) -> Answer {
    lab.ask(As::Nobody, Method::POST, "/oauth/tokens", body).await
}

fn grant(lab: &Lab, more: Value) -> Value {
    let credentials = &lab.running().credentials;
    let mut body = json!({"client_id": credentials.client_id, "client_secret": credentials.client_secret});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn refresh(lab: &Lab, token: &str) -> Value {
    grant(lab, json!({"grant_type": "refresh_token", "refresh_token": token}))
}

async fn with_token(lab: &Lab, token: &str) -> u16 {
    let request = lab.http.get(format!("{}/api/v2/tickets", lab.running().base_url)).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

#[tokio::test]
async fn both_kinds_of_token_are_the_integration() {
    let lab = Lab::start().await;
    for who in [As::App, As::ApiToken] {
        let me = lab.ask(who, Method::GET, "users/me.json", Value::Null).await.expect(200);
        assert_eq!((&me["user"]["id"], &me["user"]["role"]), (&json!(INTEGRATION), &json!("admin")), "{who:?}");
    }
    let wrong = lab.http.get(format!("{}/api/v2/tickets", lab.running().base_url));
    let wrong = wrong.basic_auth("integration@sandbox.example/token", Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert_eq!(
        lab.ask(As::Nobody, Method::GET, "tickets", Value::Null).await.expect(401)["error"],
        "Couldn't authenticate you"
    );
    let anonymous = lab.ask(As::Nobody, Method::GET, "users/me", Value::Null).await.expect(200);
    assert_eq!(anonymous["user"]["id"], Value::Null, "bad credentials look like success here");
    lab.fault("anonymous_me", 0.0).await;
    lab.ask(As::Nobody, Method::GET, "users/me", Value::Null).await.expect(401);
}

#[tokio::test]
async fn a_pair_is_used_once() {
    let lab = Lab::start().await;
    let first = lab.running().credentials.refresh_token.clone();
    let pair = tokens(&lab, refresh(&lab, &first)).await.expect(200);
    assert_eq!(
        (&pair["token_type"], &pair["scope"], &pair["expires_in"]),
        (&json!("bearer"), &json!("read write"), &json!(1_800))
    );
    let (access, second) = (text(&pair["access_token"]), text(&pair["refresh_token"]));
    assert_ne!(second, first);
    assert_eq!(with_token(&lab, &access).await, 200);
    assert_eq!(
        with_token(&lab, &lab.running().credentials.integration_token).await,
        401,
        "the old pair is dead at once"
    );
    let reused = tokens(&lab, refresh(&lab, &first)).await.expect(400);
    assert_eq!(reused["error"], "invalid_grant");
    assert_eq!(with_token(&lab, &access).await, 200, "and its reuse harms nobody");
    tokens(&lab, refresh(&lab, &second)).await.expect(200);
    assert_eq!(with_token(&lab, &access).await, 401);
}

#[tokio::test]
async fn a_token_lives_as_long_as_was_asked_for() {
    let lab = Lab::start().await;
    lab.seconds(1_801);
    let refused = lab.ask(As::App, Method::GET, "tickets", Value::Null).await.expect(401);
    assert_eq!(refused["error"], "invalid_token");
    let mut body = refresh(&lab, &lab.running().credentials.refresh_token);
    for (life, status) in [(60, 400), (300_000, 400), (3_600, 200)] {
        body["expires_in"] = life.into();
        let answer = tokens(&lab, body.clone()).await.expect(status);
        if status == 200 {
            let access = text(&answer["access_token"]);
            lab.seconds(3_599);
            assert_eq!(with_token(&lab, &access).await, 200);
            lab.seconds(2);
            assert_eq!(with_token(&lab, &access).await, 401);
        }
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_is_lost_costs_the_connection() {
    let lab = Lab::start().await;
    lab.fault("refresh_lost", 1.0).await;
    let body = refresh(&lab, &lab.running().credentials.refresh_token);
    assert!(lab.send(As::Nobody, Method::POST, "/oauth/tokens", &[], body.clone()).await.is_err());
    lab.fault("refresh_lost", 0.0).await;
    assert_eq!(tokens(&lab, body).await.expect(400)["error"], "invalid_grant");
    lab.ask(As::App, Method::GET, "tickets", Value::Null).await.expect(401);
}

#[tokio::test]
async fn clients_prove_themselves() {
    let lab = Lab::start().await;
    for (change, status, error) in [
        (json!({"client_secret": "x"}), 401, "invalid_client"),
        (json!({"grant_type": "password"}), 400, "unsupported_grant_type"),
        (json!({"refresh_token": "x"}), 400, "invalid_grant"),
    ] {
        let mut body = refresh(&lab, "x");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(tokens(&lab, body).await.expect(status)["error"], error, "{change}");
    }
}

#[tokio::test]
async fn the_code_flow_ends_with_a_pair() {
    let lab = Lab::start().await;
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let query = [("response_type", "code"), ("redirect_uri", "http://localhost/back"), ("state", "s&1")];
    let client = ("client_id", lab.running().credentials.client_id.as_str());
    let url = format!("{}/oauth/authorizations/new", lab.running().base_url);
    let url = url::Url::parse_with_params(&url, query.into_iter().chain([client])).unwrap();
    let back = browser.get(url).send().await.unwrap();
    let target = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let pairs: Vec<_> = target.query_pairs().into_owned().collect();
    assert_eq!(pairs[1], ("state".to_owned(), "s&1".to_owned()));
    let code = json!({"grant_type": "authorization_code", "code": pairs[0].1, "redirect_uri": "http://localhost/back"});
    let pair = tokens(&lab, grant(&lab, code.clone())).await.expect(200);
    assert_eq!(with_token(&lab, &text(&pair["access_token"])).await, 200);
    assert_eq!(tokens(&lab, grant(&lab, code)).await.expect(400)["error"], "invalid_grant", "a code works once");
}

#[tokio::test]
async fn a_token_can_die_in_the_middle_of_a_walk() {
    let lab = Lab::start().await;
    lab.fault("early_token_expiry", 1.0).await;
    lab.ask(As::App, Method::GET, "tickets", Value::Null).await.expect(401);
    lab.fault("early_token_expiry", 0.0).await;
    lab.ask(As::App, Method::GET, "tickets", Value::Null).await.expect(401);
    lab.ask(As::ApiToken, Method::GET, "tickets", Value::Null).await.expect(200);
    assert_eq!(lab.ask(As::Nobody, Method::POST, "/admin/tokens/expire", Value::Null).await.expect(200)["expired"], 0);
}

#[tokio::test]
async fn only_administrators_export() {
    let lab = Lab::start().await;
    let refused = lab.get("incremental/tickets/cursor.json?start_time=0").await.expect(403);
    assert_eq!(refused["error"]["title"], "Forbidden", "here the error is an object");
}
