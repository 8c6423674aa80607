//! What stands between the network and every route of the CRM API: who asks, whether they may, what
//! is left of their budget, and what goes wrong on the way in and out.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::caller::Caller;
use super::errors::ApiError;
use super::limits::Budget;
use super::portal::HubSpotState;
use super::switches;
use super::tokens::{Principal, TokenError};
use crate::clock::Micros;
use crate::serve::CutConnection;

/// The seconds that `Retry-After` asks for, where it is there.
const RETRY_AFTER_S: u16 = 300;

/// The kind of route, as far as limits and faults go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Read,
    Search,
    Write,
}

impl Traffic {
    fn of(method: &Method, pattern: &str) -> Self {
        if pattern.ends_with("/search") {
            Self::Search
        } else if *method == Method::GET || pattern.ends_with("/batch/read") {
            Self::Read
        } else {
            Self::Write
        }
    }
}

/// Lets a request through to its route, or answers in the platform's stead.
pub(crate) async fn guard(State(portal): State<Arc<HubSpotState>>, mut request: Request, next: Next) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().map_or("(unknown)", MatchedPath::as_str).to_owned();
    let traffic = Traffic::of(request.method(), &pattern);
    let principal = match portal.authenticate(request.headers()) {
        Ok(principal) => principal,
        Err(error) => return error.into_response(),
    };
    let metered = principal == Principal::Integration;
    if metered && let Err(error) = portal.admit(traffic) {
        return portal.with_rate_headers(traffic, error.into_response());
    }
    let via = format!("{} {pattern}", request.method());
    request.extensions_mut().insert(Caller::of(principal, via.into()));
    let response = next.run(request).await;
    if metered && traffic == Traffic::Write && response.status().is_success() && portal.loses_response() {
        return portal.lost_response();
    }
    portal.with_rate_headers(traffic, response)
}

impl HubSpotState {
    fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, ApiError> {
        let token = bearer(headers).ok_or_else(ApiError::unauthenticated)?;
        let now = self.parts.clock.now();
        let mut tokens = self.tokens.lock();
        let mut found = tokens.principal(token, now);
        if found == Ok(Principal::Integration) && self.parts.faults.roll(switches::EARLY_TOKEN_EXPIRY) {
            tokens.expire(token, now);
            found = tokens.principal(token, now);
        }
        found.map_err(|error| match error {
            TokenError::Unknown => ApiError::unauthenticated(),
            TokenError::Expired(end) => {
                let seconds = i64::try_from(now.since(end).as_secs()).unwrap_or(i64::MAX);
                ApiError::token_expired(end.to_rfc3339_millis(), seconds)
            }
        })
    }

    /// Takes a request of the app out of its budgets, unless a fault or an empty budget refuses it.
    fn admit(&self, traffic: Traffic) -> Result<(), ApiError> {
        let faults = &self.parts.faults;
        if faults.roll(switches::UNAVAILABLE) {
            return Err(ApiError::unavailable(self.outage()));
        }
        if faults.roll(switches::DAILY_LIMITED) {
            return Err(ApiError::rate_limited("DAILY"));
        }
        let now = self.parts.clock.now();
        match traffic {
            Traffic::Search if faults.roll(switches::SEARCH_RATE_LIMITED) || !self.has_search(now) => {
                Err(self.limited("SECONDLY"))
            }
            Traffic::Read | Traffic::Write if faults.roll(switches::RATE_LIMITED) || !self.has_request(now) => {
                Err(self.limited("TEN_SECONDLY_ROLLING"))
            }
            _ => Ok(()),
        }
    }

    fn limited(&self, policy: &'static str) -> ApiError {
        let retry_after = self.parts.faults.roll(switches::RETRY_AFTER).then_some(RETRY_AFTER_S);
        ApiError { retry_after, ..ApiError::rate_limited(policy) }
    }

    fn has_request(&self, now: Micros) -> bool {
        let taken = self.limits.lock().take(now);
        taken || !self.enforces_limits()
    }

    fn has_search(&self, now: Micros) -> bool {
        let taken = self.limits.lock().take_search(now);
        taken || !self.enforces_limits()
    }

    fn enforces_limits(&self) -> bool {
        let enforced = self.parts.faults.is_on(switches::RATE_LIMITS);
        if enforced {
            self.parts.faults.count(switches::RATE_LIMITS);
        }
        enforced
    }

    fn outage(&self) -> StatusCode {
        let share = self.parts.faults.draw(switches::UNAVAILABLE);
        if share < 0.4 {
            StatusCode::SERVICE_UNAVAILABLE
        } else if share < 0.7 {
            StatusCode::BAD_GATEWAY
        } else {
            StatusCode::GATEWAY_TIMEOUT
        }
    }

    fn loses_response(&self) -> bool {
        self.parts.faults.roll(switches::RESPONSE_LOST)
    }

    /// Most lost answers are cut connections; some are time-outs of a proxy in between.
    fn lost_response(&self) -> Response {
        if self.parts.faults.draw(switches::RESPONSE_LOST) < 0.7 {
            CutConnection::response()
        } else {
            ApiError::unavailable(StatusCode::GATEWAY_TIMEOUT).into_response()
        }
    }

    /// Adds the rate headers, which search answers lack.
    fn with_rate_headers(&self, traffic: Traffic, mut response: Response) -> Response {
        if traffic == Traffic::Search {
            return response;
        }
        let Budget { interval_ms, max, remaining } = self.limits.lock().budget();
        let headers = response.headers_mut();
        headers.insert("x-hubspot-ratelimit-interval-milliseconds", HeaderValue::from(interval_ms));
        headers.insert("x-hubspot-ratelimit-max", HeaderValue::from(max));
        headers.insert("x-hubspot-ratelimit-remaining", HeaderValue::from(remaining));
        response
    }
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
