//! Syncs: how far each is, what went wrong, and the controls.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use syncline_core::ids::{ConnectionId, ObjectName};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    connections::worst,
    deliveries::CountsView,
    held_deletes::{self, HeldDeletesView},
    input::{Params, Segments},
    page::Page,
    problem::{Kind, Problem, Problems},
    state::SyncFacts,
};
use crate::{
    engine::commands::{Principal, Steering},
    store::{
        deliveries::DeliveryCount,
        syncs::{Phase, Stream, SyncState},
    },
};

/// The routes under `/v1/syncs`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(steer))
}

/// One sync of a model between its sides.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sync)]
struct SyncView {
    /// Its id in the configuration.
    id: String,
    /// The model that is kept the same.
    model: String,
    /// The side's phase that most wants attention; null before the first side has started.
    phase: Option<PhaseView>,
    /// The connected systems.
    sides: Vec<SideView>,
    /// Deletes that are too many to be carried out before a person has looked.
    held_deletes: Vec<HeldDeletesView>,
}

/// One connected system's part in a sync.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncSide)]
struct SideView {
    /// The connection.
    connection: String,
    /// The provider's kind of object.
    object: String,
    /// What the side is doing; null before it has started.
    phase: Option<PhaseView>,
    /// Whether a person has allowed the first write.
    approved: bool,
    /// How far the first read is.
    progress: ProgressView,
    /// Where each of its streams goes on.
    checkpoints: Vec<CheckpointView>,
    /// What went wrong last, and not since gone right.
    last_error: Option<String>,
    /// When it was first started.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When a read last ended well.
    #[schema(format = DateTime)]
    last_success_at: Option<String>,
    /// Its deliveries.
    deliveries: CountsView,
}

/// How far the first read of a side is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
struct ProgressView {
    /// Rows read so far.
    read: u64,
    /// Rows expected, where the provider tells.
    expected: Option<u64>,
}

/// Where a stream goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkpoint)]
struct CheckpointView {
    /// The stream: `backfill`, `changes`, `deletes` or `sweep`.
    stream: String,
    /// The state of its read machine, for people who look for the cause of something.
    state: serde_json::Value,
}

/// What a side of a sync is doing.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Phase)]
pub(super) enum PhaseView {
    /// Reads, and waits for a person to allow the first write.
    WaitingApproval,
    /// Reads everything for the first time, or again after a reset.
    Backfilling,
    /// Follows changes.
    Live,
    /// A person has stopped it.
    Paused,
    /// Goes on as far as it can; `last_error` says what does not.
    Degraded,
    /// The provider refuses the credentials until a person authorises again.
    ReauthNeeded,
}

impl From<Phase> for PhaseView {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::WaitingApproval => Self::WaitingApproval,
            Phase::Backfilling => Self::Backfilling,
            Phase::Live => Self::Live,
            Phase::Paused => Self::Paused,
            Phase::Degraded => Self::Degraded,
            Phase::ReauthNeeded => Self::ReauthNeeded,
        }
    }
}

/// Lists the tenant's syncs.
#[utoipa::path(
    get,
    path = "/v1/syncs",
    tag = "syncs",
    operation_id = "list_syncs",
    responses((status = 200, description = "All of them", body = Page<SyncView>), Problems)
)]
async fn list(State(state): State<AppState>, who: Principal) -> Result<Json<Page<SyncView>>, Problem> {
    let mut items = Vec::new();
    for (id, facts) in state.facts.syncs.iter().filter(|(_, facts)| facts.tenant == who.tenant) {
        items.push(view(&state, id, facts).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// Reads a sync.
#[utoipa::path(
    get,
    path = "/v1/syncs/{id}",
    tag = "syncs",
    operation_id = "get_sync",
    params(("id" = String, Path, description = "The sync")),
    responses((status = 200, description = "The sync", body = SyncView), Problems)
)]
async fn get(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<String>,
) -> Result<Json<SyncView>, Problem> {
    let facts = state.facts.sync(&who, &id)?;
    view(&state, &id, facts).await.map(Json)
}

/// What to do with a sync.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Verb {
    /// Stop reading and writing after the current step.
    Pause,
    /// Go on.
    Resume,
    /// Read now instead of at the next interval.
    Trigger,
    /// Forget the checkpoints and read everything again; records and links stay.
    Reset,
    /// Allow the first writes of a sync whose plan waits for approval, and carry out deletes that wait for a person.
    Approve,
    /// Refuse the deletes that wait for a person: what is gone is created again, and what clients deleted comes back.
    Reject,
}

/// Which part of a sync to control.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SteerParams {
    /// Only this side.
    #[param(value_type = Option<String>)]
    connection: Option<ConnectionId>,
}

/// Controls a sync.
#[utoipa::path(
    post,
    path = "/v1/syncs/{id}/{verb}",
    tag = "syncs",
    operation_id = "steer_sync",
    params(
        ("id" = String, Path, description = "The sync"),
        ("verb" = inline(Verb), Path, description = "What to do"),
        SteerParams,
    ),
    responses((status = 200, description = "The sync as it is now", body = SyncView), Problems)
)]
async fn steer(
    State(state): State<AppState>,
    who: Principal,
    Segments((id, verb)): Segments<(String, Verb)>,
    Params(params): Params<SteerParams>,
) -> Result<Json<SyncView>, Problem> {
    let facts = state.facts.sync(&who, &id)?;
    if let Some(connection) = params.connection.as_ref().filter(|connection| !facts.sides.contains_key(*connection)) {
        return Err(Problem::field(
            Kind::NotFound,
            "connection",
            format!("`{connection}` takes no part in the sync `{id}`"),
        ));
    }
    state.commands.steer(&who.tenant, &id, params.connection.as_ref(), verb.into()).await?;
    view(&state, &id, facts).await.map(Json)
}

impl From<Verb> for Steering {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Pause => Self::Pause,
            Verb::Resume => Self::Resume,
            Verb::Trigger => Self::Trigger,
            Verb::Reset => Self::Reset,
            Verb::Approve => Self::Approve,
            Verb::Reject => Self::Reject,
        }
    }
}

async fn view(state: &AppState, id: &str, facts: &SyncFacts) -> Result<SyncView, Problem> {
    let store = state.store.tenant(&facts.tenant);
    let checkpoints = store.checkpoints(id).await?;
    let (mut sides, mut phases) = (Vec::new(), Vec::new());
    for (connection, object) in &facts.sides {
        let known = store.sync_state(id, connection).await?;
        let phase = known.as_ref().map(|side| side.phase);
        phases.extend(phase);
        let state = known.unwrap_or_else(|| SyncState::new(id, connection.clone()));
        let side = SideView::new(object, phase, state, store.count_deliveries(Some(connection)).await?);
        sides.push(side.with_checkpoints(&checkpoints));
    }
    let held_deletes = held_deletes::views(store.as_ref(), id).await?;
    for side in &mut sides {
        side.show_held(&held_deletes);
    }
    if !held_deletes.is_empty() {
        phases.push(Phase::Degraded);
    }
    let phase = worst(phases.into_iter()).map(PhaseView::from);
    Ok(SyncView { id: id.to_owned(), model: facts.model.to_string(), phase, sides, held_deletes })
}

impl SideView {
    fn new(object: &ObjectName, phase: Option<Phase>, state: SyncState, deliveries: DeliveryCount) -> Self {
        Self {
            connection: state.connection.to_string(),
            object: object.to_string(),
            phase: phase.map(PhaseView::from),
            approved: state.approved,
            progress: ProgressView { read: state.read, expected: state.expected },
            checkpoints: Vec::new(),
            last_error: state.last_error,
            started_at: state.started_at.map(|at| at.to_rfc3339()),
            last_success_at: state.last_success_at.map(|at| at.to_rfc3339()),
            deliveries: deliveries.into(),
        }
    }

    /// A side whose deletes wait goes on as far as it can.
    fn show_held(&mut self, held: &[HeldDeletesView]) {
        let Some(own) = held.iter().find(|held| held.connection.as_ref() == Some(&self.connection)) else { return };
        if let Some(phase @ PhaseView::Live) = &mut self.phase {
            *phase = PhaseView::Degraded;
        }
        self.last_error.get_or_insert_with(|| own.in_words());
    }

    fn with_checkpoints(mut self, all: &[(Stream, String)]) -> Self {
        let own = all.iter().filter(|(stream, _)| stream.connection.as_str() == self.connection);
        self.checkpoints = own.map(|(stream, text)| CheckpointView::new(stream, text)).collect();
        self
    }
}

impl CheckpointView {
    fn new(stream: &Stream, text: &str) -> Self {
        // Checkpoints are JSON; one that is not is shown as the text that it is.
        let state = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        Self { stream: stream.name.clone(), state }
    }
}
