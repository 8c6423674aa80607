//! Erasures: a person's data removed on request, the receipts that prove it, and letting in again what they keep out.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    input::{PageSize, Params, Segments},
    page::{After, Page},
    problem::{Kind, Problem, Problems},
};
use crate::{
    engine::commands::Principal,
    store::erasures::{ErasureId, Proof, Receipt},
};

/// The routes of erasures.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(erase)).routes(routes!(list)).routes(routes!(get)).routes(routes!(readmit))
}

/// What is kept of an erasure: no personal data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
struct ErasureView {
    /// Its id.
    id: i64,
    /// Whether the record is erased, or waits for its objects to be deleted in connected systems.
    state: ErasureState,
    /// The record's model.
    model: String,
    /// When it was asked for.
    #[schema(format = DateTime)]
    asked_at: String,
    /// Who asked.
    asked_by: String,
    /// Whether the objects in connected systems are deleted first.
    everywhere: bool,
    /// When the record was erased.
    #[schema(format = DateTime)]
    erased_at: Option<String>,
    /// Rows removed, or emptied, by table.
    rows: BTreeMap<String, u64>,
    /// What a search of the database's files showed afterwards; null before, and where the service was stopped between the two.
    proof: Option<ProofView>,
    /// When a person let come back what was erased.
    #[schema(format = DateTime)]
    readmitted_at: Option<String>,
    /// Who let it come back.
    readmitted_by: Option<String>,
}

/// How far an erasure is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ErasureState {
    /// The record's objects are still being deleted in connected systems.
    Waiting,
    /// The record came back before that, so it stays.
    Ended,
    /// The record is erased, and kept from coming back by accident.
    Erased,
    /// It may come back.
    Readmitted,
}

/// What a search of the database's files for the record's own texts showed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasureProof)]
struct ProofView {
    /// How many texts were searched for: ids of objects, and values of at least six bytes, present and past.
    texts: u64,
    /// Shorter ones, which are found everywhere by chance.
    too_short: u64,
    /// Files searched.
    files: u64,
    /// Bytes searched.
    bytes: u64,
    /// Texts that are in the files though no row holds them: 0, or the erasure is not complete.
    left: u64,
    /// Texts that rows of others hold as well, such as the name of a city, by table.
    shared: BTreeMap<String, u64>,
    /// Whether the file had to be written anew.
    rewritten: bool,
}

/// How to erase.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EraseParams {
    /// Delete the objects in connected systems first.
    #[param(default = false)]
    everywhere: bool,
}

/// Removes a record with everything that is kept of it.
///
/// Unlike a delete this cannot be taken back: history, conflicts, quarantined rows and documents go as well, and the record's entries in
/// the feed lose their values. With `everywhere` the answer is 202, and the record is erased once its objects are gone.
#[utoipa::path(
    post,
    path = "/v1/records/{model}/{id}/erase",
    tag = "erasures",
    operation_id = "erase_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        EraseParams,
    ),
    responses(
        (status = 200, description = "It is erased", body = ErasureView),
        (status = 202, description = "Its objects are being deleted first", body = ErasureView),
        Problems,
    )
)]
async fn erase(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(params): Params<EraseParams>,
) -> Result<Response, Problem> {
    let model = state.facts.model(&model)?;
    let id = id.parse().map_err(|_| {
        Problem::new(Kind::NotFound, format!("`{id}` is no record id: ids are UUIDs, as in `_meta.id`"))
    })?;
    let (id, receipt) = state.commands.erase(&who, &model.name, id, params.everywhere).await?;
    let status = if receipt.erased_at.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(ErasureView::new(id, receipt, false))).into_response())
}

/// Which receipts to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<ErasureId>>,
    /// The most receipts in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// Lists receipts of erasures, newest first.
#[utoipa::path(
    get,
    path = "/v1/erasures",
    tag = "erasures",
    operation_id = "list_erasures",
    params(ListParams),
    responses((status = 200, description = "One page", body = Page<ErasureView>), Problems)
)]
async fn list(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<ErasureView>>, Problem> {
    let (limit, before) = (params.limit.get(), params.cursor.map(|After(id)| id));
    let store = state.store.tenant(&who.tenant);
    let rows = store.list_erasures(before, limit).await?;
    let waiting: Vec<ErasureId> = store.erasures_under_way().await?.into_iter().map(|(id, ..)| id).collect();
    let show = |(id, receipt)| ErasureView::new(id, receipt, !waiting.contains(&id));
    Ok(Json(Page::full(rows, limit, |(id, _)| *id, show)))
}

/// Reads the receipt of an erasure.
#[utoipa::path(
    get,
    path = "/v1/erasures/{id}",
    tag = "erasures",
    operation_id = "get_erasure",
    params(("id" = i64, Path, description = "The erasure")),
    responses((status = 200, description = "The receipt", body = ErasureView), Problems)
)]
async fn get(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<i64>,
) -> Result<Json<ErasureView>, Problem> {
    let (id, store) = (ErasureId(id), state.store.tenant(&who.tenant));
    let receipt = store.get_erasure(id).await?;
    let receipt = receipt.ok_or_else(|| Problem::not_found(format_args!("the erasure {}", id.0)))?;
    let waits = store.erasures_under_way().await?.iter().any(|(waiting, ..)| *waiting == id);
    Ok(Json(ErasureView::new(id, receipt, !waits)))
}

/// Lets come back what an erasure keeps out: the next reading of its objects makes a new record.
#[utoipa::path(
    post,
    path = "/v1/erasures/{id}/readmit",
    tag = "erasures",
    operation_id = "readmit_erased",
    params(("id" = i64, Path, description = "The erasure")),
    responses((status = 200, description = "The receipt as it is now", body = ErasureView), Problems)
)]
async fn readmit(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<i64>,
) -> Result<Json<ErasureView>, Problem> {
    let receipt = state.commands.readmit(&who, ErasureId(id)).await?;
    Ok(Json(ErasureView::new(ErasureId(id), receipt, true)))
}

impl ErasureView {
    fn new(ErasureId(id): ErasureId, receipt: Receipt, over: bool) -> Self {
        let state = match (&receipt.readmitted, receipt.erased_at) {
            (Some(_), _) => ErasureState::Readmitted,
            (None, Some(_)) => ErasureState::Erased,
            (None, None) if over => ErasureState::Ended,
            (None, None) => ErasureState::Waiting,
        };
        let (readmitted_at, readmitted_by) = receipt.readmitted.map(|(at, by)| (at.to_rfc3339(), by)).unzip();
        Self {
            id,
            state,
            model: receipt.model,
            asked_at: receipt.asked_at.to_rfc3339(),
            asked_by: receipt.asked_by,
            everywhere: receipt.everywhere,
            erased_at: receipt.erased_at.map(|at| at.to_rfc3339()),
            rows: receipt.rows,
            proof: receipt.proof.map(ProofView::from),
            readmitted_at,
            readmitted_by,
        }
    }
}

impl From<Proof> for ProofView {
    fn from(proof: Proof) -> Self {
        let Proof { texts, too_short, files, bytes, left, shared, rewritten } = proof;
        Self { texts, too_short, files, bytes, left, shared, rewritten }
    }
}
