//! A request that has passed the gate, as the routes read it.

use axum::extract::{FromRequest, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::caller::Caller;
use super::errors::ApiError;
use super::render::Shape;
use super::site::GitHubState;

/// What every route answers with.
pub(crate) type Answer = Result<Response, ApiError>;

/// The version of the API that dropped the singular assignee.
const PLURAL_VERSION: &str = "2026-03-10";

/// A JSON answer.
pub(crate) fn ok(body: Value) -> Answer {
    Ok(Json(body).into_response())
}

/// A JSON answer to a creation.
pub(crate) fn created(body: Value) -> Answer {
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// An answer without a body.
pub(crate) fn nothing() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// Who asks; absent where the app itself asks by JWT.
    pub(crate) caller: Option<Caller>,
    /// The method.
    pub(crate) method: Method,
    /// The path, without the query.
    pub(crate) path: String,
    headers: HeaderMap,
    params: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        let caller = request.extensions().get::<Caller>().cloned();
        let path_params = request.extract_parts::<RawPathParams>().await.map_err(|_| ApiError::not_found())?;
        let params = path_params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        let query = query.into_owned().collect();
        let (path, headers, method) =
            (request.uri().path().to_owned(), request.headers().clone(), request.method().clone());
        let body = Bytes::from_request(request, state).await.map_err(|_| ApiError::unreadable())?;
        Ok(Self { caller, method, path, headers, params, query, body })
    }
}

impl Call {
    /// Who asks.
    pub(crate) fn caller(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or_else(ApiError::unauthenticated)
    }

    /// A part of the path, empty where there is none.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A number in the path; what is none is not found.
    pub(crate) fn number(&self, name: &str) -> Result<u64, ApiError> {
        self.param(name).parse().map_err(|_| ApiError::not_found())
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The query without some parameters, and with others.
    pub(crate) fn query_with(&self, without: &[&str], with: &[(&str, &str)]) -> String {
        let kept = self.query.iter().filter(|(name, _)| !without.contains(&name.as_str()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).extend_pairs(with);
        query.finish()
    }

    /// The query as it was sent.
    pub(crate) fn whole_query(&self) -> String {
        self.query_with(&[], &[])
    }

    /// The body, which is a JSON object; nothing at all counts as an empty one.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, ApiError> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(&self.body).map_err(|_| ApiError::unreadable())
    }

    /// The body, which is any JSON.
    pub(crate) fn any_json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|_| ApiError::unreadable())
    }

    /// How the answer shows objects.
    pub(crate) fn shape<'s>(&self, site: &'s GitHubState) -> Shape<'s> {
        let version = self.headers.get("x-github-api-version").and_then(|value| value.to_str().ok());
        Shape { base_url: &site.parts.base_url, singular_assignee: version != Some(PLURAL_VERSION) }
    }
}
