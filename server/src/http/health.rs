//! Whether the service lives, and whether it can answer.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    problem::{Problem, Problems},
};

/// The routes `/health` and `/ready`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready))
}

/// The service's state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView {
    /// Always `ok`; whatever is not is a problem.
    status: Status,
    /// The server's version.
    version: String,
}

/// The only good state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HealthStatus)]
enum Status {
    Ok,
}

/// Says that the process lives. Looks at nothing else, so that a slow disk does not get it restarted.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    operation_id = "health",
    security(()),
    responses((status = 200, description = "It lives", body = HealthView))
)]
async fn health(State(state): State<AppState>) -> Json<HealthView> {
    Json(view(&state))
}

/// Says whether requests can be answered: the database can be read and written right now.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "health",
    operation_id = "ready",
    security(()),
    responses((status = 200, description = "Requests can be answered", body = HealthView), Problems)
)]
async fn ready(State(state): State<AppState>) -> Result<Json<HealthView>, Problem> {
    if state.feed.closing().is_cancelled() {
        return Err(Problem::unavailable("the service is shutting down"));
    }
    state.store.probe().await.map_err(|error| {
        // The caller needs no key, so the cause, which may name paths, stays in the log.
        tracing::warn!(%error, "the service is not ready");
        Problem::unavailable("the database cannot be read and written now; the cause is in the server's log")
    })?;
    Ok(Json(view(&state)))
}

fn view(state: &AppState) -> HealthView {
    HealthView { status: Status::Ok, version: state.facts.version.clone() }
}
