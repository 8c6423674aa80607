//! Error answers in GitHub's shape.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

const DOCS: &str = "https://docs.github.com/rest";

/// An error that a client sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// What a person reads.
    pub(crate) message: String,
    errors: Vec<Value>,
    location: Option<String>,
    /// Seconds to wait, for the `retry-after` header.
    pub(crate) retry_after: Option<u64>,
    is_page: bool,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), location: None, retry_after: None, is_page: false }
    }

    /// Nothing there, or nothing that this token may see.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// An issue that was deleted.
    pub(crate) fn deleted() -> Self {
        Self::new(StatusCode::GONE, "This issue was deleted")
    }

    /// A repository without issues.
    pub(crate) fn disabled() -> Self {
        Self::new(StatusCode::GONE, "Issues are disabled for this repo")
    }

    /// Something that lives elsewhere now: 301 for reads, 307 for writes, which keep their method.
    pub(crate) fn moved(location: String, is_read: bool) -> Self {
        let status = if is_read { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
        Self { location: Some(location), ..Self::new(status, "Moved Permanently") }
    }

    /// Values that the rules refuse, one by one.
    pub(crate) fn invalid(errors: Vec<Value>) -> Self {
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed") }
    }

    /// One value that the rules refuse.
    pub(crate) fn field(resource: &str, field: &str, code: &str) -> Self {
        Self::invalid(vec![json!({"resource": resource, "field": field, "code": code})])
    }

    /// One value that the rules refuse, with a sentence.
    pub(crate) fn custom(resource: &str, field: &str, message: &str) -> Self {
        Self::invalid(vec![json!({"resource": resource, "field": field, "code": "custom", "message": message})])
    }

    /// A body that is no JSON object.
    pub(crate) fn unreadable() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Problems parsing JSON")
    }

    /// A version of the API that is not served.
    pub(crate) fn bad_version(version: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("The version {version} of the API is not supported"))
    }

    /// No credentials where they are needed.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Requires authentication")
    }

    /// A token that is unknown or past its life.
    pub(crate) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    /// A JWT that cannot be accepted, with the reason.
    pub(crate) fn bad_jwt(why: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, why)
    }

    /// A request without a `User-Agent`.
    pub(crate) fn no_user_agent() -> Self {
        let why = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        Self::new(StatusCode::FORBIDDEN, why)
    }

    /// What this token may not do.
    pub(crate) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// A used-up limit: the primary one, or a secondary one.
    pub(crate) fn limited(status: StatusCode, message: &str, retry_after: Option<u64>) -> Self {
        Self { retry_after, ..Self::new(status, message) }
    }

    /// The platform itself fails: with a page, or in JSON.
    pub(crate) fn unavailable(page: bool) -> Self {
        let status = if page { StatusCode::BAD_GATEWAY } else { StatusCode::SERVICE_UNAVAILABLE };
        Self { is_page: page, ..Self::new(status, "Server Error") }
    }

    /// The message and the single reasons, in one line.
    pub(crate) fn summary(&self) -> String {
        let reason = |error: &Value| error["message"].as_str().or(error["field"].as_str()).unwrap_or("?").to_owned();
        let reasons: Vec<String> = self.errors.iter().map(reason).collect();
        if reasons.is_empty() { self.message.clone() } else { format!("{}: {}", self.message, reasons.join(", ")) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.is_page {
            let page =
                "<!DOCTYPE html><html><body><p>We had issues producing the response to your request.</p></body></html>";
            return (self.status, Html(page)).into_response();
        }
        let mut body =
            json!({"message": self.message, "documentation_url": DOCS, "status": self.status.as_u16().to_string()});
        if !self.errors.is_empty() {
            body["errors"] = self.errors.into();
        }
        if let Some(url) = &self.location {
            body["url"] = url.as_str().into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(Ok(url)) = self.location.map(HeaderValue::try_from) {
            response.headers_mut().insert(header::LOCATION, url);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
