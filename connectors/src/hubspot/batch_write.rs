//! The four writing batches. Results come in any order, so each row carries a trace, and is joined by it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{ProviderError, WriteOutcome, WriteRequest, WriteVerb},
};

use super::{
    errors::RowError,
    rows::{Shape, id_of},
    settings::Settings,
    spelling,
};
use crate::rest::{Answer, Call, Outcomes};

/// The most rows of a batch.
pub(super) const ROWS_MAX: usize = 100;

/// What a batch does to all its rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Changes rows.
    Update,
    /// Creates rows by this unique property, or finds those created before.
    Upsert(String),
    /// Creates rows without a key.
    Create,
    /// Archives rows.
    Archive,
}

impl Kind {
    /// The kind of batch that the row travels in.
    pub(super) fn of(row: &WriteRequest) -> Self {
        match &row.verb {
            WriteVerb::Create { key: Some(key) } => Self::Upsert(key.field.clone()),
            WriteVerb::Create { key: None } => Self::Create,
            WriteVerb::Update { .. } => Self::Update,
            WriteVerb::Delete { .. } => Self::Archive,
        }
    }
}

/// What a row is about; no batch may name it twice.
pub(super) fn target(row: &WriteRequest) -> Option<&str> {
    match &row.verb {
        WriteVerb::Create { key } => key.as_ref().map(|key| key.value.as_str()),
        WriteVerb::Update { id, .. } | WriteVerb::Delete { id, .. } => Some(id.as_str()),
    }
}

/// The call of a batch.
pub(super) fn request(
    settings: &Settings,
    kind: &Kind,
    object: &ObjectName,
    rows: &[&WriteRequest],
) -> Result<Call, ProviderError> {
    let path = match kind {
        Kind::Update => "/batch/update",
        Kind::Upsert(_) => "/batch/upsert",
        Kind::Create => "/batch/create",
        Kind::Archive => "/batch/archive",
    };
    let inputs: Vec<Value> = rows.iter().enumerate().map(|(index, row)| input(index, row)).collect();
    Ok(Call::post(settings.objects(object, path)?, json!({ "inputs": inputs })))
}

fn input(index: usize, row: &WriteRequest) -> Value {
    let trace = index.to_string();
    let properties = spelling::properties(&row.body);
    match &row.verb {
        WriteVerb::Create { key: Some(key) } => {
            json!({"id": key.value, "idProperty": key.field, "objectWriteTraceId": trace, "properties": properties})
        }
        WriteVerb::Create { key: None } => json!({"objectWriteTraceId": trace, "properties": properties}),
        WriteVerb::Update { id, .. } => json!({"id": id, "objectWriteTraceId": trace, "properties": properties}),
        WriteVerb::Delete { id, .. } => json!({ "id": id }),
    }
}

#[derive(Deserialize)]
struct BatchAnswer {
    #[serde(default)]
    results: Vec<Value>,
    #[serde(default)]
    errors: Vec<RowError>,
}

/// How the rows of a batch ended that was answered with any 2xx: a partial failure shows in its errors alone.
pub(super) fn outcomes(answer: &Answer, rows: &[&WriteRequest], shape: Shape<'_>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let archives = rows.iter().all(|row| matches!(row.verb, WriteVerb::Delete { .. }));
    let batch = match answer.json::<BatchAnswer>() {
        Ok(batch) => batch,
        Err(_) if archives && answer.body.is_empty() => BatchAnswer { results: Vec::new(), errors: Vec::new() },
        Err(error) => {
            outcomes.settle_all(rows, &WriteOutcome::Unknown { message: error.message });
            return outcomes;
        }
    };
    let join = Join::new(rows);
    for error in &batch.errors {
        for row in join.rows_of_error(error) {
            outcomes.settle(row, error.outcome(&row.verb));
        }
    }
    let silent = batch.errors.iter().any(|error| join.rows_of_error(error).is_empty());
    if archives && !silent {
        for row in rows.iter().filter(|row| matches!(row.verb, WriteVerb::Delete { .. })) {
            if let Some(id) = target(row) {
                outcomes.settle(row, applied(id.into(), false));
            }
        }
    }
    for result in batch.results {
        if let Some(row) = join.row_of_result(&result) {
            outcomes.settle(row, saved(result, shape));
        }
    }
    outcomes
}

/// Finds the row that a result or an error speaks of.
struct Join<'a> {
    rows: &'a [&'a WriteRequest],
    by_target: BTreeMap<&'a str, &'a WriteRequest>,
}

impl<'a> Join<'a> {
    fn new(rows: &'a [&'a WriteRequest]) -> Self {
        let by_target = rows.iter().filter_map(|row| Some((target(row)?, *row))).collect();
        Self { rows, by_target }
    }

    fn by_trace(&self, trace: &str) -> Option<&'a WriteRequest> {
        self.rows.get(trace.parse::<usize>().ok()?).copied()
    }

    fn rows_of_error(&self, error: &RowError) -> Vec<&'a WriteRequest> {
        let traced: Vec<_> = error.traces().filter_map(|trace| self.by_trace(trace)).collect();
        if !traced.is_empty() {
            return traced;
        }
        let named: Vec<_> = error.ids().filter_map(|id| self.by_target.get(id.as_str()).copied()).collect();
        match self.rows {
            [only] if named.is_empty() => vec![only],
            _ => named,
        }
    }

    /// By its trace, else by its id, else by the value of its key.
    fn row_of_result(&self, result: &Value) -> Option<&'a WriteRequest> {
        if let Some(row) =
            result.get("objectWriteTraceId").and_then(Value::as_str).and_then(|trace| self.by_trace(trace))
        {
            return Some(row);
        }
        if let [only] = self.rows {
            return Some(only);
        }
        let key = |row: &&&WriteRequest| match &row.verb {
            WriteVerb::Create { key: Some(key) } => {
                result.pointer("/properties").and_then(|properties| properties.get(&key.field)).and_then(Value::as_str)
                    == Some(&key.value)
            }
            WriteVerb::Update { id, .. } => result.get("id").and_then(id_of).as_ref() == Some(id),
            WriteVerb::Create { key: None } | WriteVerb::Delete { .. } => false,
        };
        self.rows.iter().find(key).copied()
    }
}

fn applied(id: ExternalId, created: bool) -> WriteOutcome {
    WriteOutcome::Applied { id, created, object: None, whole: false }
}

/// A row that was saved, with the object as the answer shows it.
fn saved(result: Value, shape: Shape<'_>) -> WriteOutcome {
    // Upserts say `new`; plain creates have no such word, but show the object as old as its last change.
    let created = match result.get("new") {
        Some(new) => new == &Value::Bool(true),
        None => result.get("createdAt").is_some() && result.get("createdAt") == result.get("updatedAt"),
    };
    match shape.row(result) {
        Ok(object) => {
            let whole = object.version.is_some() && shape.fields.iter().all(|field| object.fields.contains_key(field));
            WriteOutcome::Applied { id: object.id.clone(), created, object: Some(Box::new(object)), whole }
        }
        Err(malformed) => match malformed.id {
            Some(id) => applied(id, created),
            None => WriteOutcome::Unknown { message: malformed.reason },
        },
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::remote::{Key, Raw};

    use super::*;
    use crate::rest::Body;

    fn row(trace: u32, verb: WriteVerb) -> WriteRequest {
        let mut body = Raw::new();
        body.insert("phone".to_owned(), Value::Null);
        WriteRequest { object: "contacts".into(), verb, body, trace }
    }

    fn update(trace: u32, id: &str) -> WriteRequest {
        row(trace, WriteVerb::Update { id: id.into(), expected: None })
    }

    fn upsert(trace: u32, value: &str) -> WriteRequest {
        row(trace, WriteVerb::Create { key: Some(Key { field: "ext".into(), value: value.into() }) })
    }

    fn archive(trace: u32, id: &str) -> WriteRequest {
        row(trace, WriteVerb::Delete { id: id.into(), expected: None })
    }

    #[test]
    fn each_kind_has_its_batch() {
        let none = row(0, WriteVerb::Create { key: None });
        let cases = [
            (update(0, "1"), "update", json!({"id": "1", "objectWriteTraceId": "0", "properties": {"phone": ""}})),
            (
                upsert(0, "k"),
                "upsert",
                json!({"id": "k", "idProperty": "ext", "objectWriteTraceId": "0", "properties": {"phone": ""}}),
            ),
            (none, "create", json!({"objectWriteTraceId": "0", "properties": {"phone": ""}})),
            (archive(0, "1"), "archive", json!({"id": "1"})),
        ];
        for (row, path, input) in cases {
            let call = request(&Settings::default(), &Kind::of(&row), &row.object, &[&row]).expect("a call");
            assert_eq!(call.path, format!("/crm/v3/objects/contacts/batch/{path}"));
            assert_eq!(call.body, Body::Json(json!({"inputs": [input]})));
        }
    }

    fn ended(status: u16, body: &str, rows: &[WriteRequest], fields: &[&str]) -> Vec<String> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let shape = Shape { object: &"contacts".into(), fields: &fields, app_id: None };
        let answer = Answer { status, body: body.to_owned().into(), ..Answer::default() };
        let results = outcomes(&answer, &rows.iter().collect::<Vec<_>>(), shape).finish(rows);
        let show = |outcome: &WriteOutcome| match outcome {
            WriteOutcome::Applied { id, created, object, whole } => {
                let mark = |flag: bool, text: &'static str| if flag { text } else { "" };
                format!(
                    "{id}{}{}{}",
                    mark(*created, " created"),
                    mark(object.is_some(), " shown"),
                    mark(*whole, " whole")
                )
            }
            WriteOutcome::Refused(refusal) => refusal.code.clone(),
            WriteOutcome::Exists { id, .. } => format!("exists {}", id.as_ref().map_or("?", ExternalId::as_str)),
            WriteOutcome::Unknown { .. } => "unknown".to_owned(),
            other => format!("{other:?}"),
        };
        results.iter().map(|result| show(&result.outcome)).collect()
    }

    fn saved_row(id: &str, extra: Value) -> Value {
        let mut row = json!({"id": id, "properties": {"lastmodifieddate": "2026-05-05T10:32:00.123Z", "phone": null}});
        for (key, value) in extra.as_object().expect("an object") {
            row[key] = value.clone();
        }
        row
    }

    #[test]
    fn results_and_errors_are_joined_in_any_order_under_any_success() {
        let rows = [update(7, "1"), update(8, "2"), update(9, "3"), update(10, "4")];
        let body = json!({
            "status": "COMPLETE",
            "results": [saved_row("3", json!({})), saved_row("9", json!({"objectWriteTraceId": "0"}))],
            "numErrors": 1,
            "errors": [
                {"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["2"]}},
                {"category": "VALIDATION_ERROR", "message": "bad", "context": {"objectWriteTraceId": ["3"]}},
            ],
        });
        for status in [200, 207] {
            let ended = ended(status, &body.to_string(), &rows, &["phone"]);
            assert_eq!(ended, ["9 shown whole", "Gone", "3 shown whole", "VALIDATION_ERROR"]);
        }
        assert_eq!(ended(200, &body.to_string(), &rows, &["phone", "email"])[2], "3 shown");
    }

    #[test]
    fn an_upsert_says_what_it_created_and_what_exists() {
        let rows = [upsert(0, "a"), upsert(1, "b"), upsert(2, "c")];
        let by_key = json!({"new": true, "properties": {"ext": "b", "lastmodifieddate": "2026-05-05T10:32:00.123Z"}});
        let body = json!({
            "results": [saved_row("5", by_key), saved_row("6", json!({"objectWriteTraceId": "0", "new": false}))],
            "errors": [{"category": "CONFLICT", "message": "Contact already exists. Existing ID: 77",
                        "context": {"objectWriteTraceId": ["2"]}}],
        });
        assert_eq!(ended(207, &body.to_string(), &rows, &[]), ["6 shown whole", "5 created shown whole", "exists 77"]);
    }

    #[test]
    fn an_empty_answer_archived_everything() {
        let rows = [archive(0, "1"), archive(1, "2")];
        assert_eq!(ended(204, "", &rows, &[]), ["1", "2"]);
        let partly = json!({"errors": [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}]});
        assert_eq!(ended(207, &partly.to_string(), &rows, &[]), ["1", "Gone"]);
        let unclear = json!({"errors": [{"category": "VALIDATION_ERROR", "message": "?"}]});
        assert_eq!(ended(207, &unclear.to_string(), &rows, &[]), ["unknown", "unknown"]);
    }

    #[test]
    fn rows_that_no_answer_speaks_of_are_unknown() {
        let rows = [update(0, "1"), update(1, "2")];
        assert_eq!(ended(200, "{\"results\":[]}", &rows, &[]), ["unknown", "unknown"]);
        assert_eq!(ended(200, "", &rows, &[]), ["unknown", "unknown"]);
        let created = [row(0, WriteVerb::Create { key: None })];
        let at = "2026-05-05T10:32:00.123Z";
        let body = json!({"results": [saved_row("5", json!({"createdAt": at, "updatedAt": at}))]});
        assert_eq!(ended(201, &body.to_string(), &created, &[]), ["5 created shown whole"]);
    }
}
