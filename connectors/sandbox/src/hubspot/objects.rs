//! Single objects: list, get, create, update, archive, merge, erase.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::caller::Caller;
use super::errors::ApiError;
use super::params::ReadParams;
use super::path::{ObjectPath, locate};
use super::portal::HubSpotState;
use super::record::{RecordId, View};
use super::render::{Shape, object};
use super::schema::ObjectKind;
use super::switches;
use super::table::Table;

type Portal = State<Arc<HubSpotState>>;

/// `GET …/{type}`
pub(crate) async fn list(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    uri: http::Uri,
) -> Result<Json<Value>, ApiError> {
    let params = ReadParams::parse(uri.query());
    let (limit, first) = (params.limit()?, params.first_id()?);
    let mut tables = portal.tables();
    let table = &*tables.of(path.kind);
    let shape = Shape::of_read(path.kind, table.schema(), &params.properties, &params.with_history);
    let empty = !params.archived && caller.is_integration() && portal.parts.faults.roll(switches::EMPTY_LIST);
    if empty {
        return Ok(Json(json!({ "results": [] })));
    }
    let mut rows: Vec<View<'_>> = page(table, first, params.archived, limit + 1);
    let next = if rows.len() > limit { rows.pop().map(|row| row.id) } else { None };
    let results: Vec<Value> = rows
        .iter()
        .map(|view| {
            portal.shown(path.kind, view, &caller);
            object(path.kind, table.schema(), view, &shape).into()
        })
        .collect();
    let mut answer = json!({ "results": results });
    if let Some(after) = next {
        let link = format!("{}{}?{}", portal.parts.base_url, uri.path(), params.next_query(after, limit));
        answer["paging"] = json!({"next": {"after": after.to_string(), "link": link}});
    }
    Ok(Json(answer))
}

fn page(table: &Table, first: RecordId, archived: bool, limit: usize) -> Vec<View<'_>> {
    if archived {
        return table.archived_from(first).take(limit).map(|(id, record)| View::current(id, record)).collect();
    }
    let live = table.from(first).filter(|(_, record)| record.archived_ms.is_none());
    live.take(limit).map(|(id, record)| View::current(id, record)).collect()
}

/// `GET …/{type}/{id}`
pub(crate) async fn get(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let params = ReadParams::parse(query.as_deref());
    let mut tables = portal.tables();
    let table = &*tables.of(path.kind);
    let id = require(table, &path, params.id_property.as_deref())?;
    let (id, record) = table.get(id).ok_or_else(ApiError::not_found)?;
    if record.archived_ms.is_some() != params.archived {
        return Err(ApiError::not_found());
    }
    let shape = Shape::of_read(path.kind, table.schema(), &params.properties, &params.with_history);
    let view = View::current(id, record);
    portal.shown(path.kind, &view, &caller);
    Ok(Json(object(path.kind, table.schema(), &view, &shape).into()))
}

/// The record id that a path means.
fn require(table: &Table, path: &ObjectPath, id_property: Option<&str>) -> Result<RecordId, ApiError> {
    match locate(table, &path.id, id_property)? {
        Some(id) => Ok(id),
        None if id_property.is_some() => Err(ApiError::not_found()),
        None => Err(ApiError::not_numeric()),
    }
}

/// `POST …/{type}`
pub(crate) async fn create(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let values = body::properties(&body)?;
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    let id = portal.create(table, &values, &caller)?;
    let created = created(path.kind, table, id).ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// A created record as the answer shows it.
pub(crate) fn created(kind: ObjectKind, table: &Table, id: RecordId) -> Option<Value> {
    let (id, record) = table.get(id)?;
    let view = View::current(id, record);
    Some(object(kind, table.schema(), &view, &Shape::of_creation(&view, table.schema())).into())
}

/// `PATCH …/{type}/{id}`
pub(crate) async fn update(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let params = ReadParams::parse(query.as_deref());
    let values = body::properties(&body)?;
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    let id = require(table, &path, params.id_property.as_deref())?;
    portal.check_unlocked(&caller, table, [id])?;
    let id = portal.update(table, id, &values, &caller)?;
    let (id, record) = table.get(id).ok_or_else(ApiError::not_found)?;
    let shape = Shape::of_update(path.kind, table.schema(), values.keys());
    Ok(Json(object(path.kind, table.schema(), &View::current(id, record), &shape).into()))
}

/// `DELETE …/{type}/{id}`. An id that is not there is deleted already.
pub(crate) async fn archive(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, ApiError> {
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    let id = path.id.parse().map_err(|_| ApiError::not_numeric())?;
    portal.check_unlocked(&caller, table, [id])?;
    if table.live(id).is_some() {
        portal.archive(table, id, &caller)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Merge {
    primary_object_id: String,
    object_id_to_merge: String,
}

/// `POST …/{type}/merge`
pub(crate) async fn merge(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let Merge { primary_object_id, object_id_to_merge } = body::parse(&body)?;
    let parse = |id: &str| id.parse::<RecordId>().map_err(|_| ApiError::not_numeric());
    let (primary, other) = (parse(&primary_object_id)?, parse(&object_id_to_merge)?);
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    if table.resolve(primary) == table.resolve(other) {
        return Err(ApiError::validation("Cannot merge an object with itself"));
    }
    let survivor = portal.merge(table, primary, other, &caller)?;
    created(path.kind, table, survivor).map(Json).ok_or_else(ApiError::not_found)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Erase {
    object_id: String,
    id_property: Option<String>,
}

/// `POST …/contacts/gdpr-delete`
pub(crate) async fn erase(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    if path.kind != ObjectKind::Contacts {
        return Err(ApiError::not_found());
    }
    let Erase { object_id, id_property } = body::parse(&body)?;
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    match locate(table, &object_id, id_property.as_deref())? {
        Some(id) => portal.erase(table, id, &caller)?,
        // An address that nobody has is barred all the same.
        None if id_property.as_deref() == Some("email") => table.block_email(&object_id),
        None => return Err(ApiError::not_found()),
    }
    Ok(StatusCode::NO_CONTENT)
}

impl HubSpotState {
    /// Now and then the app meets a record that something else holds, and always one that is held on purpose.
    pub(crate) fn check_unlocked(
        &self,
        caller: &Caller,
        table: &Table,
        ids: impl IntoIterator<Item = RecordId>,
    ) -> Result<(), ApiError> {
        let held = || self.parts.faults.roll(switches::LOCKED) || ids.into_iter().any(|id| table.is_locked(id));
        if caller.is_integration() && held() {
            return Err(ApiError::locked());
        }
        Ok(())
    }
}
