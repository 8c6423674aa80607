//! The route table, and the thin handlers between HTTP and the parts that answer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any, delete, get, patch, post};
use axum::{Extension, Router};
use serde_json::{Map, Value};

use super::call::{Call, Params, json_object};
use super::collections::{self, Verb};
use super::errors::{ApiError, json_response};
use super::gate::gate;
use super::platform::SalesforceState;
use super::precondition;
use super::reply::Reply;
use super::sobjects::{self, Address, RowRequest};
use super::transaction::Transaction;
use super::{composite, describe, oauth, query, replication, tooling};

/// The largest body: two hundred records with long texts.
const BODY_BYTES_MAX: usize = 50 * 1024 * 1024;

/// The platform's public interface.
pub fn router(state: Arc<SalesforceState>) -> Router {
    Router::new()
        .merge(data_routes(&state))
        .route("/services/data", get(versions))
        .route("/services/data/", get(versions))
        .route("/services/oauth2/authorize", get(oauth::authorize))
        .route("/services/oauth2/token", post(oauth::token))
        .route("/services/oauth2/revoke", post(oauth::revoke).get(oauth::revoke))
        .route("/services/oauth2/introspect", post(oauth::introspect))
        .route("/services/oauth2/userinfo", get(oauth::user_info).post(oauth::user_info))
        .route("/id/{org}/{user}", get(oauth::user_info))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

/// The routes that need a session. Each also answers with a slash at its end, as the original does.
fn data_routes(state: &Arc<SalesforceState>) -> Router<Arc<SalesforceState>> {
    let many = || post(create_many).patch(update_many).delete(delete_many);
    let routes = [
        ("", get(resources)),
        ("/limits", get(limits)),
        ("/query", get(run_query)),
        ("/query/{locator}", get(more)),
        ("/queryAll", get(run_query_all)),
        ("/queryAll/{locator}", get(more)),
        ("/sobjects", get(global)),
        ("/sobjects/{object}", get(basic).post(create)),
        ("/sobjects/{object}/describe", get(describe_object)),
        ("/sobjects/{object}/updated", get(updated)),
        ("/sobjects/{object}/deleted", get(deleted)),
        ("/sobjects/{object}/{id}", any(by_id)),
        ("/sobjects/{object}/{field}/{value}", any(by_key)),
        ("/composite", post(run_composite)),
        ("/composite/batch", post(run_batch)),
        ("/composite/sobjects", many()),
        ("/composite/sobjects/{object}", get(read_many).post(read_many_by_body)),
        ("/composite/sobjects/{object}/{field}", patch(upsert_many)),
        ("/tooling/sobjects/CustomField", post(create_field)),
        ("/tooling/sobjects/CustomField/{id}", delete(delete_field)),
        ("/tooling/query", get(list_fields)),
    ];
    let add = |router: Router<_>, (path, handlers): (&str, MethodRouter<Arc<SalesforceState>>)| {
        let path = format!("/services/data/{{version}}{path}");
        router.route(&path, handlers.clone()).route(&format!("{path}/"), handlers)
    };
    routes
        .into_iter()
        .fold(Router::new(), add)
        .layer(from_fn_with_state(state.clone(), gate))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

type Platform = State<Arc<SalesforceState>>;
type Answer = Result<Reply, ApiError>;

async fn unknown() -> ApiError {
    ApiError::not_found()
}

async fn wrong_method(method: Method) -> ApiError {
    ApiError::method_not_allowed(&method)
}

async fn versions() -> impl IntoResponse {
    json_response(StatusCode::OK, &describe::versions())
}

async fn resources(State(state): Platform, Extension(call): Extension<Call>) -> Reply {
    let identity = oauth::identity_url(&state, call.caller.user);
    Reply::ok(describe::resources(&call.version, &identity))
}

async fn limits(State(state): Platform) -> Reply {
    Reply::ok(describe::limits(&state))
}

async fn run_query(
    State(state): Platform,
    Extension(call): Extension<Call>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let params = Params::parse(query.as_deref());
    state.read(|store| query::first_page(&state, &call, store, params.get("q"), &headers, false))
}

async fn run_query_all(
    State(state): Platform,
    Extension(call): Extension<Call>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let params = Params::parse(query.as_deref());
    state.read(|store| query::first_page(&state, &call, store, params.get("q"), &headers, true))
}

async fn more(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, locator)): Path<(String, String)>,
) -> Answer {
    state.read(|store| query::next_page(&state, &call, store, &locator))
}

async fn global(State(state): Platform, Extension(call): Extension<Call>) -> Reply {
    state.read(|store| describe::global(store, &call.version))
}

async fn basic(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
) -> Answer {
    state.read(|store| {
        let object = sobjects::object(store, &object)?;
        Ok(describe::basic(&store.table(object).schema, &call.version))
    })
}

async fn describe_object(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    state.read(|store| {
        let object = sobjects::object(store, &object)?;
        let changed = store.schema_changed();
        let since = precondition::date(&headers, header::IF_MODIFIED_SINCE.as_str());
        if since.is_some_and(|since| changed <= since) {
            return Ok(Reply::empty(StatusCode::NOT_MODIFIED));
        }
        let whole = describe::whole(&store.table(object).schema, &call.version);
        Ok(whole.header(header::LAST_MODIFIED, &precondition::http_date(changed)))
    })
}

async fn updated(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    state.read(|store| replication::updated(&state, &call, store, &object, &params))
}

async fn deleted(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    state.read(|store| replication::deleted(&state, &call, store, &object, &params))
}

/// What all requests about one record have besides its address.
struct RowParts {
    method: Method,
    params: Params,
    headers: HeaderMap,
    fields: Map<String, Value>,
}

impl RowParts {
    /// Clients that cannot send PATCH say `POST …?_HttpMethod=PATCH`.
    fn read(method: Method, query: Option<&str>, headers: HeaderMap, body: &Bytes) -> Result<Self, ApiError> {
        let params = Params::parse(query);
        let method = params.get("_HttpMethod").and_then(|name| name.parse().ok()).unwrap_or(method);
        let has_fields = matches!(method, Method::POST | Method::PATCH);
        let fields = if has_fields { json_object(body)? } else { Map::new() };
        Ok(Self { method, params, headers, fields })
    }

    async fn answer(self, state: &SalesforceState, call: &Call, object: &str, address: Address<'_>) -> Reply {
        let request = RowRequest {
            method: self.method,
            object,
            address,
            params: &self.params,
            headers: &self.headers,
            fields: self.fields,
        };
        state.write(&call.caller, &call.via, |transaction| sobjects::answer(state, call, transaction, &request)).await
    }
}

async fn create(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let parts = RowParts::read(Method::POST, query.as_deref(), headers, &body)?;
    Ok(parts.answer(&state, &call, &object, Address::None).await)
}

async fn by_id(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object, id)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let parts = RowParts::read(method, query.as_deref(), headers, &body)?;
    Ok(parts.answer(&state, &call, &object, Address::Id(&id)).await)
}

async fn by_key(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object, field, value)): Path<(String, String, String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let parts = RowParts::read(method, query.as_deref(), headers, &body)?;
    let address = Address::Key { field: &field, value: &value };
    Ok(parts.answer(&state, &call, &object, address).await)
}

/// Runs a body of many writes as one transaction.
async fn write_many(
    state: &SalesforceState,
    call: &Call,
    body: &Bytes,
    work: impl FnOnce(&mut Transaction<'_>, &Map<String, Value>) -> Answer,
) -> Answer {
    let body = json_object(body)?;
    state.write(&call.caller, &call.via, |transaction| work(transaction, &body)).await
}

async fn create_many(State(state): Platform, Extension(call): Extension<Call>, body: Bytes) -> Answer {
    let work =
        |transaction: &mut Transaction<'_>, body: &_| collections::write(&state, transaction, Verb::Create, body);
    write_many(&state, &call, &body, work).await
}

async fn update_many(State(state): Platform, Extension(call): Extension<Call>, body: Bytes) -> Answer {
    let work =
        |transaction: &mut Transaction<'_>, body: &_| collections::write(&state, transaction, Verb::Update, body);
    write_many(&state, &call, &body, work).await
}

async fn upsert_many(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object, field)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    let verb = Verb::Upsert { object: &object, field: &field };
    let work = |transaction: &mut Transaction<'_>, body: &_| collections::write(&state, transaction, verb, body);
    write_many(&state, &call, &body, work).await
}

async fn delete_many(State(state): Platform, Extension(call): Extension<Call>, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let work = |transaction: &mut Transaction<'_>| collections::delete(&state, transaction, &params);
    state.write(&call.caller, &call.via, work).await
}

async fn read_many(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let (ids, fields) = (params.list("ids").unwrap_or_default(), params.list("fields").unwrap_or_default());
    state.read(|store| collections::read(&state, &call, store, &object, &ids, &fields))
}

async fn read_many_by_body(
    State(state): Platform,
    Extension(call): Extension<Call>,
    Path((_, object)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let body = json_object(&body)?;
    let list = |name: &str| -> Vec<&str> {
        body.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (ids, fields) = (list("ids"), list("fields"));
    state.read(|store| collections::read(&state, &call, store, &object, &ids, &fields))
}

async fn run_composite(State(state): Platform, Extension(call): Extension<Call>, body: Bytes) -> Answer {
    let work = |transaction: &mut Transaction<'_>, body: &_| composite::composite(&state, &call, transaction, body);
    write_many(&state, &call, &body, work).await
}

async fn run_batch(State(state): Platform, Extension(call): Extension<Call>, body: Bytes) -> Answer {
    let work = |transaction: &mut Transaction<'_>, body: &_| composite::batch(&state, &call, transaction, body);
    write_many(&state, &call, &body, work).await
}

async fn create_field(State(state): Platform, body: Bytes) -> Answer {
    let body = json_object(&body)?;
    tooling::create_field(&mut state.store.lock(), &body, state.parts.clock.now())
}

async fn delete_field(State(state): Platform, Path((_, id)): Path<(String, String)>) -> Answer {
    tooling::delete_field(&mut state.store.lock(), &id, state.parts.clock.now())
}

async fn list_fields(State(state): Platform, Extension(call): Extension<Call>) -> Reply {
    state.read(|store| Reply::ok(tooling::list_fields(store, &call.version.text)))
}
