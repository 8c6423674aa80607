//! A provider of canned answers for the tests of this folder: calls are expected in their order, and each has its answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::build;
use crate::{
    connector::{Connector, Credentials},
    http::{HttpClient, HttpRequest, HttpResponse, TransportError},
    registry::Integration,
};

/// The time of every answer.
pub(super) const DATE: &str = "Tue, 05 May 2026 10:32:00 GMT";

/// An answer, and the call that it is given to.
#[derive(Debug)]
pub(super) struct Canned {
    call: String,
    sent: Option<Value>,
    etag: Option<&'static str>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Canned {
    /// `GET /path?query` is answered like this.
    pub(super) fn new(call: &str, status: u16, body: &Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { call: call.to_owned(), sent: None, etag: None, status, headers: Vec::new(), body }
    }

    /// The call is expected to bring this body.
    pub(super) fn sent(self, body: Value) -> Self {
        Self { sent: Some(body), ..self }
    }

    /// The call is expected to ask whether this ETag still holds.
    pub(super) fn if_none_match(self, etag: &'static str) -> Self {
        Self { etag: Some(etag), ..self }
    }

    /// The answer has this header as well.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Debug)]
struct Tape(Mutex<VecDeque<Canned>>);

#[async_trait]
impl HttpClient for Tape {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let call = format!("{} {}{query}", request.method, request.url.path());
        let canned = self.0.lock().expect("no test panics here").pop_front();
        let canned = canned.unwrap_or_else(|| panic!("nothing more was expected: {call}"));
        assert_eq!(call, canned.call);
        if let Some(body) = canned.sent {
            assert_eq!(serde_json::from_slice::<Value>(&request.body).ok(), Some(body), "{call}");
        }
        let etag = request.headers.get("if-none-match").and_then(|etag| etag.to_str().ok());
        assert_eq!(etag, canned.etag, "{call}");
        assert_eq!(request.headers["authorization"], "Bearer token");
        assert_eq!(request.headers["accept"], "application/vnd.github+json");
        let headers = canned
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header")));
        let date = (HeaderName::from_static("date"), HeaderValue::from_static(DATE));
        Ok(HttpResponse {
            status: StatusCode::from_u16(canned.status).expect("a status"),
            headers: headers.chain([date]).collect(),
            body: Bytes::from(canned.body),
        })
    }
}

/// A connector to the canned answers, about the repository `acme/app`.
pub(super) struct Stage {
    pub(super) connector: Arc<dyn Connector>,
    tape: Arc<Tape>,
}

impl Stage {
    pub(super) fn new(answers: impl IntoIterator<Item = Canned>) -> Self {
        let tape = Arc::new(Tape(Mutex::new(answers.into_iter().collect())));
        let settings = json!({"repository": "acme/app"});
        let integration = Integration { settings, ..Integration::default() };
        Self { connector: build(integration, tape.clone()).expect("the connector"), tape }
    }

    /// Further answers.
    pub(super) fn then(&self, answers: impl IntoIterator<Item = Canned>) {
        self.tape.0.lock().expect("no test panics here").extend(answers);
    }

    /// Every answer was asked for.
    pub(super) fn ends(&self) {
        let left = self.tape.0.lock().expect("no test panics here");
        assert!(left.is_empty(), "{left:?}");
    }
}

pub(super) fn credentials() -> Credentials {
    Credentials { access_token: "token".into(), refresh_token: None, expires_at: None, base_url: None }
}

/// The repository as GitHub shows it.
pub(super) fn home() -> Canned {
    let body = json!({"id": 123, "full_name": "acme/app", "has_issues": true});
    Canned::new("GET /repos/acme/app", 200, &body)
}

/// An issue as GitHub shows it.
pub(super) fn issue(number: u64, title: &str, body: Option<&str>) -> Value {
    json!({
        "id": 3_000 + number, "number": number, "title": title, "body": body, "state": "open", "state_reason": null,
        "labels": [], "assignees": [], "milestone": null,
        "created_at": "2026-05-05T10:00:00Z", "updated_at": "2026-05-05T10:30:00Z",
    })
}
