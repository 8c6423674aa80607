//! Batches: read, create, update, upsert, archive.
//!
//! A batch fails in part (207) only where every input carries an `objectWriteTraceId`; without it the
//! first refused input refuses the whole batch. Ids that are not there are always reported one by
//! one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body;
use super::caller::Caller;
use super::errors::ApiError;
use super::objects::created;
use super::path::{ObjectPath, id_property, locate};
use super::portal::HubSpotState;
use super::record::{RecordId, View};
use super::render::{Shape, object};
use super::schema::{ObjectKind, PropertyId};
use super::switches;
use super::table::Table;
use super::time::iso;

type Portal = State<Arc<HubSpotState>>;

/// What a batch has brought about so far.
#[derive(Default)]
struct Outcome {
    results: Vec<Value>,
    errors: Vec<ApiError>,
}

#[derive(Deserialize)]
struct IdInput {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadBody {
    #[serde(default)]
    inputs: Vec<IdInput>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    properties_with_history: Vec<String>,
    id_property: Option<String>,
}

/// `POST …/{type}/batch/read`
pub(crate) async fn read(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    uri: http::Uri,
    body: Bytes,
) -> Result<Response, ApiError> {
    let started = portal.parts.clock.now().millis();
    let body: ReadBody = body::parse(&body)?;
    body::check_count(body.inputs.len())?;
    let archived = super::params::ReadParams::parse(uri.query()).archived;
    let mut tables = portal.tables();
    let table = &*tables.of(path.kind);
    let shape = Shape::of_read(path.kind, table.schema(), &body.properties, &body.properties_with_history);
    let mut outcome = Outcome::default();
    let (mut seen, mut missing) = (std::collections::HashSet::new(), Vec::new());
    for input in &body.inputs {
        let found = locate(table, &input.id, body.id_property.as_deref())?
            .and_then(|id| table.get(id))
            .filter(|(_, record)| record.archived_ms.is_some() == archived);
        match found {
            None => missing.push(input.id.clone()),
            Some((id, record)) if seen.insert(id) => {
                let view = View::current(id, record);
                portal.shown(path.kind, &view, &caller);
                outcome.results.push(object(path.kind, table.schema(), &view, &shape).into());
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        outcome.errors.push(ApiError::missing(path.kind, missing));
    }
    Ok(portal.answer(outcome, &path, StatusCode::OK, started))
}

/// One input of a writing batch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteInput {
    #[serde(default)]
    id: String,
    id_property: Option<String>,
    object_write_trace_id: Option<String>,
    properties: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct WriteBody {
    #[serde(default)]
    inputs: Vec<WriteInput>,
}

/// What a writing batch does with each input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Update,
    Upsert,
}

/// `POST …/{type}/batch/create`
pub(crate) async fn create(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    write(&portal, &path, &caller, &body, Verb::Create)
}

/// `POST …/{type}/batch/update`
pub(crate) async fn update(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    write(&portal, &path, &caller, &body, Verb::Update)
}

/// `POST …/{type}/batch/upsert`
pub(crate) async fn upsert(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    write(&portal, &path, &caller, &body, Verb::Upsert)
}

fn write(
    portal: &HubSpotState,
    path: &ObjectPath,
    caller: &Caller,
    body: &[u8],
    verb: Verb,
) -> Result<Response, ApiError> {
    let started = portal.parts.clock.now().millis();
    let WriteBody { inputs } = body::parse(body)?;
    body::check_count(inputs.len())?;
    if verb != Verb::Create {
        body::check_distinct(inputs.iter().map(|input| input.id.as_str()))?;
    }
    let mut tables = portal.tables();
    let mut batch = Batch { portal, kind: path.kind, caller, table: tables.of(path.kind), verb };
    let steps = batch.plan(inputs)?;
    if verb != Verb::Create {
        portal.check_unlocked(caller, &*batch.table, steps.iter().filter_map(|step| step.target))?;
    }
    if !steps.iter().all(Step::allows_partial_failure) {
        batch.check_all(&steps)?;
    }
    let mut outcome = Outcome::default();
    for step in &steps {
        match batch.carry_out(step) {
            Ok(result) => outcome.results.push(result),
            Err(error) => outcome.errors.push(step.trace(error)),
        }
    }
    let success = if verb == Verb::Create { StatusCode::CREATED } else { StatusCode::OK };
    Ok(portal.answer(outcome, path, success, started))
}

/// An input whose target is known.
struct Step {
    /// The record that is written; nothing where one is created or is missing.
    target: Option<RecordId>,
    /// The id as it was sent.
    id: String,
    values: Map<String, Value>,
    trace: Option<String>,
    creates: bool,
    by_email: bool,
}

impl Step {
    /// Upserts by e-mail are all or nothing, whatever the inputs carry.
    fn allows_partial_failure(&self) -> bool {
        self.trace.is_some() && !self.by_email
    }

    fn is_missing(&self) -> bool {
        !self.creates && self.target.is_none()
    }

    /// Names the input in an error.
    fn trace(&self, error: ApiError) -> ApiError {
        match &self.trace {
            Some(trace) => error.with_context("objectWriteTraceId", [trace.as_str()]),
            None => error,
        }
    }
}

/// A writing batch under way.
struct Batch<'b> {
    portal: &'b HubSpotState,
    kind: ObjectKind,
    caller: &'b Caller,
    table: &'b mut Table,
    verb: Verb,
}

impl Batch<'_> {
    /// Finds the target of every input.
    fn plan(&self, inputs: Vec<WriteInput>) -> Result<Vec<Step>, ApiError> {
        inputs
            .into_iter()
            .map(|input| {
                let mut values = input
                    .properties
                    .ok_or_else(|| ApiError::json("Some required fields were not set: [properties]"))?;
                if self.verb == Verb::Create {
                    return Ok(self.step(None, input.id, values, input.object_write_trace_id));
                }
                let property = id_property(self.table, input.id_property.as_deref())?;
                let target = locate(self.table, &input.id, input.id_property.as_deref())?
                    .and_then(|id| self.table.live(id))
                    .map(|(id, _)| id);
                if let (Verb::Upsert, Some(property), None) = (self.verb, property, target) {
                    let name = &self.table.schema().get(property).name;
                    values.entry(name.clone()).or_insert_with(|| input.id.as_str().into());
                }
                let step = self.step(target, input.id, values, input.object_write_trace_id);
                Ok(Step { by_email: self.is_email(property), creates: step.creates && property.is_some(), ..step })
            })
            .collect()
    }

    fn step(&self, target: Option<RecordId>, id: String, values: Map<String, Value>, trace: Option<String>) -> Step {
        let creates = target.is_none() && self.verb != Verb::Update;
        Step { target, id, values, trace, creates, by_email: false }
    }

    fn is_email(&self, property: Option<PropertyId>) -> bool {
        self.verb == Verb::Upsert && property.is_some_and(|id| self.table.schema().get(id).name == "email")
    }

    /// Refuses the batch if one of its inputs will be refused, before anything is done.
    fn check_all(&self, steps: &[Step]) -> Result<(), ApiError> {
        let mut claimed = std::collections::HashSet::new();
        for step in steps.iter().filter(|step| !step.is_missing()) {
            let claims = self
                .table
                .claims(step.target, &step.values, self.portal.rules())
                .map_err(|refusal| self.portal.refused(refusal))?;
            for (property, value) in claims {
                if !claimed.insert((property, value.clone())) {
                    let name = &self.table.schema().get(property).name;
                    return Err(ApiError::validation(format!(
                        "Duplicate value {value} of {name} found in batch input"
                    )));
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<Value, ApiError> {
        let (id, mut shown) = match step.target {
            Some(id) => {
                let id = self.portal.update(self.table, id, &step.values, self.caller)?;
                (id, self.updated(id, &step.values))
            }
            None if step.creates => {
                let id = self.portal.create(self.table, &step.values, self.caller)?;
                (id, created(self.kind, self.table, id))
            }
            None => {
                self.portal.count_rejected();
                return Err(ApiError::missing(self.kind, [step.id.clone()]));
            }
        };
        let shown = shown.as_mut().and_then(Value::as_object_mut).map(std::mem::take);
        let mut shown = shown.unwrap_or_else(|| Map::from_iter([("id".to_owned(), id.to_string().into())]));
        if self.verb == Verb::Upsert {
            shown.insert("new".into(), step.creates.into());
        }
        if let Some(trace) = &step.trace {
            shown.insert("objectWriteTraceId".into(), trace.as_str().into());
        }
        Ok(shown.into())
    }

    fn updated(&self, id: RecordId, values: &Map<String, Value>) -> Option<Value> {
        let (id, record) = self.table.get(id)?;
        let shape = Shape::of_update(self.kind, self.table.schema(), values.keys());
        Some(object(self.kind, self.table.schema(), &View::current(id, record), &shape).into())
    }
}

#[derive(Deserialize)]
struct ArchiveBody {
    #[serde(default)]
    inputs: Vec<IdInput>,
}

/// `POST …/{type}/batch/archive`. Ids that are not there are archived already.
pub(crate) async fn archive(
    State(portal): Portal,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let ArchiveBody { inputs } = body::parse(&body)?;
    body::check_count(inputs.len())?;
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    portal.check_unlocked(&caller, table, inputs.iter().filter_map(|input| input.id.parse().ok()))?;
    for input in &inputs {
        if let Ok(id) = input.id.parse()
            && table.live(id).is_some()
        {
            portal.archive(table, id, &caller)?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

impl HubSpotState {
    /// The answer of a batch: 207 where something failed, or 200 as the newest version has it.
    fn answer(&self, mut outcome: Outcome, path: &ObjectPath, success: StatusCode, started_ms: i64) -> Response {
        if outcome.results.len() > 1 && self.parts.faults.roll(switches::RESULTS_OUT_OF_ORDER) {
            let share = self.parts.faults.draw(switches::RESULTS_OUT_OF_ORDER);
            disorder(&mut outcome.results, share);
            disorder(&mut outcome.errors, share);
        }
        let mut body = json!({
            "status": "COMPLETE", "results": outcome.results,
            "startedAt": iso(started_ms), "completedAt": iso(self.parts.clock.now().millis()),
        });
        if outcome.errors.is_empty() {
            return (success, Json(body)).into_response();
        }
        body["numErrors"] = outcome.errors.len().into();
        body["errors"] = outcome.errors.iter().map(ApiError::entry).collect();
        let status = if !path.multi_status || self.parts.faults.roll(switches::BATCH_STATUS_200) {
            StatusCode::OK
        } else {
            StatusCode::MULTI_STATUS
        };
        (status, Json(body)).into_response()
    }
}

/// Reverses a list and then turns it round by a share of its length: never the order it had.
fn disorder<T>(list: &mut [T], share: f64) {
    list.reverse();
    if list.len() > 2 {
        // Rounding does no harm to a random place.
        list.rotate_left((list.len() as f64 * share) as usize % list.len());
    }
}

#[cfg(test)]
mod tests {
    use super::disorder;

    #[test]
    fn disorder_moves_something_and_keeps_everything() {
        for length in 2..6_usize {
            let ordered: Vec<usize> = (0..length).collect();
            for share in [0.0, 0.3, 0.5, 0.9] {
                let mut list = ordered.clone();
                disorder(&mut list, share);
                assert_ne!(list, ordered);
                list.sort_unstable();
                assert_eq!(list, ordered);
            }
        }
    }
}
