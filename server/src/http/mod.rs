//! The HTTP API under `/v1`. Handlers read the store and send commands; they change nothing themselves.
//!
//! # Layout
//!
//! * [`state`]: what handlers can reach. `auth`: who calls, and with it whose data. `input`: what they send.
//! * `records`, `identity`, `erasures`, `changes`, `conflicts`, `connections`, `syncs`, `deliveries`, `quarantine`, `issues`, `metrics`, `webhooks`, `live`, `repo`, `health`:
//!   the routes, one file per resource, each with the forms in which it shows things.
//! * `page`, `origin`: forms that several resources share. `messages`: how the live feed's messages look.
//! * [`problem`]: every error. `layers`: what each request passes. `openapi`: the document made from the routes.

mod auth;
mod changes;
mod conflicts;
mod connections;
mod deliveries;
mod erasures;
mod health;
mod held_deletes;
mod identity;
mod input;
mod issues;
mod layers;
mod live;
mod messages;
mod metrics;
mod openapi;
mod origin;
mod page;
pub mod problem;
mod quarantine;
mod records;
mod repo;
pub mod state;
mod syncs;
pub mod webhooks;

use axum::{Router, http::header, routing::get};
use utoipa::{OpenApi, openapi::OpenApi as Description};
use utoipa_axum::router::OpenApiRouter;

pub use self::state::{AppState, Facts, RepoState};

/// The longest body that any route takes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The whole API, ready to be served.
pub fn router(state: AppState) -> Router {
    let (router, mut description) = routes().split_for_parts();
    description.info.version.clone_from(&state.facts.version);
    // The description is made of texts, lists and maps with text keys, so it always has a JSON form.
    let description = serde_json::to_string(&description).unwrap_or_default();
    let served = get(async move || ([(header::CONTENT_TYPE, "application/json")], description));
    // Some clients put a slash behind an address, and end their process where a handshake is refused.
    let router = router.route("/v1/openapi.json", served).route("/v1/repo/", get(repo::repo));
    // Not a part of the API: another reader, another credential, another format.
    let router = router.route("/metrics", get(metrics::metrics));
    layers::wrap(router.with_state(state))
}

/// The OpenAPI description of all routes.
pub fn description() -> Description {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(records::routes())
        .merge(identity::routes())
        .merge(changes::routes())
        .merge(live::routes())
        .merge(repo::routes())
        .merge(conflicts::routes())
        .merge(connections::routes())
        .merge(syncs::routes())
        .merge(deliveries::routes())
        .merge(quarantine::routes())
        .merge(erasures::routes())
        .merge(issues::routes())
        .merge(webhooks::routes())
        .merge(health::routes())
}
