//! Deliveries: the writes that connected systems are owed.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::{ConnectionId, RecordId},
    outbox::Delivery,
};
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
    store::deliveries::{DeliveryCount, DeliveryQuery, DeliveryRow, DeliveryState},
};

/// The routes under `/v1/deliveries`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(replay))
}

/// Which deliveries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only deliveries in this state.
    #[param(inline, default = "parked")]
    state: StateParam,
    /// Only deliveries to this connection.
    #[param(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<(ConnectionId, RecordId)>>,
    /// The most deliveries in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// In which state deliveries are to be listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateParam {
    /// Given up until somebody looks.
    #[default]
    Parked,
    /// Yet to be sent.
    Dirty,
}

/// A write that a connected system is owed. It holds no values: they are computed when it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryView {
    /// The record.
    #[schema(format = "uuid")]
    record: String,
    /// The record's model.
    model: String,
    /// The connection.
    connection: String,
    /// The provider's kind of object.
    object: String,
    /// The provider's id; null while the object is yet to be created.
    external_id: Option<String>,
    /// How the delivery stands.
    #[serde(flatten)]
    #[schema(inline)]
    standing: Standing,
}

/// How a delivery stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
enum Standing {
    /// Nothing is owed any more.
    Clean,
    /// Yet to be sent.
    Dirty {
        /// The earliest time of the next attempt.
        #[schema(format = DateTime)]
        due: String,
        /// Failed attempts since the last success.
        attempts: u32,
        /// The last failure.
        error: Option<String>,
    },
    /// Given up until somebody looks.
    Parked {
        /// Why.
        reason: String,
        /// Since when.
        #[schema(format = DateTime)]
        since: String,
    },
}

/// Numbers of deliveries by state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryCounts)]
pub(super) struct CountsView {
    /// Copies that agree with their record.
    clean: u64,
    /// Copies that are owed a write.
    dirty: u64,
    /// Copies that wait for a person.
    parked: u64,
}

impl From<DeliveryCount> for CountsView {
    fn from(DeliveryCount { clean, dirty, parked }: DeliveryCount) -> Self {
        Self { clean, dirty, parked }
    }
}

/// Lists deliveries that were given up, or are yet to be sent.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    tag = "deliveries",
    operation_id = "list_deliveries",
    params(ListParams),
    responses((status = 200, description = "One page", body = Page<DeliveryView>), Problems)
)]
async fn list(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    if let Some(connection) = &params.connection {
        state.facts.connection(&who, connection)?;
    }
    let limit = params.limit.get();
    let query = DeliveryQuery {
        state: match params.state {
            StateParam::Parked => DeliveryState::Parked,
            StateParam::Dirty => DeliveryState::Dirty,
        },
        connection: params.connection,
        after: params.cursor.map(|After(place)| place),
        limit,
    };
    let rows = state.store.tenant(&who.tenant).list_deliveries(&query).await?;
    Ok(Json(Page::full(rows, limit, |row| (row.connection.clone(), row.record), DeliveryView::from)))
}

/// Tries a delivery that was given up again.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{record}/{connection}/replay",
    tag = "deliveries",
    operation_id = "replay_delivery",
    params(
        ("record" = String, Path, format = "uuid", description = "The record"),
        ("connection" = String, Path, description = "The connection"),
    ),
    responses((status = 202, description = "It is due now"), Problems)
)]
async fn replay(
    State(state): State<AppState>,
    who: Principal,
    Segments((record, connection)): Segments<(RecordId, ConnectionId)>,
) -> Result<StatusCode, Problem> {
    state.facts.connection(&who, &connection)?;
    state.commands.replay_delivery(&who.tenant, record, &connection).await?;
    Ok(StatusCode::ACCEPTED)
}

impl From<DeliveryRow> for DeliveryView {
    fn from(row: DeliveryRow) -> Self {
        Self {
            record: row.record.to_string(),
            model: row.model.to_string(),
            connection: row.connection.to_string(),
            object: row.object.to_string(),
            external_id: row.external_id.map(|id| id.to_string()),
            standing: row.delivery.into(),
        }
    }
}

impl From<Delivery> for Standing {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Clean => Self::Clean,
            Delivery::Dirty { due, attempts, error } => Self::Dirty { due: due.to_rfc3339(), attempts, error },
            Delivery::Parked { reason, since } => Self::Parked { reason, since: since.to_rfc3339() },
        }
    }
}
