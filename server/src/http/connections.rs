//! Providers, integrations and the tenant's connected accounts.

use axum::{Json, extract::State};
use serde::Serialize;
use syncline_core::{ids::ConnectionId, time::Millis};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    deliveries::CountsView,
    input::Segments,
    page::Page,
    problem::{Problem, Problems},
    state::{ConnectionFacts, IntegrationFacts, ProviderFacts},
    syncs::PhaseView,
};
use crate::{
    engine::commands::{Principal, WebhookCounts},
    store::syncs::{Phase, SyncState},
};

/// The routes of providers, integrations and connections.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(providers))
        .routes(routes!(integrations))
        .routes(routes!(connections))
        .routes(routes!(connection))
}

/// Lists the kinds of systems that this server can connect.
#[utoipa::path(
    get,
    path = "/v1/providers",
    tag = "connections",
    operation_id = "list_providers",
    responses((status = 200, description = "All of them", body = Page<ProviderFacts>), Problems)
)]
async fn providers(State(state): State<AppState>, _who: Principal) -> Json<Page<ProviderFacts>> {
    Json(Page { items: state.facts.providers.clone(), next_cursor: None })
}

/// Lists the configured integrations.
#[utoipa::path(
    get,
    path = "/v1/integrations",
    tag = "connections",
    operation_id = "list_integrations",
    responses((status = 200, description = "All of them", body = Page<IntegrationFacts>), Problems)
)]
async fn integrations(State(state): State<AppState>, _who: Principal) -> Json<Page<IntegrationFacts>> {
    Json(Page { items: state.facts.integrations.clone(), next_cursor: None })
}

/// A tenant's authorised account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connection)]
struct ConnectionView {
    /// Its id in the configuration.
    id: String,
    /// The integration.
    integration: String,
    /// The integration's provider.
    provider: String,
    /// The worst state of its syncs; null before the first of them has started.
    status: Option<PhaseView>,
    /// What went wrong last, and not since gone right.
    last_error: Option<String>,
    /// How far the provider's clock is ahead of ours, in milliseconds, as last measured.
    clock_offset_ms: Option<i64>,
    /// The syncs that it takes part in.
    syncs: Vec<String>,
    /// Its deliveries.
    deliveries: CountsView,
    /// Where the provider is to send webhooks.
    webhook_url: String,
    /// What it sent since the server started; null where the provider does not push.
    webhooks: Option<WebhooksView>,
}

/// What came in by a connection's webhooks since the server started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhooks)]
struct WebhooksView {
    /// The secrets that deliveries are verified with, in the order of the configuration: the newest first. One that verifies
    /// nothing any more can be removed.
    secrets: Vec<WebhookSecretView>,
    /// How many deliveries were refused.
    refused: u64,
    /// When one was refused last.
    last_refused_at: Option<String>,
    /// Why.
    last_refusal: Option<String>,
}

/// What one secret has verified.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
struct WebhookSecretView {
    /// How many deliveries.
    verified: u64,
    /// When the last one.
    last_used_at: Option<String>,
}

impl From<WebhookCounts> for WebhooksView {
    fn from(counts: WebhookCounts) -> Self {
        let secret = |(verified, last): &(u64, Option<Millis>)| WebhookSecretView {
            verified: *verified,
            last_used_at: last.map(|at| at.to_rfc3339()),
        };
        let (last_refused_at, last_refusal) = counts.last_refusal.unzip();
        Self {
            secrets: counts.verified.iter().map(secret).collect(),
            refused: counts.refused,
            last_refused_at: last_refused_at.map(|at| at.to_rfc3339()),
            last_refusal,
        }
    }
}

/// Lists the tenant's connections.
#[utoipa::path(
    get,
    path = "/v1/connections",
    tag = "connections",
    operation_id = "list_connections",
    responses((status = 200, description = "All of them", body = Page<ConnectionView>), Problems)
)]
async fn connections(State(state): State<AppState>, who: Principal) -> Result<Json<Page<ConnectionView>>, Problem> {
    let states = state.store.tenant(&who.tenant).sync_states().await?;
    let mut items = Vec::new();
    for (id, facts) in state.facts.connections.iter().filter(|(_, facts)| facts.tenant == who.tenant) {
        items.push(view(&state, id, facts, &states).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// Reads a connection.
#[utoipa::path(
    get,
    path = "/v1/connections/{id}",
    tag = "connections",
    operation_id = "get_connection",
    params(("id" = String, Path, description = "The connection")),
    responses((status = 200, description = "The connection", body = ConnectionView), Problems)
)]
async fn connection(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<ConnectionId>,
) -> Result<Json<ConnectionView>, Problem> {
    let facts = state.facts.connection(&who, &id)?;
    let states = state.store.tenant(&who.tenant).sync_states().await?;
    view(&state, &id, facts, &states).await.map(Json)
}

async fn view(
    state: &AppState,
    id: &ConnectionId,
    facts: &ConnectionFacts,
    states: &[SyncState],
) -> Result<ConnectionView, Problem> {
    let store = state.store.tenant(&facts.tenant);
    let of_syncs = || states.iter().filter(|side| side.connection == *id);
    Ok(ConnectionView {
        id: id.to_string(),
        integration: facts.integration.clone(),
        provider: facts.provider.clone(),
        status: worst(of_syncs().map(|side| side.phase)).map(PhaseView::from),
        last_error: of_syncs().find_map(|side| side.last_error.clone()),
        clock_offset_ms: store.clock_offset_ms(id).await?,
        syncs: state
            .facts
            .syncs
            .iter()
            .filter(|(_, sync)| sync.sides.contains_key(id))
            .map(|(sync, _)| sync.clone())
            .collect(),
        deliveries: store.count_deliveries(Some(id)).await?.into(),
        webhook_url: format!("{}/v1/webhooks/{id}", state.facts.public_url),
        webhooks: state.commands.webhook_counts(id).map(WebhooksView::from),
    })
}

/// The phase that most wants somebody's attention.
pub(super) fn worst(phases: impl Iterator<Item = Phase>) -> Option<Phase> {
    phases.max_by_key(|phase| match phase {
        Phase::Live => 0,
        Phase::Backfilling => 1,
        Phase::Paused => 2,
        Phase::WaitingApproval => 3,
        Phase::Degraded => 4,
        Phase::ReauthNeeded => 5,
    })
}
