//! What stands between the network and every route: who asks, whether they may, what is left of their limits, what goes
//! wrong, and whether the answer is one that the client has already.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::caller::{Caller, Principal};
use super::errors::ApiError;
use super::limits::{Budget, Cost, PRIMARY_MAX};
use super::site::GitHubState;
use super::switches;
use crate::clock::Micros;

/// The versions that are served.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];
/// How long a limit that struck early holds.
const PUNISHED: Duration = Duration::from_secs(60);
/// The largest answer that is compared with what the client has.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Lets a request through to its route, or answers in the platform's stead.
pub(crate) async fn guard(State(site): State<Arc<GitHubState>>, mut request: Request, next: Next) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().map_or("(unknown)", MatchedPath::as_str).to_owned();
    if let Err(error) = check_headers(request.headers()) {
        return error.into_response();
    }
    if by_jwt(&pattern) {
        let checked = token(request.headers())
            .ok_or_else(ApiError::unauthenticated)
            .and_then(|jwt| site.tokens.lock().check_jwt(jwt, site.parts.clock.now()).map_err(ApiError::bad_jwt));
        return match checked {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        };
    }
    let principal = match site.authenticate(request.headers()) {
        Ok(principal) => principal,
        Err(error) => return error.into_response(),
    };
    let (metered, is_read) = (principal != Principal::User, request.method() == Method::GET);
    if metered
        && pattern != "/rate_limit"
        && let Err(error) = site.admit(cost_of(request.method(), &pattern))
    {
        return site.with_limits(error.into_response());
    }
    let via = format!("{} {pattern}", request.method());
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    request.extensions_mut().insert(Caller::of(principal, via.into()));
    let response = next.run(request).await;
    if metered && !is_read && response.status().is_success() && site.parts.faults.roll(switches::RESPONSE_LOST) {
        return site.lost_response();
    }
    let response = if is_read && response.status() == StatusCode::OK {
        site.revalidated(response, known.as_ref(), metered).await
    } else {
        response
    };
    if metered { site.with_limits(response) } else { response }
}

/// Routes at which the app itself speaks, by JWT.
fn by_jwt(pattern: &str) -> bool {
    pattern == "/app" || pattern.starts_with("/app/")
}

fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get(header::USER_AGENT).is_none_or(HeaderValue::is_empty) {
        return Err(ApiError::no_user_agent());
    }
    match headers.get("x-github-api-version").and_then(|value| value.to_str().ok()) {
        Some(version) if !VERSIONS.contains(&version) => Err(ApiError::bad_version(version)),
        _ => Ok(()),
    }
}

fn cost_of(method: &Method, pattern: &str) -> Cost {
    if *method == Method::GET {
        return Cost::Read;
    }
    let makes = *method == Method::POST && (pattern.ends_with("/issues") || pattern.ends_with("/comments"));
    if makes { Cost::Creation } else { Cost::Write }
}

impl GitHubState {
    fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, ApiError> {
        let token = token(headers).ok_or_else(ApiError::unauthenticated)?;
        let now = self.parts.clock.now();
        let mut tokens = self.tokens.lock();
        let mut found = tokens.principal(token, now);
        if found == Some(Principal::Installation) && self.parts.faults.roll(switches::EARLY_TOKEN_EXPIRY) {
            tokens.expire(token, now);
            found = tokens.principal(token, now);
        }
        found.ok_or_else(ApiError::bad_credentials)
    }

    /// Takes a request of the integration out of its limits, unless a fault or a limit refuses it.
    fn admit(&self, cost: Cost) -> Result<(), ApiError> {
        let (faults, now) = (&self.parts.faults, self.parts.clock.now());
        if faults.roll(switches::UNAVAILABLE) {
            return Err(ApiError::unavailable(faults.draw(switches::UNAVAILABLE) < 0.5));
        }
        let mut limits = self.limits.lock();
        let length = self.parts.clock.scaled(PUNISHED);
        if faults.roll(switches::RATE_LIMITED) {
            limits.exhaust(now, length);
        }
        if faults.roll(switches::SECONDARY_LIMITED) {
            limits.punish(now.plus(length));
        }
        let enforced = faults.is_on(switches::RATE_LIMITS);
        if !limits.take(now) && enforced {
            faults.count(switches::RATE_LIMITS);
            let message = "API rate limit exceeded for installation ID 1001.";
            return Err(ApiError::limited(self.limit_status(), message, None));
        }
        let strict = faults.is_on(switches::WRITE_INTERVAL);
        if !limits.take_secondary(cost, strict, now) && enforced {
            faults.count(switches::RATE_LIMITS);
            let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            let wait = length.as_secs_f64().ceil().max(1.0) as u64;
            let wait = Some(wait).filter(|_| !faults.roll(switches::NO_RETRY_AFTER));
            return Err(ApiError::limited(self.limit_status(), message, wait));
        }
        Ok(())
    }

    /// Limits are told by 403 or 429, as it pleases the platform.
    fn limit_status(&self) -> StatusCode {
        if self.parts.faults.draw(switches::RATE_LIMITED) < 0.5 {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::TOO_MANY_REQUESTS
        }
    }

    /// Most lost answers are cut connections; some are pages of a front.
    fn lost_response(&self) -> Response {
        if self.parts.faults.draw(switches::RESPONSE_LOST) < 0.7 {
            crate::serve::CutConnection::response()
        } else {
            ApiError::unavailable(true).into_response()
        }
    }

    /// Gives an answer its tag, and leaves its body out where the client has it. That costs nothing.
    async fn revalidated(&self, response: Response, known: Option<&HeaderValue>, metered: bool) -> Response {
        let (mut parts, body) = response.into_parts();
        let Ok(bytes) = to_bytes(body, ANSWER_BYTES_MAX).await else {
            return ApiError::unavailable(false).into_response();
        };
        let digest = Sha256::digest(&bytes);
        let tag = digest.iter().take(16).fold("W/\"".to_owned(), |text, byte| format!("{text}{byte:02x}")) + "\"";
        let same = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
        if let Ok(tag) = HeaderValue::try_from(tag) {
            parts.headers.insert(header::ETAG, tag);
        }
        if !same {
            return Response::from_parts(parts, Body::from(bytes));
        }
        if metered {
            self.limits.lock().give_back();
        }
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::empty())
    }

    /// Adds the headers of the primary limit.
    fn with_limits(&self, mut response: Response) -> Response {
        let Budget { used, resets } = self.limits.lock().budget(self.parts.clock.now());
        let headers = response.headers_mut();
        for (name, value) in [
            ("x-ratelimit-limit", PRIMARY_MAX),
            ("x-ratelimit-remaining", PRIMARY_MAX - used.min(PRIMARY_MAX)),
            ("x-ratelimit-used", used),
            ("x-ratelimit-reset", reset_second(resets)),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
        headers.insert("x-ratelimit-resource", HeaderValue::from_static("core"));
        response
    }
}

/// The first whole second at which a limit has ended.
pub(crate) fn reset_second(resets: Micros) -> u64 {
    u64::try_from(resets.0.div_euclid(1_000_000) + 1).unwrap_or(0)
}

/// The token of a request, after `Bearer` or `token`.
fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(token.trim())
}
