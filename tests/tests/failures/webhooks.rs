//! What a platform pushes: duplicated, out of order, forged, and not at all; and a secret that is replaced meanwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::{
    accounts::Account,
    api::Reply,
    patience::eventually,
    stage::{Server, Stage},
};

/// Polls so rarely that only webhooks can bring what a story waits for.
const HARDLY_EVER: &str = "poll: 3h";
/// Where the platform pushes.
const PATH: &str = "/v1/webhooks/acme-hubspot";
/// How long ago a delivery may have been signed.
const REPLAY_WINDOW_MS: i64 = 300_000;

/// A delivery as the platform, or somebody in its place, sends it.
#[derive(Clone)]
struct Push {
    /// What it is signed with; unsigned without.
    secret: Option<String>,
    /// The address that it is signed for.
    signed_for: String,
    /// Where it goes.
    path: String,
    /// When it was signed, by this machine's clock.
    signed_at: i64,
    /// The events.
    body: Json,
}

impl Push {
    /// A genuine delivery of one event.
    fn of(stage: &Stage, event: Json) -> Self {
        Self {
            secret: Some(stage.secret("HUBSPOT_SECRET")),
            signed_for: format!("http://127.0.0.1:{}{PATH}", stage.port),
            path: PATH.to_owned(),
            signed_at: now(),
            body: json!([event]),
        }
    }

    fn signature(&self, secret: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
        for part in ["POST", &self.signed_for, &self.body.to_string(), &self.signed_at.to_string()] {
            mac.update(part.as_bytes());
        }
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// Sends it, with another body than the signed one where `instead` is given.
    async fn send(&self, server: &Server<'_>, instead: Option<&Json>) -> Reply {
        let (signature, signed_at) =
            (self.secret.as_deref().map(|secret| self.signature(secret)), self.signed_at.to_string());
        let signed = signature.as_deref().map(|signature| ("x-hubspot-signature-v3", signature));
        let headers: Vec<(&str, &str)> =
            signed.into_iter().chain([("x-hubspot-request-timestamp", signed_at.as_str())]).collect();
        server.api.call_with(Method::POST, &self.path, &headers, Some(instead.unwrap_or(&self.body))).await
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time of this age of the world")
}

/// An edit of this object's title, as the platform tells of it.
fn title_event(object: &str, event: u64, title: &str) -> Json {
    json!({
        "eventId": event, "subscriptionId": 1, "portalId": 1, "appId": 54321, "occurredAt": 1_767_225_600_000_u64,
        "subscriptionType": "contact.propertyChange", "attemptNumber": 0,
        "objectId": object.parse::<u64>().expect("a number"), "propertyName": "jobtitle", "propertyValue": title,
    })
}

/// How many hints are stored, and how many of them wait to be followed.
async fn inbox(stage: &Stage) -> (i64, i64) {
    let options = SqliteConnectOptions::new().filename(stage.database()).read_only(true);
    let mut connection = options.connect().await.expect("the database");
    sqlx::query_as("SELECT count(*), count(*) FILTER (WHERE done = 0) FROM inbox")
        .fetch_one(&mut connection)
        .await
        .expect("the inbox")
}

/// Waits until every stored hint has been followed.
async fn followed(stage: &Stage) {
    eventually("the hints are followed", async || match inbox(stage).await {
        (_, 0) => Ok(()),
        (all, waiting) => Err(format!("{waiting} of {all} hints wait")),
    })
    .await;
}

async fn any_object(account: Account<'_>) -> String {
    account.objects().await.into_keys().next().expect("an object")
}

async fn push_to(server: &Server<'_>, account: Account<'_>) {
    let connection = server.api.get(&format!("/v1/connections/{}", account.words.connection)).await;
    account.push_to(connection["webhook_url"].as_str().expect("an address")).await;
}

/// Waits until so many records have this title.
async fn titled(server: &Server<'_>, title: &str, number: usize) {
    eventually("the edits arrive", async || {
        let found = server.api.records().await.iter().filter(|record| record["title"] == title).count();
        if found == number { Ok(()) } else { Err(format!("{found} records have the title {title}")) }
    })
    .await;
}

/// Every delivery comes twice: each edit is one change, and the second delivery is known.
///
/// Fails without the unique key of the inbox, by which a repeated event is known.
#[tokio::test(flavor = "multi_thread")]
async fn row_06_duplicate_webhook_has_one_effect() {
    let stage = Stage::set(5, 5).await;
    let hubspot = stage.hubspot();
    hubspot.set_fault("webhook_duplicated", 1.0);
    stage.amend("poll: 300ms", HARDLY_EVER);
    let server = stage.serve().await;
    server.agree().await;
    let (_, before) = server.api.changes(0).await;
    push_to(&server, hubspot).await;
    for id in hubspot.objects().await.keys() {
        hubspot.edit(id, &[("title", "Once")]).await;
    }
    titled(&server, "Once", 5).await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 5);
    assert!(hubspot.fired("webhook_duplicated") > 0, "no webhook came twice");
    followed(&stage).await;
    assert_eq!(server.api.changes(before).await.0.len(), 5, "each edit is one change");
    server.writes_nothing_in_vain();

    let (stored, _) = inbox(&stage).await;
    let push = Push::of(&stage, title_event(&any_object(hubspot).await, 77, "Once"));
    for _ in 0..3 {
        assert_eq!(push.send(&server, None).await.status, 202);
    }
    assert_eq!(inbox(&stage).await.0, stored + 1, "a repeated event is one hint");
}

/// Deliveries overtake each other, and an old one comes last: what the account shows stands, never what a payload says.
///
/// Fails where values of a webhook are used.
#[tokio::test(flavor = "multi_thread")]
async fn row_07_out_of_order_webhooks_never_set_a_field_back() {
    let stage = Stage::set(5, 5).await;
    let hubspot = stage.hubspot();
    hubspot.set_fault("webhook_reordered", 0.5);
    stage.amend("poll: 300ms", HARDLY_EVER);
    let server = stage.serve().await;
    server.agree().await;
    push_to(&server, hubspot).await;
    let objects = hubspot.objects().await;
    for title in ["First", "Second", "Last"] {
        for id in objects.keys() {
            hubspot.edit(id, &[("title", title)]).await;
        }
    }
    titled(&server, "Last", 5).await;
    server.agree().await;
    assert!(hubspot.fired("webhook_reordered") > 0, "no webhook was overtaken");

    let (_, before) = server.api.changes(0).await;
    for (event, id) in (900..).zip(objects.keys()) {
        let old = Push::of(&stage, title_event(id, event, "First"));
        assert_eq!(old.send(&server, None).await.status, 202);
    }
    followed(&stage).await;
    titled(&server, "Last", 5).await;
    assert_eq!(server.api.changes(before).await.0, [] as [Json; 0], "an old payload changes nothing");
    server.agree().await;
    server.writes_nothing_in_vain();
}

/// No webhook arrives at all: the next poll finds the edits.
///
/// Fails without the reader's polls.
#[tokio::test(flavor = "multi_thread")]
async fn row_08_lost_webhook_is_made_up_for_by_a_poll() {
    let stage = Stage::set(5, 5).await;
    let hubspot = stage.hubspot();
    hubspot.set_fault("webhook_lost", 1.0);
    let server = stage.serve().await;
    server.agree().await;
    push_to(&server, hubspot).await;
    for id in hubspot.objects().await.keys() {
        hubspot.edit(id, &[("title", "Polled")]).await;
    }
    titled(&server, "Polled", 5).await;
    server.agree().await;
    assert!(hubspot.fired("webhook_lost") > 0, "no webhook was lost");
    assert_eq!(inbox(&stage).await.0, 0, "no webhook arrived");
    server.stays_quiet().await;
}

/// What is forged, unsigned, signed for somewhere else or long ago, or too long is refused alike, and leaves nothing behind; what is
/// replayed at once is a repeat.
///
/// Fails without any one part of what is verified: the signature, its address, its body, its time.
#[tokio::test(flavor = "multi_thread")]
async fn row_37_forged_and_replayed_webhooks_change_nothing() {
    let stage = Stage::set(3, 3).await;
    let server = stage.serve().await;
    server.agree().await;
    let (_, before) = server.api.changes(0).await;
    let object = any_object(stage.hubspot()).await;
    let genuine = Push::of(&stage, title_event(&object, 1, "Forged"));
    let other_body = json!([title_event(&object, 2, "Forged")]);
    let elsewhere = |path: &str| format!("http://127.0.0.1:{}{path}", stage.port);
    let refused = [
        ("unsigned", Push { secret: None, ..genuine.clone() }, None),
        ("signed with another secret", Push { secret: Some("guessed".into()), ..genuine.clone() }, None),
        ("signed with nothing", Push { secret: Some(String::new()), ..genuine.clone() }, None),
        ("another body", genuine.clone(), Some(&other_body)),
        ("signed too long ago", Push { signed_at: now() - REPLAY_WINDOW_MS - 60_000, ..genuine.clone() }, None),
        ("signed in the future", Push { signed_at: now() + REPLAY_WINDOW_MS + 60_000, ..genuine.clone() }, None),
        (
            "signed for another host",
            Push { signed_for: format!("https://other.example{PATH}"), ..genuine.clone() },
            None,
        ),
        ("another query", Push { path: format!("{PATH}?x=1"), ..genuine.clone() }, None),
        ("another connection", Push { path: "/v1/webhooks/acme-salesforce".into(), ..genuine.clone() }, None),
        ("no connection", Push { path: "/v1/webhooks/nobody".into(), ..genuine.clone() }, None),
        (
            "no connection, well signed",
            Push {
                path: "/v1/webhooks/nobody".into(),
                signed_for: elsewhere("/v1/webhooks/nobody"),
                ..genuine.clone()
            },
            None,
        ),
    ];
    let mut answers = Vec::new();
    for (what, push, instead) in &refused {
        let mut reply = push.send(&server, *instead).await;
        assert_eq!(reply.status, 401, "{what}: {}", reply.body);
        reply.body.as_object_mut().expect("a problem").remove("instance");
        answers.push(reply.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "answers tell forgeries apart: {answers:#?}");
    let long = Push { body: json!(["x".repeat(1024 * 1024)]), ..genuine.clone() };
    assert_eq!(long.send(&server, None).await.status, 413);
    assert_eq!(inbox(&stage).await.0, 0, "nothing is kept of what was refused");

    for _ in 0..2 {
        assert_eq!(genuine.send(&server, None).await.status, 202);
    }
    assert_eq!(inbox(&stage).await.0, 1, "a replay is a repeat");
    followed(&stage).await;
    server.stays_quiet().await;
    assert_eq!(server.api.changes(0).await.1, before, "a payload's value is never used");
    let connection = server.api.get("/v1/connections/acme-hubspot").await;
    assert_eq!(connection["webhooks"]["refused"], 8, "{}", connection["webhooks"]);
    assert_eq!(connection["webhooks"]["secrets"][0]["verified"], 2);
}

/// A secret is replaced while the server runs: from the moment at which the new one is known both are taken, until the old one is
/// ended; each step shows which secret is in use, and a configuration that cannot be read changes nothing.
///
/// Fails where a request to read the configuration again ends the process, is ignored, or leaves an ended secret in use.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_without_a_gap() {
    const NEW: &str = "the-new-secret";
    let stage = Stage::set(1, 1).await;
    let server = stage.serve().await;
    server.agree().await;
    let old = Push::of(&stage, title_event(&any_object(stage.hubspot()).await, 1, "Old"));
    let new = Push { secret: Some(NEW.into()), ..old.clone() };
    let neither = Push { secret: Some("a-third-secret".into()), ..old.clone() };
    let answers = async |expected: [u16; 3]| {
        for (push, status) in [&old, &new, &neither].into_iter().zip(expected) {
            assert_eq!(push.send(&server, None).await.status, status);
        }
    };
    answers([202, 401, 401]).await;

    std::fs::write(stage.file("new-secret"), NEW).expect("a written secret");
    let connection = "acme-hubspot: {tenant: acme, integration: hubspot,";
    let with = |secrets: &str| format!("{connection} webhook_secrets: [{secrets}],");
    let (both, new_alone) = (with("{file: new-secret}, {env: HUBSPOT_SECRET}"), with("{file: new-secret}"));
    stage.amend(connection, &both);
    server.signal("HUP");
    verified_by(&server, &[0, 1]).await;
    answers([202, 202, 401]).await;
    verified_by(&server, &[1, 2]).await;

    let unreadable = with("{file: lost-secret}");
    stage.amend(&both, &unreadable);
    server.signal("HUP");
    eventually("the log says what is wrong", async || {
        let log = stage.log_tail();
        if log.contains("stay as they are") && log.contains("lost-secret") { Ok(()) } else { Err(log) }
    })
    .await;
    answers([202, 202, 401]).await;

    stage.amend(&unreadable, &new_alone);
    server.signal("HUP");
    verified_by(&server, &[2]).await;
    answers([401, 202, 401]).await;
    let webhooks = server.api.get("/v1/connections/acme-hubspot").await["webhooks"].clone();
    assert_eq!((&webhooks["secrets"][0]["verified"], &webhooks["refused"]), (&json!(3), &json!(6)), "{webhooks}");
    assert!(webhooks["secrets"][0]["last_used_at"].is_string() && webhooks["last_refusal"].is_string(), "{webhooks}");
    assert_eq!(server.api.get("/v1/connections/acme-salesforce").await["webhooks"], Json::Null);
    server.end();
}

/// Waits until the connection has so many secrets, and each has verified so many deliveries.
async fn verified_by(server: &Server<'_>, times: &[u64]) {
    eventually("the connection's secrets", async || {
        let connection = server.api.get("/v1/connections/acme-hubspot").await;
        let secrets = connection["webhooks"]["secrets"].as_array().expect("secrets").clone();
        let found: Vec<u64> = secrets.iter().filter_map(|secret| secret["verified"].as_u64()).collect();
        if found == times { Ok(()) } else { Err(connection["webhooks"].to_string()) }
    })
    .await;
}
