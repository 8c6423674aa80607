//! Who wrote what and when, and the way back to an earlier value.

use std::collections::BTreeMap;

use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use syncline_core::{
    document::DocumentError,
    ids::FieldName,
    journal::{ChangeEntry, Hash, Ops},
    model::Model,
    record::RecordState,
    time::{Clock, ClockKind},
    value::Value,
};
use utoipa::{IntoParams, ToSchema};

use super::{Named, missing, single::edit};
use crate::{
    engine::commands::{Edit, JsonFields, Principal},
    http::{
        AppState,
        auth::Reader,
        input::{Body, IfMatch, PageSize, Params, Segments},
        origin::OriginView,
        page::{After, Page, Place},
        problem::{Kind, Problem, Problems},
        state::known_field,
    },
};

/// Which part of a history to show.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct HistoryParams {
    /// Only changes that wrote this field.
    field: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<After<usize>>,
    /// The most changes in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: PageSize,
}

/// One change of a record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
pub(in crate::http) struct EntryView {
    /// The change; give it to `restore`.
    change: String,
    /// When this service took it in.
    #[schema(format = DateTime)]
    at: String,
    /// Who made it. A change by the service itself repeats a value so that every reader sees the same winner.
    origin: OriginView,
    /// What happened.
    action: EntryAction,
    /// What was written, by field.
    fields: BTreeMap<String, WrittenView>,
}

/// What a change did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EntryAction {
    Created,
    Edited,
    Deleted,
    Restored,
}

/// One value that was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WrittenValue)]
struct WrittenView {
    /// The value.
    value: serde_json::Value,
    /// When it was written at its origin, as well as anybody can tell.
    #[schema(format = DateTime)]
    written_at: String,
    /// How coarse that time is, in milliseconds.
    precision_ms: u32,
    /// What that time speaks of.
    clock: ClockView,
    /// The change whose value this repeats, where the service only confirmed a winner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    repeats: Option<String>,
}

/// What a time speaks of.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClockKind)]
enum ClockView {
    /// When this service saw the value: it was written then or before.
    Arrival,
    /// When the provider last changed the whole object: the value was written then or before.
    Record,
    /// When the field itself was written.
    Field,
}

/// Lists who wrote what and when, newest first.
#[utoipa::path(
    get,
    path = "/v1/records/{model}/{id}/history",
    tag = "records",
    operation_id = "get_record_history",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        HistoryParams,
    ),
    responses((status = 200, description = "One page", body = Page<EntryView>), Problems)
)]
pub(in crate::http) async fn history(
    State(state): State<AppState>,
    who: Reader,
    Segments((model, id)): Segments<(String, String)>,
    Params(params): Params<HistoryParams>,
) -> Result<Json<Page<EntryView>>, Problem> {
    who.model(&state, &model)?;
    let named = Named::new(&state, &model, &id)?;
    let field = params.field.as_deref().map(|name| known_field(named.model, name)).transpose()?.map(|(name, _)| name);
    let mut record = load(&state, who.principal(), &named).await?;
    let older = params.cursor.map_or(record.journal.len(), |After(older)| older.min(record.journal.len()));
    let entries: Vec<_> = record.journal[..older].iter().cloned().enumerate().rev().collect();

    let limit = params.limit.get() as usize;
    let (mut items, mut next_cursor) = (Vec::new(), None);
    for (older, entry) in entries {
        let mut written = written(&mut record, named.model, &entry).map_err(Problem::internal)?;
        if let Some(field) = field {
            written.retain(|name, _| name == field);
            if written.is_empty() {
                continue;
            }
        }
        if items.len() == limit {
            next_cursor = Some((older + 1).to_text());
            break;
        }
        items.push(EntryView::new(&entry, written));
    }
    Ok(Json(Page { items, next_cursor }))
}

/// Which earlier value to bring back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Restore {
    /// The field.
    field: String,
    /// The change that wrote the value, from the record's history.
    change: String,
}

/// Sets a field to the value that an earlier change wrote.
///
/// This is an ordinary edit by the caller: it is kept in the history and sent to the connected systems.
#[utoipa::path(
    post,
    path = "/v1/records/{model}/{id}/restore",
    tag = "records",
    operation_id = "restore_field",
    params(
        ("model" = String, Path, description = "The model"),
        ("id" = String, Path, format = "uuid", description = "The record"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` as read"),
    ),
    request_body = Restore,
    responses(
        (status = 200, description = "The record as it is now", body = super::view::RecordView, headers(("ETag" = String, description = "The record's version"))),
        Problems,
    )
)]
pub(in crate::http) async fn restore(
    State(state): State<AppState>,
    who: Principal,
    Segments((model, id)): Segments<(String, String)>,
    IfMatch(if_version): IfMatch,
    Body(wanted): Body<Restore>,
) -> Result<Response, Problem> {
    let named = Named::new(&state, &model, &id)?;
    let value = earlier_value(&state, &who, &named, &wanted).await?;
    let fields = JsonFields::from([(wanted.field, value.to_json())]);
    edit(&state, &who, &named, Edit { fields, if_version, restore: false }).await
}

async fn earlier_value(
    state: &AppState,
    who: &Principal,
    named: &Named<'_>,
    wanted: &Restore,
) -> Result<Value, Problem> {
    let hash: Hash =
        wanted.change.parse().map_err(|error| Problem::field(Kind::Invalid, "change", format!("{error}")))?;
    if !named.model.fields.contains_key(wanted.field.as_str()) {
        return Err(Problem::field(
            Kind::Invalid,
            "field",
            format!("`{}` is no field of `{}`", wanted.field, named.model.name),
        ));
    }
    let mut record = load(state, who, named).await?;
    let entry = record.journal.iter().find(|entry| entry.hash == hash).cloned().ok_or_else(|| {
        Problem::field(Kind::Invalid, "change", "is not in the history of this record: take one from GET …/history")
    })?;
    let mut written = written(&mut record, named.model, &entry).map_err(Problem::internal)?;
    let (value, ..) = written.remove(wanted.field.as_str()).ok_or_else(|| {
        Problem::field(
            Kind::Invalid,
            "field",
            format!("was not written by the change {hash}: take a change whose `fields` name it"),
        )
    })?;
    Ok(value)
}

/// The record, with the journal of all its epochs.
async fn load(state: &AppState, who: &Principal, named: &Named<'_>) -> Result<RecordState, Problem> {
    let tenant = state.store.tenant(&who.tenant);
    let missing = || missing(&named.model.name, named.id);
    let record = tenant.load(&[named.id]).await?.pop();
    let mut record = record.filter(|record| record.model == named.model.name).ok_or_else(missing)?;
    if record.epoch > 0 {
        record.journal = tenant.history(&named.model.name, named.id).await?.ok_or_else(missing)?;
        record.journal.retain(|entry| !entry.begins_epoch());
    }
    Ok(record)
}

type Written = BTreeMap<FieldName, (Value, Clock, Option<Hash>)>;

/// What an entry wrote. A genesis keeps no values in the journal while the document has them.
fn written(record: &mut RecordState, model: &Model, entry: &ChangeEntry) -> Result<Written, DocumentError> {
    match &entry.ops {
        Ops::Edit(ops) => {
            let ops = ops.iter().map(|(name, op)| (name.clone(), (op.value.clone(), op.clock, op.repeats)));
            Ok(ops.collect())
        }
        Ops::Deleted(_) => Ok(Written::new()),
        Ops::Genesis { clock, clocks, values, .. } if !values.is_empty() => {
            let clock = |name: &FieldName| *clocks.get(name).unwrap_or(clock);
            Ok(values.iter().map(|(name, value)| (name.clone(), (value.clone(), clock(name), None))).collect())
        }
        Ops::Genesis { clock, clocks, .. } => {
            let mut written = Written::new();
            for (name, field) in &model.fields {
                let visible = record.document.visible_at(name, field, &vec![entry.hash])?;
                if let Some((_, value)) = visible.into_iter().next_back() {
                    written.insert(name.clone(), (value, *clocks.get(name).unwrap_or(clock), None));
                }
            }
            Ok(written)
        }
    }
}

impl EntryView {
    fn new(entry: &ChangeEntry, written: Written) -> Self {
        let action = match &entry.ops {
            Ops::Genesis { .. } => EntryAction::Created,
            Ops::Edit(_) => EntryAction::Edited,
            Ops::Deleted(true) => EntryAction::Deleted,
            Ops::Deleted(false) => EntryAction::Restored,
        };
        let fields = written
            .into_iter()
            .map(|(name, (value, clock, repeats))| (name.to_string(), WrittenView::new(&value, clock, repeats)));
        Self {
            change: entry.hash.to_string(),
            at: entry.at.to_rfc3339(),
            origin: (&entry.origin).into(),
            action,
            fields: fields.collect(),
        }
    }
}

impl WrittenView {
    fn new(value: &Value, clock: Clock, repeats: Option<Hash>) -> Self {
        Self {
            value: value.to_json(),
            written_at: clock.at.to_rfc3339(),
            precision_ms: clock.precision_ms,
            clock: match clock.kind {
                ClockKind::Arrival => ClockView::Arrival,
                ClockKind::Record => ClockView::Record,
                ClockKind::Field => ClockView::Field,
            },
            repeats: repeats.map(|hash| hash.to_string()),
        }
    }
}
