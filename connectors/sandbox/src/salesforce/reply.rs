//! An answer before it is bytes, so that it can also become a part of a composite answer.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::errors::{ApiError, json_response};

/// Status, headers and body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// `None`: no body at all.
    pub(crate) body: Option<Value>,
}

impl Reply {
    /// 200 with a body.
    pub(crate) fn ok(body: Value) -> Self {
        Self::with(StatusCode::OK, body)
    }

    /// A status with a body.
    pub(crate) fn with(status: StatusCode, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    /// A status alone.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    /// Adds a header; a value that cannot be one is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// As one member of the answer to `/composite`.
    pub(crate) fn into_part(self, reference: &str) -> Value {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            // Inside a composite answer the names have their usual capitals.
            let name = if name == http::header::LOCATION { "Location" } else { name.as_str() };
            Some((name.to_owned(), Value::String(value.to_str().ok()?.to_owned())))
        });
        json!({
            "body": self.body,
            "httpHeaders": headers.collect::<Map<_, _>>(),
            "httpStatusCode": self.status.as_u16(),
            "referenceId": reference,
        })
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::with(error.status, json!([error.to_json()]))
    }
}

impl From<Result<Self, ApiError>> for Reply {
    fn from(result: Result<Self, ApiError>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match &self.body {
            Some(body) => json_response(self.status, body),
            None => self.status.into_response(),
        };
        response.headers_mut().extend(self.headers);
        response
    }
}
