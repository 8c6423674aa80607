//! Error answers in HubSpot's shape.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::normalise::Invalid;
use super::record::RecordId;
use super::schema::ObjectKind;

/// An error that a client sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The machine-readable class, which some answers of the platform lack.
    pub(crate) category: Option<&'static str>,
    /// What a person reads.
    pub(crate) message: String,
    /// Lists of values by name.
    pub(crate) context: Map<String, Value>,
    /// Single reasons.
    pub(crate) errors: Vec<Value>,
    /// Further members at the top level of the body.
    pub(crate) extra: Map<String, Value>,
    /// Seconds to wait, for the `Retry-After` header.
    pub(crate) retry_after: Option<u16>,
}

impl ApiError {
    /// An error with a class.
    pub(crate) fn new(status: StatusCode, category: &'static str, message: impl Into<String>) -> Self {
        Self { category: Some(category), ..Self::bare(status, message) }
    }

    fn bare(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            category: None,
            message: message.into(),
            context: Map::new(),
            errors: Vec::new(),
            extra: Map::new(),
            retry_after: None,
        }
    }

    /// Adds a list of values to the context.
    pub(crate) fn with_context<T: Into<Value>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.context.insert(name.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// A request that breaks a rule of the API.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
    }

    /// A body that is not the JSON that the route wants.
    pub(crate) fn json(reason: impl std::fmt::Display) -> Self {
        Self::validation(format!("Invalid input JSON: {reason}"))
    }

    /// Values that the property definitions refuse.
    pub(crate) fn properties(invalid: &[Invalid], portal: u64) -> Self {
        let shown: Vec<Value> = invalid.iter().map(|invalid| invalid.to_message_json(portal)).collect();
        let mut error = Self::validation(format!("Property values were not valid: {}", Value::from(shown)));
        error.errors = invalid.iter().map(Invalid::to_json).collect();
        error
    }

    /// Nothing there under that id. The platform answers without a class here.
    pub(crate) fn not_found() -> Self {
        Self::bare(StatusCode::NOT_FOUND, "resource not found")
    }

    /// A path id that is no record id.
    pub(crate) fn not_numeric() -> Self {
        Self::new(StatusCode::NOT_FOUND, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
    }

    /// Some ids of a batch do not exist.
    pub(crate) fn missing(kind: ObjectKind, ids: impl IntoIterator<Item = String>) -> Self {
        let message = format!(
            "Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.",
            kind.shouted()
        );
        Self::new(StatusCode::NOT_FOUND, "OBJECT_NOT_FOUND", message).with_context("ids", ids)
    }

    /// A value of the e-mail property that another contact has.
    pub(crate) fn contact_exists(existing: RecordId) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", format!("Contact already exists. Existing ID: {existing}"))
            .with_context("existingId", [existing.to_string()])
    }

    /// A value of a unique property that another record has.
    pub(crate) fn value_taken(property: &str, value: &str, existing: RecordId) -> Self {
        let invalid = Invalid::new(
            property,
            "CONFLICTING_UNIQUE_VALUE",
            format!("A record with {property}=\"{value}\" already exists. Existing ID: {existing}"),
        );
        let mut error = Self::validation(format!(
            "Property values were not valid: [{{\"isValid\":false,\"message\":{},\"error\":\"CONFLICTING_UNIQUE_VALUE\",\"name\":\"{property}\"}}]",
            Value::from(invalid.message.as_str())
        ));
        error.errors = vec![invalid.to_json()];
        error.with_context("existingId", [existing.to_string()])
    }

    /// A name in the path that is no object type.
    pub(crate) fn unknown_type(name: &str) -> Self {
        Self::validation(format!("Unable to infer object type from: {name}"))
    }

    /// No bearer token, or one that nobody issued.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more \
             details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        )
    }

    /// An access token past its life.
    pub(crate) fn token_expired(expired_at: String, seconds_ago: i64) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "EXPIRED_AUTHENTICATION",
            format!("The OAuth token used to make this call expired {seconds_ago} second(s) ago."),
        )
        .with_context("expire time", [expired_at])
    }

    /// A record that another operation holds.
    pub(crate) fn locked() -> Self {
        let mut error = Self::bare(
            StatusCode::LOCKED,
            "The record is locked by another operation. Wait at least 2 seconds before trying again.",
        );
        error.retry_after = Some(2);
        error
    }

    /// The platform itself fails.
    pub(crate) fn unavailable(status: StatusCode) -> Self {
        Self::bare(status, "internal error")
    }

    /// A used-up request budget.
    pub(crate) fn rate_limited(policy: &str) -> Self {
        let message = if policy == "DAILY" {
            "You have reached your daily limit.".to_owned()
        } else {
            format!("You have reached your {} limit.", policy.to_ascii_lowercase())
        };
        let mut error = Self::bare(StatusCode::TOO_MANY_REQUESTS, message);
        error.extra.insert("errorType".into(), "RATE_LIMIT".into());
        error.extra.insert("policyName".into(), policy.into());
        error
    }

    /// The body of a whole answer.
    pub(crate) fn body(&self) -> Value {
        let mut body = self.entry();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("correlationId".into(), correlation_id().into());
            fields.extend(self.extra.clone());
        }
        body
    }

    /// The entry in a batch answer's `errors` list.
    pub(crate) fn entry(&self) -> Value {
        let mut entry = json!({"status": "error", "message": self.message});
        if let Some(fields) = entry.as_object_mut() {
            if let Some(category) = self.category {
                fields.insert("category".into(), category.into());
            }
            if !self.context.is_empty() {
                fields.insert("context".into(), Value::Object(self.context.clone()));
            }
            if !self.errors.is_empty() {
                fields.insert("errors".into(), self.errors.clone().into());
            }
        }
        entry
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Counts the answers of this process, so that no two carry the same correlation id.
static ANSWERS: AtomicU64 = AtomicU64::new(1);

/// An id in the form of a UUID. It is counted, not drawn: a seeded run must stay the same.
pub(crate) fn correlation_id() -> String {
    let count = ANSWERS.fetch_add(1, Ordering::Relaxed);
    let mixed = count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
        mixed >> 32,
        mixed >> 16 & 0xffff,
        mixed & 0xfff,
        count >> 48 & 0xfff,
        count & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_published_shape() {
        let body = ApiError::contact_exists(6001).body();
        assert_eq!(body["status"], "error");
        assert_eq!(body["category"], "CONFLICT");
        assert_eq!(body["message"], "Contact already exists. Existing ID: 6001");
        assert_eq!(body["context"]["existingId"][0], "6001");
        assert!(body["correlationId"].is_string());

        let limited = ApiError::rate_limited("TEN_SECONDLY_ROLLING").body();
        assert_eq!(limited["message"], "You have reached your ten_secondly_rolling limit.");
        assert_eq!(limited["policyName"], "TEN_SECONDLY_ROLLING");
        assert_eq!(limited["errorType"], "RATE_LIMIT");

        let missing = ApiError::missing(ObjectKind::Contacts, ["7".to_owned()]).entry();
        assert_eq!(missing["context"]["ids"][0], "7");
        assert!(missing.get("correlationId").is_none());
    }

    #[test]
    fn correlation_ids_differ() {
        assert_ne!(correlation_id(), correlation_id());
    }
}
