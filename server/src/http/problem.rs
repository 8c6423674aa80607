//! Errors as RFC 9457 `application/problem+json`: what is wrong, where, and how to mend it.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::{
    engine::commands::{CommandError, FieldFault},
    store::StoreError,
};

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What kind of error it is; each has one status and one stable `type`, so that programs can switch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read: bad JSON, an unknown query parameter, a malformed header.
    Malformed,
    /// The API key is missing or unknown.
    Unauthorized,
    /// There is no such thing, or not in this tenant.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The request does not fit the present state.
    Conflict,
    /// The changes after this cursor are no longer kept, or never were.
    Gone,
    /// `If-Match` names another version than the record's.
    VersionMismatch,
    /// The body is longer than the route takes.
    TooLarge,
    /// The body takes longer to arrive than the route waits.
    TooSlow,
    /// The body is not of a media type that the route takes.
    UnsupportedMedia,
    /// The request was read, but fields in it cannot be taken.
    Invalid,
    /// A stated bound is reached.
    TooMany,
    /// A fault of this service.
    Internal,
    /// The service cannot answer now; the same request may succeed later.
    Unavailable,
}

impl Kind {
    /// The status, the last part of the `type`, and the title.
    const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "An API key is needed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path does not take this method")
            }
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "The request does not fit the present state"),
            Self::Gone => (StatusCode::GONE, "gone", "The feed does not reach back so far"),
            Self::VersionMismatch => {
                (StatusCode::PRECONDITION_FAILED, "version-mismatch", "The record has another version")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too long"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The request did not arrive in time"),
            Self::UnsupportedMedia => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media", "The body's media type is not taken here")
            }
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Fields of the request cannot be taken"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "A limit is reached"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "This service failed"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service cannot answer now"),
        }
    }

    /// The status of this kind.
    pub const fn status(self) -> StatusCode {
        self.facts().0
    }
}

/// An error answer.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldFault>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of an error answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable name of the kind of error, to switch on.
    #[serde(rename = "type")]
    #[schema(example = "urn:syncline:problem:version-mismatch")]
    kind: String,
    /// The kind of error, in words.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong here, and how to mend it.
    detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance: Option<String>,
    /// The fields at fault, where it is fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// The errors that every route may answer with, for the OpenAPI document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers; Problem makes them")]
pub(super) enum Problems {
    /// The request is at fault.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Caller(ProblemBody),
    /// The service is at fault, or cannot answer now.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Service(ProblemBody),
}

/// One field at fault.
#[derive(Serialize, ToSchema)]
pub struct FieldError {
    /// The field of the body, or the query parameter.
    field: String,
    /// What is wrong with it, and how to mend it.
    message: String,
}

impl Problem {
    /// An error of this kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// Its status.
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// An error that lies in one field or query parameter.
    pub fn field(kind: Kind, field: impl Into<String>, message: impl Into<String>) -> Self {
        let fault = FieldFault { field: field.into(), message: message.into() };
        Self::new(kind, format!("{}: {}", fault.field, fault.message)).with_errors(vec![fault])
    }

    /// There is no such `thing`.
    pub fn not_found(thing: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{thing} does not exist in this tenant"))
    }

    /// A fault of this service: the cause goes to the log, not to the caller.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(Kind::Internal, "the cause is in the server's log; repeating the request is safe where it is a read")
    }

    /// A state of this service that passes; the caller is told to come again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The same error with one more header in its answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same error with the fields at fault.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldFault>) -> Self {
        self.errors = errors;
        self
    }

    /// The kind of error.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer to a request for the path `instance`.
    pub fn respond(&self, instance: Option<&str>) -> Response {
        let (status, name, title) = self.kind.facts();
        let body = ProblemBody {
            kind: format!("urn:syncline:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            instance: instance.map(str::to_owned),
            errors: self.errors.iter().cloned().map(FieldError::from).collect(),
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.extend(self.headers.iter().cloned());
        response
    }
}

impl IntoResponse for Problem {
    /// Answers without the path; the outermost layer, which knows the path, finds the problem among the response's
    /// extensions and adds it.
    fn into_response(self) -> Response {
        let mut response = self.respond(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<FieldFault> for FieldError {
    fn from(fault: FieldFault) -> Self {
        Self { field: fault.field, message: fault.message }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        use syncline_connectors::connector::WebhookRefused;
        let text = error.to_string();
        match error {
            CommandError::NotFound(_) => Self::new(Kind::NotFound, text),
            CommandError::Invalid(faults) => Self::new(Kind::Invalid, text).with_errors(faults),
            CommandError::VersionMismatch { .. } => Self::new(Kind::VersionMismatch, text),
            CommandError::Conflict(_) => Self::new(Kind::Conflict, text),
            CommandError::Webhook(WebhookRefused::Body) => Self::new(Kind::Malformed, text),
            // One answer for all: a stranger must not learn which connections there are, nor what a forgery lacks.
            CommandError::Webhook(WebhookRefused::NoSecret | WebhookRefused::Signature | WebhookRefused::Stale) => {
                Self::new(Kind::Unauthorized, "the webhook's signature is not accepted: the server's log says why")
            }
            CommandError::Unavailable(_) => Self::unavailable(text),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_passing() { Self::unavailable(error.to_string()) } else { Self::internal(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_says_what_where_and_how_and_carries_its_headers() {
        let problem = Problem::field(Kind::Malformed, "limit", "must be from 1 to 1000");
        let response = problem.respond(Some("/v1/changes"));
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:syncline:problem:malformed",
                "title": "The request cannot be read",
                "status": 400,
                "detail": "limit: must be from 1 to 1000",
                "instance": "/v1/changes",
                "errors": [{"field": "limit", "message": "must be from 1 to 1000"}],
            })
        );
        assert_eq!(Problem::unavailable("the store is locked").respond(None).headers()[header::RETRY_AFTER], "1");
    }

    #[test]
    fn every_command_error_has_its_status() {
        for (error, status) in [
            (CommandError::NotFound("x".into()), 404),
            (CommandError::Invalid(Vec::new()), 422),
            (CommandError::VersionMismatch { expected: 1, current: 2 }, 412),
            (CommandError::Conflict("x".into()), 409),
            (CommandError::Webhook(syncline_connectors::connector::WebhookRefused::Signature), 401),
            (CommandError::Webhook(syncline_connectors::connector::WebhookRefused::Body), 400),
            (CommandError::Unavailable("x".into()), 503),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(Problem::from(error).kind().status(), status, "{shown}");
        }
    }
}
