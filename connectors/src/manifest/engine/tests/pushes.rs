//! Webhooks: every recipe of a signature, and events of every shape.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use syncline_core::time::Millis;

use super::super::canned::Stage;
use crate::connector::{VerifiedWebhook, WebhookDelivery, WebhookRefused};

const OBJECT: &str = "list: {request: {get: /things}}\nby_id: {one: {request: {get: \"/things/{id}\"}}}";
const NOW: i64 = 1_777_977_121_000;

fn receive(
    webhooks: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    secrets: &[&str],
) -> Result<VerifiedWebhook, WebhookRefused> {
    let stage = Stage::new(&format!("webhooks:\n  {}", webhooks.trim().replace('\n', "\n  ")), OBJECT, []);
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let delivery = WebhookDelivery { method: "POST", url, headers: &headers, body, now: Millis(NOW) };
    stage.connector.webhooks().expect("events are pushed").receive(&delivery, secrets)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(secret: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn every_recipe_verifies_its_own_and_refuses_others() {
    let event = "\nevent: [{object: things, id: id}]";
    let body = r#"{"id":"1"}"#;
    let url = "https://sync.example.com/hook?secret=hush";
    let mut mac = Hmac::<Sha512>::new_from_slice(b"hush").expect("a key");
    mac.update(body.as_bytes());
    let sha512 = STANDARD.encode(mac.finalize().into_bytes());
    let seconds = (NOW / 1_000).to_string();
    let cases = [
        (
            "verify: {algorithm: hmac_sha256, header: X-Signature, prefix: \"sha256=\", encoding: hex}",
            vec![("x-signature", format!("sha256={}", hex(&sha256(b"hush", body))))],
        ),
        ("verify: {algorithm: hmac_sha256, header: X-Signature}", vec![("x-signature", hex(&sha256(b"hush", body)))]),
        ("verify: {algorithm: hmac_sha512, header: X-Signature, encoding: base64}", vec![("x-signature", sha512)]),
        (
            "verify: {algorithm: hmac_sha256, header: X-Signature, encoding: base64, secret: hex}",
            vec![("x-signature", STANDARD.encode(sha256(b"\x68\x75", body)))],
        ),
        (
            "verify: {algorithm: hmac_sha256, header: X-Signature, encoding: hex, message: \"{timestamp}.{payload}\", timestamp: {header: X-Time, format: epoch_s}}",
            vec![("x-signature", hex(&sha256(b"hush", &format!("{seconds}.{body}")))), ("x-time", seconds.clone())],
        ),
        (
            "verify: {algorithm: hmac_sha256, header: X-Signature, encoding: hex, message: \"{method}{url}{payload}\"}",
            vec![("x-signature", hex(&sha256(b"hush", &format!("POST{url}{body}"))))],
        ),
        ("verify: {algorithm: secret, header: X-Token}", vec![("x-token", "hush".to_owned())]),
        ("verify: {algorithm: secret, query: secret}", vec![]),
    ];
    for (verify, headers) in cases {
        let secret = if verify.contains("secret: hex") { "6875" } else { "hush" };
        let given: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let recipe = format!("{verify}{event}");
        let verified = receive(&recipe, url, &given, body.as_bytes(), &["", "aa", secret]);
        assert_eq!(verified.map(|verified| verified.secret), Ok(2), "{verify}");
        assert_eq!(receive(&recipe, url, &given, body.as_bytes(), &["bb"]), Err(WebhookRefused::Signature), "{verify}");
        assert_eq!(receive(&recipe, url, &given, body.as_bytes(), &[""]), Err(WebhookRefused::NoSecret), "{verify}");
        let without = receive(&recipe, "https://sync.example.com/hook", &[], body.as_bytes(), &[secret]);
        assert_eq!(without, Err(WebhookRefused::Signature), "{verify}");
        if !verify.contains("algorithm: secret") {
            let forged = receive(&recipe, url, &given, b"{\"id\":\"2\"}", &[secret]);
            assert_eq!(forged, Err(WebhookRefused::Signature), "{verify}");
        }
    }
    let timed = format!(
        "verify: {{algorithm: hmac_sha256, header: X-Signature, encoding: hex, message: \"{{timestamp}}.{{payload}}\", timestamp: {{header: X-Time, format: epoch_s}}}}{event}"
    );
    let old = (NOW / 1_000 - 301).to_string();
    let signature = hex(&sha256(b"hush", &format!("{old}.{body}")));
    let stale = receive(&timed, url, &[("x-signature", &signature), ("x-time", &old)], body.as_bytes(), &["hush"]);
    assert_eq!(stale, Err(WebhookRefused::Stale));
}

#[test]
fn events_of_every_shape_become_hints() {
    let verify = "verify: {algorithm: secret, query: secret}";
    let events = "events: data.events\nevent: [{when: [{path: type, starts_with: thing.}], object: things, id: [ids, id], dedupe: \"{row.n}-{row.type}\", account: portal}]";
    let hints = |rules: &str, body: &str| {
        let verified = receive(&format!("{verify}\n{rules}"), "/hook?secret=s", &[], body.as_bytes(), &["s"])?;
        Ok(verified
            .hints
            .into_iter()
            .map(|hint| format!("{} {} {:?}", hint.id, hint.dedupe, hint.account))
            .collect::<Vec<_>>())
    };
    let list = |events: Value| json!({"data": {"events": events}}).to_string();
    assert_eq!(
        hints(
            events,
            &list(
                json!([{"type": "thing.made", "id": 1, "n": 5, "portal": 9}, {"type": "other", "id": 2}, {"type": "thing.x"}])
            )
        ),
        Ok(vec!["1 5-thing.made Some(\"9\")".to_owned()])
    );
    assert_eq!(
        hints(events, &list(json!({"type": "thing.x", "ids": ["1", "2"], "n": 6}))),
        Ok(vec!["1 6-thing.x:1 None".to_owned(), "2 6-thing.x:2 None".to_owned()])
    );
    for body in ["", "[]", "{}", "{\"data\":{\"events\":3}}"] {
        assert_eq!(hints(events, body), Err(WebhookRefused::Body), "{body}");
    }
    let form = "body: form\nevent: [{object: things, id: thing_id}]";
    let told = hints(form, "thing_id=7&x=y").expect("hints");
    assert!(told.len() == 1 && told[0].starts_with("7 "));
    assert_eq!(hints(form, "thing_id=7&x=y").expect("hints"), told, "the same body is the same event");
    assert_ne!(hints(form, "thing_id=7&x=z").expect("hints"), told);
}
