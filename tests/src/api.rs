//! The API as its client sees it. Every answer is held against the OpenAPI document that the server serves.

use std::sync::Arc;

use crate::openapi::{Answer, Contract};
use reqwest::{Client, Method};
use serde_json::Value as Json;

/// The key of the stories' tenant.
pub const KEY: &str = "a-key-of-the-stories-only";
/// The key of another tenant, where the configuration has one.
pub const STRANGERS_KEY: &str = "a-key-of-other-people-only";

/// A client.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    key: &'static str,
    http: Client,
    /// The document that the server serves.
    pub contract: Arc<Contract>,
}

/// An answer, already held against the contract.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// The body; null where there is none.
    pub body: Json,
}

impl Api {
    /// A client of the server at this address, with the document it serves.
    pub async fn connect(base: &str) -> Self {
        let http = Client::new();
        let document = http.get(format!("{base}/v1/openapi.json")).send().await.expect("the server answers");
        let document = document.json().await.expect("a document");
        let contract = Arc::new(Contract::new(document).expect("an OpenAPI document"));
        Self { base: base.to_owned(), key: KEY, http, contract }
    }

    /// The same server, as the other tenant sees it.
    #[must_use]
    pub fn of_strangers(&self) -> Self {
        Self { key: STRANGERS_KEY, ..self.clone() }
    }

    /// Calls with the tenant's key.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Json>) -> Reply {
        self.call_with(method, path, &[("authorization", &format!("Bearer {}", self.key))], body).await
    }

    /// Calls with these headers only.
    pub async fn call_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Json>) -> Reply {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let status = answer.status().as_u16();
        let content_type =
            answer.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = answer.bytes().await.expect("a body");
        let judged =
            Answer { method: method.as_str(), path, status, content_type: content_type.as_deref(), body: &bytes };
        self.contract.check(judged).unwrap_or_else(|violation| panic!("{method} {path}: {violation}"));
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Reply { status, content_type: content_type.unwrap_or_default(), body }
    }

    /// Reads something that is there.
    pub async fn get(&self, path: &str) -> Json {
        self.call(Method::GET, path, None).await.ok(path)
    }

    /// Posts something that is taken.
    pub async fn post(&self, path: &str, body: &Json) -> Json {
        self.call(Method::POST, path, Some(body)).await.ok(path)
    }

    /// Changes a record.
    pub async fn patch(&self, record: &str, body: &Json) -> Json {
        let path = format!("/v1/records/contact/{record}");
        self.call(Method::PATCH, &path, Some(body)).await.ok(&path)
    }

    /// One record.
    pub async fn record(&self, id: &str) -> Json {
        self.get(&format!("/v1/records/contact/{id}")).await
    }

    /// All items of a list.
    pub async fn all(&self, path: &str) -> Vec<Json> {
        let mut items = Vec::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut next = format!("{path}{separator}limit=50");
        loop {
            let page = self.get(&next).await;
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { return items };
            next = format!("{path}{separator}limit=50&cursor={cursor}");
        }
    }

    /// All live records.
    pub async fn records(&self) -> Vec<Json> {
        self.all("/v1/records/contact").await
    }

    /// The changes after a cursor, and the cursor at their end.
    pub async fn changes(&self, after: u64) -> (Vec<Json>, u64) {
        let (mut items, mut cursor) = (Vec::new(), after);
        loop {
            let page = self.get(&format!("/v1/changes?after={cursor}&limit=500")).await;
            let found = page["items"].as_array().expect("items");
            cursor = page["cursor"].as_u64().expect("a cursor");
            if found.is_empty() {
                return (items, cursor);
            }
            items.extend(found.iter().cloned());
        }
    }

    /// Pauses or resumes the sync.
    pub async fn steer(&self, verb: &str) {
        let path = format!("/v1/syncs/contacts/{verb}");
        self.call(Method::POST, &path, None).await.ok(&path);
    }

    /// The open conflicts.
    pub async fn conflicts(&self) -> Vec<Json> {
        self.all("/v1/conflicts?state=open").await
    }

    /// What waits for a person or for a provider to come right, of one kind.
    pub async fn issues(&self, kind: &str) -> Vec<Json> {
        self.all(&format!("/v1/issues?kind={kind}")).await
    }

    /// Everything that waits for a person or for a provider to come right.
    pub async fn all_issues(&self) -> Vec<Json> {
        self.all("/v1/issues").await
    }

    /// The rows that could not be taken in.
    pub async fn quarantine(&self) -> Vec<Json> {
        self.all("/v1/quarantine").await
    }
}

impl Reply {
    fn ok(self, path: &str) -> Json {
        assert!((200..300).contains(&self.status), "{path}: {} {}", self.status, self.body);
        self.body
    }

    /// Asserts a problem of this status whose text names what it should.
    #[track_caller]
    pub fn refused(&self, status: u16, says: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.content_type, "application/problem+json");
        assert_eq!(self.body["status"], status);
        let text = self.body.to_string();
        assert!(text.contains(says), "`{says}` is not in {text}");
    }
}

/// The id of a record.
pub fn id_of(record: &Json) -> String {
    record["_meta"]["id"].as_str().expect("an id").to_owned()
}

/// The provider's id of a record's copy in a connection.
pub fn copy_of(record: &Json, connection: &str) -> Option<String> {
    record["_meta"]["external_ids"][connection]["id"].as_str().map(str::to_owned)
}
