//! Who calls: an API key, and through it a tenant. [`Principal`] is the only way to a tenant's data in a handler.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use syncline_core::{
    ids::{ModelName, TenantId},
    model::Model,
    time::Millis,
};

use super::{
    AppState,
    problem::{Kind, Problem},
};
use crate::{
    engine::commands::Principal,
    repo::{Access, Holder, Right, TokenError},
    store::{
        StoreError,
        keys::{ApiKey, KeyHash},
    },
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

/// Somebody who may read records: an API key, or the bearer of a token of the repo endpoint, within what it may reach.
pub(super) struct Reader(Holder);

impl Reader {
    /// Who it is.
    pub(super) const fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// The model, where there is one that it may reach; another one looks as if there were none.
    pub(super) fn model<'a>(&self, state: &'a AppState, name: &str) -> Result<&'a Model, Problem> {
        if self.0.access.reaches(&ModelName::new(name)) {
            return state.facts.model(name);
        }
        Err(Problem::new(Kind::NotFound, format!("there is no model `{name}` for this token")))
    }

    /// The models that it may reach.
    pub(super) fn models(&self, state: &AppState) -> Arc<BTreeMap<ModelName, Model>> {
        match &self.0.access.models {
            None => state.facts.models.clone(),
            Some(reached) => {
                let models = state.facts.models.iter().filter(|(name, _)| reached.contains(*name));
                Arc::new(models.map(|(name, model)| (name.clone(), model.clone())).collect())
            }
        }
    }
}

impl FromRequestParts<AppState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let shown = bearer(&parts.headers).or_else(|| offered(&parts.headers));
        match shown.filter(|shown| is_token(shown)) {
            Some(token) => {
                let (holder, _) =
                    token_holder(state, token).await?.map_err(|why| unauthorized_because(&why.to_string()))?;
                if !holder.access.may(Right::Read) {
                    return Err(unauthorized_because("the token may not read: ask for one with `read`"));
                }
                Ok(Self(holder))
            }
            None => {
                let principal = principal(state, shown, &parts.headers).await?;
                Ok(Self(Holder { principal, access: Access::all() }))
            }
        }
    }
}

/// Whether a credential has the form of a token rather than of an API key: three parts, the first of them JSON in base64.
fn is_token(shown: &str) -> bool {
    shown.split('.').count() == 3 && shown.starts_with("ey")
}

/// Who bears a token, and until when in seconds since 1970.
pub(super) async fn token_holder(
    state: &AppState,
    token: &str,
) -> Result<Result<(Holder, u64), TokenError>, StoreError> {
    let claims = match state.repo.tokens.read(token) {
        Ok(claims) => claims,
        Err(refused) => return Ok(Err(refused)),
    };
    let known = match claims.key() {
        Some(key) => state.store.api_key(&key).await?,
        None => None,
    };
    Ok(if known.is_some() { Ok((claims.holder(), claims.exp)) } else { Err(TokenError::Orphaned) })
}

/// The key in `Authorization: Bearer <key>`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
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
    tracing::Span::current().record("tenant", tracing::field::display(&tenant));
    note_use(state, hash, &known);
    Ok(Principal { tenant, name: known.name })
}

fn unauthorized() -> Problem {
    unauthorized_because(
        "the API key is missing or unknown: send the header `Authorization: Bearer <key>` with a key from the configuration's `api_keys`",
    )
}

pub(super) fn unauthorized_because(why: &str) -> Problem {
    Problem::new(Kind::Unauthorized, why).with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
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
