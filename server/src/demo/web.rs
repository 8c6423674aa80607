//! Plain HTTP with JSON, as any user's program would speak it: the demo's writers and its verifier use nothing of ours.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value as Json;

use super::DemoError;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// An HTTP client.
#[derive(Clone, Debug)]
pub(super) struct Web {
    http: Client,
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refused {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: String,
}

impl Web {
    pub(super) fn new() -> Result<Self, DemoError> {
        let http = Client::builder().timeout(ANSWER_TIME_MAX).build();
        Ok(Self { http: http.map_err(|error| DemoError::Call(error.to_string()))? })
    }

    /// Calls without credentials and expects success.
    pub(super) async fn get(&self, url: &str) -> Result<Json, DemoError> {
        self.ask(Method::GET, url, None, None).await
    }

    /// Calls without credentials and expects success.
    pub(super) async fn post(&self, url: &str, body: &Json) -> Result<Json, DemoError> {
        self.ask(Method::POST, url, None, Some(body)).await
    }

    /// Calls and expects success.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Option<&Json>,
    ) -> Result<Json, DemoError> {
        let name = format!("{method} {url}");
        match self.call(method, url, token, body).await? {
            Ok(answer) => Ok(answer),
            Err(Refused { status, body }) => Err(DemoError::Call(format!("{name} answered {status}: {body}"))),
        }
    }

    /// Calls; a refusal is an answer like any other.
    pub(super) async fn call(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Option<&Json>,
    ) -> Result<Result<Json, Refused>, DemoError> {
        let failed = |error: reqwest::Error| DemoError::Call(format!("{method} {url}: {error}"));
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        if !status.is_success() {
            return Ok(Err(Refused { status: status.as_u16(), body: text }));
        }
        if text.is_empty() {
            return Ok(Ok(Json::Null));
        }
        let parsed = serde_json::from_str(&text);
        parsed.map(Ok).map_err(|error| DemoError::Call(format!("{method} {url} answered no JSON: {error}")))
    }
}
