//! One record: create, read, change, delete, bring back.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Named,
    view::{RecordView, etag},
    writable,
};
use crate::{
    engine::commands::{Edit, JsonFields, Principal},
    http::{
        AppState,
        auth::Reader,
        input::{Body, IdempotencyKey, IfMatch, Params, Segments},
        problem::{Problem, Problems},
    },
    store::records::RecordRow,
};

/// What to show of a record.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ShowParams {
    /// Also who wrote each field's value.
    #[param(default = false)]
    origins: bool,
}

/// A route without query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NoParams {}

/// Creates a record.
///
/// A repeated call with the same `Idempotency-Key` answers with the record that the first one created.
#[utoipa::path(
    post,
    path = "/v1/records/{model}",
    tag = "records",
    operation_id = "create_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, unique for each record to create; from 1 to 255 visible ASCII characters"),
    ),
    request_body(content = inline(std::collections::BTreeMap<String, serde_json::Value>), description = "The model's fields"),
    responses(
        (status = 201, description = "The record", body = RecordView, headers(
            ("ETag" = String, description = "The record's version"),
            ("Location" = String, description = "The record's URL"),
        )),
        Problems,
    )
)]
pub(in crate::http) async fn create(
    State(state): State<AppState>,
    who: Principal,
    Segments(model): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    IdempotencyKey(key): IdempotencyKey,
    Body(fields): Body<JsonFields>,
) -> Result<Response, Problem> {
    let model = state.facts.model(&model)?;
    let id = state.commands.create(&who, &model.name, writable(fields)?, &nonce(&who, key)).await?;
    let row = Named { model, id }.read(&state, &who).await?;
    let location = format!("{}/v1/records/{}/{id}", state.facts.public_url, model.name);
    let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
    Ok((StatusCode::CREATED, [(header::ETAG, etag(&row)), (header::LOCATION, location)], Json(RecordView::new(&row)))
        .into_response())
}

/// Keys of different principals never meet, nor does a chosen key ever meet a drawn one.
fn nonce(who: &Principal, key: Option<String>) -> String {
    match key {
        Some(key) => format!("key/{}/{key}", who.name),
        None => format!("drawn/{}", uuid::Uuid::now_v7()),
    }
}

/// Reads a record, also a deleted one.
#[utoipa::path(
    get,
    path = "/v1/records/{model}/{id}",
    tag = "records",
    operation_id = "get_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ShowParams,
    ),
    responses(
        (status = 200, description = "The record", body = RecordView, headers(("ETag" = String, description = "The record's version"))),
        Problems,
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    who: Reader,
    Segments((model, id)): Segments<(String, String)>,
    Params(params): Params<ShowParams>,
) -> Result<Response, Problem> {
    who.model(&state, &model)?;
    let row = Named::new(&state, &model, &id)?.read(&state, who.principal()).await?;
    Ok(tagged(&row, RecordView::new(&row).with_origins(&row, params.origins)))
}

/// Sets the fields that the body names; null clears one.
#[utoipa::path(
    patch,
    path = "/v1/records/{model}/{id}",
    tag = "records",
    operation_id = "update_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` as read: the edit is refused with 412 where the record has changed since"),
    ),
    request_body(content = inline(std::collections::BTreeMap<String, serde_json::Value>), description = "The fields to set"),
    responses(
        (status = 200, description = "The record as it is now", body = RecordView, headers(("ETag" = String, description = "The record's version"))),
        Problems,
    )
)]
pub(in crate::http) async fn update(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
    IfMatch(if_version): IfMatch,
    Body(fields): Body<JsonFields>,
) -> Result<Response, Problem> {
    let named = Named::new(&state, &model, &id)?;
    edit(&state, &who, &named, Edit { fields: writable(fields)?, if_version, restore: false }).await
}

/// Deletes a record, here and, by the model's rule, in the connected systems.
///
/// A deleted record stays readable by its id and can be brought back.
#[utoipa::path(
    delete,
    path = "/v1/records/{model}/{id}",
    tag = "records",
    operation_id = "delete_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` as read: the delete is refused with 412 where the record has changed since"),
    ),
    responses((status = 204, description = "Deleted"), Problems)
)]
pub(in crate::http) async fn delete(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
    IfMatch(if_version): IfMatch,
) -> Result<StatusCode, Problem> {
    let Named { model, id } = Named::new(&state, &model, &id)?;
    state.commands.delete(&who, &model.name, id, if_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Brings a deleted record back.
#[utoipa::path(
    post,
    path = "/v1/records/{model}/{id}/undelete",
    tag = "records",
    operation_id = "undelete_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` as read"),
    ),
    responses(
        (status = 200, description = "The record as it is now", body = RecordView, headers(("ETag" = String, description = "The record's version"))),
        Problems,
    )
)]
pub(in crate::http) async fn undelete(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
    IfMatch(if_version): IfMatch,
) -> Result<Response, Problem> {
    let named = Named::new(&state, &model, &id)?;
    edit(&state, &who, &named, Edit { fields: JsonFields::new(), if_version, restore: true }).await
}

/// Edits a record and answers with what it is afterwards.
pub(super) async fn edit(
    state: &AppState,
    who: &Principal,
    named: &Named<'_>,
    edit: Edit,
) -> Result<Response, Problem> {
    state.commands.edit(who, &named.model.name, named.id, edit).await?;
    let row = named.read(state, who).await?;
    Ok(tagged(&row, RecordView::new(&row)))
}

fn tagged(row: &RecordRow, view: RecordView) -> Response {
    ([(header::ETAG, etag(row))], Json(view)).into_response()
}
