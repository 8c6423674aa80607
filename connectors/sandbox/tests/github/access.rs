//! Tokens: JWTs of the app, installation tokens, static tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, Lab, START_S, SUPPORT};

/// A JWT of the app, signed with its key.
pub(crate) fn jwt(lab: &Lab, head: &Value, claims: &Value) -> String {
    let pem = lab.running().credentials.private_key.clone().unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(head), encode(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A JWT that is accepted.
pub(crate) fn good_jwt(lab: &Lab) -> String {
    let now = lab.clock.peek().0 / 1_000_000;
    let claims = json!({"iss": lab.running().credentials.client_id, "iat": now - 60, "exp": now + 540});
    jwt(lab, &json!({"alg": "RS256", "typ": "JWT"}), &claims)
}

async fn as_app(lab: &Lab, method: Method, path: &str, jwt: &str) -> (u16, Value) {
    let authorization = format!("Bearer {jwt}");
    let answer = lab.send(As::Nobody, method, path, &[("authorization", &authorization)], Value::Null).await.unwrap();
    (answer.status.as_u16(), answer.body)
}

async fn with_token(lab: &Lab, token: &str) -> u16 {
    as_app(lab, Method::GET, SUPPORT, token).await.0
}

#[tokio::test]
async fn a_jwt_becomes_a_token_of_an_hour() {
    let lab = Lab::start().await;
    let path = "/app/installations/1001/access_tokens";
    let (status, answer) = as_app(&lab, Method::POST, path, &good_jwt(&lab)).await;
    assert_eq!((status, &answer["expires_at"]), (201, &json!("2026-05-05T17:53:20Z")));
    assert_eq!(answer["permissions"]["issues"], "write");
    let token = answer["token"].as_str().unwrap();
    assert_eq!(with_token(&lab, token).await, 200);
    lab.seconds(3_599);
    assert_eq!(with_token(&lab, token).await, 200);
    lab.seconds(2);
    assert_eq!(with_token(&lab, token).await, 401);
    let (status, installations) = as_app(&lab, Method::GET, "/app/installations", &good_jwt(&lab)).await;
    assert_eq!((status, &installations[0]["id"]), (200, &json!(1_001)));
    assert_eq!(as_app(&lab, Method::POST, "/app/installations/7/access_tokens", &good_jwt(&lab)).await.0, 404);
}

#[tokio::test]
async fn a_jwt_must_be_signed_fresh_and_short() {
    let lab = Lab::start().await;
    let head = json!({"alg": "RS256", "typ": "JWT"});
    let claims = |iss: Value, iat: i64, exp: i64| json!({"iss": iss, "iat": START_S + iat, "exp": START_S + exp});
    let app = json!(54_321);
    for (head, claims, status) in [
        (head.clone(), claims(app.clone(), -60, 540), 200),
        (head.clone(), claims(json!("54321"), -60, 540), 200),
        (head.clone(), claims(json!("another"), -60, 540), 401),
        (head.clone(), claims(app.clone(), -700, -100), 401),
        (head.clone(), claims(app.clone(), -60, 700), 401),
        (head.clone(), claims(app.clone(), 120, 540), 401),
        (head.clone(), json!({"iss": app, "exp": START_S + 60}), 401),
        (json!({"alg": "none"}), claims(app.clone(), -60, 540), 401),
    ] {
        let jwt = jwt(&lab, &head, &claims);
        assert_eq!(as_app(&lab, Method::GET, "/app", &jwt).await.0, status, "{head} {claims}");
    }
    let good = good_jwt(&lab);
    let forged = format!("{}{}", &good[..good.len() - 4], "AAAA");
    assert_eq!(as_app(&lab, Method::GET, "/app", &forged).await.0, 401);
    assert_eq!(as_app(&lab, Method::GET, "/app", "nonsense").await.0, 401);
    lab.app("/app").await.expect(401);
}

#[tokio::test]
async fn each_token_is_somebody() {
    let lab = Lab::start().await;
    for (who, login) in [(As::User, "mona"), (As::Machine, "sandbox-machine")] {
        assert_eq!(lab.ask(who, Method::GET, "/user", Value::Null).await.expect(200)["login"], login);
    }
    lab.app("/user").await.expect(403);
    let repositories = lab.app("/installation/repositories").await.expect(200);
    assert!(!repositories.to_string().contains("acme/secret"));
    assert_eq!(
        lab.ask(As::Nobody, Method::GET, SUPPORT, Value::Null).await.expect(401)["message"],
        "Requires authentication"
    );
    assert_eq!(with_token(&lab, "nonsense").await, 401);
}

#[tokio::test]
async fn headers_are_checked() {
    let lab = Lab::start().await;
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{SUPPORT}", lab.running().base_url);
    let token = &lab.running().credentials.user_token;
    assert_eq!(bare.get(&url).bearer_auth(token).send().await.unwrap().status(), 403, "there is no user agent");
    let version = |version| lab.http.get(&url).bearer_auth(token).header("x-github-api-version", version).send();
    assert_eq!(version("2022-11-28").await.unwrap().status(), 200);
    assert_eq!(version("2019-01-01").await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_token_can_die_in_the_middle_of_a_walk() {
    let lab = Lab::start().await;
    lab.fault("early_token_expiry", 1.0).await;
    lab.app(SUPPORT).await.expect(401);
    lab.fault("early_token_expiry", 0.0).await;
    assert_eq!(lab.app(SUPPORT).await.expect(401)["message"], "Bad credentials");
    let (_, answer) = as_app(&lab, Method::POST, "/app/installations/1001/access_tokens", &good_jwt(&lab)).await;
    assert_eq!(with_token(&lab, answer["token"].as_str().unwrap()).await, 200);
    assert_eq!(lab.ask(As::Nobody, Method::POST, "/admin/tokens/expire", Value::Null).await.expect(200)["expired"], 1);
    assert_eq!(with_token(&lab, answer["token"].as_str().unwrap()).await, 401);
}
