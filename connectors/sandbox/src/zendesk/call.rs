//! A request that has passed the gate, as the routes read it.

use axum::extract::{FromRequest, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::caller::Caller;
use super::errors::ApiError;
use super::kind::{Id, Kind};

/// What every route answers with.
pub(crate) type Answer = Result<Response, ApiError>;

/// A JSON answer.
pub(crate) fn ok(body: Value) -> Answer {
    Ok(Json(body).into_response())
}

/// A JSON answer to a creation.
pub(crate) fn created(body: Value) -> Answer {
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The path, without the query.
    pub(crate) path: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    params: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        let caller = request.extensions().get::<Caller>().cloned().ok_or_else(ApiError::unauthenticated)?;
        let path_params = request.extract_parts::<RawPathParams>().await.map_err(|_| ApiError::invalid_endpoint())?;
        let params = path_params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.strip_suffix(".json").unwrap_or(value).to_owned()));
        let params = params.collect();
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        let query = query.into_owned().collect();
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        let body = Bytes::from_request(request, state).await.map_err(|_| ApiError::unreadable())?;
        Ok(Self { caller, path, headers, params, query, body })
    }
}

impl Call {
    /// A part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The id in the path; what is no number is not found.
    pub(crate) fn id(&self) -> Result<Id, ApiError> {
        self.param("id").parse().map_err(|_| ApiError::not_found())
    }

    /// The object type in the path.
    pub(crate) fn kind(&self) -> Result<Kind, ApiError> {
        let list = self.path.strip_prefix("/api/v2/").and_then(|rest| rest.split(['/', '.']).next());
        list.and_then(Kind::parse).ok_or_else(ApiError::invalid_endpoint)
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A number of the query; something else than a number is refused.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::bad_parameter(name, "must be a number"));
        self.query(name).map(parse).transpose()
    }

    /// The ids of a comma-separated parameter.
    pub(crate) fn ids(&self, name: &str) -> Result<Vec<Id>, ApiError> {
        let text = self.query(name).ok_or_else(|| ApiError::missing(name))?;
        text.split(',').filter_map(|id| id.trim().parse().ok()).map(Ok).collect()
    }

    /// The query without some parameters, and with others.
    pub(crate) fn query_with(&self, without: &[&str], with: &[(&str, &str)]) -> String {
        let kept = self.query.iter().filter(|(name, _)| !without.contains(&name.as_str()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).extend_pairs(with);
        query.finish()
    }

    /// The body, which is a JSON object.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, ApiError> {
        serde_json::from_slice(&self.body).map_err(|_| ApiError::unreadable())
    }

    /// A member of the body that is an object.
    pub(crate) fn object(&self, member: &str) -> Result<Map<String, Value>, ApiError> {
        match self.json()?.remove(member) {
            Some(Value::Object(object)) => Ok(object),
            _ => Err(ApiError::missing(member)),
        }
    }

    /// A member of the body that is a list.
    pub(crate) fn list(&self, member: &str) -> Result<Vec<Value>, ApiError> {
        match self.json()?.remove(member) {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(ApiError::missing(member)),
        }
    }
}
