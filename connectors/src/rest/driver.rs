//! Sends calls: joins host and path, adds the token, and hands back the answer.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use syncline_core::remote::{ProviderError, Remedy};

use super::{answer::Answer, base::BaseUrl, call::Call};
use crate::{
    http::{HttpClient, HttpRequest, TransportError},
    usage::{self, BudgetUsage},
};

/// A provider's API over an HTTP client.
#[derive(Clone, Debug)]
pub struct Rest {
    client: Arc<dyn HttpClient>,
    dialect: Dialect,
}

/// What a provider's answers mean.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What an answer beyond 2xx means.
    pub classify: fn(&Answer) -> ProviderError,
    /// What headers tell of budgets.
    pub usage: fn(&HeaderMap) -> Vec<BudgetUsage>,
}

impl Rest {
    /// An API whose answers mean what `dialect` says.
    pub fn new(client: Arc<dyn HttpClient>, dialect: Dialect) -> Self {
        Self { client, dialect }
    }

    /// Sends the call and hands back the answer, whatever its status. For writes, whose failures must say whether
    /// anything was sent.
    pub async fn send(&self, base: &BaseUrl, token: Option<&str>, call: &Call) -> Result<Answer, TransportError> {
        let request = request(base, token, call)?;
        tracing::debug!(?request, "calling");
        let response = self.client.send(request).await?;
        usage::tell(&response.headers, self.dialect.usage);
        Ok(Answer { status: response.status.as_u16(), headers: response.headers, body: response.body })
    }

    /// Sends a call that changes nothing, or may be repeated, and hands back its successful answer.
    pub async fn answer(&self, base: &BaseUrl, token: Option<&str>, call: &Call) -> Result<Answer, ProviderError> {
        let answer = self.send(base, token, call).await.map_err(retry)?;
        if answer.is_success() { Ok(answer) } else { Err((self.dialect.classify)(&answer)) }
    }

    /// Sends a call that changes nothing, or may be repeated, and decodes its successful answer.
    pub async fn read<T: DeserializeOwned>(
        &self,
        base: &BaseUrl,
        token: Option<&str>,
        call: &Call,
    ) -> Result<T, ProviderError> {
        self.answer(base, token, call).await?.json()
    }
}

fn retry(error: TransportError) -> ProviderError {
    ProviderError { remedy: Remedy::Retry, message: error.message }
}

fn request(base: &BaseUrl, token: Option<&str>, call: &Call) -> Result<HttpRequest, TransportError> {
    let url = base
        .join(&call.target())
        .ok_or_else(|| TransportError::unsent(format!("`{}` does not lead to {}", call.path, base.host())))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {token}"))?);
    }
    for (name, text) in &call.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| TransportError::unsent(format!("`{name}` is no header's name")))?;
        let text = if name == header::AUTHORIZATION { secret(text)? } else { value(name.as_str(), text)? };
        headers.insert(name, text);
    }
    let mut bytes = bytes::Bytes::new();
    if let Some((payload, media)) = call.payload() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        bytes = payload;
    }
    Ok(HttpRequest { method: call.method.clone(), url, headers, body: bytes })
}

fn value(name: &str, text: &str) -> Result<HeaderValue, TransportError> {
    HeaderValue::from_str(text)
        .map_err(|_| TransportError::unsent(format!("the header `{name}` holds characters that no header may hold")))
}

fn secret(text: &str) -> Result<HeaderValue, TransportError> {
    let mut value = value("authorization", text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_the_token_to_the_base_only() {
        let base = BaseUrl::parse("https://acme.com/").expect("a base");
        let call = Call::patch("/x", serde_json::json!({"a": 1})).query("b", "c").header("if-match", "1");
        let request = request(&base, Some("token"), &call).expect("a request");
        assert_eq!(request.url.as_str(), "https://acme.com/x?b=c");
        assert_eq!(request.headers["authorization"], "Bearer token");
        assert_eq!(request.headers["if-match"], "1");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(&request.body[..], br#"{"a":1}"#);

        let elsewhere = super::request(&base, Some("token"), &Call::get("//evil.com/"));
        assert!(!elsewhere.expect_err("another host").sent);
    }

    #[test]
    fn credentials_other_than_a_bearers_are_secret_as_well() {
        let base = BaseUrl::parse("https://acme.com").expect("a base");
        let request =
            request(&base, None, &Call::get("/").header("authorization", "Basic aHVzaA==")).expect("a request");
        assert_eq!(request.headers["authorization"], "Basic aHVzaA==");
        assert!(request.headers["authorization"].is_sensitive());
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_named() {
        let base = BaseUrl::parse("https://acme.com/").expect("a base");
        let error = request(&base, Some("to\nken"), &Call::get("/")).expect_err("a bad token");
        assert!(!error.sent);
        assert!(!error.message.contains("ken\n"), "{error}");
    }
}
