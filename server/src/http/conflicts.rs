//! Conflicts: concurrent values of one field, kept after a policy has chosen, and open to be overturned.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use syncline_core::{conflict::Candidate, ids::RecordId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    input::{Body, PageSize, Params, Segments},
    origin::OriginView,
    page::{After, Page},
    problem::{Problem, Problems},
};
use crate::{
    engine::commands::{Choice, Principal},
    store::conflicts::{Closed, ConflictId, ConflictQuery, ConflictRow},
};

/// The routes under `/v1/conflicts`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(resolve))
}

/// Which conflicts to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only conflicts in this state.
    #[param(inline, default = "open")]
    state: StateParam,
    /// Only conflicts of this model's records.
    model: Option<String>,
    /// Only conflicts of this record.
    #[param(value_type = Option<String>, format = "uuid")]
    record: Option<RecordId>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<ConflictId>>,
    /// The most conflicts in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// In which state conflicts are to be listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateParam {
    #[default]
    Open,
    Resolved,
    All,
}

/// A conflict.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conflict)]
struct ConflictView {
    /// The conflict's id.
    id: i64,
    /// The record.
    #[schema(format = "uuid")]
    record: String,
    /// The record's model.
    model: String,
    /// The field.
    field: String,
    /// The value that won.
    winner: CandidateView,
    /// The value that lost.
    loser: CandidateView,
    /// Why, in one word: the policy's name, or what happened.
    reason: String,
    /// Whether the losing value may have been overwritten knowingly: nothing orders the two.
    uncertain: bool,
    /// When it was decided.
    #[schema(format = DateTime)]
    decided_at: String,
    /// Whether it was resolved.
    state: ConflictState,
    /// How it was resolved; null while it is open.
    resolution: Option<ResolutionView>,
}

/// Whether a conflict was resolved.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ConflictState {
    Open,
    Resolved,
}

/// One of the values that met.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Candidate)]
struct CandidateView {
    /// The value.
    value: serde_json::Value,
    /// Who wrote it.
    origin: OriginView,
    /// When, as well as anybody can tell.
    #[schema(format = DateTime)]
    written_at: String,
    /// How coarse that time is, in milliseconds.
    precision_ms: u32,
    /// The change that wrote it.
    change: String,
}

/// How a conflict was resolved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resolution)]
struct ResolutionView {
    /// What was chosen.
    choice: String,
    /// By whom.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
}

/// Lists conflicts, oldest first.
#[utoipa::path(
    get,
    path = "/v1/conflicts",
    tag = "conflicts",
    operation_id = "list_conflicts",
    params(ListParams),
    responses((status = 200, description = "One page", body = Page<ConflictView>), Problems)
)]
async fn list(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<ConflictView>>, Problem> {
    let limit = params.limit.get();
    let query = ConflictQuery {
        open: match params.state {
            StateParam::Open => Some(true),
            StateParam::Resolved => Some(false),
            StateParam::All => None,
        },
        model: params.model.as_deref().map(|name| state.facts.model(name)).transpose()?.map(|model| model.name.clone()),
        record: params.record,
        after: params.cursor.map(|After(id)| id),
        limit,
    };
    let rows = state.store.tenant(&who.tenant).list_conflicts(&query).await?;
    Ok(Json(Page::full(rows, limit, |row| row.id, ConflictView::from)))
}

/// Reads a conflict.
#[utoipa::path(
    get,
    path = "/v1/conflicts/{id}",
    tag = "conflicts",
    operation_id = "get_conflict",
    params(("id" = i64, Path, description = "The conflict")),
    responses((status = 200, description = "The conflict", body = ConflictView), Problems)
)]
async fn get(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<i64>,
) -> Result<Json<ConflictView>, Problem> {
    read(&state, &who, id).await.map(Json)
}

/// What is to stand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Resolve {
    /// `"winner"` keeps the value that won, `"loser"` brings back the one that lost, `{"value": …}` sets another.
    #[schema(value_type = ChoiceSchema)]
    choice: Choice,
}

/// What is to stand: `"winner"`, `"loser"`, or an object with another value.
#[derive(ToSchema)]
#[schema(as = Choice, rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes Choice, which knows nothing of OpenAPI")]
enum ChoiceSchema {
    Winner,
    Loser,
    Value(serde_json::Value),
}

/// Confirms or overturns a conflict.
///
/// The chosen value becomes the field's value by an ordinary edit of the caller; the conflict is resolved.
#[utoipa::path(
    post,
    path = "/v1/conflicts/{id}/resolve",
    tag = "conflicts",
    operation_id = "resolve_conflict",
    params(("id" = i64, Path, description = "The conflict")),
    request_body = Resolve,
    responses((status = 200, description = "The conflict as it is now", body = ConflictView), Problems)
)]
async fn resolve(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<i64>,
    Body(Resolve { choice }): Body<Resolve>,
) -> Result<Json<ConflictView>, Problem> {
    state.commands.resolve(&who, id, choice).await?;
    read(&state, &who, id).await.map(Json)
}

async fn read(state: &AppState, who: &Principal, id: i64) -> Result<ConflictView, Problem> {
    let row = state.store.tenant(&who.tenant).get_conflict(ConflictId(id)).await?;
    row.map(ConflictView::from).ok_or_else(|| Problem::not_found(format_args!("the conflict {id}")))
}

impl From<ConflictRow> for ConflictView {
    fn from(row: ConflictRow) -> Self {
        let conflict = row.conflict;
        Self {
            id: row.id.0,
            record: row.record.to_string(),
            model: row.model.to_string(),
            field: conflict.field.to_string(),
            winner: (&conflict.winner).into(),
            loser: (&conflict.loser).into(),
            reason: conflict.reason,
            uncertain: conflict.uncertain,
            decided_at: conflict.at.to_rfc3339(),
            state: if row.closed.is_some() { ConflictState::Resolved } else { ConflictState::Open },
            resolution: row.closed.map(ResolutionView::from),
        }
    }
}

impl From<&Candidate> for CandidateView {
    fn from(candidate: &Candidate) -> Self {
        Self {
            value: candidate.value.to_json(),
            origin: (&candidate.origin).into(),
            written_at: candidate.clock.at.to_rfc3339(),
            precision_ms: candidate.clock.precision_ms,
            change: candidate.op.to_string(),
        }
    }
}

impl From<Closed> for ResolutionView {
    fn from(closed: Closed) -> Self {
        Self { choice: closed.choice, by: closed.by, at: closed.at.to_rfc3339() }
    }
}
