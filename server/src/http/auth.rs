//! Who calls: an API key, and through it a tenant. [`Principal`] is the only way to a tenant's data in a handler.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use syncline_core::{ids::TenantId, time::Millis};

use super::{
    AppState,
    problem::{Kind, Problem},
};
use crate::{
    engine::commands::Principal,
    store::keys::{ApiKey, KeyHash},
};

/// The header that names the tenant for a key that is bound to none.
const TENANT_HEADER: &str = "syncline-tenant";

/// The subprotocol by which a browser, which cannot set headers on a WebSocket, hands over its key.
const KEY_PROTOCOL: &str = "bearer.";

/// A key's last use is noted no more often than this.
const USE_NOTED_EVERY_MS: i64 = 60_000;

impl FromRequestParts<AppState> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        principal(state, bearer(&parts.headers), &parts.headers).await
    }
}

/// A principal and the key by which it is known, for whoever hands rights on.
pub(super) struct KeyPrincipal {
    pub(super) principal: Principal,
    pub(super) hash: KeyHash,
}

impl FromRequestParts<AppState> for KeyPrincipal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        key_principal(state, &parts.headers).await
    }
}

/// The principal whose key the headers hold.
pub(super) async fn key_principal(state: &AppState, headers: &HeaderMap) -> Result<KeyPrincipal, Problem> {
    let key = bearer(headers).or_else(|| offered(headers));
    let hash = KeyHash::of(key.unwrap_or_default());
    principal(state, key, headers).await.map(|principal| KeyPrincipal { principal, hash })
}

/// The principal of a WebSocket request.
pub(super) struct SocketPrincipal(pub(super) Principal);

impl FromRequestParts<AppState> for SocketPrincipal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let key = bearer(&parts.headers).or_else(|| offered(&parts.headers));
        principal(state, key, &parts.headers).await.map(Self)
    }
}

/// The key in `Authorization: Bearer <key>`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// The key in `Sec-WebSocket-Protocol: syncline, bearer.<key>`.
fn offered(headers: &HeaderMap) -> Option<&str> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).find_map(|offer| offer.trim().strip_prefix(KEY_PROTOCOL))
}

async fn principal(state: &AppState, key: Option<&str>, headers: &HeaderMap) -> Result<Principal, Problem> {
    // A missing key takes the way of an unknown one, and the store looks up hashes: no time tells how near a guess was.
    let hash = KeyHash::of(key.unwrap_or_default());
    let known = state.store.api_key(&hash).await?.filter(|_| key.is_some()).ok_or_else(unauthorized)?;
    let tenant = tenant(state, &known, headers.get(TENANT_HEADER))?;
    note_use(state, hash, &known);
    Ok(Principal { tenant, name: known.name })
}

fn unauthorized() -> Problem {
    Problem::new(
        Kind::Unauthorized,
        "the API key is missing or unknown: send the header `Authorization: Bearer <key>` with a key from the configuration's `api_keys`",
    )
    .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn tenant(state: &AppState, key: &ApiKey, asked: Option<&HeaderValue>) -> Result<TenantId, Problem> {
    let asked =
        asked.map(|value| value.to_str().map(TenantId::new).map_err(|_| no_tenant("is not text"))).transpose()?;
    match (&key.tenant, asked) {
        (Some(bound), None) => Ok(bound.clone()),
        (Some(bound), Some(asked)) if *bound == asked => Ok(asked),
        (Some(_), Some(_)) => Err(no_tenant("names another tenant than the API key's: leave the header out")),
        (None, Some(asked)) if state.facts.has_tenant(&asked) => Ok(asked),
        (None, Some(asked)) => {
            Err(no_tenant(&format!("names `{asked}`, and nothing in the configuration is of that tenant")))
        }
        (None, None) => Err(no_tenant("is missing: the API key is bound to no tenant, so each request names one")),
    }
}

fn no_tenant(why: &str) -> Problem {
    Problem::field(Kind::Malformed, "Syncline-Tenant", why)
}

/// Notes the use of a key beside the request, which does not wait for it.
fn note_use(state: &AppState, hash: KeyHash, key: &ApiKey) {
    let now = Millis(jiff::Timestamp::now().as_millisecond());
    if key.last_used_at.is_some_and(|at| now.0 - at.0 < USE_NOTED_EVERY_MS) {
        return;
    }
    let store = state.store.clone();
    tokio::spawn(async move {
        if let Err(error) = store.api_key_used(&hash, now).await {
            tracing::debug!(%error, "the use of an API key was not noted");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_clients_can_put_them() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
        };
        for (value, expected) in
            [("Bearer abc", Some("abc")), ("bearer  abc", Some("abc")), ("Basic abc", None), ("abc", None)]
        {
            assert_eq!(bearer(&headers("authorization", value)), expected, "{value}");
        }
        for (value, expected) in
            [("syncline, bearer.abc", Some("abc")), ("bearer.abc,syncline", Some("abc")), ("syncline", None)]
        {
            assert_eq!(offered(&headers("sec-websocket-protocol", value)), expected, "{value}");
        }
    }
}
