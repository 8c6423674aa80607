//! The call of one row, and how it ended.

use serde_json::json;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Raw, Remedy, RemoteVersion, WriteOutcome, WriteRequest, WriteVerb},
};

use super::{errors, kind::Kind, rows, settings::Settings};
use crate::rest::{Answer, Call};

/// A change of an object. Only tickets have a precondition: their stamp as it was seen.
pub(super) fn update(
    kind: Kind,
    id: &ExternalId,
    expected: Option<&RemoteVersion>,
    mut body: Raw,
) -> Result<Call, ProviderError> {
    if let (Kind::Tickets, Some(version)) = (kind, expected) {
        body.insert("safe_update".to_owned(), json!(true));
        body.insert("updated_stamp".to_owned(), json!(stamp(version)));
    }
    Ok(Call::put(path(kind, id)?, json!({ kind.singular(): body })))
}

/// A new object.
pub(super) fn insert(settings: &Settings, kind: Kind, mut body: Raw) -> Call {
    if kind == Kind::Users && !settings.verify_emails {
        body.insert("skip_verify_email".to_owned(), json!(true));
    }
    Call::post(kind.path(".json"), json!({ kind.singular(): body }))
}

/// A delete, for which Zendesk has no precondition.
pub(super) fn delete(kind: Kind, id: &ExternalId) -> Result<Call, ProviderError> {
    Ok(Call::delete(path(kind, id)?))
}

/// The address of an object.
pub(super) fn path(kind: Kind, id: &ExternalId) -> Result<String, ProviderError> {
    if rows::is_id(id.as_str()) {
        return Ok(kind.path(&format!("/{id}.json")));
    }
    Err(ProviderError {
        remedy: Remedy::Configure,
        message: format!("`{id}` is no id of a Zendesk {}", kind.singular()),
    })
}

/// The stamp as Zendesk writes it, in whole seconds.
fn stamp(version: &RemoteVersion) -> String {
    let text = version.stamp.to_rfc3339();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// How the row ended. Where the answer shows the object, its stamp is too coarse to tell that nothing came after.
pub(super) fn outcome(answer: &Answer, kind: Kind, row: &WriteRequest, fields: &[String]) -> WriteOutcome {
    if !answer.is_success() {
        return errors::refused(answer, kind, &row.verb);
    }
    let shown = shown(answer, kind, fields);
    let (id, created) = match (&row.verb, &shown) {
        (WriteVerb::Update { id, .. }, _) => (id.clone(), false),
        (WriteVerb::Delete { id, .. }, _) => return applied(id.clone(), false),
        (WriteVerb::Create { .. }, Some(row)) => (row.object.id.clone(), answer.status == 201),
        (WriteVerb::Create { .. }, None) => {
            return WriteOutcome::Unknown { message: format!("the answer does not show the new {}", kind.singular()) };
        }
    };
    let object = shown.map(|row| Box::new(row.object)).filter(|object| object.id == id);
    WriteOutcome::Applied { id, created, object, whole: false }
}

/// A row that was written, of which no more is known.
pub(super) fn applied(id: ExternalId, created: bool) -> WriteOutcome {
    WriteOutcome::Applied { id, created, object: None, whole: false }
}

fn shown(answer: &Answer, kind: Kind, fields: &[String]) -> Option<rows::Row> {
    let mut body: Raw = answer.json().ok()?;
    rows::row(kind, body.remove(kind.singular())?, fields).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use syncline_core::time::Millis;

    use super::*;
    use crate::rest::Body;

    fn raw(value: Value) -> Raw {
        let Value::Object(raw) = value else { panic!("an object is expected") };
        raw
    }

    fn line(call: &Call) -> (String, Value) {
        let body = match &call.body {
            Body::Json(value) => value.clone(),
            _ => Value::Null,
        };
        (format!("{} {}", call.method, call.target()), body)
    }

    #[test]
    fn each_verb_has_its_call() {
        let version = RemoteVersion { stamp: Millis(1_777_977_121_000), precision_ms: 1000 };
        let id = ExternalId::from("7");
        let body = || raw(json!({"name": "x"}));
        let update = |kind, expected| line(&update(kind, &id, expected, body()).expect("a call"));
        let insert =
            |kind, verify_emails| line(&insert(&Settings { verify_emails, ..Settings::default() }, kind, body()));
        let safe = json!({"ticket": {"name": "x", "safe_update": true, "updated_stamp": "2026-05-05T10:32:01Z"}});
        let cases = [
            (update(Kind::Tickets, Some(&version)), "PUT /api/v2/tickets/7.json", safe),
            (update(Kind::Tickets, None), "PUT /api/v2/tickets/7.json", json!({"ticket": {"name": "x"}})),
            (update(Kind::Users, Some(&version)), "PUT /api/v2/users/7.json", json!({"user": {"name": "x"}})),
            (insert(Kind::Tickets, false), "POST /api/v2/tickets.json", json!({"ticket": {"name": "x"}})),
            (
                insert(Kind::Users, false),
                "POST /api/v2/users.json",
                json!({"user": {"name": "x", "skip_verify_email": true}}),
            ),
            (insert(Kind::Users, true), "POST /api/v2/users.json", json!({"user": {"name": "x"}})),
            (
                line(&delete(Kind::Organizations, &id).expect("a call")),
                "DELETE /api/v2/organizations/7.json",
                Value::Null,
            ),
        ];
        for (call, expected, body) in cases {
            assert_eq!(call, (expected.to_owned(), body));
        }
    }

    #[test]
    fn no_id_leaves_its_place_in_the_address() {
        for id in ["7/../../users/8", "", "me", "7?x", "7.json"] {
            assert!(path(Kind::Users, &id.into()).is_err(), "{id}");
        }
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let answer = |status, body: &Value| Answer { status, body: body.to_string().into(), ..Answer::default() };
        let row = |verb| WriteRequest { object: "users".into(), verb, body: Raw::new(), trace: 0 };
        let create = row(WriteVerb::Create { key: None });
        let update = row(WriteVerb::Update { id: "7".into(), expected: None });
        let delete = row(WriteVerb::Delete { id: "7".into(), expected: None });
        let user = json!({"user": {"id": 7, "updated_at": "2026-05-05T10:32:01Z", "name": "Ann"}});
        let ended = |status, body: &Value, row: &WriteRequest| match outcome(
            &answer(status, body),
            Kind::Users,
            row,
            &["name".to_owned()],
        ) {
            WriteOutcome::Applied { id, created, object, whole } => {
                assert!(!whole, "seconds are too coarse");
                let name = object.map_or(Value::Null, |object| object.fields["name"].clone());
                format!("applied {id} {created} {name}")
            }
            WriteOutcome::Unknown { .. } => "unknown".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(ended(201, &user, &create), "applied 7 true \"Ann\"");
        assert_eq!(ended(200, &user, &create), "applied 7 false \"Ann\"");
        assert_eq!(ended(201, &json!({}), &create), "unknown");
        assert_eq!(ended(200, &user, &update), "applied 7 false \"Ann\"");
        assert_eq!(ended(200, &json!("?"), &update), "applied 7 false null");
        assert_eq!(ended(204, &json!(null), &delete), "applied 7 false null");
    }
}
