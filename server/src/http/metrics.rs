//! Metrics for Prometheus, for whoever operates the service.

use std::collections::BTreeSet;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use syncline_core::ids::TenantId;

use super::{
    AppState, auth,
    problem::{Kind, Problem},
};
use crate::metrics::{Admission, MEDIA_TYPE, ScrapeError, Sources};

/// All metrics in the OpenMetrics text format. They are about every tenant, so no API key opens them, only the token that the
/// configuration names for them; without one they are shown to nobody.
pub(super) async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    match state.metrics.admits(auth::bearer(&headers)) {
        Admission::Admitted => {}
        Admission::Refused => {
            return Err(auth::unauthorized_because(
                "the metrics' token is missing or wrong: send the header `Authorization: Bearer <token>` with the \
                 configuration's `server.metrics_token`; API keys do not open the metrics",
            ));
        }
        Admission::Closed => {
            return Err(Problem::new(
                Kind::NotFound,
                "metrics are shown to nobody: name a token for them in the configuration, `server.metrics_token`",
            ));
        }
    }
    let of_connections = state.facts.connections.values().map(|connection| &connection.tenant);
    let tenants: BTreeSet<&TenantId> =
        of_connections.chain(state.facts.syncs.values().map(|sync| &sync.tenant)).collect();
    let tenants: Vec<_> = tenants.into_iter().map(|tenant| (tenant.clone(), state.facts.own_scope(tenant))).collect();
    let sources = Sources {
        store: state.store.as_ref(),
        tenants: &tenants,
        feed: &state.feed,
        repo: &state.repo.hub,
        version: &state.facts.version,
    };
    let text = state.metrics.scrape(sources).await.map_err(|error| match error {
        ScrapeError::Store(error) => error.into(),
        error @ ScrapeError::Format(_) => Problem::internal(error),
    })?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
