//! The way into the live feed.

use axum::{
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Reader,
    changes::full,
    problem::{Kind, Problem, Problems},
};
use crate::live::{Listener, configure, serve};

/// The subprotocol that a client may name; a browser has to, beside `bearer.<key>`.
const PROTOCOL: &str = "syncline";

/// The route `/v1/live`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Opens the live feed, a WebSocket with JSON messages: `LiveClientMessage` and `LiveServerMessage` in the schemas.
///
/// The client sends `{"type": "subscribe", "models": [], "filter": {}, "cursor": null, "snapshot": true}`. The server
/// answers `subscribed`, then pages of `snapshot`, one `snapshot_end`, and every later `change` in order without a gap. A
/// client that reconnects sends the last cursor that it has worked off. `resync` means that changes were left out: subscribe
/// again with a snapshot. Browsers, which cannot set headers, offer the subprotocols `syncline` and `bearer.<key>`. A socket
/// that is too slow or silent is closed with 4408.
#[utoipa::path(
    get,
    path = "/v1/live",
    tag = "changes",
    operation_id = "live",
    responses((status = 101, description = "The socket is open"), Problems)
)]
async fn live(
    State(state): State<AppState>,
    who: Reader,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|refused| {
        Problem::new(
            Kind::Malformed,
            format!("this is the address of a WebSocket, use a WebSocket client: {}", refused.body_text()),
        )
    })?;
    let listener = Listener {
        seat: state.feed.seat(&who.principal().tenant).ok_or_else(full)?,
        store: state.store.tenant(&who.principal().tenant),
        hub: state.feed.clone(),
        models: who.models(&state),
    };
    Ok(configure(upgrade).protocols([PROTOCOL]).on_upgrade(|socket| serve(socket, listener)))
}
