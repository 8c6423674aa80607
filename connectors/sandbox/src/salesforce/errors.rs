//! The error answers of the platform, in its words.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

/// The media type of every JSON answer.
const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");

/// A refused request, or a refused row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The fields at fault; `None` where the platform leaves the key out.
    pub(crate) fields: Option<Vec<String>>,
}

impl ApiError {
    /// An error without a list of fields.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fields: None }
    }

    /// A refused row: 400, with the fields at fault.
    pub(crate) fn row(code: &'static str, message: impl Into<String>, fields: &[&str]) -> Self {
        let fields = Some(fields.iter().map(|field| (*field).to_owned()).collect());
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), fields }
    }

    /// The address names nothing.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
    }

    /// The address names a field that is no key.
    pub(crate) fn no_such_key(name: &str) -> Self {
        let message = format!("Provided external ID field does not exist or is not accessible: {name}");
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// The record is in the recycle bin.
    pub(crate) fn deleted() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::row("ENTITY_IS_DELETED", "entity is deleted", &[]) }
    }

    /// The token is missing, unknown or too old.
    pub(crate) fn invalid_session() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid")
    }

    /// The object has no such field, or hides it.
    pub(crate) fn no_such_column(field: &str, object: &str) -> Self {
        let message = format!("No such column '{field}' on sobject of type {object}");
        Self::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message)
    }

    /// The body is not JSON of the expected shape.
    pub(crate) fn unreadable_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "JSON_PARSER_ERROR", message)
    }

    /// The query is not SOQL.
    pub(crate) fn malformed_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MALFORMED_QUERY", message)
    }

    /// The address cannot be used with this method.
    pub(crate) fn method_not_allowed(method: &Method) -> Self {
        let message = format!("HTTP Method '{method}' not allowed. Allowed are HEAD,GET,POST");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
    }

    /// As one member of the array that a refused request answers with.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.message, "errorCode": self.code });
        if let Some(fields) = &self.fields {
            error["fields"] = json!(fields);
        }
        error
    }

    /// As the result of one row in a batch that is otherwise fine.
    pub(crate) fn to_row_result(&self) -> Value {
        let fields = self.fields.clone().unwrap_or_default();
        let error = json!({ "statusCode": self.code, "message": self.message, "fields": fields });
        json!({ "success": false, "errors": [error] })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        json_response(self.status, &json!([self.to_json()]))
    }
}

/// A JSON answer with the platform's media type.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, JSON_UTF8)], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
