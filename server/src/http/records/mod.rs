//! Records: plain model fields with one `_meta` block.
//!
//! # Layout
//!
//! * `list`, `single`: reading and writing.
//! * `history`: who wrote what and when, and back to an earlier value.
//! * `rebuild`: a damaged document is made again.
//! * `view`: how a record looks.

mod history;
mod list;
mod rebuild;
mod single;
mod view;

use syncline_core::{
    ids::{ModelName, RecordId},
    model::Model,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::{single::NoParams, view::LinkState};
use super::{
    AppState,
    problem::{Kind, Problem},
};
use crate::{
    engine::commands::{JsonFields, Principal},
    store::records::RecordRow,
};

/// The routes under `/v1/records`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, single::create))
        .routes(routes!(single::get, single::update, single::delete))
        .routes(routes!(single::undelete))
        .routes(routes!(history::history))
        .routes(routes!(history::restore))
        .routes(routes!(rebuild::rebuild))
}

/// A record as the path names it.
pub(super) struct Named<'a> {
    pub(super) model: &'a Model,
    pub(super) id: RecordId,
}

impl<'a> Named<'a> {
    /// Finds the model and reads the id; an id of the wrong form names nothing.
    pub(super) fn new(state: &'a AppState, model: &str, id: &str) -> Result<Self, Problem> {
        let model = state.facts.model(model)?;
        let id = id.parse().map_err(|_| {
            Problem::new(Kind::NotFound, format!("`{id}` is no record id: ids are UUIDs, as in `_meta.id`"))
        })?;
        Ok(Self { model, id })
    }

    pub(super) async fn read(&self, state: &AppState, who: &Principal) -> Result<RecordRow, Problem> {
        let row = state.store.tenant(&who.tenant).get_record(&self.model.name, self.id).await?;
        row.ok_or_else(|| missing(&self.model.name, self.id))
    }
}

fn missing(model: &ModelName, id: RecordId) -> Problem {
    Problem::not_found(format_args!("the {model} {id}"))
}

/// Refuses what only the server writes.
fn writable(fields: JsonFields) -> Result<JsonFields, Problem> {
    if fields.contains_key(view::META) {
        return Err(Problem::field(
            Kind::Invalid,
            view::META,
            "is written by the server: send the model's fields only",
        ));
    }
    Ok(fields)
}
