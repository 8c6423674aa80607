//! Quarantine: provider rows that could not be taken in, kept with the reason.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use syncline_core::ids::{ConnectionId, RecordId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    input::{PageSize, Params, Segments},
    page::{After, Page},
    problem::{Problem, Problems},
};
use crate::{
    engine::commands::Principal,
    store::{
        mending::DamagedRecord,
        quarantine::{QuarantineId, QuarantineRow},
    },
};

/// The routes under `/v1/quarantine`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(records)).routes(routes!(replay))
}

/// Which rows to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only rows of this connection.
    #[param(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<QuarantineId>>,
    /// The most rows in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// A row that could not be taken in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuarantinedRow)]
struct RowView {
    /// The row's id here.
    id: i64,
    /// The sync that read it.
    sync: String,
    /// The connection it came from.
    connection: String,
    /// The provider's kind of object.
    object: String,
    /// The provider's id; null where not even that could be read.
    external_id: Option<String>,
    /// What is wrong and how to mend it.
    reason: String,
    /// The row as it came.
    raw: serde_json::Value,
    /// How often it was tried.
    attempts: u64,
    /// When it was first tried.
    #[schema(format = DateTime)]
    first_at: String,
    /// When it was last tried.
    #[schema(format = DateTime)]
    last_at: String,
}

/// Lists the rows that could not be taken in.
#[utoipa::path(
    get,
    path = "/v1/quarantine",
    tag = "deliveries",
    operation_id = "list_quarantine",
    params(ListParams),
    responses((status = 200, description = "One page", body = Page<RowView>), Problems)
)]
async fn list(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<RowView>>, Problem> {
    if let Some(connection) = &params.connection {
        state.facts.connection(&who, connection)?;
    }
    let limit = params.limit.get();
    let after = params.cursor.map(|After(id)| id);
    let rows = state.store.tenant(&who.tenant).list_quarantine(params.connection.as_ref(), after, limit).await?;
    Ok(Json(Page::full(rows, limit, |row| row.id, RowView::from)))
}

/// Which records to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecordsParams {
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<RecordId>>,
    /// The most records in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// A record whose document is damaged and could not be rebuilt by itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuarantinedRecord)]
struct RecordView {
    /// The record.
    #[schema(format = "uuid")]
    id: String,
    /// Its model.
    model: String,
    /// What is wrong and how to mend it.
    reason: String,
    /// When it was found.
    #[schema(format = DateTime)]
    found_at: String,
}

/// Lists the records whose documents are damaged. Nothing is written of them until they are rebuilt.
#[utoipa::path(
    get,
    path = "/v1/quarantine/records",
    tag = "deliveries",
    operation_id = "list_quarantined_records",
    params(RecordsParams),
    responses((status = 200, description = "One page", body = Page<RecordView>), Problems)
)]
async fn records(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<RecordsParams>,
) -> Result<Json<Page<RecordView>>, Problem> {
    let limit = params.limit.get();
    let after = params.cursor.map(|After(id)| id);
    let rows = state.store.tenant(&who.tenant).damaged_records(after, limit).await?;
    Ok(Json(Page::full(rows, limit, |row| row.record, RecordView::from)))
}

/// Tries to take a row in again.
#[utoipa::path(
    post,
    path = "/v1/quarantine/{id}/replay",
    tag = "deliveries",
    operation_id = "replay_quarantined",
    params(("id" = i64, Path, description = "The row")),
    responses((status = 202, description = "It is tried again"), Problems)
)]
async fn replay(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<i64>,
) -> Result<StatusCode, Problem> {
    state.commands.replay_quarantined(&who.tenant, id).await?;
    Ok(StatusCode::ACCEPTED)
}

impl From<DamagedRecord> for RecordView {
    fn from(DamagedRecord { record, model, found_at, what }: DamagedRecord) -> Self {
        let reason = format!("{what}; `syncline records rebuild {model} {record}` says what can be done");
        Self { id: record.to_string(), model: model.to_string(), reason, found_at: found_at.to_rfc3339() }
    }
}

impl From<QuarantineRow> for RowView {
    fn from(QuarantineRow { id, row, attempts, last_at }: QuarantineRow) -> Self {
        Self {
            id: id.0,
            sync: row.sync,
            connection: row.connection.to_string(),
            object: row.object.to_string(),
            external_id: row.external_id.map(|id| id.to_string()),
            reason: row.reason,
            raw: row.raw,
            attempts,
            first_at: row.at.to_rfc3339(),
            last_at: last_at.to_rfc3339(),
        }
    }
}
