//! Tokens, hosts and limits.

use serde_json::{Value, json};
use syncline_core::{
    budget::CallKind,
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::super::canned::{Canned, Stage, credentials, first};
use crate::{
    connector::{Connector, Credentials},
    usage::overhear,
};

const OBJECT: &str = "list: {request: {get: /things}}\nby_id: {one: {request: {get: \"/things/{id}\"}}}";

#[tokio::test]
async fn tokens_go_with_calls_in_every_way() {
    let cases = [
        ("auth: {send: bearer}", "token", "", "authorization", "Bearer token"),
        ("auth: {send: {basic: {credentials: \"{token}:X\"}}}", "token", "", "authorization", "Basic dG9rZW46WA=="),
        ("auth: {send: {header: {name: X-Api-Key}}}", "token", "", "x-api-key", "token"),
        (
            "auth: {send: {header: {name: Authorization, value: \"Token token={token}\"}}}",
            "token",
            "",
            "authorization",
            "Token token=token",
        ),
        ("auth: {send: {query: {name: key}}}", "token", "?key=token", "accept", "application/json"),
        ("auth: {send: none}", "", "", "accept", "application/json"),
        (
            "auth: {send: bearer, or: [{contains: \":\", send: {basic: {credentials: \"{token}\"}}}]}",
            "a:b",
            "",
            "authorization",
            "Basic YTpi",
        ),
        (
            "headers: {Accept: application/vnd.things+json, X-Client: \"{client_id}\"}",
            "token",
            "",
            "x-client",
            "client",
        ),
    ];
    for (auth, token, query, header, value) in cases {
        let answer = Canned::new(&format!("GET /v1/things{query}"), 200, &json!([])).with(header, value);
        let stage = Stage::new(auth, OBJECT, [answer]);
        let credentials = Credentials { access_token: token.into(), ..credentials() };
        stage.connector.reader().page(&credentials, &first()).await.expect("a page");
        stage.ends();
    }
}

#[tokio::test]
async fn tokens_go_to_the_named_hosts_only() {
    let manifest = |connection: &str| {
        format!(
            "manifest: 1\nprovider: things\ntitle: Things\nconnection: {connection}\nprobe: {{request: {{get: /me}}}}\nobjects:\n  things:\n    {}\n",
            OBJECT.replace('\n', "\n    ")
        )
    };
    let open = "{}";
    let closed = "{hosts: [\"*.example.com\", api.things.io], example: https://acme.example.com}";
    for (connection, address, allowed) in [
        (open, Some("https://anywhere.net/base"), true),
        (open, Some("http://anywhere.net"), false),
        (open, Some("http://127.0.0.1:9"), true),
        (open, None, false),
        (closed, Some("https://acme.example.com"), true),
        (closed, Some("https://API.things.io"), true),
        (closed, Some("https://example.com"), false),
        (closed, Some("https://evilexample.com"), false),
        (closed, Some("https://acme.example.com.evil.net"), false),
    ] {
        let stage = Stage::of(
            &manifest(connection),
            allowed.then(|| {
                Canned::new(
                    &format!("GET {}/things", if address == Some("https://anywhere.net/base") { "/base" } else { "" }),
                    200,
                    &json!([]),
                )
            }),
        );
        let credentials = Credentials { base_url: address.map(str::to_owned), ..credentials() };
        let read = stage.connector.reader().page(&credentials, &first()).await;
        assert_eq!(
            read.map(drop).map_err(|error| error.remedy),
            if allowed { Ok(()) } else { Err(Remedy::Configure) },
            "{connection} {address:?}"
        );
    }
}

async fn refreshed(auth: &str, answer: Canned, old: Credentials) -> Result<Credentials, ProviderError> {
    let stage = Stage::new(auth, OBJECT, [answer]);
    let refresher = stage.connector.refresher().expect("tokens are renewed");
    refresher.refresh(&old, Millis(1_000)).await
}

#[tokio::test]
async fn tokens_are_renewed_in_every_way() {
    let code = "auth: {refresh: {request: {post: /token, form: {grant_type: refresh_token, client_id: \"{client_id}\", client_secret: \"{client_secret}\", refresh_token: \"{refresh_token}\"}}}}";
    let form = "client_id=client&client_secret=hush&grant_type=refresh_token&refresh_token=refresh";
    let answer = json!({"access_token": "new", "refresh_token": "next", "expires_in": 60});
    let call = |body: &Value| Canned::new("POST /v1/token", 200, body);
    let new = refreshed(code, call(&answer).sent(form), credentials()).await.expect("credentials");
    assert_eq!(
        (new.access_token.as_str(), new.refresh_token.as_deref(), new.expires_at),
        ("new", Some("next"), Some(Millis(61_000)))
    );

    for (rotation, body, expected) in [
        ("never", &answer, Ok(Some("refresh"))),
        ("optional", &json!({"access_token": "new"}), Ok(Some("refresh"))),
        ("always", &answer, Ok(Some("next"))),
        ("always", &json!({"access_token": "new"}), Err(Remedy::Reauthorise)),
    ] {
        let auth = code.replace("refresh: {request", &format!("refresh: {{rotation: {rotation}, request"));
        let new = refreshed(&auth, call(body), credentials()).await;
        let new = new.as_ref().map(|new| new.refresh_token.as_deref()).map_err(|error| error.remedy.clone());
        assert_eq!(new, expected, "{rotation} {body}");
    }

    let client = "auth: {refresh: {request: {post: /token, form: {grant_type: client_credentials}, headers: {Authorization: \"Basic {client_id|append:\\\\:x|base64}\"}}, lasts: 1h}}";
    let bare = Credentials { access_token: String::new(), refresh_token: None, ..credentials() };
    let new = refreshed(
        client,
        call(&json!({"access_token": "new"})).with("authorization", "Basic Y2xpZW50Ong="),
        bare.clone(),
    )
    .await;
    assert_eq!(new.expect("credentials").expires_at, Some(Millis(3_601_000)));

    let login = "auth: {refresh: {request: {post: /login, json: {user: \"{client_id}\", password: \"{client_secret}\"}}, access_token: data.token, expires_at: data.until, format: epoch_ms, address: data.host}}";
    let answer = json!({"data": {"token": "new", "until": 5_000, "host": "https://eu.example.com"}});
    let answer = Canned::new("POST /v1/login", 200, &answer).sent("{\"password\":\"hush\",\"user\":\"client\"}");
    let new = refreshed(login, answer, bare.clone()).await.expect("credentials");
    assert_eq!((new.expires_at, new.base_url.as_deref()), (Some(Millis(5_000)), Some("https://eu.example.com")));

    let none = Stage::new(code, OBJECT, []);
    let refused = none.connector.refresher().expect("tokens are renewed").refresh(&bare, Millis(0)).await;
    assert_eq!(refused.map_err(|error| error.remedy).err(), Some(Remedy::Reauthorise));
    let read = none.connector.reader().probe(&bare).await;
    assert_eq!(read.map_err(|error| error.remedy).err(), Some(Remedy::Refresh));
}

#[tokio::test]
async fn failed_renewals_have_remedies_and_quote_no_token() {
    let auth = "auth: {refresh: {request: {post: /token, form: {t: \"{refresh_token}\"}}, dead: [{status: 403}, {body: [{path: error, equals: bad_refresh_token}]}]}}";
    for (status, body, remedy) in [
        (400, json!({"error": "invalid_grant"}), Remedy::Reauthorise),
        (403, json!({}), Remedy::Reauthorise),
        (200, json!({"error": "bad_refresh_token"}), Remedy::Reauthorise),
        (200, json!({"error": "slow_down"}), Remedy::Configure),
        (200, json!({"token": "hush"}), Remedy::Retry),
        (401, json!({"error": "invalid_client"}), Remedy::Configure),
        (503, json!("gateway"), Remedy::Retry),
        (429, json!({}), Remedy::Wait { after_ms: None, budget: "token requests".into() }),
    ] {
        let error =
            refreshed(auth, Canned::new("POST /v1/token", status, &body), credentials()).await.expect_err("a failure");
        assert_eq!(error.remedy, remedy, "{status} {body}");
        assert!(!error.message.contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn answers_tell_of_budgets_and_pauses() {
    let limits = r#"
limits:
  reserve_percent: 25
  wait: [{header: x-wait, unit: ms}, {path: retry_in, unit: m}]
  pause: [{header: Backoff}, {path: backoff}]
  budgets:
    - {name: calls, limit: 100, per: 1m, headers: {remaining: [x-left], limit: [x-limit], reset: x-reset, unit: epoch_s}}
    - {name: writes, limit: 5, per: 1s, calls: [write]}
"#;
    let told = async |answer: Canned| {
        let stage = Stage::new(limits, OBJECT, [answer]);
        let (read, told) = overhear(stage.connector.reader().page(&credentials(), &first())).await;
        let told: Vec<_> = told
            .into_iter()
            .map(|told| (told.budget.into_owned(), told.usage.limit, told.usage.remaining, told.usage.reset))
            .collect();
        (read.map(drop).map_err(|error| error.remedy), told)
    };
    let good = || Canned::new("GET /v1/things", 200, &json!([]));
    let date = 1_777_977_120_000;
    assert_eq!(told(good()).await, (Ok(()), vec![]));
    let counted = told(good().header("x-left", "7").header("x-limit", "80").header("x-reset", "1777977130")).await;
    assert_eq!(counted.1, [("calls".to_owned(), Some(80), 7, Some(Millis(date + 10_000)))]);
    let paused = told(good().header("Backoff".to_lowercase().leak(), "3")).await;
    assert_eq!(paused, (Ok(()), vec![("calls".to_owned(), None, 0, Some(Millis(date + 3_000)))]));

    let wait = |after_ms| Err(Remedy::Wait { after_ms, budget: "calls".to_owned() });
    let busy = |body: &Value| Canned::new("GET /v1/things", 429, body);
    assert_eq!(told(busy(&json!({})).header("x-wait", "250")).await.0, wait(Some(250)));
    assert_eq!(told(busy(&json!({"retry_in": "2"}))).await.0, wait(Some(120_000)));
    assert_eq!(told(busy(&json!({"backoff": 4}))).await.0, wait(Some(4_000)));
    assert_eq!(told(busy(&json!({}))).await.0, wait(None));

    let stage = Stage::new(limits, OBJECT, []);
    let facts = stage.connector.budgets();
    assert_eq!((facts[0].limit, facts[0].window_ms, facts[0].reserve_percent), (100, 60_000, 25));
    assert_eq!(facts[1].calls, [CallKind::Write]);
    assert!(
        stage.connector.writer().is_none()
            && stage.connector.refresher().is_none()
            && stage.connector.webhooks().is_none()
    );
}

#[test]
fn nothing_shows_a_secret() {
    let stage = Stage::new("", OBJECT, []);
    let connector: &dyn Connector = &*stage.connector;
    assert!(!format!("{connector:?}").contains("hush"));
}
