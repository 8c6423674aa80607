//! The Zendesk Support emulator: tickets, users, organisations and comments, exports, searches, jobs, OAuth, webhooks.
//!
//! # Layout
//!
//! A request passes `gate` (who, how often, which mishap) and reaches a route, which asks `account`. A write is read into
//! a `wish`, completed and judged by `rules`, and carried out by `writes`, which tell index, ledger and `outbox`; from
//! there `sender` sends what webhooks and triggers have to say.
//!
//! | file | noun |
//! |---|---|
//! | `account` | everything that the account holds, and what is done by itself in time |
//! | `kind`, `schema`, `table` | the object types, what they may hold, and what they hold |
//! | `wish`, `normalise`, `markup`, `tags` | what a body asks for, in stored form |
//! | `rules`, `writes`, `thread` | every change of an object, and what is noted of a ticket's |
//! | `objects`, `parts`, `deleted`, `bulk`, `fields` | routes of objects and of what hangs on them |
//! | `incremental`, `lists` | exports; pages of lists |
//! | `index`, `query`, `search` | the search, which trails |
//! | `jobs`, `idempotency` | work that is done later; keys of creations |
//! | `tokens`, `oauth`, `limits`, `caller`, `call` | tokens; budgets; who acts; a request |
//! | `events`, `hook`, `hooks`, `triggers`, `outbox`, `circuit`, `sender`, `signature` | webhooks, from the change to the signed request |
//! | `render`, `errors`, `time` | objects, errors and times on the wire |
//! | `seed` | what there is at the start |
//! | `side_door` | the account under `/admin` |
//! | `switches` | everything that can be switched |

mod account;
mod bulk;
mod call;
mod caller;
mod circuit;
mod deleted;
mod errors;
mod events;
mod fields;
mod gate;
mod hook;
mod hooks;
mod idempotency;
mod incremental;
mod index;
mod jobs;
mod kind;
mod limits;
mod lists;
mod markup;
mod normalise;
mod oauth;
mod objects;
mod outbox;
mod parts;
mod query;
mod render;
mod rules;
mod schema;
mod search;
mod seed;
mod sender;
mod side_door;
mod signature;
mod switches;
mod table;
mod tags;
mod thread;
mod time;
mod tokens;
mod triggers;
mod wish;
mod writes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};

pub use account::ZendeskState;
pub use switches::FAULTS;

use errors::ApiError;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The public API. It also starts the tasks that send webhooks and do what comes due, which end with the account.
pub fn router(state: Arc<ZendeskState>) -> Router {
    let sending = sender::run(state.outbox.clone(), state.parts.faults.clone(), state.stop.clone());
    tokio::spawn(sending);
    tokio::spawn(account::do_chores(Arc::downgrade(&state), state.stop.clone()));
    let guarded = object_routes("tickets").merge(object_routes("users")).merge(object_routes("organizations"));
    let guarded = guarded
        .merge(ticket_routes())
        .merge(user_routes())
        .merge(deleted_routes())
        .merge(export_routes())
        .merge(field_routes())
        .merge(webhook_routes())
        .layer(from_fn_with_state(state.clone(), gate::guard));
    guarded
        .route("/oauth/tokens", post(oauth::token))
        .route("/oauth/authorizations/new", get(oauth::authorize))
        .fallback(unknown_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state)
}

type Routes = Router<Arc<ZendeskState>>;

/// Routes below `/api/v2`. Every path may end in `.json`; one that ends in a parameter takes it as a part of that.
fn routes<const N: usize>(list: [(&str, MethodRouter<Arc<ZendeskState>>); N]) -> Routes {
    list.into_iter().fold(Router::new(), |routes, (path, method)| {
        let path = format!("/api/v2/{path}");
        if path.ends_with('}') {
            return routes.route(&path, method);
        }
        routes.route(&format!("{path}.json"), method.clone()).route(&path, method)
    })
}

fn object_routes(list: &str) -> Routes {
    let at = |rest: &str| format!("{list}{rest}");
    let tags = get(parts::tags).post(parts::change_tags).put(parts::change_tags).delete(parts::change_tags);
    routes([
        (list, get(objects::list).post(objects::create)),
        (&at("/show_many"), get(objects::show_many)),
        (&at("/create_many"), post(bulk::create)),
        (&at("/update_many"), put(bulk::update)),
        (&at("/destroy_many"), delete(bulk::destroy)),
        (&at("/{id}"), get(objects::show).put(objects::update).delete(objects::delete)),
        (&at("/{id}/tags"), tags),
    ])
}

fn ticket_routes() -> Routes {
    routes([
        ("tickets/{id}/comments", get(parts::comments)),
        ("tickets/{id}/audits", get(parts::audits)),
        ("tickets/{id}/merge", post(bulk::merge)),
        ("job_statuses", get(bulk::jobs)),
        ("job_statuses/show_many", get(bulk::show_jobs)),
        ("job_statuses/{id}", get(bulk::job)),
    ])
}

fn user_routes() -> Routes {
    routes([
        ("users/me", get(objects::me)),
        ("users/search", get(objects::look_up)),
        ("users/create_or_update", post(objects::create_or_update)),
        ("users/create_or_update_many", post(bulk::upsert)),
        ("users/{id}/merge", put(objects::merge)),
        ("users/{id}/tickets/requested", get(objects::related)),
        ("users/{id}/organizations", get(objects::related)),
        ("users/{id}/identities", get(parts::list_identities).post(parts::add_identity)),
        ("users/{id}/identities/{identity}", put(parts::change_identity).delete(parts::remove_identity)),
        ("users/{id}/identities/{identity}/make_primary", put(parts::make_primary)),
        ("organizations/search", get(objects::look_up)),
        ("organizations/create_or_update", post(objects::create_or_update)),
        ("organizations/create_or_update_many", post(bulk::upsert)),
        ("organizations/{id}/users", get(objects::related)),
        ("organizations/{id}/tickets", get(objects::related)),
    ])
}

fn deleted_routes() -> Routes {
    routes([
        ("deleted_tickets", get(deleted::tickets)),
        ("deleted_tickets/restore_many", put(deleted::restore_many)),
        ("deleted_tickets/destroy_many", delete(deleted::scrub)),
        ("deleted_tickets/{id}", delete(deleted::scrub)),
        ("deleted_tickets/{id}/restore", put(deleted::restore)),
        ("deleted_users", get(deleted::users)),
        ("deleted_users/{id}", get(deleted::user).delete(deleted::scrub_user)),
    ])
}

fn export_routes() -> Routes {
    routes([
        ("incremental/tickets/cursor", get(incremental::by_cursor)),
        ("incremental/users/cursor", get(incremental::by_cursor)),
        ("incremental/tickets", get(incremental::by_time)),
        ("incremental/users", get(incremental::by_time)),
        ("incremental/organizations", get(incremental::by_time)),
        ("incremental/ticket_events", get(incremental::ticket_events)),
        ("search", get(search::search)),
        ("search/count", get(search::count)),
        ("search/export", get(search::export)),
    ])
}

fn field_routes() -> Routes {
    let many = || get(fields::list).post(fields::create);
    let one = || get(fields::show).put(fields::update).delete(fields::delete);
    routes([
        ("ticket_fields", many()),
        ("ticket_fields/{id}", one()),
        ("user_fields", many()),
        ("user_fields/{id}", one()),
        ("organization_fields", many()),
        ("organization_fields/{id}", one()),
    ])
}

fn webhook_routes() -> Routes {
    let one = get(hooks::show).put(hooks::update).patch(hooks::update).delete(hooks::delete);
    routes([
        ("webhooks", get(hooks::list).post(hooks::create)),
        ("webhooks/test", post(hooks::test)),
        ("webhooks/{id}", one),
        ("webhooks/{id}/signing_secret", get(hooks::signing_secret).post(hooks::signing_secret)),
        ("webhooks/{id}/invocations", get(hooks::invocations)),
        ("triggers", get(hooks::triggers).post(hooks::create_trigger)),
        ("triggers/{id}", delete(hooks::delete_trigger)),
        ("oauth/tokens/current", get(oauth::current).delete(oauth::revoke)),
    ])
}

async fn unknown_route() -> ApiError {
    ApiError::invalid_endpoint()
}
