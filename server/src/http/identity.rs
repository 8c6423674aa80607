//! Identity: which object is which record, decided by a person, and the way back.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use syncline_core::{
    identity::{Deed, Operation, OperationId},
    ids::{ConnectionId, ExternalId, RecordId},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Reader,
    input::{Body, PageSize, Params, Segments},
    page::{After, Page},
    problem::{Kind, Problem, Problems},
    records::{LinkState, Named, NoParams},
};
use crate::{
    engine::commands::{IdentityChange, Principal},
    store::{
        identity::OperationQuery,
        records::{LinkRow, RecordRow},
    },
};

/// The routes for links, merges and splits under `/v1/records`, and for the operations under `/v1/identity`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(links))
        .routes(routes!(link, unlink))
        .routes(routes!(merge))
        .routes(routes!(split))
        .routes(routes!(operations))
        .routes(routes!(operation))
        .routes(routes!(undo))
        .routes(routes!(separate))
}

/// The links of a record.
#[derive(Debug, Serialize, ToSchema)]
struct Links {
    /// One for each connection that takes part.
    items: Vec<LinkView>,
}

/// A record's link in one connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordLink)]
struct LinkView {
    /// The connection.
    connection: String,
    /// The provider's kind of object.
    object: String,
    /// The provider's id; null while there is no object.
    external_id: Option<String>,
    /// Whether it is linked.
    state: LinkState,
}

/// What became of a change of identity.
#[derive(Debug, Serialize, ToSchema)]
struct IdentityChanged {
    /// The operation, which can be undone; null where it was so already.
    operation: Option<OperationView>,
    /// The record's links as they are now.
    links: Vec<LinkView>,
}

/// An operation on identity.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityOperation)]
struct OperationView {
    /// The operation; later ones have larger ids.
    id: u64,
    /// What was done.
    verb: VerbView,
    /// The model.
    model: String,
    /// The record that it was asked of: of a merge the one that stays, of a split the one that is left.
    #[schema(format = "uuid")]
    record: String,
    /// Of a merge: the record that went into it. Of a split: the record that was made.
    #[schema(format = "uuid")]
    other: Option<String>,
    /// The objects that were linked, let go of, or moved.
    objects: Vec<ObjectView>,
    /// The fields whose values it changed.
    changed: Vec<String>,
    /// Who asked for it.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who took it back; null while it stands.
    undone: Option<UndoneView>,
}

/// What an operation does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IdentityVerb)]
enum VerbView {
    /// The record was linked to an object.
    Link,
    /// The record let go of an object.
    Unlink,
    /// Another record went into it.
    Merge,
    /// An object left it and became a record.
    Split,
}

/// An object that an operation concerns.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityObject)]
struct ObjectView {
    /// The connection.
    connection: String,
    /// The provider's id.
    external_id: String,
    /// What became of it.
    fate: Fate,
}

/// What became of an object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IdentityFate)]
enum Fate {
    /// It is linked to the record.
    Linked,
    /// It lives on by itself.
    Detached,
    /// It is linked to the other record.
    Parted,
    /// The record that stays has an object of its own there: two objects of one person. Merge them at the provider.
    Duplicate,
}

/// The end of an operation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityUndone)]
struct UndoneView {
    /// Who took it back.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
}

/// Lists a record's links.
#[utoipa::path(
    get,
    path = "/v1/records/{model}/{id}/links",
    tag = "identity",
    operation_id = "list_links",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
    ),
    responses((status = 200, description = "The links", body = Links), Problems)
)]
async fn links(
    State(state): State<AppState>,
    who: Reader,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<Links>, Problem> {
    who.model(&state, &model)?;
    let row = Named::new(&state, &model, &id)?.read(&state, who.principal()).await?;
    Ok(Json(Links { items: views(&row) }))
}

/// Which object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Link {
    /// The provider's id of the object.
    #[schema(min_length = 1)]
    external_id: String,
}

/// Links a record to an object.
///
/// The object is read first. Where it says something else than the record, the fields' policies choose, and what loses is kept
/// as a conflict. 409 where the record has another object there, or the object is another record's.
#[utoipa::path(
    put,
    path = "/v1/records/{model}/{id}/links/{connection}",
    tag = "identity",
    operation_id = "link_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ("connection" = String, Path, description = "The connection"),
    ),
    request_body = Link,
    responses((status = 200, description = "It is linked", body = IdentityChanged), Problems)
)]
async fn link(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id, connection)): Segments<(String, String, String)>,
    Params(NoParams {}): Params<NoParams>,
    Body(Link { external_id }): Body<Link>,
) -> Result<Json<IdentityChanged>, Problem> {
    if external_id.is_empty() {
        return Err(Problem::field(Kind::Invalid, "external_id", "is empty: give the provider's id of the object"));
    }
    let connection = known(&state, &who, &connection)?;
    change(&state, &who, &model, &id, IdentityChange::Link { connection, object: ExternalId::new(external_id) }).await
}

/// Lets go of a record's object, which lives on by itself.
///
/// Nothing is deleted or written there. The record gets no other object in this connection by itself, and matching does not
/// link the two again.
#[utoipa::path(
    delete,
    path = "/v1/records/{model}/{id}/links/{connection}",
    tag = "identity",
    operation_id = "unlink_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ("connection" = String, Path, description = "The connection"),
    ),
    responses((status = 200, description = "It is not linked any more", body = IdentityChanged), Problems)
)]
async fn unlink(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id, connection)): Segments<(String, String, String)>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<IdentityChanged>, Problem> {
    let connection = known(&state, &who, &connection)?;
    change(&state, &who, &model, &id, IdentityChange::Unlink { connection }).await
}

/// Which record goes into this one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Merge {
    /// The record that is the same, and is no more afterwards.
    #[schema(value_type = String, format = "uuid")]
    record: RecordId,
}

/// Merges another record into this one.
///
/// The other's values are edits here that did not see this record's: the fields' policies choose, and what loses is kept as a
/// conflict. Its objects come along where this record has none. Where both have one, the other's lives on by itself. The other
/// record stays readable as deleted, and its `_meta.merged_into` says where it went.
#[utoipa::path(
    post,
    path = "/v1/records/{model}/{id}/merge",
    tag = "identity",
    operation_id = "merge_records",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record that stays"),
    ),
    request_body = Merge,
    responses((status = 200, description = "They are one", body = IdentityChanged), Problems)
)]
async fn merge(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
    Body(Merge { record }): Body<Merge>,
) -> Result<Json<IdentityChanged>, Problem> {
    change(&state, &who, &model, &id, IdentityChange::Merge { absorbed: record }).await
}

/// Which object leaves the record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Split {
    /// The connection whose object it is.
    connection: String,
}

/// Makes a record's object a record of its own.
///
/// The new record begins with what the object shows; the operation names it as `other`. The record that is left keeps its values,
/// and gets no other object in this connection by itself.
#[utoipa::path(
    post,
    path = "/v1/records/{model}/{id}/split",
    tag = "identity",
    operation_id = "split_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
    ),
    request_body = Split,
    responses((status = 200, description = "They are two", body = IdentityChanged), Problems)
)]
async fn split(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
    Body(Split { connection }): Body<Split>,
) -> Result<Json<IdentityChanged>, Problem> {
    let connection = known(&state, &who, &connection)?;
    change(&state, &who, &model, &id, IdentityChange::Split { connection }).await
}

/// Which operations to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only operations that concern this record.
    #[param(value_type = Option<String>, format = "uuid")]
    record: Option<RecordId>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<OperationId>>,
    /// The most operations in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// Lists operations on identity, newest first.
#[utoipa::path(
    get,
    path = "/v1/identity/operations",
    tag = "identity",
    operation_id = "list_identity_operations",
    params(ListParams),
    responses((status = 200, description = "One page", body = Page<OperationView>), Problems)
)]
async fn operations(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<OperationView>>, Problem> {
    let limit = params.limit.get();
    let before = params.cursor.map(|After(id)| id);
    let query = OperationQuery { record: params.record, before, limit };
    let rows = state.store.tenant(&who.tenant).operations(&query).await?;
    Ok(Json(Page::full(rows, limit, |row| row.id, OperationView::from)))
}

/// Reads an operation on identity.
#[utoipa::path(
    get,
    path = "/v1/identity/operations/{id}",
    tag = "identity",
    operation_id = "get_identity_operation",
    params(("id" = u64, Path, description = "The operation")),
    responses((status = 200, description = "The operation", body = OperationView), Problems)
)]
async fn operation(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<u64>,
) -> Result<Json<OperationView>, Problem> {
    read(&state, &who, OperationId(id)).await.map(Json)
}

/// Takes an operation on identity back.
///
/// A link becomes none, and the fields that the object had changed hold what they held before. What was let go of is linked
/// again, and what either side changed meanwhile is merged. Records that were merged are two again, under their own ids. A split
/// is merged again. What was edited since stays, on whichever side it was made. 409 where something else was done to the same
/// record since: undo that first.
#[utoipa::path(
    post,
    path = "/v1/identity/operations/{id}/undo",
    tag = "identity",
    operation_id = "undo_identity_operation",
    params(("id" = u64, Path, description = "The operation")),
    responses((status = 200, description = "The operation as it is now", body = OperationView), Problems)
)]
async fn undo(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<u64>,
) -> Result<Json<OperationView>, Problem> {
    state.commands.undo(&who, OperationId(id)).await?;
    read(&state, &who, OperationId(id)).await.map(Json)
}

/// A record that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeparatedRecord)]
struct Separated {
    /// The record.
    #[schema(format = "uuid")]
    record: String,
}

/// Makes an object that is held, because it could be any of several records, a record of its own.
///
/// To settle it otherwise, link one of the records to the object.
#[utoipa::path(
    post,
    path = "/v1/quarantine/{id}/separate",
    tag = "identity",
    operation_id = "separate_quarantined",
    params(("id" = i64, Path, description = "The quarantined row")),
    responses((status = 200, description = "It is a record", body = Separated), Problems)
)]
async fn separate(
    State(state): State<AppState>,
    who: Principal,
    Segments(id): Segments<i64>,
) -> Result<Json<Separated>, Problem> {
    let record = state.commands.separate(&who, id).await?.to_string();
    Ok(Json(Separated { record }))
}

/// The connection, where it is the principal's.
fn known(state: &AppState, who: &Principal, name: &str) -> Result<ConnectionId, Problem> {
    let connection = ConnectionId::new(name);
    state.facts.connection(who, &connection)?;
    Ok(connection)
}

async fn change(
    state: &AppState,
    who: &Principal,
    model: &str,
    id: &str,
    change: IdentityChange,
) -> Result<Json<IdentityChanged>, Problem> {
    let named = Named::new(state, model, id)?;
    let operation = state.commands.change_identity(who, &named.model.name, named.id, change).await?;
    let operation = match operation {
        Some(operation) => Some(read(state, who, operation).await?),
        None => None,
    };
    let row = named.read(state, who).await?;
    Ok(Json(IdentityChanged { operation, links: views(&row) }))
}

async fn read(state: &AppState, who: &Principal, id: OperationId) -> Result<OperationView, Problem> {
    let operation = state.store.tenant(&who.tenant).operation(id).await?;
    operation.map(OperationView::from).ok_or_else(|| Problem::not_found(format_args!("the operation {}", id.0)))
}

fn views(row: &RecordRow) -> Vec<LinkView> {
    row.links.iter().map(|(connection, link)| LinkView::new(connection, link)).collect()
}

impl LinkView {
    fn new(connection: &ConnectionId, row: &LinkRow) -> Self {
        Self {
            connection: connection.to_string(),
            object: row.object.to_string(),
            external_id: row.link.external_id().map(ToString::to_string),
            state: (&row.link).into(),
        }
    }
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        let other = operation.other().map(|record| record.to_string());
        let object = |connection: &ConnectionId, id: &ExternalId, fate| ObjectView {
            connection: connection.to_string(),
            external_id: id.to_string(),
            fate,
        };
        let (verb, objects, changed) = match &operation.deed {
            Deed::Link { connection, object: id, changed, .. } => {
                (VerbView::Link, vec![object(connection, id, Fate::Linked)], changed.keys().collect())
            }
            Deed::Unlink { connection, object: id, .. } => {
                (VerbView::Unlink, vec![object(connection, id, Fate::Detached)], Vec::new())
            }
            Deed::Merge { moved, set_aside, changed, .. } => {
                let moved = moved.iter().map(|(connection, moved)| object(connection, &moved.object, Fate::Linked));
                let aside = set_aside.iter().filter_map(|(connection, former)| {
                    Some(object(connection, former.replica.link.linked()?, Fate::Duplicate))
                });
                (VerbView::Merge, moved.chain(aside).collect(), changed.keys().collect())
            }
            Deed::Split { connection, object: id, .. } => {
                (VerbView::Split, vec![object(connection, id, Fate::Parted)], Vec::new())
            }
        };
        Self {
            id: operation.id.0,
            verb,
            model: operation.model.to_string(),
            record: operation.record.to_string(),
            other,
            objects,
            changed: changed.into_iter().map(ToString::to_string).collect(),
            by: operation.by.clone(),
            at: operation.at.to_rfc3339(),
            undone: operation.undone.map(|undone| UndoneView { by: undone.by, at: undone.at.to_rfc3339() }),
        }
    }
}
