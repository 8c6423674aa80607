//! The HubSpot emulator: contacts and companies over the CRM API, OAuth, webhooks.
//!
//! # Layout
//!
//! A request passes `gate` (who, how often, which mishap), reaches a route (`objects`, `batch`,
//! `search`, `properties`, `oauth`, `hooks`), which asks `portal`, the account. `portal` lets a
//! `table` change its records, writes the ledger and hands `events` to the `outbox`, from which
//! `sender` posts them.
//!
//! | file | noun |
//! |---|---|
//! | `portal` | the account: tables, ledger, outbox, and the rules of every write |
//! | `table`, `merge` | the records of one type and every change of them |
//! | `record`, `packed` | one record with its history; its values in one allocation |
//! | `index` | the search index, which trails the records |
//! | `schema`, `standard` | property definitions; those that every account has |
//! | `normalise` | what becomes of a written value |
//! | `filter` | filters and sort keys of a search |
//! | `render`, `errors` | records and errors on the wire |
//! | `path`, `params`, `body` | what a request names, asks for and carries |
//! | `tokens`, `limits`, `caller`, `author` | bearer tokens; request budgets; who acts, for the ledger and for the history |
//! | `events`, `subscriptions`, `outbox`, `sender`, `signature` | webhooks from the change to the signed request |
//! | `seed` | the contacts at the start |
//! | `side_door` | the account under `/admin` |
//! | `switches` | everything that can be switched |

mod author;
mod batch;
mod body;
mod caller;
mod errors;
mod events;
mod filter;
mod gate;
mod hooks;
mod index;
mod limits;
mod merge;
mod normalise;
mod oauth;
mod objects;
mod outbox;
mod packed;
mod params;
mod path;
mod portal;
mod properties;
mod record;
mod render;
mod schema;
mod search;
mod seed;
mod sender;
mod side_door;
mod signature;
mod standard;
mod subscriptions;
mod switches;
mod table;
mod time;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use portal::HubSpotState;
pub use switches::FAULTS;

use errors::ApiError;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The public API. It also starts the task that sends webhooks, which ends with the account.
pub fn router(state: Arc<HubSpotState>) -> Router {
    let sending = sender::run(state.outbox.clone(), state.parts.faults.clone(), state.stop.clone());
    tokio::spawn(sending);
    let guarded = object_routes("/crm/v3/objects/{type}")
        .merge(object_routes("/crm/objects/{version}/{type}"))
        .merge(property_routes("/crm/v3/properties/{type}"))
        .merge(property_routes("/crm/properties/{version}/{type}"))
        .merge(webhook_routes())
        .route("/account-info/v3/details", get(oauth::account))
        .layer(from_fn_with_state(state.clone(), gate::guard));
    guarded.merge(oauth_routes()).fallback(unknown_route).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(state)
}

type Routes = Router<Arc<HubSpotState>>;

fn object_routes(base: &str) -> Routes {
    let at = |rest: &str| format!("{base}{rest}");
    Router::new()
        .route(base, get(objects::list).post(objects::create))
        .route(&at("/{id}"), get(objects::get).patch(objects::update).delete(objects::archive))
        .route(&at("/search"), post(search::search))
        .route(&at("/merge"), post(objects::merge))
        .route(&at("/gdpr-delete"), post(objects::erase))
        .route(&at("/batch/read"), post(batch::read))
        .route(&at("/batch/create"), post(batch::create))
        .route(&at("/batch/update"), post(batch::update))
        .route(&at("/batch/upsert"), post(batch::upsert))
        .route(&at("/batch/archive"), post(batch::archive))
}

fn property_routes(base: &str) -> Routes {
    Router::new()
        .route(base, get(properties::list).post(properties::create))
        .route(&format!("{base}/{{id}}"), get(properties::get))
        .route(&format!("{base}/batch/create"), post(properties::create_batch))
}

fn webhook_routes() -> Routes {
    let settings = get(hooks::get_settings).put(hooks::put_settings).delete(hooks::delete_settings);
    Router::new()
        .route("/webhooks/v3/{app}/settings", settings)
        .route("/webhooks/v3/{app}/subscriptions", get(hooks::list).post(hooks::create))
        .route("/webhooks/v3/{app}/subscriptions/{id}", axum::routing::patch(hooks::update).delete(hooks::delete))
}

fn oauth_routes() -> Routes {
    let refresh_token = get(oauth::refresh_token).delete(oauth::forget_refresh_token);
    Router::new()
        .route("/oauth/authorize", get(oauth::authorize))
        .route("/oauth/v1/token", post(oauth::token_v1))
        .route("/oauth/v1/access-tokens/{token}", get(oauth::access_token))
        .route("/oauth/v1/refresh-tokens/{token}", refresh_token)
        .route("/oauth/{version}/token", post(oauth::token_v3))
        .route("/oauth/{version}/introspect", post(oauth::introspect))
        .route("/oauth/{version}/token/introspect", post(oauth::introspect))
        .route("/oauth/{version}/revoke", post(oauth::revoke))
        .route("/oauth/{version}/token/revoke", post(oauth::revoke))
}

async fn unknown_route() -> ApiError {
    ApiError::not_found()
}
