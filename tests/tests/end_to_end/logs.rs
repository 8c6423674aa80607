//! The log: lines name the record, the connection and the delivery that they are about, and quote no value and no secret.

use reqwest::{Client, Method};
use serde_json::{Value as Json, json};
use syncline_tests::process::Start;

use crate::{
    api::{Api, id_of},
    patience::eventually,
    stage::Stage,
};

/// Stands in every text that users and strangers choose.
const CANARY: &str = "canary-of-somebody";

/// Fails where the words of a provider, which quote the value that it refuses, are logged at `warn` (`engine/told`), and where the name
/// in a stranger's path is (`engine/webhooks`).
#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_what_it_is_about_and_quotes_no_value_and_no_secret() {
    let story = tell(&[]).await;
    for line in &story.lines {
        assert!(!line.contains(CANARY), "a value is quoted: {line}");
        // Tokens are longer than any name or id.
        let words = line.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(words.map(str::len).max() < Some(33), "that may be a token: {line}");
    }
    story.shows_no_secret();

    let refused = story.line(|fields| fields["record"] == story.refused.as_str());
    let connection = refused["span"]["connection"].as_str().expect("a connection");
    assert_eq!(refused["fields"]["delivery"], format!("delivery.{connection}.{}", story.refused));
    assert!(refused["fields"]["message"].as_str().is_some_and(|told| told.contains("syncline issues")), "{refused}");
    of_side(&refused, &["writer"], connection);
    let busy = story.line(|fields| fields["outcome"] == "busy");
    assert_eq!(busy["fields"]["delivery"], format!("delivery.acme-hubspot.{}", story.locked));
    assert_eq!(busy["fields"]["writes"], 1, "{busy}");
    of_side(&busy, &["writer"], "acme-hubspot");
    let of_platform = |code: &Json| code.as_str().is_some_and(|code| code.starts_with("HTTP 50"));
    let failed = story.line(|fields| fields["outcome"] == "failed" && of_platform(&fields["code"]));
    of_side(&failed, &["reader", "looker", "writer"], "acme-hubspot");
    let revoked = story.line(|fields| fields["event"] == "authorization_revoked");
    assert_eq!(
        (&revoked["fields"]["tenant"], &revoked["fields"]["connection"]),
        (&json!("acme"), &json!("acme-hubspot"))
    );
    let forged = story.line(|fields| fields["message"] == "webhooks were refused");
    assert_eq!(forged["fields"]["connection"], "acme-hubspot");
    assert_eq!(forged["span"]["route"], "/v1/webhooks/{connection}", "{forged}");
    story.line(|fields| fields["message"].as_str().is_some_and(|told| told.starts_with("webhooks came for")));
}

/// Whoever asks for more hears the provider's words, and still no secret.
#[tokio::test(flavor = "multi_thread")]
async fn at_debug_the_log_has_the_providers_words_and_no_secret() {
    let story = tell(&[("SYNCLINE_LOG".into(), "debug".into())]).await;
    let words = story.line(|fields| fields["words"].as_str().is_some_and(|words| words.contains(CANARY)));
    assert_eq!(words["level"], "DEBUG", "{words}");
    story.shows_no_secret();
}

/// What was logged of a sync in which much fails.
struct Story {
    lines: Vec<String>,
    secrets: Vec<String>,
    /// A record that providers refuse.
    refused: String,
    /// One whose object was in use.
    locked: String,
}

impl Story {
    /// The first line of such fields.
    #[track_caller]
    fn line(&self, such: impl Fn(&Json) -> bool) -> Json {
        let mut lines = self.lines.iter().map(|line| serde_json::from_str::<Json>(line).expect("a line is JSON"));
        lines
            .find(|line| such(&line["fields"]))
            .unwrap_or_else(|| panic!("nothing is said:\n{}", self.lines.join("\n")))
    }

    #[track_caller]
    fn shows_no_secret(&self) {
        assert!(!self.lines.is_empty() && !self.secrets.is_empty());
        for line in &self.lines {
            assert!(!self.secrets.iter().any(|secret| line.contains(secret)), "a secret is shown: {line}");
            assert!(!line.contains("Bearer "), "a header is shown: {line}");
        }
    }
}

/// Lets a sync meet with failures of all kinds, each with the canary in what its author chose.
async fn tell(environment: &[(String, String)]) -> Story {
    let stage = Stage::set(0, 0).await;
    let json = ("SYNCLINE_LOG_FORMAT".to_owned(), "json".to_owned());
    let Start::Ready(process) = stage.launch(&[&[json], environment].concat()) else {
        panic!("it does not start: {}", stage.log_tail())
    };
    let api = Api::connect(&stage.url()).await;
    let hubspot = stage.hubspot();

    // Both providers refuse the address, and say which.
    let made = api.post("/v1/records/contact", &json!({"email": CANARY, "last_name": CANARY})).await;
    let refused = id_of(&made);
    is_issue(&api, &stage, "the address is refused", |issue| issue["record"] == refused.as_str()).await;
    // A row that cannot be taken in, with a value in its reason.
    let long = CANARY.repeat(10);
    hubspot.create(&[("email", &format!("{CANARY}@x.example")), ("last_name", "Row"), ("title", &long)]).await;
    is_issue(&api, &stage, "the row is put aside", |issue| issue["kind"] == "object_quarantined").await;
    // An object that its platform does not let go of.
    let email = format!("{CANARY}@y.example");
    hubspot.create(&[("email", &email), ("last_name", "Held")]).await;
    let locked = eventually("the object is a record", async || {
        let records = api.records().await;
        records.iter().find(|record| record["email"] == email.as_str()).map(id_of).ok_or_else(|| format!("{records:?}"))
    })
    .await;
    hubspot.set_locked(&hubspot.by_email(&email).await.expect("an object").id, true).await;
    api.patch(&locked, &json!({ "title": CANARY })).await;
    eventually("the write is put off", async || {
        let owed = api.all("/v1/deliveries?state=dirty").await;
        owed.iter().any(|owed| owed["attempts"].as_u64() > Some(0)).then_some(()).ok_or_else(|| format!("{owed:?}"))
    })
    .await;
    // A platform that fails altogether.
    hubspot.set_fault("unavailable", 1.0);
    is_issue(&api, &stage, "the failure is told", |issue| issue["kind"] == "sync_degraded").await;
    hubspot.set_fault("unavailable", 0.0);
    // Strangers.
    for path in ["/v1/webhooks/acme-hubspot".to_owned(), format!("/v1/webhooks/{CANARY}")] {
        let headers = [("x-hubspot-signature-v3", CANARY), ("x-hubspot-request-timestamp", CANARY)];
        let reply = api.call_with(Method::POST, &path, &headers, Some(&json!([{"objectId": CANARY}]))).await;
        assert_eq!(reply.status, 401);
    }
    let stranger = Client::new().request(Method::POST, format!("{}/v1/{CANARY}?{CANARY}", stage.url()));
    let answer = stranger.header("authorization", CANARY).body(CANARY).send().await.expect("an answer");
    assert!(answer.status().is_client_error(), "{answer:?}");
    // An account that is closed to us.
    hubspot.revoke(hubspot.refresh_token()).await;
    hubspot.expire_tokens().await;
    is_issue(&api, &stage, "the grant is gone", |issue| issue["kind"] == "authorization_revoked").await;
    assert_eq!(process.terminate(), Some(0), "{}", stage.log_tail());
    let lines = stage.logged().lines().map(str::to_owned).collect();
    Story { lines, secrets: stage.all_secrets(), refused, locked }
}

/// Asserts that a line was written by such a task of a side.
#[track_caller]
fn of_side(line: &Json, tasks: &[&str], connection: &str) {
    let span = &line["span"];
    for (name, value) in [("tenant", "acme"), ("sync", "contacts"), ("connection", connection)] {
        assert_eq!(span[name], value, "{line}");
    }
    assert!(tasks.iter().any(|task| span["task"] == *task), "{line}");
}

/// Waits until there is such an issue.
async fn is_issue(api: &Api, stage: &Stage, what: &str, such: impl Fn(&Json) -> bool) {
    eventually(what, async || {
        let issues = api.all("/v1/issues").await;
        if issues.iter().any(&such) { Ok(()) } else { Err(format!("{issues:?}\n{}", stage.log_tail())) }
    })
    .await;
}
