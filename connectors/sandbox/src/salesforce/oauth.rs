//! Tokens: the authorise, token, revoke, introspect and user-info endpoints.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use super::call::Params;
use super::errors::json_response;
use super::id::RecordId;
use super::platform::SalesforceState;
use super::sessions::{Grant, GrantError, Principal};
use super::table::USER_PREFIX;
use super::transaction::Caller;

/// The org's own id.
pub(crate) const ORG_ID: &str = "00DSb0000000001EAA";

const BAD_CLIENT_ID: GrantError = GrantError { error: "invalid_client_id", description: "client identifier invalid" };
const BAD_SECRET: GrantError = GrantError { error: "invalid_client", description: "invalid client credentials" };

impl IntoResponse for GrantError {
    fn into_response(self) -> Response {
        refused(self.error, self.description)
    }
}

fn refused(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    json_response(StatusCode::BAD_REQUEST, &body)
}

/// `GET /services/oauth2/authorize`: the person at the browser always agrees.
pub(crate) async fn authorize(State(state): State<Arc<SalesforceState>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    if params.get("client_id") != Some(&state.parts.credentials.client_id) {
        return BAD_CLIENT_ID.into_response();
    }
    if params.get("response_type") != Some("code") {
        return refused("unsupported_response_type", "response type not supported");
    }
    let redirect_uri = params.get("redirect_uri").unwrap_or_default();
    let Ok(mut target) = Url::parse(redirect_uri) else {
        return refused("redirect_uri_mismatch", "redirect_uri must match configuration");
    };
    let challenge = params.get("code_challenge").map(str::to_owned);
    if challenge.is_some() && params.get("code_challenge_method").is_some_and(|method| method != "S256") {
        return refused("invalid_request", "code_challenge_method must be S256");
    }
    let code = state.sessions.lock().issue_code(redirect_uri, challenge, state.parts.clock.now());
    target.query_pairs_mut().append_pair("code", &code);
    if let Some(echo) = params.get("state") {
        target.query_pairs_mut().append_pair("state", echo);
    }
    Redirect::to(target.as_str()).into_response()
}

/// `POST /services/oauth2/token`, form-encoded.
pub(crate) async fn token(State(state): State<Arc<SalesforceState>>, headers: HeaderMap, body: String) -> Response {
    let form = Params::parse(Some(&body));
    match check_client(&state, &headers, &form).and_then(|()| grant(&state, &form)) {
        Ok(grant) => json_response(StatusCode::OK, &token_answer(&state, grant)),
        Err(refusal) => refusal.into_response(),
    }
}

fn grant(state: &SalesforceState, form: &Params) -> Result<Grant, GrantError> {
    let now = state.parts.clock.now();
    let rotate = state.parts.faults.is_on("refresh_rotation");
    let mut sessions = state.sessions.lock();
    match form.get("grant_type") {
        Some("refresh_token") => {
            let granted = sessions.refresh(form.get("refresh_token").unwrap_or_default(), rotate, now)?;
            if rotate {
                state.parts.faults.count("refresh_rotation");
            }
            Ok(granted)
        }
        Some("authorization_code") => sessions.exchange(
            form.get("code").unwrap_or_default(),
            form.get("redirect_uri").unwrap_or_default(),
            form.get("code_verifier"),
            now,
        ),
        Some("client_credentials") => Ok(sessions.client_credentials(now)),
        _ => Err(GrantError { error: "unsupported_grant_type", description: "grant type not supported" }),
    }
}

/// The client proves itself in the form or by HTTP Basic; the secret is required for every grant.
fn check_client(state: &SalesforceState, headers: &HeaderMap, form: &Params) -> Result<(), GrantError> {
    let basic = basic_credentials(headers);
    let (basic_id, basic_secret) = basic.as_ref().map(|(id, secret)| (id.as_str(), secret.as_str())).unzip();
    let credentials = &state.parts.credentials;
    if basic_id.or(form.get("client_id")) != Some(&credentials.client_id) {
        return Err(BAD_CLIENT_ID);
    }
    if basic_secret.or(form.get("client_secret")) != Some(&credentials.client_secret) {
        return Err(BAD_SECRET);
    }
    Ok(())
}

fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
    decoded.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

fn token_answer(state: &SalesforceState, grant: Grant) -> Value {
    let identity = identity_url(state, state.caller(Principal::Integration).user);
    let issued_at = state.parts.clock.now().millis().to_string();
    let mut answer = json!({
        "access_token": grant.access_token,
        "instance_url": instance_url(state),
        "id": identity,
        "token_type": "Bearer",
        "scope": "refresh_token api",
        "issued_at": issued_at,
        "signature": signature(&state.parts.credentials.client_secret, &identity, &issued_at),
    });
    if let Some(refresh_token) = grant.refresh_token {
        answer["refresh_token"] = Value::String(refresh_token);
    }
    answer
}

/// Where the org lives. A moved org has another name for the same place.
fn instance_url(state: &SalesforceState) -> String {
    let base = &state.parts.base_url;
    if state.parts.faults.roll("instance_moved") {
        return base.replace("127.0.0.1", "localhost");
    }
    base.clone()
}

fn signature(secret: &str, identity: &str, issued_at: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of every length.
        return String::new();
    };
    mac.update(identity.as_bytes());
    mac.update(issued_at.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Where a user, by number, is told about itself.
pub(crate) fn identity_url(state: &SalesforceState, user: u32) -> String {
    format!("{}/id/{ORG_ID}/{}", state.parts.base_url, RecordId::new(USER_PREFIX, user))
}

/// `POST` (or `GET`) `/services/oauth2/revoke`.
pub(crate) async fn revoke(
    State(state): State<Arc<SalesforceState>>,
    RawQuery(query): RawQuery,
    body: String,
) -> Response {
    let (form, params) = (Params::parse(Some(&body)), Params::parse(query.as_deref()));
    let token = form.get("token").or(params.get("token")).unwrap_or_default();
    if state.sessions.lock().revoke(token) {
        return StatusCode::OK.into_response();
    }
    refused("unsupported_token_type", "this token type is not supported")
}

/// `POST /services/oauth2/introspect`.
pub(crate) async fn introspect(
    State(state): State<Arc<SalesforceState>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let form = Params::parse(Some(&body));
    if let Err(refusal) = check_client(&state, &headers, &form) {
        return refusal.into_response();
    }
    let now = state.parts.clock.now();
    let principal = state.sessions.lock().authenticate(form.get("token").unwrap_or_default(), now);
    let body = match principal {
        None => json!({ "active": false }),
        Some(principal) => json!({
            "active": true,
            "scope": "refresh_token api",
            "client_id": state.parts.credentials.client_id,
            "username": state.caller(principal).actor.id.as_ref(),
            "sub": identity_url(&state, state.caller(principal).user),
            "token_type": "access_token",
        }),
    };
    json_response(StatusCode::OK, &body)
}

/// `GET /services/oauth2/userinfo` and the identity address itself.
pub(crate) async fn user_info(State(state): State<Arc<SalesforceState>>, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token);
    let principal = state.sessions.lock().authenticate(token, state.parts.clock.now());
    let Some(principal) = principal else {
        // This endpoint answers in plain text, unlike the data API.
        return (StatusCode::FORBIDDEN, "Bad_OAuth_Token").into_response();
    };
    let Caller { actor, user, .. } = state.caller(principal);
    let name = actor.id;
    let body = json!({
        "sub": identity_url(&state, user),
        "user_id": RecordId::new(USER_PREFIX, user).to_string(),
        "organization_id": ORG_ID,
        "preferred_username": format!("{name}@org.example"),
        "name": name.as_ref(),
        "email": format!("{name}@org.example"),
        "urls": { "rest": format!("{}/services/data/v{{version}}/", state.parts.base_url) },
        "active": true,
    });
    json_response(StatusCode::OK, &body)
}
