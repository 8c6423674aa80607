//! The way into the automerge-repo endpoint: tokens, and the WebSocket.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use syncline_core::{ids::ModelName, time::Millis};
use tokio::time::Instant;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::{self, KeyPrincipal},
    input::{Body, PageSize, Params},
    page::{After, Page},
    problem::{Kind, Problem, Problems},
};
use crate::{
    engine::{clock::Clock, commands::Principal},
    repo::{Access, End, Full, Holder, Right, TokenError, VALID_MAX, Visitor, configure, serve, turn_away},
    store::documents::RefusalId,
};

/// How long a token is valid unless told otherwise: a working day.
const VALID_SECONDS: u64 = 12 * 60 * 60;

/// The longest name of a token's bearer.
const NAME_MAX: usize = 100;

/// The routes under `/v1/repo`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(repo)).routes(routes!(make_token)).routes(routes!(refusals))
}

/// Whether a character does not belong into a name that is shown to people: controls, and marks that turn the direction of text.
fn misleads(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a new token is to be good for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// Who will bear it, such as a user's or a device's name: shown behind the API key's name as the origin of changes. The
    /// API key's own name where it is missing.
    #[serde(default)]
    #[schema(nullable = false, max_length = 100)]
    name: Option<String>,
    /// The models whose records it may reach; all where it is missing.
    #[serde(default)]
    #[schema(nullable = false, value_type = Option<Vec<String>>)]
    models: Option<BTreeSet<ModelName>>,
    /// What it may do; everything where it is missing.
    #[serde(default)]
    #[schema(nullable = false)]
    access: Option<BTreeSet<Right>>,
    /// For how long, in seconds: at least 1, at most 366 days, 12 hours where it is missing.
    #[serde(default)]
    #[schema(nullable = false, minimum = 1, maximum = 31_622_400)]
    expires_in_seconds: Option<u64>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RepoToken)]
struct TokenView {
    /// The address to give to an automerge-repo WebSocket adapter, with the token in it. Keep it as secret as a password.
    url: String,
    /// The token.
    token: String,
    /// Until when it is valid.
    expires_at: String,
}

/// Makes a token for a client of the automerge-repo protocol.
///
/// A page cannot set headers on a WebSocket, and automerge-repo's adapter takes nothing but a URL: the token is part of it. It is signed,
/// scoped to the tenant and to what is asked for, and ends with its time or with the API key that made it.
#[utoipa::path(
    post,
    path = "/v1/repo/tokens",
    tag = "repo",
    operation_id = "create_repo_token",
    request_body(content = inline(TokenRequest)),
    responses((status = 201, description = "The token", body = TokenView), Problems)
)]
async fn make_token(
    State(state): State<AppState>,
    who: KeyPrincipal,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<TokenView>), Problem> {
    let KeyPrincipal { mut principal, hash } = who;
    for model in request.models.iter().flatten() {
        if !state.facts.models.contains_key(model) {
            let known: Vec<_> = state.facts.models.keys().map(ModelName::as_str).collect();
            let why = format!("there is no model `{model}`; the models are: {}", known.join(", "));
            return Err(Problem::field(Kind::Invalid, "models", why));
        }
    }
    let seconds = request.expires_in_seconds.unwrap_or(VALID_SECONDS);
    if !(1..=VALID_MAX.as_secs()).contains(&seconds) {
        let why = format!("must be from 1 to {}", VALID_MAX.as_secs());
        return Err(Problem::field(Kind::Invalid, "expires_in_seconds", why));
    }
    if let Some(name) = request.name {
        if name.trim().is_empty() || name.chars().count() > NAME_MAX || name.chars().any(misleads) {
            let why = format!("must have from 1 to {NAME_MAX} printable characters");
            return Err(Problem::field(Kind::Invalid, "name", why));
        }
        principal.name = format!("{}/{name}", principal.name);
    }
    let rights = request.access.unwrap_or_else(|| Access::all().rights);
    let holder = Holder { principal, access: Access { models: request.models, rights } };
    let exp = Clock::wall().0.max(0) as u64 / 1_000 + seconds;
    let token = state.repo.tokens.make(&holder, &hash, exp).map_err(Problem::internal)?;
    let address = state.facts.public_url.replacen("http", "ws", 1);
    let expires_at = Millis((exp * 1_000) as i64).to_rfc3339();
    let view = TokenView { url: format!("{address}/v1/repo?token={token}"), token, expires_at };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Which refusals to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RefusalParams {
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<RefusalId>>,
    /// The most refusals in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// A client's change that was refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RepoRefusal)]
struct RefusalView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Whose change it was.
    principal: String,
    /// The document that it was of.
    automerge_url: String,
    /// Why, as the client was told.
    reason: String,
}

/// Lists changes of clients that were refused, newest first; the newest 10,000 are kept.
#[utoipa::path(
    get,
    path = "/v1/repo/refusals",
    tag = "repo",
    operation_id = "list_repo_refusals",
    params(RefusalParams),
    responses((status = 200, description = "One page", body = Page<RefusalView>), Problems)
)]
async fn refusals(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<RefusalParams>,
) -> Result<Json<Page<RefusalView>>, Problem> {
    let limit = params.limit.get();
    let rows = state.store.tenant(&who.tenant).refusals(params.cursor.map(|After(id)| id), limit).await?;
    Ok(Json(Page::full(
        rows,
        limit,
        |(id, _)| *id,
        |(_, refusal)| RefusalView {
            at: refusal.at.to_rfc3339(),
            principal: refusal.principal,
            automerge_url: refusal.document.url(),
            reason: refusal.reason,
        },
    )))
}

/// How a client says who it is.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes the query, which is read leniently")]
struct Entrance {
    /// A token from `POST /v1/repo/tokens`; programs that can set headers send an API key as `Authorization: Bearer` instead.
    token: Option<String>,
}

/// Opens the automerge-repo protocol, version "1": a WebSocket with one CBOR map in each binary frame.
///
/// An unmodified automerge-repo client connects with `new WebSocketClientAdapter(url)`, where `url` comes from
/// `POST /v1/repo/tokens`. A record's document is named by `_meta.automerge_url`. The socket is always accepted, because
/// some clients end their process where a handshake is refused, and closed with 4401 (no or no valid token), 4403 (not
/// allowed), 4408 (too slow) or 4429 (too many; come back later) and a reason.
#[utoipa::path(
    get,
    path = "/v1/repo",
    tag = "repo",
    operation_id = "repo",
    params(Entrance),
    responses((status = 101, description = "The socket is open"), Problems)
)]
pub(super) async fn repo(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|refused| {
        Problem::new(
            Kind::Malformed,
            format!("this is the address of a WebSocket, use an automerge-repo client: {}", refused.body_text()),
        )
    })?;
    // Read leniently: whatever is wrong with it, the socket is accepted before it is closed.
    let query = query.unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find_map(|(name, token)| (name == "token").then_some(token));
    let visitor = visitor(&state, token.as_deref(), &headers).await;
    Ok(configure(upgrade).on_upgrade(async |socket| match visitor {
        Ok(visitor) => serve(socket, visitor).await,
        Err(end) => turn_away(socket, end).await,
    }))
}

/// Who is at the door, and whether it is let in.
async fn visitor(state: &AppState, token: Option<&str>, headers: &HeaderMap) -> Result<Visitor, End> {
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("unreadable"));
    if !state.repo.options.allows(origin) {
        return Err(End::Forbidden("pages of this origin may not connect: add it to `repo.allowed_origins`"));
    }
    let (holder, credential, until) = match token {
        Some(token) => {
            let (holder, until) = bearer_of(state, token).await?;
            (holder, format!("token {}", blake3::hash(token.as_bytes()).to_hex()), until)
        }
        None => {
            let holder = by_key(state, headers).await?;
            let credential = format!("key {}", holder.principal.name);
            (holder, credential, None)
        }
    };
    let place = state.repo.hub.admit(&holder.principal.tenant, &credential).map_err(|full| {
        End::TooMany(match full {
            Full::Tenant => "the tenant has too many connections: come back later",
            Full::Service => "the service has too many connections: come back later",
            Full::Rush => "too many connections at once: come back later",
            Full::Penance => "too many changes were refused: come back in a minute",
        })
    })?;
    Ok(Visitor {
        store: state.store.tenant(&holder.principal.tenant),
        documents: state.repo.documents.clone(),
        hub: state.repo.hub.clone(),
        own_limits: state.repo.options.limits(),
        models: state.facts.models.clone(),
        holder,
        credential,
        until,
        place,
    })
}

async fn bearer_of(state: &AppState, token: &str) -> Result<(Holder, Option<Instant>), End> {
    let read = auth::token_holder(state, token).await.map_err(|error| End::Broken(error.to_string()))?;
    let (holder, exp) = read.map_err(|refused| {
        End::Unauthorised(match refused {
            TokenError::Expired => "the token has expired: get a new one",
            TokenError::Forged => "the token is not one of this service: get one from POST /v1/repo/tokens",
            TokenError::Orphaned => "the API key that made the token is gone: get a new token",
        })
    })?;
    let now_ms = Clock::wall().0.max(0) as u64;
    let left = Duration::from_millis((exp * 1_000).saturating_sub(now_ms)).min(VALID_MAX);
    Ok((holder, Some(Instant::now() + left)))
}

async fn by_key(state: &AppState, headers: &HeaderMap) -> Result<Holder, End> {
    match auth::key_principal(state, headers).await {
        Ok(KeyPrincipal { principal, .. }) => Ok(Holder { principal, access: Access::all() }),
        Err(problem) if problem.kind() == Kind::Unauthorized => Err(End::Unauthorised(
            "no token in the address and no API key in the header: get a token from POST /v1/repo/tokens",
        )),
        Err(problem) if problem.kind() == Kind::Malformed => Err(End::Protocol(4403, problem.detail().to_owned())),
        Err(problem) => Err(End::Broken(problem.detail().to_owned())),
    }
}
