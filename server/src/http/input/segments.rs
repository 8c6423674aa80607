//! Path segments.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::http::problem::{Kind, Problem};

/// The variable segments of a path. A segment of the wrong form names nothing, so it is a 404.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(refused) if refused.status().is_server_error() => Err(Problem::internal(refused.body_text())),
            Err(refused) => {
                Err(Problem::new(Kind::NotFound, format!("the path names nothing: {}", refused.body_text())))
            }
        }
    }
}
