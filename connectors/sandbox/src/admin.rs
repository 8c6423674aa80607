//! The side door that all emulators share: look at state, act as one of the platform's users, set faults, read the
//! ledger. It is served under `/admin` of the same listener, without authentication, because the sandbox listens on
//! loopback only.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Micros;
use crate::faults::{FaultChange, FaultError, FaultProfile, Faults};
use crate::ledger::Ledger;

/// The largest page of `/admin/state` and `/admin/log`.
const PAGE_MAX: usize = 10_000;
const PAGE_DEFAULT: usize = 1_000;

/// Why an admin request was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The platform has no such object type or object.
    #[error("{0}")]
    NotFound(String),
    /// The platform's own validation refused the values, or the request makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The emulator has no such ability, as the product it imitates.
    #[error("{0}")]
    Unsupported(String),
}

impl From<FaultError> for AdminError {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::Unknown { .. } => Self::NotFound(error.to_string()),
            FaultError::NotAProbability { .. } => Self::Refused(error.to_string()),
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Which objects `/admin/state` shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateQuery {
    /// The object type, in the platform's spelling.
    pub object: String,
    /// Show the objects whose id follows this one in the platform's order; from the start if absent.
    pub after: Option<String>,
    /// At most so many (default 1,000, at most 10,000).
    pub limit: Option<usize>,
    /// Whether deleted objects are shown too.
    #[serde(default)]
    pub deleted: bool,
}

impl StateQuery {
    /// The page size to use.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX)
    }
}

/// One object as it is stored now, whatever the platform's public interface shows at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateRow {
    /// The object's id.
    pub id: String,
    /// Whether it lies in the recycle bin or archive.
    pub deleted: bool,
    /// When it was created.
    pub created_us: Micros,
    /// Its version stamp, in the platform's own text form.
    pub stamp: String,
    /// Its fields by the platform's names; empty fields may be absent.
    pub fields: Map<String, Value>,
}

/// A page of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatePage {
    /// The objects in the order of their ids.
    pub rows: Vec<StateRow>,
    /// Pass this as `after` to go on; absent on the last page.
    pub next: Option<String>,
}

/// Where a platform that pushes is told to push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// The URL that receives the events.
    pub target_url: String,
    /// Which events; all that the platform has, if absent.
    pub subscriptions: Option<Vec<String>>,
    /// The key for the signatures; the app's client secret if absent.
    pub secret: Option<String>,
}

/// What an administrator does to a field; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldAct {
    /// Whether the platform's interface shows the field. Its values stay where they are while it does not.
    pub visible: Option<bool>,
    /// Its type, in the platform's word.
    pub r#type: Option<String>,
}

/// What the platform itself does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockAct {
    /// Whether something inside the platform holds the object, so that the integration cannot write it.
    pub locked: bool,
}

/// What an emulator must be able to do for its side door.
///
/// Edits go through the same validation and normalisation as the platform's own interface, and stand in the ledger under
/// the named user.
pub trait AdminBackend: Send + Sync + 'static {
    /// The emulator's ledger.
    fn ledger(&self) -> &Ledger;
    /// The emulator's switches.
    fn faults(&self) -> &Faults;
    /// The stored objects, in pages.
    ///
    /// # Errors
    /// When the object type is unknown.
    fn state(&self, query: &StateQuery) -> Result<StatePage, AdminError>;
    /// Creates an object as `user` and returns its id.
    ///
    /// # Errors
    /// When the type is unknown or the values are refused.
    fn create(&self, user: &str, object: &str, fields: Map<String, Value>) -> Result<String, AdminError>;
    /// Changes an object as `user`.
    ///
    /// # Errors
    /// When the object is unknown or the values are refused.
    fn update(&self, user: &str, object: &str, id: &str, fields: Map<String, Value>) -> Result<(), AdminError>;
    /// Deletes an object as `user`, restorably.
    ///
    /// # Errors
    /// When the object is unknown or already deleted.
    fn delete(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError>;
    /// Brings a deleted object back as `user`.
    ///
    /// # Errors
    /// When the object is unknown or not deleted.
    fn restore(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError>;
    /// Merges the object `id` into `into` as `user` and returns the survivor's id.
    ///
    /// # Errors
    /// When either object is unknown, or both are the same.
    fn merge(&self, user: &str, object: &str, id: &str, into: &str) -> Result<String, AdminError>;
    /// Hides a field from the interface, shows it again, or gives it another type, as an administrator.
    ///
    /// # Errors
    /// When the field is unknown, or cannot have that type.
    fn act_on_field(&self, object: &str, field: &str, act: &FieldAct) -> Result<(), AdminError>;
    /// Has something inside the platform hold an object, or let go of it.
    ///
    /// # Errors
    /// When the object is unknown, or this emulator has no such locks.
    fn act_on_lock(&self, object: &str, id: &str, act: LockAct) -> Result<(), AdminError>;
    /// Makes the integration's access tokens expire now; returns how many did.
    fn expire_tokens(&self) -> usize;
    /// Makes everything visible that lags behind (late commits, search index) and delivers what is pending (webhooks).
    /// Answers with counts of what was flushed.
    fn flush(&self) -> BoxFuture<'_, Value>;
    /// Tells the platform where to push.
    ///
    /// # Errors
    /// When the platform does not push, or the target is not a URL.
    fn set_webhooks(&self, target: WebhookTarget) -> Result<Value, AdminError> {
        let _ = target;
        Err(AdminError::Unsupported("this platform does not push; read its changes by polling".to_owned()))
    }
}

/// The routes of the side door, to be nested under `/admin`.
pub fn router<B: AdminBackend>(backend: Arc<B>) -> Router {
    Router::new()
        .route("/state", get(state::<B>))
        .route("/users/{user}/{object}", post(create::<B>))
        .route("/users/{user}/{object}/{id}", patch(update::<B>))
        .route("/users/{user}/{object}/{id}", delete(remove::<B>))
        .route("/users/{user}/{object}/{id}/restore", post(restore::<B>))
        .route("/users/{user}/{object}/{id}/merge", post(merge::<B>))
        .route("/fields/{object}/{field}", patch(act_on_field::<B>))
        .route("/locks/{object}/{id}", put(act_on_lock::<B>))
        .route("/counts", get(counts::<B>))
        .route("/faults", get(faults::<B>).put(set_faults::<B>))
        .route("/profile", post(set_profile::<B>))
        .route("/webhooks", post(webhooks::<B>))
        .route("/flush", post(flush::<B>))
        .route("/tokens/expire", post(expire_tokens::<B>))
        .route("/log", get(log::<B>))
        .fallback(unknown_route)
        .with_state(backend)
}

type Answer = Result<Json<Value>, AdminError>;

async fn state<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Query(query): Query<StateQuery>,
) -> Result<Json<StatePage>, AdminError> {
    backend.state(&query).map(Json)
}

async fn create<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((user, object)): Path<(String, String)>,
    body: String,
) -> Result<Response, AdminError> {
    let id = backend.create(&user, &object, parse(&body)?)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn update<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((user, object, id)): Path<(String, String, String)>,
    body: String,
) -> Answer {
    backend.update(&user, &object, &id, parse(&body)?)?;
    Ok(Json(json!({ "id": id })))
}

async fn remove<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((user, object, id)): Path<(String, String, String)>,
) -> Answer {
    backend.delete(&user, &object, &id)?;
    Ok(Json(json!({ "id": id })))
}

async fn restore<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((user, object, id)): Path<(String, String, String)>,
) -> Answer {
    backend.restore(&user, &object, &id)?;
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    into: String,
}

async fn merge<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((user, object, id)): Path<(String, String, String)>,
    body: String,
) -> Answer {
    let Merge { into } = parse(&body)?;
    let survivor = backend.merge(&user, &object, &id, &into)?;
    Ok(Json(json!({ "id": survivor })))
}

async fn act_on_field<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((object, field)): Path<(String, String)>,
    body: String,
) -> Answer {
    backend.act_on_field(&object, &field, &parse(&body)?)?;
    Ok(Json(json!({ "field": field })))
}

async fn act_on_lock<B: AdminBackend>(
    State(backend): State<Arc<B>>,
    Path((object, id)): Path<(String, String)>,
    body: String,
) -> Answer {
    backend.act_on_lock(&object, &id, parse(&body)?)?;
    Ok(Json(json!({ "id": id })))
}

async fn counts<B: AdminBackend>(State(backend): State<Arc<B>>) -> Json<Value> {
    let counts = backend.ledger().counts();
    Json(json!({
        "requests": counts.requests,
        "writes": counts.writes,
        "faults": backend.faults().fired(),
    }))
}

async fn faults<B: AdminBackend>(State(backend): State<Arc<B>>) -> Json<Value> {
    Json(json!({ "faults": backend.faults().report() }))
}

async fn set_faults<B: AdminBackend>(State(backend): State<Arc<B>>, body: String) -> Answer {
    let changes: BTreeMap<String, FaultChange> = parse(&body)?;
    backend.faults().change(&changes)?;
    Ok(faults(State(backend)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    profile: FaultProfile,
}

async fn set_profile<B: AdminBackend>(State(backend): State<Arc<B>>, body: String) -> Answer {
    let Profile { profile } = parse(&body)?;
    backend.faults().set_profile(profile);
    Ok(faults(State(backend)).await)
}

async fn webhooks<B: AdminBackend>(State(backend): State<Arc<B>>, body: String) -> Answer {
    backend.set_webhooks(parse(&body)?).map(Json)
}

async fn flush<B: AdminBackend>(State(backend): State<Arc<B>>) -> Json<Value> {
    Json(backend.flush().await)
}

async fn expire_tokens<B: AdminBackend>(State(backend): State<Arc<B>>) -> Json<Value> {
    Json(json!({ "expired": backend.expire_tokens() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn log<B: AdminBackend>(State(backend): State<Arc<B>>, Query(query): Query<LogQuery>) -> Response {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
    Json(backend.ledger().page(query.after, limit)).into_response()
}

async fn unknown_route() -> AdminError {
    AdminError::NotFound("no such admin route; see the documentation of syncline_sandbox::admin".to_owned())
}

/// Reads a JSON body whatever its content type says, since this door is used by hand with curl.
fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, AdminError> {
    serde_json::from_str(body)
        .map_err(|error| AdminError::Refused(format!("the body is not the JSON expected here: {error}")))
}
