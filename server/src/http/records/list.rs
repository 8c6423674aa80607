//! Lists of a model's records.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Deserialize;
use syncline_core::{model::Model, time::Millis, value::Fields};
use utoipa::IntoParams;

use super::view::RecordView;
use crate::{
    http::{
        AppState,
        auth::Reader,
        input::{Filtered, Instant, PageSize, Segments},
        page::{After, Page, Place},
        problem::{Kind, Problem, Problems},
        state::known_field,
    },
    live::wanted,
    store::records::{RecordPlace, RecordQuery},
};

/// Which records to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListParams {
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<RecordPlace>>,
    /// The most records in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
    /// Only records that changed at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    modified_since: Option<Instant>,
    /// Also deleted records.
    #[param(default = false)]
    include_deleted: bool,
    /// Also who wrote each field's value.
    #[param(default = false)]
    origins: bool,
}

/// Lists a model's records.
///
/// In the order of their last change, oldest first: a record that changes while the pages are read moves behind them and
/// is seen again, so nothing is missed.
#[utoipa::path(
    get,
    path = "/v1/records/{model}",
    tag = "records",
    operation_id = "list_records",
    params(
        ("model" = String, Path, description = "The model"),
        ListParams,
        ("filter" = inline(Option<BTreeMap<String, String>>), Query, style = DeepObject, explode, description = "Only records whose fields have these values, such as `filter[stage]=lead`. Nothing after the `=` means null; a set is found by any of its members."),
    ),
    responses((status = 200, description = "One page", body = Page<RecordView>), Problems)
)]
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    who: Reader,
    Segments(model): Segments<String>,
    Filtered { params, filter }: Filtered<ListParams>,
) -> Result<Json<Page<RecordView>>, Problem> {
    let model = who.model(&state, &model)?;
    let query = RecordQuery {
        model: model.name.clone(),
        after: params.cursor.map(|After(place)| place),
        modified_since: params.modified_since.map(Millis::from),
        include_deleted: params.include_deleted,
        equals: equals(model, &filter)?,
        limit: params.limit.get(),
    };
    let page = state.store.tenant(&who.principal().tenant).list_records(&query).await?;
    let items = page.rows.iter().map(|row| RecordView::new(row).with_origins(row, params.origins)).collect();
    Ok(Json(Page { items, next_cursor: page.next.map(|place| place.to_text()) }))
}

fn equals(model: &Model, filter: &BTreeMap<String, String>) -> Result<Fields, Problem> {
    let mut equals = Fields::new();
    for (name, text) in filter {
        let (name, field) = known_field(model, name)?;
        let value = wanted::from_text(field, text)
            .map_err(|why| Problem::field(Kind::Malformed, format!("filter[{name}]"), why))?;
        equals.insert(name.clone(), value);
    }
    Ok(equals)
}
