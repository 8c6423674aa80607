//! JSON bodies.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::http::{
    BODY_BYTES_MAX,
    problem::{Kind, Problem},
};

/// A JSON body, read whole; the route's body limit bounds it.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMedia,
                "the body must be JSON: send the header `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|refused| unread(refused.status()))?;
        parse(&bytes).map(Self)
    }
}

/// Why a body could not be taken in.
pub(crate) fn unread(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::TooLarge, format!("the body is longer than {BODY_BYTES_MAX} bytes: send less at once"))
    } else {
        Problem::new(Kind::Malformed, "the body ended before it was complete: send the request again")
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        use serde_json::error::Category;
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => Problem::new(Kind::Invalid, format!("the body has the wrong shape: {error}")),
            Category::Eof if bytes.is_empty() => Problem::new(Kind::Malformed, "the body is empty: send a JSON object"),
            Category::Io | Category::Syntax | Category::Eof => Problem::new(
                Kind::Malformed,
                format!("the body is no JSON: look at line {line}, column {column} ({error})"),
            ),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bodies_are_told_apart_and_name_the_place() {
        type Object = std::collections::BTreeMap<String, serde_json::Value>;
        for (body, kind, says) in [
            ("", Kind::Malformed, "empty"),
            ("{\n  \"a\": 1,\n}", Kind::Malformed, "line 3, column 1"),
            ("{\"a\": 1", Kind::Malformed, "line 1, column 7"),
            ("[1]", Kind::Invalid, "wrong shape"),
        ] {
            let problem = parse::<Object>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.kind(), kind, "{body}");
            assert!(problem.detail().contains(says), "{body}: {}", problem.detail());
        }
    }
}
