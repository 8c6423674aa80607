//! What every data request passes: session, quota, version, and the mishaps that befall the integration.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::call::header as text_header;
use super::call::{Call, Version};
use super::errors::ApiError;
use super::platform::SalesforceState;
use super::quota::DAILY_REQUESTS_MAX;
use super::sessions::Principal;
use crate::serve::CutConnection;

/// The most bytes that address and headers may have together.
const HEAD_BYTES_MAX: usize = 16_384;

/// Lets a request through with a [`Call`] among its extensions, or refuses it.
pub(crate) async fn gate(State(state): State<Arc<SalesforceState>>, mut request: Request, next: Next) -> Response {
    if head_bytes(&request) > HEAD_BYTES_MAX {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    let used = state.quota.lock().count(state.parts.clock.now());
    let admitted = admit(&state, &request, used);
    let mut response = match admitted {
        Err(error) => error.into_response(),
        Ok(call) => {
            let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
            let may_be_lost = is_write && call.caller.is_integration();
            request.extensions_mut().insert(call);
            let response = next.run(request).await;
            if may_be_lost && response.status().is_success() && state.parts.faults.roll("response_lost") {
                return CutConnection::response();
            }
            response
        }
    };
    if let Ok(usage) = HeaderValue::from_str(&format!("api-usage={used}/{DAILY_REQUESTS_MAX}")) {
        response.headers_mut().insert("sforce-limit-info", usage);
    }
    response
}

fn admit(state: &SalesforceState, request: &Request, used: u64) -> Result<Call, ApiError> {
    let faults = &state.parts.faults;
    let token = bearer(request.headers())?;
    let principal = authenticate(state, token)?;
    let mut caller = state.caller(principal);
    if caller.is_integration() && faults.roll("session_expired") {
        state.sessions.lock().expire(token);
        return Err(ApiError::invalid_session());
    }
    if used > DAILY_REQUESTS_MAX && faults.roll("daily_quota") {
        return Err(over_quota());
    }
    if caller.is_integration() {
        mishap(state)?;
    }
    caller.allows_duplicates = text_header(request.headers(), "sforce-duplicate-rule-header")
        .is_some_and(|value| value.to_ascii_lowercase().contains("allowsave=true"));
    caller.auto_assigns =
        text_header(request.headers(), "sforce-auto-assign").is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    let version = request.uri().path().split('/').nth(3).and_then(Version::parse).ok_or_else(ApiError::not_found)?;
    let pattern = request.extensions().get::<MatchedPath>().map_or("(unknown)", MatchedPath::as_str);
    let pattern = pattern.trim_end_matches('/');
    Ok(Call { caller, version, via: format!("{} {pattern}", request.method()).into() })
}

/// The token of `Authorization: Bearer …` (or `OAuth …`, the older spelling).
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(ApiError::invalid_session)?;
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    match parts {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth") => {
            Ok(token.trim())
        }
        _ => Err(ApiError::new(StatusCode::UNAUTHORIZED, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")),
    }
}

/// Whose session a token is.
pub(crate) fn authenticate(state: &SalesforceState, token: &str) -> Result<Principal, ApiError> {
    let now = state.parts.clock.now();
    state.sessions.lock().authenticate(token, now).ok_or_else(ApiError::invalid_session)
}

fn mishap(state: &SalesforceState) -> Result<(), ApiError> {
    let faults = &state.parts.faults;
    if faults.roll("request_limit") {
        return Err(over_quota());
    }
    if faults.roll("server_unavailable") {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(ApiError::new(status, "SERVER_UNAVAILABLE", "Server is temporarily unavailable"));
    }
    if faults.roll("unknown_exception") {
        let message = "An unexpected error occurred. Please include this ErrorId if you contact support: 1729-4104";
        return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN_EXCEPTION", message));
    }
    Ok(())
}

fn over_quota() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
}

fn head_bytes(request: &Request) -> usize {
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter();
    uri + headers.map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}
