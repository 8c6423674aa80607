//! Where providers push. A webhook is only a hint: it is verified, stored and answered at once; work comes later.
//!
//! Anybody can call here, so nothing may grow with the number of callers: at most [`AT_ONCE_MAX`] deliveries are taken in at a
//! time, each of at most [`super::BODY_BYTES_MAX`] bytes that must arrive within [`BODY_WITHIN`]. Further ones are answered at once with 503 and
//! `Retry-After`: providers deliver again, and polling finds what they do not.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode},
};
use syncline_core::ids::ConnectionId;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    input::{Segments, unread},
    problem::{Kind, Problem, Problems},
};
use crate::{engine::commands::IncomingWebhook, metrics::instruments::WebhookOutcome};

/// How many deliveries are taken in at once, over all connections. Each holds its body, so this bounds their memory.
pub const AT_ONCE_MAX: usize = 128;
/// How long a delivery's body may take to arrive, so that slow callers keep nobody else out for long.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// The route `/v1/webhooks/{connection}`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// Takes in a provider's webhook.
///
/// The provider signs its request; no API key is asked for.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{connection}",
    tag = "webhooks",
    operation_id = "receive_webhook",
    security(()),
    params(("connection" = String, Path, description = "The connection that the provider pushes for")),
    request_body(content = String, content_type = "application/json", description = "As the provider sends it; at most 1 MiB"),
    responses(
        (status = 202, description = "Verified and stored"),
        Problems,
    )
)]
async fn receive(
    State(state): State<AppState>,
    Segments(connection): Segments<ConnectionId>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let begun = Instant::now();
    let answer = take(&state, &connection, request).await;
    let outcome = match &answer {
        Ok(0) => WebhookOutcome::Duplicate,
        Ok(_) => WebhookOutcome::Received,
        Err(problem) if problem.status().is_client_error() => WebhookOutcome::Refused,
        Err(_) => WebhookOutcome::Failed,
    };
    let known = state.facts.connections.contains_key(&connection).then_some(&connection);
    state.metrics.instruments().webhook(known, outcome, begun.elapsed());
    answer.map(|_| StatusCode::ACCEPTED)
}

/// Hands the webhook on; returns how many of its hints are new.
async fn take(state: &AppState, connection: &ConnectionId, request: Request) -> Result<usize, Problem> {
    let _place = state.webhooks.try_acquire().map_err(|_| {
        Problem::unavailable(format!("{AT_ONCE_MAX} webhooks are being taken in already: deliver this one again"))
    })?;
    let webhook = tokio::time::timeout(BODY_WITHIN, read(request)).await.map_err(|_| {
        Problem::new(Kind::TooSlow, format!("the body did not arrive within {} s", BODY_WITHIN.as_secs()))
    })??;
    let hints = state.commands.webhook(connection, webhook).await?;
    tracing::debug!(%connection, hints, "a webhook was taken in");
    Ok(hints)
}

async fn read(request: Request) -> Result<IncomingWebhook, Problem> {
    let method = request.method().to_string();
    let path_and_query = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let headers = plain(request.headers());
    let body = Bytes::from_request(request, &()).await.map_err(|refused| unread(refused.status()))?;
    Ok(IncomingWebhook { method, path_and_query, headers, body })
}

/// Headers by lower-case name; of a repeated header the last stands, and a value that is no text is left out, so that a
/// signature in it cannot match.
fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}
