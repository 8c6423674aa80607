//! Issues: everything that waits for a person or for a provider to come right, explained, and tried again.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use syncline_core::ids::ConnectionId;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    input::{PageSize, Params, Segments},
    page::{After, Page, Place},
    problem::{Kind, Problem, Problems},
};
use crate::{
    engine::commands::{CommandError, Principal, Steering},
    issues::{
        Issue, IssueId, IssueKind,
        list::{self, IssuePlace, IssueQuery, IssueStep},
    },
    store::{
        issues::{MarkedPlace, Marks},
        quarantine::{QuarantineCause, QuarantineId},
    },
};

/// The routes under `/v1/issues`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(replay_all)).routes(routes!(get)).routes(routes!(replay))
}

/// Which issues to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only issues of this kind.
    #[param(inline)]
    kind: Option<IssueKind>,
    /// Only issues of this connection.
    #[param(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// Show the words in which each issue was reported too. They may quote values of records.
    #[param(value_type = Option<bool>, default = false)]
    details: bool,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<IssuePlace>>,
    /// The most issues in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// How much of an issue to show.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GetParams {
    /// Show the words in which it was reported too. They may quote values of the record.
    #[param(value_type = Option<bool>, default = false)]
    details: bool,
}

/// Which issues to try again.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReplayParams {
    /// Only issues of this kind; needed, so that nobody resumes everything by a slip.
    #[param(inline)]
    kind: Option<IssueKind>,
    /// Only issues of this connection.
    #[param(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// The `next_cursor` of the answer before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<IssuePlace>>,
    /// The most issues to try in this call.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// Something that waits for a person or for a provider to come right. It ends by itself when its cause does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Issue)]
struct IssueView {
    /// Its id, the same for as long as it lasts.
    id: String,
    /// What is wrong.
    kind: IssueKind,
    /// Whose data it is about.
    tenant: String,
    /// The sync, where it is about one.
    sync: Option<String>,
    /// The model.
    model: Option<String>,
    /// The record.
    #[schema(format = "uuid")]
    record: Option<String>,
    /// The connected account; null where it is about the record itself, or about what the product's clients did.
    connection: Option<String>,
    /// The provider's kind of object.
    object: Option<String>,
    /// The provider's id of the object.
    external_id: Option<String>,
    /// The field: the model's, or the provider's where that is what is missing.
    field: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// How often it was tried.
    attempts: Option<u64>,
    /// How many deletes are held back, where it is about those.
    deletes: Option<u64>,
    /// What happened, in a sentence that quotes no value.
    cause: String,
    /// What to do, in a sentence.
    remedy: &'static str,
    /// The command that does it, or shows what to do it with.
    command: String,
    /// The provider's code, where it gave one.
    code: Option<String>,
    /// The words in which it was reported, where `details` asks for them; they may quote values of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// Whether it can be tried again by `POST /v1/issues/{id}/replay`.
    replayable: bool,
    /// Where the API shows what it is about.
    resource: String,
}

/// What became of issues that were tried again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IssuesReplayed)]
struct ReplayedView {
    /// How many are tried again.
    replayed: u64,
    /// Those that could not be, each with the reason.
    refused: Vec<RefusedView>,
    /// Give it as `cursor` to go on; null when all were tried.
    next_cursor: Option<String>,
}

/// An issue that could not be tried again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IssueNotReplayed)]
struct RefusedView {
    /// The issue.
    id: String,
    /// Why not, and what to do instead.
    reason: String,
}

/// Lists what waits for a person or for a provider to come right.
#[utoipa::path(
    get,
    path = "/v1/issues",
    tag = "issues",
    operation_id = "list_issues",
    params(ListParams),
    responses((status = 200, description = "One page", body = Page<IssueView>), Problems)
)]
async fn list(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<IssueView>>, Problem> {
    let limit = params.limit.get();
    let issues = page(&state, &who, params.kind, params.connection, params.cursor, limit).await?;
    let show = |(_, issue)| IssueView::new(issue, params.details);
    Ok(Json(Page::full(issues, limit, |(place, _)| place.clone(), show)))
}

/// Explains an issue.
#[utoipa::path(
    get,
    path = "/v1/issues/{id}",
    tag = "issues",
    operation_id = "get_issue",
    params(("id" = String, Path, description = "The issue"), GetParams),
    responses((status = 200, description = "The issue", body = IssueView), Problems)
)]
async fn get(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<String>,
    Params(params): Params<GetParams>,
) -> Result<Json<IssueView>, Problem> {
    let issue = read(&state, &who, &id).await?;
    Ok(Json(IssueView::new(issue, params.details)))
}

/// Tries again what an issue is about.
///
/// A delivery or field is sent again, an object is read again, a damaged document is looked for in its log again, a paused sync goes
/// on, and a connection or sync that fails is tried now. What needs a decision instead is refused with 409 and says which command
/// makes it.
#[utoipa::path(
    post,
    path = "/v1/issues/{id}/replay",
    tag = "issues",
    operation_id = "replay_issue",
    params(("id" = String, Path, description = "The issue")),
    responses((status = 202, description = "It is tried again"), Problems)
)]
async fn replay(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Problem> {
    let issue = read(&state, &who, &id).await?;
    try_again(&state, &who, &issue).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Tries again what all issues of a kind are about.
#[utoipa::path(
    post,
    path = "/v1/issues/replay",
    tag = "issues",
    operation_id = "replay_issues",
    params(ReplayParams),
    responses((status = 200, description = "What became of them", body = ReplayedView), Problems)
)]
async fn replay_all(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ReplayParams>,
) -> Result<Json<ReplayedView>, Problem> {
    let Some(kind) = params.kind else {
        return Err(Problem::field(Kind::Malformed, "kind", "is missing: name the kind of issue to try again"));
    };
    let limit = params.limit.get();
    let issues = page(&state, &who, Some(kind), params.connection, params.cursor, limit).await?;
    let next = issues.last().filter(|_| issues.len() >= limit as usize).map(|(place, _)| place.to_text());
    let mut view = ReplayedView { replayed: 0, refused: Vec::new(), next_cursor: next };
    for (_, issue) in issues {
        match try_again(&state, &who, &issue).await {
            Ok(()) => view.replayed += 1,
            // The store or the service is at fault, not the issue: the others would fare no better.
            Err(error @ CommandError::Unavailable(_)) => return Err(error.into()),
            Err(error) => view.refused.push(RefusedView { id: issue.id.to_string(), reason: error.to_string() }),
        }
    }
    Ok(Json(view))
}

async fn page(
    state: &AppState,
    who: &Principal,
    kind: Option<IssueKind>,
    connection: Option<ConnectionId>,
    after: Option<After<IssuePlace>>,
    limit: u32,
) -> Result<Vec<(IssuePlace, Issue)>, Problem> {
    if let Some(connection) = &connection {
        state.facts.connection(who, connection)?;
    }
    let query = IssueQuery {
        kinds: BTreeSet::from_iter(kind),
        connection,
        after: after.map(|After(place)| place),
        limit: limit as usize,
    };
    let own = state.facts.own_scope(&who.tenant);
    Ok(list::list(state.store.tenant(&who.tenant).as_ref(), own.scope(&who.tenant), &query).await?)
}

async fn read(state: &AppState, who: &Principal, id: &str) -> Result<Issue, Problem> {
    let parsed: IssueId = id.parse().map_err(|error| Problem::new(Kind::NotFound, format!("`{id}`: {error}")))?;
    let own = state.facts.own_scope(&who.tenant);
    let issue = list::get(state.store.tenant(&who.tenant).as_ref(), own.scope(&who.tenant), &parsed).await?;
    issue.ok_or_else(|| Problem::not_found(format_args!("the issue `{id}` is over, or")))
}

/// Tries again what the issue is about.
async fn try_again(state: &AppState, who: &Principal, issue: &Issue) -> Result<(), CommandError> {
    if !issue.kind.can_replay() {
        return Err(CommandError::Conflict(format!(
            "{}: {}; use `{}`",
            issue.cause(),
            issue.remedy(),
            issue.command()
        )));
    }
    let (commands, tenant) = (&state.commands, &issue.tenant);
    match &issue.id {
        IssueId::Delivery { connection, record } | IssueId::Field { connection, record, .. } => {
            commands.replay_delivery(tenant, *record, connection).await
        }
        IssueId::Row(row) => commands.replay_quarantined(tenant, row.0).await,
        IssueId::Side { sync, connection } | IssueId::RemoteField { sync, connection, .. } => {
            let verb = if issue.kind == IssueKind::SyncPaused { Steering::Resume } else { Steering::Trigger };
            commands.steer(tenant, sync, Some(connection), verb).await
        }
        IssueId::Document(record) => {
            let gone = || CommandError::NotFound(format!("there is no record {record}"));
            let model = issue.model.as_ref().ok_or_else(gone)?;
            commands.rebuild(who, model, *record, false).await.map(drop)
        }
        // Answered, not tried again.
        IssueId::Deletes { .. } => Ok(()),
        IssueId::Connection(connection) => {
            for (name, sync) in &state.facts.syncs {
                if sync.tenant == *tenant && sync.sides.contains_key(connection) {
                    commands.steer(tenant, name, Some(connection), Steering::Trigger).await?;
                }
            }
            Ok(())
        }
    }
}

impl IssueView {
    fn new(issue: Issue, details: bool) -> Self {
        Self {
            cause: issue.cause(),
            remedy: issue.remedy(),
            command: issue.command(),
            code: issue.code().map(str::to_owned),
            replayable: issue.kind.can_replay(),
            resource: issue.resource(),
            id: issue.id.to_string(),
            kind: issue.kind,
            tenant: issue.tenant.to_string(),
            sync: issue.sync,
            model: issue.model.map(|model| model.to_string()),
            record: issue.record.map(|record| record.to_string()),
            connection: issue.connection.map(|connection| connection.to_string()),
            object: issue.object.map(|object| object.to_string()),
            external_id: issue.external_id.map(|id| id.to_string()),
            field: issue.field,
            since: issue.since.map(|at| at.to_rfc3339()),
            attempts: issue.attempts,
            deletes: issue.deletes,
            error: issue.error.filter(|_| details),
        }
    }
}

impl Place for IssuePlace {
    fn to_text(&self) -> String {
        let connection = self.connection.as_ref().map_or("", |connection| connection.as_str());
        let seen = self.seen;
        match self.step {
            IssueStep::Whole => format!("{connection}.whole.0.0.{seen}"),
            IssueStep::Document(record) => format!("{connection}.document.0.{record}.{seen}"),
            IssueStep::Replica(MarkedPlace { marks, row }) => format!("{connection}.replica.{}.{row}.{seen}", marks.0),
            IssueStep::Row(cause, row) => format!("{connection}.{}.0.{}.{seen}", cause.as_str(), row.0),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (connection, step) = (parts.next()?, parts.next()?);
        let (first, second, seen) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
        let step = match step {
            "whole" => IssueStep::Whole,
            "document" => IssueStep::Document(second.parse().ok()?),
            "replica" => {
                IssueStep::Replica(MarkedPlace { marks: Marks(first.parse().ok()?), row: second.parse().ok()? })
            }
            cause => IssueStep::Row(QuarantineCause::parse(cause)?, QuarantineId(second.parse().ok()?)),
        };
        let connection = (!connection.is_empty()).then(|| ConnectionId::new(connection));
        parts.next().is_none().then_some(Self { connection, step, seen })
    }
}
