//! OAuth: authorise, token (v1, v3 and dated), introspection, revocation; and whose account it is.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::caller::{APP_ID, Caller, PORTAL_ID, USER_ID};
use super::errors::{ApiError, correlation_id};
use super::portal::HubSpotState;
use super::tokens::ACCESS_TOKEN_SECONDS;

type Portal = State<Arc<HubSpotState>>;

const SCOPES: [&str; 8] = [
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.companies.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "oauth",
];

/// The two dialects of the token endpoint: their errors differ, and so does what they tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V1,
    V3,
}

type Form = HashMap<String, String>;

fn form(bytes: &[u8]) -> Form {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// `POST /oauth/v1/token`
pub(crate) async fn token_v1(State(portal): Portal, headers: HeaderMap, body: Bytes) -> Response {
    token(&portal, &headers, &body, Dialect::V1)
}

/// `POST /oauth/v3/token` and `POST /oauth/{version}/token`
pub(crate) async fn token_v3(State(portal): Portal, headers: HeaderMap, body: Bytes) -> Response {
    token(&portal, &headers, &body, Dialect::V3)
}

fn token(portal: &HubSpotState, headers: &HeaderMap, body: &[u8], dialect: Dialect) -> Response {
    let is_form = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        let message = "the body must be application/x-www-form-urlencoded";
        return refuse(dialect, StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_CONTENT_TYPE", "invalid_request", message);
    }
    let form = form(body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let now = portal.parts.clock.now();
    let mut tokens = portal.tokens.lock();
    if !tokens.is_app(field("client_id"), field("client_secret")) {
        let message = "missing or unknown client id or client secret";
        return refuse(dialect, StatusCode::BAD_REQUEST, "BAD_CLIENT_ID", "invalid_client", message);
    }
    match field("grant_type") {
        "refresh_token" if !tokens.is_refresh_token(field("refresh_token")) => {
            let message = "missing or invalid refresh token";
            return refuse(dialect, StatusCode::BAD_REQUEST, "BAD_REFRESH_TOKEN", "invalid_grant", message);
        }
        "authorization_code" if !tokens.redeem_code(field("code"), field("redirect_uri"), now) => {
            let message = "missing or invalid auth code";
            return refuse(dialect, StatusCode::BAD_REQUEST, "BAD_AUTH_CODE", "invalid_grant", message);
        }
        "refresh_token" | "authorization_code" => {}
        _ => {
            let message = "missing or unknown grant type";
            return refuse(dialect, StatusCode::BAD_REQUEST, "BAD_GRANT_TYPE", "unsupported_grant_type", message);
        }
    }
    let access_token = tokens.issue(now);
    let mut answer = json!({
        "token_type": "bearer", "refresh_token": tokens.refresh_token(), "access_token": access_token,
        "expires_in": ACCESS_TOKEN_SECONDS,
    });
    if dialect == Dialect::V3
        && let Some(fields) = answer.as_object_mut()
    {
        fields.insert("hub_id".into(), PORTAL_ID.into());
        fields.insert("user_id".into(), USER_ID.into());
        fields.insert("scopes".into(), SCOPES.as_slice().into());
        fields.insert("token_use".into(), "access_token".into());
    }
    Json(answer).into_response()
}

/// A refusal in a dialect: version 1 has HubSpot's own members, version 3 those of the standard too.
fn refuse(dialect: Dialect, status: StatusCode, status_name: &str, error: &str, message: &str) -> Response {
    let mut body = json!({"status": status_name, "message": message, "correlationId": correlation_id()});
    if dialect == Dialect::V3
        && let Some(fields) = body.as_object_mut()
    {
        fields.insert("error".into(), error.into());
        fields.insert("error_description".into(), message.into());
    }
    (status, Json(body)).into_response()
}

/// `GET /oauth/authorize`: the account's owner always agrees.
pub(crate) async fn authorize(State(portal): Portal, RawQuery(query): RawQuery) -> Result<Redirect, ApiError> {
    let form = form(query.unwrap_or_default().as_bytes());
    let redirect_uri = form.get("redirect_uri").cloned().unwrap_or_default();
    let mut target = url::Url::parse(&redirect_uri)
        .map_err(|_| ApiError::validation("The redirect_uri is missing or is not a URL"))?;
    let mut tokens = portal.tokens.lock();
    if !form.get("client_id").is_some_and(|client| tokens.is_client(client)) {
        return Err(ApiError::validation("The client_id is missing or unknown"));
    }
    let code = tokens.issue_code(&redirect_uri, portal.parts.clock.now());
    target.query_pairs_mut().append_pair("code", &code);
    if let Some(state) = form.get("state") {
        target.query_pairs_mut().append_pair("state", state);
    }
    Ok(Redirect::to(target.as_str()))
}

/// `GET /oauth/v1/access-tokens/{token}`
pub(crate) async fn access_token(
    State(portal): Portal,
    Path(params): Path<HashMap<String, String>>,
) -> Result<Json<Value>, ApiError> {
    let token = params.get("token").cloned().unwrap_or_default();
    let now = portal.parts.clock.now();
    match portal.tokens.lock().expires(&token).filter(|end| *end > now) {
        Some(end) => Ok(Json(json!({
            "token": token, "token_type": "access", "app_id": APP_ID, "hub_id": PORTAL_ID, "hub_domain": "sandbox.example",
            "user": "owner@sandbox.example", "user_id": USER_ID, "scopes": SCOPES, "expires_in": end.since(now).as_secs(),
        }))),
        None => Err(ApiError::not_found()),
    }
}

/// `GET /oauth/v1/refresh-tokens/{token}`
pub(crate) async fn refresh_token(
    State(portal): Portal,
    Path(params): Path<HashMap<String, String>>,
) -> Result<Json<Value>, ApiError> {
    let token = params.get("token").cloned().unwrap_or_default();
    let tokens = portal.tokens.lock();
    if !tokens.is_refresh_token(&token) {
        return Err(ApiError::not_found());
    }
    Ok(Json(json!({
        "token": token, "token_type": "refresh", "client_id": portal.parts.credentials.client_id, "hub_id": PORTAL_ID,
        "hub_domain": "sandbox.example", "user": "owner@sandbox.example", "user_id": USER_ID, "scopes": SCOPES,
    })))
}

/// `DELETE /oauth/v1/refresh-tokens/{token}`
pub(crate) async fn forget_refresh_token(
    State(portal): Portal,
    Path(params): Path<HashMap<String, String>>,
) -> StatusCode {
    let mut tokens = portal.tokens.lock();
    if params.get("token").is_some_and(|token| tokens.is_refresh_token(token)) {
        tokens.revoke();
    }
    StatusCode::NO_CONTENT
}

/// `POST /oauth/v3/introspect` and its dated forms. An unknown token is an answer, not an error.
pub(crate) async fn introspect(State(portal): Portal, body: Bytes) -> Response {
    let form = form(&body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let now = portal.parts.clock.now();
    let tokens = portal.tokens.lock();
    if !tokens.is_app(field("client_id"), field("client_secret")) {
        let message = "missing or unknown client id or client secret";
        return refuse(Dialect::V3, StatusCode::BAD_REQUEST, "BAD_CLIENT_ID", "invalid_client", message);
    }
    let token = field("token");
    let (token_use, expires_in) = match tokens.expires(token).filter(|end| *end > now) {
        Some(end) => ("access_token", Some(end.since(now).as_secs())),
        None if tokens.is_refresh_token(token) => ("refresh_token", None),
        None => return Json(json!({"active": false})).into_response(),
    };
    let mut answer = json!({
        "active": true, "token_use": token_use, "client_id": field("client_id"), "app_id": APP_ID,
        "hub_id": PORTAL_ID, "user_id": USER_ID, "scopes": SCOPES, "is_private_distribution": false,
    });
    if let Some(seconds) = expires_in {
        answer["expires_in"] = seconds.into();
    }
    Json(answer).into_response()
}

/// `POST /oauth/v3/revoke` and its dated forms. Revoking what is unknown succeeds, as the standard
/// asks.
pub(crate) async fn revoke(State(portal): Portal, body: Bytes) -> Response {
    let form = form(&body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let mut tokens = portal.tokens.lock();
    if !tokens.is_app(field("client_id"), field("client_secret")) {
        let message = "missing or unknown client id or client secret";
        return refuse(Dialect::V3, StatusCode::BAD_REQUEST, "BAD_CLIENT_ID", "invalid_client", message);
    }
    if tokens.is_refresh_token(field("token")) {
        tokens.revoke();
    } else {
        tokens.expire(field("token"), portal.parts.clock.now());
    }
    StatusCode::OK.into_response()
}

/// `GET /account-info/v3/details`
pub(crate) async fn account(Extension(_caller): Extension<Caller>) -> Json<Value> {
    Json(json!({
        "portalId": PORTAL_ID, "accountType": "DEVELOPER_TEST", "timeZone": "UTC", "companyCurrency": "USD",
        "additionalCurrencies": [], "utcOffset": "+00:00", "utcOffsetMilliseconds": 0,
        "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    }))
}
