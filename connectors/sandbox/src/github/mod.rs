//! The GitHub Issues emulator: issues, comments, labels, assignees and milestones; a GitHub App; webhooks.
//!
//! # Layout
//!
//! A request passes `gate` (who, how often, which mishap, and whether the client has the answer already) and reaches a
//! route, which asks `site`. A write is read into a `wish`; `site` carries it out, and tells ledger and `outbox`, from
//! which `sender` sends each delivery once.
//!
//! | file | noun |
//! |---|---|
//! | `site`, `world` | the organisation, what it holds, and every change of it |
//! | `wish` | what a body asks for, checked |
//! | `issues`, `parts`, `app` | routes: of issues; of what else a repository holds; of the app and of webhooks |
//! | `listing` | filters, order and pages of lists |
//! | `tokens`, `limits`, `caller`, `call` | JWTs and tokens; limits; who acts; a request |
//! | `events`, `outbox`, `sender`, `signature` | webhooks, from the change to the signed delivery |
//! | `render`, `errors` | objects and errors on the wire |
//! | `seed` | what there is at the start |
//! | `side_door` | the site under `/admin` |
//! | `switches` | everything that can be switched |

mod app;
mod call;
mod caller;
mod errors;
mod events;
mod gate;
mod issues;
mod limits;
mod listing;
mod outbox;
mod parts;
mod render;
mod seed;
mod sender;
mod side_door;
mod signature;
mod site;
mod switches;
mod tokens;
mod wish;
mod world;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

pub use site::GitHubState;
pub use switches::FAULTS;

use errors::ApiError;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The public API. It also starts the task that sends webhooks, which ends with the site.
pub fn router(state: Arc<GitHubState>) -> Router {
    let sending = sender::run(state.outbox.clone(), state.parts.faults.clone(), state.stop.clone());
    tokio::spawn(sending);
    let guarded = repository_routes("/repos/{owner}/{repo}")
        .merge(repository_routes("/repositories/{repository}"))
        .merge(app_routes())
        .route("/user", get(parts::me))
        .route("/rate_limit", get(parts::rate_limit))
        .route("/installation/repositories", get(parts::repositories))
        .layer(from_fn_with_state(state.clone(), gate::guard));
    guarded.fallback(unknown_route).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(state)
}

type Routes = Router<Arc<GitHubState>>;

fn repository_routes(base: &str) -> Routes {
    let at = |rest: &str| format!("{base}{rest}");
    let one_comment = get(parts::comment).patch(parts::change_comment).delete(parts::change_comment);
    let labels =
        get(issues::labels).post(issues::change_labels).put(issues::change_labels).delete(issues::change_labels);
    let one_label = get(parts::label).patch(parts::change_label).delete(parts::change_label);
    let one_milestone = get(parts::milestone).patch(parts::write_milestone).delete(parts::delete_milestone);
    let one_hook = get(app::show_hook).patch(app::change_hook).delete(app::change_hook);
    Router::new()
        .route(base, get(parts::repository))
        .route(&at("/issues"), get(issues::list).post(issues::create))
        .route(&at("/issues/comments"), get(parts::comments))
        .route(&at("/issues/comments/{id}"), one_comment)
        .route(&at("/issues/{number}"), get(issues::show).patch(issues::update))
        .route(&at("/issues/{number}/lock"), put(issues::lock).delete(issues::lock))
        .route(&at("/issues/{number}/labels"), labels)
        .route(&at("/issues/{number}/labels/{name}"), delete(issues::change_labels))
        .route(&at("/issues/{number}/assignees"), post(issues::change_assignees).delete(issues::change_assignees))
        .route(&at("/issues/{number}/comments"), get(parts::comments).post(parts::say))
        .route(&at("/labels"), get(parts::labels).post(parts::create_label))
        .route(&at("/labels/{name}"), one_label)
        .route(&at("/milestones"), get(parts::milestones).post(parts::write_milestone))
        .route(&at("/milestones/{milestone}"), one_milestone)
        .route(&at("/assignees"), get(parts::assignees))
        .route(&at("/assignees/{login}"), get(parts::is_assignable))
        .route(&at("/hooks"), get(app::hooks).post(app::create_hook))
        .route(&at("/hooks/{hook}"), one_hook)
        .route(&at("/hooks/{hook}/deliveries"), get(app::deliveries))
        .route(&at("/hooks/{hook}/deliveries/{delivery}"), get(app::delivery))
        .route(&at("/hooks/{hook}/deliveries/{delivery}/attempts"), post(app::redeliver))
}

fn app_routes() -> Routes {
    Router::new()
        .route("/app", get(app::app))
        .route("/app/installations", get(app::installations))
        .route("/app/installations/{installation}", get(app::installation))
        .route("/app/installations/{installation}/access_tokens", post(app::access_token))
        .route("/app/hook/config", get(app::app_hook).patch(app::app_hook))
        .route("/app/hook/deliveries", get(app::deliveries))
        .route("/app/hook/deliveries/{delivery}", get(app::delivery))
        .route("/app/hook/deliveries/{delivery}/attempts", post(app::redeliver))
}

async fn unknown_route() -> ApiError {
    ApiError::not_found()
}
