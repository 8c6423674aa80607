//! OAuth: authorise, token, and what the token in use is.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::account::ZendeskState;
use super::errors::ApiError;
use super::gate::bearer;
use super::normalise::number;
use super::switches;
use super::tokens::{ACCESS_RANGE, Lives, Pair, REFRESH_RANGE};
use crate::serve::CutConnection;

type Account = State<Arc<ZendeskState>>;

/// What an integration of this emulator may do.
const SCOPE: &str = "read write";

/// The members of a body that is JSON or a form.
fn members(headers: &HeaderMap, body: &[u8]) -> HashMap<String, Value> {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text.starts_with("application/json")) {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({"error": error, "error_description": description}))).into_response()
}

fn lives(members: &HashMap<String, Value>) -> Option<Lives> {
    let seconds = |name: &str| members.get(name).filter(|raw| !raw.is_null()).map(number);
    let checked = |asked: Option<Option<u64>>, range: std::ops::RangeInclusive<i64>, usual: i64| match asked {
        None => Some(usual),
        Some(asked) => i64::try_from(asked?).ok().filter(|seconds| range.contains(seconds)),
    };
    let usual = Lives::default();
    Some(Lives {
        access_s: checked(seconds("expires_in"), ACCESS_RANGE, usual.access_s)?,
        refresh_s: checked(seconds("refresh_token_expires_in"), REFRESH_RANGE, usual.refresh_s)?,
    })
}

/// `POST /oauth/tokens`
pub(crate) async fn token(State(account): Account, headers: HeaderMap, body: Bytes) -> Response {
    let members = members(&headers, &body);
    let field = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let now = account.parts.clock.now();
    let Some(lives) = lives(&members) else {
        let why = "expires_in must lie between 300 and 172800, refresh_token_expires_in between 604800 and 7776000";
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", why);
    };
    let mut tokens = account.tokens.lock();
    if !tokens.is_client(field("client_id"), field("client_secret")) {
        let why = "Client authentication failed due to unknown client, no client authentication included, or \
                   unsupported authentication method.";
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", why);
    }
    let why = "The provided authorization grant or refresh token is invalid, expired, revoked, does not match the \
               redirection URI used in the authorization request, or was issued to another client.";
    let pair = match field("grant_type") {
        "refresh_token" => tokens.rotate(field("refresh_token"), lives, now),
        "authorization_code" => {
            tokens.redeem_code(field("code"), field("redirect_uri"), now).then(|| tokens.issue(lives, now))
        }
        _ => {
            let why = "The authorization grant type is not supported by the authorization server.";
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", why);
        }
    };
    let Some(pair) = pair else { return refuse(StatusCode::BAD_REQUEST, "invalid_grant", why) };
    drop(tokens);
    if field("grant_type") == "refresh_token" && account.parts.faults.roll(switches::REFRESH_LOST) {
        return CutConnection::response();
    }
    let Pair { access, refresh, access_s, refresh_s } = pair;
    let answer = json!({
        "access_token": access, "refresh_token": refresh, "token_type": "bearer", "scope": SCOPE,
        "expires_in": access_s, "refresh_token_expires_in": refresh_s,
    });
    Json(answer).into_response()
}

/// `GET /oauth/authorizations/new`: the account's owner always agrees.
pub(crate) async fn authorize(State(account): Account, RawQuery(query): RawQuery) -> Result<Redirect, ApiError> {
    let query: HashMap<String, String> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let redirect_uri = query.get("redirect_uri").cloned().unwrap_or_default();
    let mut target = url::Url::parse(&redirect_uri).map_err(|_| ApiError::missing("redirect_uri"))?;
    let mut tokens = account.tokens.lock();
    if !query.get("client_id").is_some_and(|id| tokens.is_client_id(id)) {
        return Err(ApiError::bad_parameter("client_id", "is unknown"));
    }
    let code = tokens.issue_code(&redirect_uri, account.parts.clock.now());
    target.query_pairs_mut().append_pair("code", &code);
    if let Some(state) = query.get("state") {
        target.query_pairs_mut().append_pair("state", state);
    }
    Ok(Redirect::to(target.as_str()))
}

/// `GET /api/v2/oauth/tokens/current`
pub(crate) async fn current(State(account): Account, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let token = bearer(&headers).ok_or_else(ApiError::not_found)?;
    let left = account.tokens.lock().seconds_left(token, account.parts.clock.now());
    Ok(Json(json!({"token": {"scopes": SCOPE.split(' ').collect::<Vec<_>>(), "expires_in": left}})))
}

/// `DELETE /api/v2/oauth/tokens/current`
pub(crate) async fn revoke(State(account): Account, headers: HeaderMap) -> Result<StatusCode, ApiError> {
    let token = bearer(&headers).ok_or_else(ApiError::not_found)?;
    account.tokens.lock().expire(token, account.parts.clock.now());
    Ok(StatusCode::NO_CONTENT)
}
