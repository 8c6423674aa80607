//! Writes of many rows of one object in one call, each with its own result and none with a precondition.

use serde::Deserialize;
use serde_json::{Value, json};
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, WriteOutcome, WriteRequest, WriteVerb},
};

use super::{
    errors::{self, Fault},
    query,
    settings::Settings,
    single,
};
use crate::rest::{Call, Outcomes};

/// The most rows of a collection.
pub(super) const ROWS_MAX: usize = 200;

/// What a collection does to all its rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Changes rows without a precondition.
    Update,
    /// Creates rows by this unique key field, or finds those created before.
    Upsert(String),
    /// Creates rows without a key.
    Insert,
    /// Deletes rows.
    Delete,
}

impl Kind {
    /// The kind of collection that the row may travel in.
    pub(super) fn of(row: &WriteRequest) -> Self {
        match &row.verb {
            WriteVerb::Create { key: Some(key) } => Self::Upsert(key.field.clone()),
            WriteVerb::Create { key: None } => Self::Insert,
            WriteVerb::Update { .. } => Self::Update,
            WriteVerb::Delete { .. } => Self::Delete,
        }
    }
}

/// The call of a collection.
pub(super) fn request(
    settings: &Settings,
    kind: &Kind,
    object: &ObjectName,
    rows: &[&WriteRequest],
) -> Result<Call, ProviderError> {
    query::identifier(object.as_str())?;
    let path = settings.path("/composite/sobjects");
    let body = || json!({"allOrNone": false, "records": rows.iter().map(|row| record(row)).collect::<Vec<_>>()});
    let call = match kind {
        Kind::Update => Call::patch(path, body()),
        Kind::Upsert(field) => {
            query::identifier(field)?;
            Call::patch(format!("{path}/{object}/{field}"), body())
        }
        Kind::Insert => Call::post(path, body()),
        Kind::Delete => {
            let ids: Vec<&str> = rows.iter().filter_map(|row| target(row)).collect();
            return Ok(Call::delete(path).query("ids", ids.join(",")).query("allOrNone", "false"));
        }
    };
    Ok(single::with_rules(call))
}

/// What a row is about; no collection may name it twice.
pub(super) fn target(row: &WriteRequest) -> Option<&str> {
    match &row.verb {
        WriteVerb::Create { key } => key.as_ref().map(|key| key.value.as_str()),
        WriteVerb::Update { id, .. } | WriteVerb::Delete { id, .. } => Some(id.as_str()),
    }
}

fn record(row: &WriteRequest) -> Value {
    let key = match &row.verb {
        WriteVerb::Create { key } => key.as_ref(),
        _ => None,
    };
    let mut record = single::body(row, key);
    record["attributes"] = json!({"type": row.object});
    match &row.verb {
        WriteVerb::Create { key: Some(key) } => record[&key.field] = json!(key.value),
        WriteVerb::Update { id, .. } => record["Id"] = json!(id),
        WriteVerb::Create { key: None } | WriteVerb::Delete { .. } => {}
    }
    record
}

#[derive(Deserialize)]
struct Saved {
    id: Option<String>,
    success: bool,
    #[serde(default)]
    created: Option<bool>,
    #[serde(default)]
    errors: Vec<Fault>,
}

/// Joins the results, which stand in the order of the request, to their rows.
pub(super) fn outcomes(results: &[Value], rows: &[&WriteRequest]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    if results.len() != rows.len() {
        return outcomes;
    }
    for (row, result) in rows.iter().zip(results) {
        if let Ok(saved) = Saved::deserialize(result) {
            outcomes.settle(row, outcome(saved, row));
        }
    }
    outcomes
}

fn outcome(saved: Saved, row: &WriteRequest) -> WriteOutcome {
    if !saved.success {
        return errors::row_refused(&saved.errors, &row.verb);
    }
    let applied = |id, created| WriteOutcome::Applied { id, created, object: None, whole: false };
    match (&row.verb, saved.id) {
        (WriteVerb::Update { id, .. } | WriteVerb::Delete { id, .. }, _) => applied(id.clone(), false),
        (WriteVerb::Create { key }, Some(id)) => applied(id.into(), saved.created.unwrap_or(key.is_none())),
        (WriteVerb::Create { .. }, None) => {
            WriteOutcome::Unknown { message: "Salesforce saved the row but did not name its id".to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::remote::{Key, Raw};

    use super::*;
    use crate::rest::Body;

    fn row(trace: u32, verb: WriteVerb) -> WriteRequest {
        let mut body = Raw::new();
        body.insert("Email".to_owned(), json!("x"));
        WriteRequest { object: "Contact".into(), verb, body, trace }
    }

    fn create(trace: u32, value: &str) -> WriteRequest {
        row(trace, WriteVerb::Create { key: Some(Key { field: "Key__c".into(), value: value.into() }) })
    }

    fn update(trace: u32, id: &str) -> WriteRequest {
        row(trace, WriteVerb::Update { id: id.into(), expected: None })
    }

    fn call(rows: &[&WriteRequest]) -> Call {
        request(&Settings::default(), &Kind::of(rows[0]), &"Contact".into(), rows).expect("a call")
    }

    #[test]
    fn each_kind_has_its_call() {
        let path = "/services/data/v62.0/composite/sobjects";
        let contact = json!({"type": "Contact"});

        let upsert = call(&[&create(0, "k1"), &create(1, "k2")]);
        assert_eq!((upsert.method.as_str(), upsert.path.clone()), ("PATCH", format!("{path}/Contact/Key__c")));
        let records = json!([
            {"attributes": contact, "Key__c": "k1", "Email": "x"},
            {"attributes": contact, "Key__c": "k2", "Email": "x"},
        ]);
        assert_eq!(upsert.body, Body::Json(json!({"allOrNone": false, "records": records})));

        let patch = call(&[&update(0, "003A")]);
        assert_eq!((patch.method.as_str(), patch.path.as_str()), ("PATCH", path));
        let records = json!([{"attributes": contact, "Id": "003A", "Email": "x"}]);
        assert_eq!(patch.body, Body::Json(json!({"allOrNone": false, "records": records})));

        let insert = call(&[&row(0, WriteVerb::Create { key: None })]);
        assert_eq!((insert.method.as_str(), insert.path.as_str()), ("POST", path));

        let delete = |id: &str| row(0, WriteVerb::Delete { id: id.into(), expected: None });
        let delete = call(&[&delete("003A"), &delete("003B")]);
        assert_eq!(delete.method, "DELETE");
        assert_eq!(delete.target(), format!("{path}?ids=003A%2C003B&allOrNone=false"));
    }

    #[test]
    fn every_row_has_its_own_end() {
        let rows = [create(5, "k1"), create(6, "k2"), create(7, "k3")];
        let results = [
            json!({"id": "003A", "success": true, "errors": [], "created": true}),
            json!({"success": false, "errors": [{"statusCode": "REQUIRED_FIELD_MISSING",
                   "message": "Required fields are missing: [LastName]", "fields": ["LastName"]}]}),
            json!({"id": "003C", "success": true, "errors": [], "created": false}),
        ];
        let outcomes = outcomes(&results, &rows.iter().collect::<Vec<_>>()).finish(&rows);
        assert!(matches!(&outcomes[0].outcome, WriteOutcome::Applied { created: true, .. }));
        assert!(matches!(&outcomes[1].outcome, WriteOutcome::Refused(refusal) if refusal.fields == ["LastName"]));
        assert!(
            matches!(&outcomes[2].outcome, WriteOutcome::Applied { created: false, id, .. } if id.as_str() == "003C")
        );
    }

    #[test]
    fn results_that_cannot_be_joined_are_unknown() {
        let rows = [update(0, "003A"), update(1, "003B")];
        let saved = json!({"id": "003A", "success": true});
        for results in [vec![saved.clone()], vec![json!("x"), json!({})]] {
            let outcomes = outcomes(&results, &rows.iter().collect::<Vec<_>>()).finish(&rows);
            assert!(outcomes.iter().all(|result| matches!(result.outcome, WriteOutcome::Unknown { .. })));
        }
    }
}
