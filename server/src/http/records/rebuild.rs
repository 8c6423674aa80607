//! A damaged document is made again.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Named, single::NoParams};
use crate::{
    engine::{commands::Principal, intake::Rebuilt},
    http::{
        AppState,
        input::{Body, Params, Segments},
        problem::{Problem, Problems},
    },
};

/// How far to go.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct Rebuild {
    /// Where nothing proves what the document was: begin a new history with the values that stand. Edits that were not merged
    /// yet are lost with the old one.
    from_values: bool,
}

/// What became of the document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RebuiltRecord)]
pub(in crate::http) struct RebuiltView {
    /// The record.
    #[schema(format = "uuid")]
    record: String,
    /// How the document was made.
    how: How,
}

/// How a document was made sound.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// It was not damaged.
    Sound,
    /// From the log of its changes: it is the document that was committed.
    Proved,
    /// From the record's values, as a new history.
    FromValues,
}

/// Makes a record's damaged document again.
#[utoipa::path(
    post,
    path = "/v1/records/{model}/{id}/rebuild",
    tag = "records",
    operation_id = "rebuild_record",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
    ),
    request_body(content = inline(Rebuild), description = "How far to go"),
    responses((status = 200, description = "The document is sound", body = RebuiltView), Problems)
)]
pub(in crate::http) async fn rebuild(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
    Body(asked): Body<Rebuild>,
) -> Result<Json<RebuiltView>, Problem> {
    let named = Named::new(&state, &model, &id)?;
    named.read(&state, &who).await?;
    let how = match state.commands.rebuild(&who, &named.model.name, named.id, asked.from_values).await? {
        Rebuilt::Sound => How::Sound,
        Rebuilt::Proved => How::Proved,
        Rebuilt::FromValues => How::FromValues,
    };
    Ok(Json(RebuiltView { record: named.id.to_string(), how }))
}
