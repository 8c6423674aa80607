//! A provider of canned answers for the tests of this folder: calls are expected in their order, and each has its answer.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use syncline_core::remote::{PageRequest, Raw, WriteOutcome, WriteRequest, WriteVerb};

use super::build;
use crate::{
    connector::{Connector, Credentials},
    http::{HttpClient, HttpRequest, HttpResponse, TransportError},
    manifest::Manifest,
    registry::Integration,
};

/// The time of every answer.
pub(super) const DATE: &str = "Tue, 05 May 2026 10:32:00 GMT";

/// An answer, and the call that it is given to.
#[derive(Debug)]
pub(super) struct Canned {
    call: String,
    sent: Option<String>,
    with: Vec<(&'static str, &'static str)>,
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Canned {
    /// `GET /path?query` is answered like this; the query stands decoded.
    pub(super) fn new(call: &str, status: u16, body: &Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { call: call.to_owned(), sent: None, with: Vec::new(), status, headers: Vec::new(), body }
    }

    /// The call is expected to bring this body.
    pub(super) fn sent(self, body: impl ToString) -> Self {
        Self { sent: Some(body.to_string()), ..self }
    }

    /// The call is expected to bring this header.
    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.with.push((name, value));
        self
    }

    /// The answer has this header as well.
    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

#[derive(Debug)]
struct Tape(Mutex<VecDeque<Canned>>);

#[async_trait]
impl HttpClient for Tape {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let query = request.url.query().unwrap_or_default().replace('+', "%2B");
        let query = percent_encoding::percent_decode_str(&query).decode_utf8_lossy().into_owned();
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let call = format!("{} {}{query}", request.method, request.url.path());
        let canned = self.0.lock().expect("no test panics here").pop_front();
        let canned = canned.unwrap_or_else(|| panic!("nothing more was expected: {call}"));
        assert_eq!(call, canned.call);
        if let Some(body) = canned.sent {
            assert_eq!(String::from_utf8_lossy(&request.body), body, "{call}");
        }
        for (name, value) in canned.with {
            assert_eq!(request.headers.get(name).and_then(|value| value.to_str().ok()), Some(value), "{call} {name}");
        }
        let pairs = canned.headers.into_iter().chain([("date", DATE)]);
        let headers: HeaderMap =
            pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        Ok(HttpResponse {
            status: StatusCode::from_u16(canned.status).expect("a status"),
            headers,
            body: Bytes::from(canned.body),
        })
    }
}

/// A connector of a manifest to the canned answers.
pub(super) struct Stage {
    pub(super) connector: Arc<dyn Connector>,
    tape: Arc<Tape>,
}

impl Stage {
    /// A manifest of one object, `things`, about which it says `object`, and of which it says `rest` beside.
    pub(super) fn new(rest: &str, object: &str, answers: impl IntoIterator<Item = Canned>) -> Self {
        let indented = object.trim_end().replace('\n', "\n    ");
        let text = format!(
            "manifest: 1\nprovider: things\ntitle: Things\nconnection: {{base_url: \"https://api.example.com\"}}\n\
             probe: {{request: {{get: /me}}}}\n{rest}\nobjects:\n  things:\n    {indented}\n"
        );
        Self::of(&text, answers)
    }

    /// A whole manifest.
    pub(super) fn of(text: &str, answers: impl IntoIterator<Item = Canned>) -> Self {
        let manifest = Manifest::parse(text, Path::new("things.yaml")).unwrap_or_else(|wrong| panic!("{wrong}"));
        let tape = Arc::new(Tape(Mutex::new(answers.into_iter().collect())));
        let integration = Integration {
            client_id: Some("client".to_owned()),
            client_secret: Some("hush".to_owned()),
            settings: Value::Null,
        };
        let connector = build(Arc::new(manifest), integration, tape.clone()).expect("the connector");
        Self { connector, tape }
    }

    /// Writes one row.
    pub(super) async fn write(&self, verb: WriteVerb, body: Value) -> WriteOutcome {
        let Value::Object(body) = body else { panic!("a body is an object") };
        let row = WriteRequest { object: "things".into(), verb, body, trace: 0 };
        let writer = self.connector.writer().expect("things are written");
        let asked = ["name".to_owned()];
        writer.write(&credentials(), &[row], &asked).await.remove(0).outcome
    }

    /// Every answer was asked for.
    pub(super) fn ends(&self) {
        let left = self.tape.0.lock().expect("no test panics here");
        assert!(left.is_empty(), "{left:?}");
    }
}

pub(super) fn credentials() -> Credentials {
    Credentials {
        access_token: "token".into(),
        refresh_token: Some("refresh".into()),
        expires_at: None,
        base_url: Some("https://api.example.com/v1/".into()),
    }
}

/// The first page of a list.
pub(super) fn first() -> PageRequest {
    PageRequest {
        object: "things".into(),
        fields: vec!["name".into()],
        window: None,
        after: None,
        token: None,
        deleted: false,
        limit: 2,
    }
}

pub(super) fn raw(value: Value) -> Raw {
    let Value::Object(raw) = value else { panic!("an object is expected") };
    raw
}
