//! The change feed over plain HTTP.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::ModelName,
    live::{Action, Change, ChangedField, Cursor},
};
use tokio::time::{Instant, timeout_at};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    input::{PageSize, Params, Wait},
    origin::OriginView,
    problem::{Kind, Problem, Problems},
};
use crate::{
    engine::commands::Principal,
    store::{TenantStore, feed::Changes},
};

/// The route `/v1/changes`.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(changes))
}

/// Which changes to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangesParams {
    /// Only changes after this one; 0 is before the first.
    #[param(default = 0)]
    after: u64,
    /// The most changes in the answer.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
    /// How many seconds to wait for a change where there is none yet.
    #[param(value_type = Option<u32>, maximum = 60, default = 0)]
    wait: Wait,
    /// Only changes of this model.
    model: Option<String>,
}

/// A part of the feed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Changes)]
struct ChangesView {
    /// The changes, oldest first.
    items: Vec<ChangeView>,
    /// Give it as `after` to go on.
    cursor: u64,
}

/// One change of one record; the same form as in messages of `/v1/live`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(super) struct ChangeView {
    /// The change's place in the feed.
    #[schema(minimum = 1)]
    cursor: u64,
    /// The record.
    #[schema(format = "uuid")]
    record: String,
    /// Its model.
    model: String,
    /// What happened.
    action: ActionView,
    /// The record's version after the change.
    version: u64,
    /// All fields after the change.
    fields: serde_json::Map<String, serde_json::Value>,
    /// The fields that changed.
    changed: Vec<ChangedFieldView>,
    /// Of a record that was deleted by being merged: the record that it went into.
    #[schema(format = "uuid", nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_into: Option<String>,
    /// When it was committed.
    #[schema(format = DateTime)]
    at: String,
}

/// What happened to a record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Action)]
enum ActionView {
    Created,
    Updated,
    Deleted,
    Restored,
    Erased,
}

/// One field of a change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangedField)]
struct ChangedFieldView {
    /// The field.
    field: String,
    /// Who wrote the value that stands now.
    origin: OriginView,
    /// The value before; null where the field was cleared or absent.
    before: serde_json::Value,
}

/// Lists changes in their order, without a gap.
///
/// With `wait` the request is held until there is a change, at most so long. 410 means that the feed no longer reaches
/// back to `after`: read the records again.
#[utoipa::path(
    get,
    path = "/v1/changes",
    tag = "changes",
    operation_id = "list_changes",
    params(ChangesParams),
    responses((status = 200, description = "The changes that there are", body = ChangesView), Problems)
)]
async fn changes(
    State(state): State<AppState>,
    who: Principal,
    Params(params): Params<ChangesParams>,
) -> Result<Json<ChangesView>, Problem> {
    let models = match &params.model {
        Some(name) => vec![state.facts.model(name)?.name.clone()],
        None => Vec::new(),
    };
    let store = state.store.tenant(&who.tenant);
    let Some(wait) = params.wait.duration() else {
        return read(&*store, Cursor(params.after), &models, params.limit).await.map(Json);
    };
    let _seat = state.feed.seat(&who.tenant).ok_or_else(full)?;
    let deadline = Instant::now() + wait;
    let closing = state.feed.closing();
    // Listening begins before the first read, so that a change between the two ends the wait.
    let mut tail = state.feed.listen(&who.tenant);
    let mut view = read(&*store, Cursor(params.after), &models, params.limit).await?;
    while view.items.is_empty() {
        let heard = tokio::select! {
            heard = timeout_at(deadline, tail.changed()) => heard.is_ok(),
            () = closing.cancelled() => false,
        };
        if !heard {
            break;
        }
        view = read(&*store, Cursor(view.cursor), &models, params.limit).await?;
    }
    Ok(Json(view))
}

/// The answer where no more sockets or long-polls may be opened.
pub(super) fn full() -> Problem {
    Problem::new(
        Kind::TooMany,
        "too many sockets and long-polls are open: close some, or share one socket among several readers",
    )
    .with_header(axum::http::header::RETRY_AFTER, axum::http::HeaderValue::from_static("10"))
}

async fn read(
    store: &dyn TenantStore,
    after: Cursor,
    models: &[ModelName],
    limit: PageSize,
) -> Result<ChangesView, Problem> {
    match store.changes(after, models, limit.get()).await? {
        Changes::TooOld { head } => Err(gone(after, head)),
        Changes::Page { changes, next } => {
            if changes.is_empty() && after > Cursor(0) {
                let head = store.feed_span().await?.head;
                if after > head {
                    return Err(gone(after, head));
                }
            }
            Ok(ChangesView { items: changes.into_iter().map(ChangeView::from).collect(), cursor: next.0 })
        }
    }
}

fn gone(after: Cursor, head: Cursor) -> Problem {
    Problem::new(
        Kind::Gone,
        format!("the changes after {} are not kept: read /v1/records, then go on with after={}", after.0, head.0),
    )
}

impl From<Change> for ChangeView {
    fn from(Change { cursor, event }: Change) -> Self {
        Self {
            cursor: cursor.0,
            record: event.record.to_string(),
            model: event.model.to_string(),
            action: match event.action {
                Action::Created => ActionView::Created,
                Action::Updated => ActionView::Updated,
                Action::Deleted => ActionView::Deleted,
                Action::Restored => ActionView::Restored,
                Action::Erased => ActionView::Erased,
            },
            version: event.version,
            fields: event.fields,
            changed: event.changed.into_iter().map(ChangedFieldView::from).collect(),
            merged_into: event.merged_into.map(|record| record.to_string()),
            at: event.at.to_rfc3339(),
        }
    }
}

impl From<ChangedField> for ChangedFieldView {
    fn from(changed: ChangedField) -> Self {
        Self { field: changed.field.to_string(), origin: (&changed.origin).into(), before: changed.before }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_looks_the_same_over_http_and_live() {
        for action in ["created", "updated", "deleted", "restored"] {
            let change: Change = serde_json::from_value(json!({
                "cursor": 7,
                "record": "01890000-0000-7000-8000-000000000000",
                "model": "contact",
                "action": action,
                "version": 3,
                "fields": {"stage": "lead", "tags": ["a"]},
                "changed": [{"field": "stage", "origin": {"kind": "client", "id": "backend"}, "before": null}],
                "at": "2026-01-31T12:00:00.000Z",
            }))
            .unwrap();
            let live = serde_json::to_value(&change).unwrap();
            assert_eq!(serde_json::to_value(ChangeView::from(change)).unwrap(), live);
        }
    }
}
