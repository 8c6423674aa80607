//! What stands between the network and every route: who asks, whether they may, what is left of their budgets, and what
//! goes wrong on the way in and out.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::account::ZendeskState;
use super::caller::{Caller, Principal};
use super::errors::ApiError;
use super::kind::Id;
use super::limits::{Budget, Endpoint};
use super::switches;

/// The seconds that a planned interruption takes.
const MAINTENANCE_S: u64 = 5;

/// Lets a request through to its route, or answers in the platform's stead.
pub(crate) async fn guard(State(account): State<Arc<ZendeskState>>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map_or("(unknown)", MatchedPath::as_str);
    let pattern = matched.trim_end_matches(".json").to_owned();
    let principal = match account.authenticate(request.headers(), &pattern) {
        Ok(principal) => principal,
        Err(error) => return error.into_response(),
    };
    let metered = principal == Principal::Integration;
    let mut shown = Vec::new();
    if metered {
        let endpoints = Endpoint::of(request.method(), &pattern, id_in(request.uri().path()));
        if let Err(error) = account.admit(&endpoints, &mut shown) {
            return with_headers(&shown, error.into_response());
        }
    }
    let writes = request.method() != Method::GET;
    let via = format!("{} {pattern}", request.method());
    request.extensions_mut().insert(Caller::of(principal, via.into()));
    let response = next.run(request).await;
    if metered && writes && response.status().is_success() && account.parts.faults.roll(switches::RESPONSE_LOST) {
        return account.lost_response();
    }
    with_headers(&shown, response)
}

/// The id that follows the name of a list.
fn id_in(path: &str) -> Option<Id> {
    path.split('/').nth(4).and_then(|part| part.trim_end_matches(".json").parse().ok())
}

type Shown = Vec<(Option<Endpoint>, Budget)>;

impl ZendeskState {
    fn authenticate(&self, headers: &HeaderMap, pattern: &str) -> Result<Principal, ApiError> {
        let now = self.parts.clock.now();
        let mut tokens = self.tokens.lock();
        if let Some(token) = bearer(headers) {
            let mut found = tokens.bearer(token, now);
            if found == Some(Principal::Integration) && self.parts.faults.roll(switches::EARLY_TOKEN_EXPIRY) {
                tokens.expire(token, now);
                found = tokens.bearer(token, now);
            }
            return found.ok_or_else(ApiError::invalid_token);
        }
        let found = basic(headers).and_then(|(user, password)| tokens.basic(&user, &password));
        match found {
            Some(principal) => Ok(principal),
            None if pattern == "/api/v2/users/me" && self.parts.faults.is_on(switches::ANONYMOUS_ME) => {
                self.parts.faults.count(switches::ANONYMOUS_ME);
                Ok(Principal::Anonymous)
            }
            None => Err(ApiError::unauthenticated()),
        }
    }

    /// Takes a request of the integration out of its budgets, unless a fault or an empty budget refuses it.
    fn admit(&self, endpoints: &[Endpoint], shown: &mut Shown) -> Result<(), ApiError> {
        let faults = &self.parts.faults;
        if faults.roll(switches::HTML_ERROR) {
            let bad_gateway = faults.draw(switches::HTML_ERROR) < 0.5;
            let status = if bad_gateway { StatusCode::BAD_GATEWAY } else { StatusCode::SERVICE_UNAVAILABLE };
            return Err(ApiError::page(status));
        }
        if faults.roll(switches::UNAVAILABLE) {
            let internal = faults.draw(switches::UNAVAILABLE) < 0.5;
            return Err(if internal { ApiError::internal() } else { ApiError::maintenance(MAINTENANCE_S) });
        }
        self.take(None, faults.roll(switches::RATE_LIMITED), shown)?;
        for endpoint in endpoints {
            self.take(Some(*endpoint), faults.roll(switches::ENDPOINT_LIMITED), shown)?;
        }
        Ok(())
    }

    fn take(&self, endpoint: Option<Endpoint>, early: bool, shown: &mut Shown) -> Result<(), ApiError> {
        let budget = self.limits.lock().take(endpoint, self.parts.clock.now());
        shown.push((endpoint, budget));
        let enforced = !budget.allowed && self.parts.faults.is_on(switches::RATE_LIMITS);
        if enforced {
            self.parts.faults.count(switches::RATE_LIMITS);
        }
        if !early && !enforced {
            return Ok(());
        }
        let why = endpoint.map_or("Number of allowed API requests per minute exceeded", Endpoint::refusal);
        Err(ApiError::too_many(why, budget.resets_s))
    }

    /// Most lost answers are cut connections; some are time-outs of a front.
    fn lost_response(&self) -> Response {
        if self.parts.faults.draw(switches::RESPONSE_LOST) < 0.7 {
            crate::serve::CutConnection::response()
        } else {
            ApiError::page(StatusCode::GATEWAY_TIMEOUT).into_response()
        }
    }
}

/// Adds what is left of the budgets that the request drew on.
fn with_headers(shown: &Shown, mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (endpoint, budget) in shown {
        let Budget { total, remaining, resets_s, .. } = *budget;
        match endpoint {
            None => {
                for name in ["x-rate-limit", "ratelimit-limit"] {
                    headers.insert(HeaderName::from_static(name), HeaderValue::from(total));
                }
                for name in ["x-rate-limit-remaining", "ratelimit-remaining"] {
                    headers.insert(HeaderName::from_static(name), HeaderValue::from(remaining));
                }
                headers.insert("ratelimit-reset", HeaderValue::from(resets_s));
            }
            Some(endpoint) => {
                let text = format!("total={total}; remaining={remaining}; resets={resets_s}");
                if let (Some(name), Ok(value)) = (endpoint.header(), HeaderValue::from_str(&text)) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
    }
    response
}

fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest.trim())
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer")
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let bytes = STANDARD.decode(authorization(headers, "basic")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}
