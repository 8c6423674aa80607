//! Error answers in Zendesk's shapes, which differ: `error` is a text in most and an object in some, validation names
//! its attributes, and an overloaded front answers in HTML.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// One value that the account's rules refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The attribute, `base` for the whole object.
    pub(crate) attribute: String,
    /// The machine-readable reason.
    pub(crate) code: &'static str,
    /// What a person reads.
    pub(crate) description: String,
}

impl Flaw {
    /// A flaw of one attribute; the description begins with the attribute's name, as the platform's do.
    pub(crate) fn new(attribute: &str, code: &'static str, reason: &str) -> Self {
        let mut name = attribute.replace('_', " ");
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self { attribute: attribute.to_owned(), code, description: format!("{name}: {reason}") }
    }

    /// A flaw of the object as a whole.
    pub(crate) fn base(code: &'static str, description: impl Into<String>) -> Self {
        Self { attribute: "base".to_owned(), code, description: description.into() }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    Json(Value),
    Page(&'static str),
}

/// An error that a client sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    body: Body,
    /// Seconds to wait, for the `Retry-After` header.
    pub(crate) retry_after: Option<u64>,
}

/// What a broken front shows instead of an answer.
const PAGE: &str = "<!DOCTYPE html><html><head><title>We're sorry, but something went wrong</title></head>\
                    <body><h1>Oops... something went wrong</h1></body></html>";

impl ApiError {
    /// An error with a code and a sentence.
    pub(crate) fn new(status: StatusCode, error: &str, description: impl Into<String>) -> Self {
        Self::with_body(status, json!({"error": error, "description": description.into()}))
    }

    fn with_body(status: StatusCode, body: Value) -> Self {
        Self { status, body: Body::Json(body), retry_after: None }
    }

    /// Nothing there under that id.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "RecordNotFound", "Not found")
    }

    /// No such path.
    pub(crate) fn invalid_endpoint() -> Self {
        Self::new(StatusCode::NOT_FOUND, "InvalidEndpoint", "Not found")
    }

    /// Values that the account's rules refuse, all at once.
    pub(crate) fn invalid(flaws: &[Flaw]) -> Self {
        let mut details: Map<String, Value> = Map::new();
        for flaw in flaws {
            let entry = json!({"description": flaw.description, "error": flaw.code});
            match details.get_mut(&flaw.attribute).and_then(Value::as_array_mut) {
                Some(list) => list.push(entry),
                None => {
                    details.insert(flaw.attribute.clone(), json!([entry]));
                }
            }
        }
        let body = json!({"error": "RecordInvalid", "description": "Record validation errors", "details": details});
        Self::with_body(StatusCode::UNPROCESSABLE_ENTITY, body)
    }

    /// A parameter or member that the call cannot do without.
    pub(crate) fn missing(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ParameterMissing", format!("Parameter {name} is required"))
    }

    /// A parameter that makes no sense.
    pub(crate) fn bad_parameter(name: &str, why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidAttribute", format!("Parameter {name} {why}"))
    }

    /// A body that is no JSON object.
    pub(crate) fn unreadable() -> Self {
        let body = json!({"error": "Unprocessable Entity", "message": "Server could not parse JSON"});
        Self::with_body(StatusCode::UNPROCESSABLE_ENTITY, body)
    }

    /// No credentials, or a wrong API token.
    pub(crate) fn unauthenticated() -> Self {
        Self::with_body(StatusCode::UNAUTHORIZED, json!({"error": "Couldn't authenticate you"}))
    }

    /// An OAuth token that is unknown, revoked or past its life.
    pub(crate) fn invalid_token() -> Self {
        let why = "The access token provided is expired, revoked, malformed or invalid for other reasons.";
        Self::with_body(StatusCode::UNAUTHORIZED, json!({"error": "invalid_token", "error_description": why}))
    }

    /// What this user may not do. Here `error` is an object.
    pub(crate) fn forbidden() -> Self {
        let message = "You do not have access to this page. Please contact the account owner of this help desk for \
                       further help.";
        Self::with_body(StatusCode::FORBIDDEN, json!({"error": {"title": "Forbidden", "message": message}}))
    }

    /// A guarded update whose stamp is not the ticket's.
    pub(crate) fn update_conflict() -> Self {
        let why = "Safe Update prevented the update as outdated ticket data was provided. Please fetch the latest \
                   ticket data and try again.";
        Self::new(StatusCode::CONFLICT, "UpdateConflict", why)
    }

    /// Two writes of one row at a time.
    pub(crate) fn database_conflict() -> Self {
        Self::new(StatusCode::CONFLICT, "DatabaseConflict", "Database collision")
    }

    /// The same idempotency key with another request.
    pub(crate) fn idempotency_mismatch() -> Self {
        let why = "Request parameters are different from the previous request with the same Idempotency-Key";
        Self::new(StatusCode::BAD_REQUEST, "IdempotentRequestError", why)
    }

    /// A used-up budget.
    pub(crate) fn too_many(description: &str, retry_after: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "APIRateLimitExceeded", description);
        Self { retry_after: Some(retry_after), ..error }
    }

    /// More background jobs than the account may have.
    pub(crate) fn too_many_jobs() -> Self {
        let why = "You've reached the limit of queued or running jobs for this account. Try again later.";
        Self { retry_after: Some(60), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyJobs", why) }
    }

    /// The platform itself fails, in JSON.
    pub(crate) fn internal() -> Self {
        let body = json!({"status": 500, "error": "Internal Server Error"});
        Self::with_body(StatusCode::INTERNAL_SERVER_ERROR, body)
    }

    /// The front of the platform fails, in HTML.
    pub(crate) fn page(status: StatusCode) -> Self {
        Self { status, body: Body::Page(PAGE), retry_after: None }
    }

    /// A planned interruption that says how long it takes.
    pub(crate) fn maintenance(retry_after: u64) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "Zendesk is under maintenance");
        Self { retry_after: Some(retry_after), ..error }
    }

    /// The code of the error, for the results of a job.
    pub(crate) fn code(&self) -> String {
        match &self.body {
            Body::Json(body) => body["error"].as_str().unwrap_or("Error").to_owned(),
            Body::Page(_) => "Error".to_owned(),
        }
    }

    /// What a person reads, in one line.
    pub(crate) fn summary(&self) -> String {
        let Body::Json(body) = &self.body else { return self.status.to_string() };
        let details = body["details"].as_object().into_iter().flatten();
        let flaws: Vec<&str> = details
            .flat_map(|(_, list)| list.as_array().into_iter().flatten())
            .filter_map(|flaw| flaw["description"].as_str())
            .collect();
        if !flaws.is_empty() {
            return flaws.join(" ");
        }
        let told = [&body["description"], &body["message"], &body["error"]];
        told.into_iter().find_map(Value::as_str).unwrap_or("refused").to_owned()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Body::Json(body) => (self.status, Json(body)).into_response(),
            Body::Page(page) => (self.status, Html(page)).into_response(),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaws_are_grouped_by_attribute() {
        let taken = Flaw::new("email", "DuplicateValue", "a@b.c is already being used by another user");
        let error = ApiError::invalid(&[
            Flaw::new("name", "BlankValue", "cannot be blank"),
            taken,
            Flaw::base("InvalidValue", "No."),
        ]);
        let Body::Json(body) = &error.body else { panic!("no JSON") };
        assert_eq!(body["details"]["name"], json!([{"description": "Name: cannot be blank", "error": "BlankValue"}]));
        assert_eq!(body["details"]["base"][0]["description"], "No.");
        assert!(error.summary().contains("already being used"));
        assert_eq!(error.code(), "RecordInvalid");
    }
}
