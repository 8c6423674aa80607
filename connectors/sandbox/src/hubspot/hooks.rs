//! The app's webhook settings and subscriptions, as the webhooks API shows and changes them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::caller::APP_ID;
use super::errors::ApiError;
use super::outbox::Target;
use super::portal::HubSpotState;
use super::subscriptions::Subscription;
use super::time::iso;

type Portal = State<Arc<HubSpotState>>;
type Params = Path<HashMap<String, String>>;

/// Requests to the receiver at a time, as the settings show it.
const CONCURRENT_REQUESTS: u32 = 10;

fn check_app(params: &HashMap<String, String>) -> Result<(), ApiError> {
    match params.get("app").and_then(|app| app.parse().ok()) {
        Some(APP_ID) => Ok(()),
        _ => Err(ApiError::not_found()),
    }
}

fn subscription_id(params: &HashMap<String, String>) -> Result<u64, ApiError> {
    params.get("id").and_then(|id| id.parse().ok()).ok_or_else(ApiError::not_found)
}

fn settings(target: &Target) -> Value {
    json!({"targetUrl": target.url, "throttling": {"maxConcurrentRequests": CONCURRENT_REQUESTS}})
}

fn shown(subscription: &Subscription) -> Value {
    let mut shown = json!({
        "id": subscription.id.to_string(), "eventType": subscription.declared_type(),
        "active": subscription.active, "createdAt": iso(subscription.created_ms),
        "updatedAt": iso(subscription.created_ms),
    });
    if let Some(property) = &subscription.property {
        shown["propertyName"] = property.as_str().into();
    }
    shown
}

/// `GET /webhooks/v3/{app}/settings`
pub(crate) async fn get_settings(State(portal): Portal, Path(params): Params) -> Result<Json<Value>, ApiError> {
    check_app(&params)?;
    portal.outbox.target().map(|target| Json(settings(&target))).ok_or_else(ApiError::not_found)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SettingsBody {
    target_url: String,
}

/// `PUT /webhooks/v3/{app}/settings`
pub(crate) async fn put_settings(
    State(portal): Portal,
    Path(params): Params,
    bytes: Bytes,
) -> Result<Json<Value>, ApiError> {
    check_app(&params)?;
    let SettingsBody { target_url } = body::parse(&bytes)?;
    let target = portal.target(&target_url, None).map_err(ApiError::validation)?;
    portal.outbox.set_target(Some(target.clone()));
    Ok(Json(settings(&target)))
}

/// `DELETE /webhooks/v3/{app}/settings`
pub(crate) async fn delete_settings(State(portal): Portal, Path(params): Params) -> Result<StatusCode, ApiError> {
    check_app(&params)?;
    portal.outbox.set_target(None);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /webhooks/v3/{app}/subscriptions`
pub(crate) async fn list(State(portal): Portal, Path(params): Params) -> Result<Json<Value>, ApiError> {
    check_app(&params)?;
    let results: Vec<Value> =
        portal.outbox.subscriptions(|subscriptions| subscriptions.list().iter().map(shown).collect());
    Ok(Json(json!({ "results": results })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionBody {
    event_type: String,
    property_name: Option<String>,
    #[serde(default)]
    active: bool,
}

/// `POST /webhooks/v3/{app}/subscriptions`
pub(crate) async fn create(State(portal): Portal, Path(params): Params, bytes: Bytes) -> Result<Response, ApiError> {
    check_app(&params)?;
    let SubscriptionBody { event_type, property_name, active } = body::parse(&bytes)?;
    let text = match property_name {
        Some(property) => format!("{event_type}:{property}"),
        None => event_type,
    };
    let now = portal.parts.clock.now().millis();
    let added = portal.outbox.subscriptions(|subscriptions| subscriptions.add(&text, active, now));
    let added = added.map_err(ApiError::validation)?;
    Ok((StatusCode::CREATED, Json(shown(&added))).into_response())
}

#[derive(Deserialize)]
struct ActiveBody {
    active: bool,
}

/// `PATCH /webhooks/v3/{app}/subscriptions/{id}`
pub(crate) async fn update(State(portal): Portal, Path(params): Params, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    check_app(&params)?;
    let (id, ActiveBody { active }) = (subscription_id(&params)?, body::parse(&bytes)?);
    let changed = portal.outbox.subscriptions(|subscriptions| subscriptions.set_active(id, active));
    changed.map(|subscription| Json(shown(&subscription))).ok_or_else(ApiError::not_found)
}

/// `DELETE /webhooks/v3/{app}/subscriptions/{id}`
pub(crate) async fn delete(State(portal): Portal, Path(params): Params) -> Result<StatusCode, ApiError> {
    check_app(&params)?;
    let id = subscription_id(&params)?;
    if portal.outbox.subscriptions(|subscriptions| subscriptions.remove(id)) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found())
    }
}

impl HubSpotState {
    /// A receiver at a URL; its signatures are made with the app's secret if no other is given.
    pub(crate) fn target(&self, target_url: &str, secret: Option<String>) -> Result<Target, String> {
        match url::Url::parse(target_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Target {
                url: target_url.to_owned(),
                secret: secret.unwrap_or_else(|| self.parts.credentials.client_secret.clone()),
            }),
            _ => Err(format!("{target_url} is not an http or https URL; give the receiver's full address")),
        }
    }
}
