//! Writes of one row: the only path with a precondition.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;
use syncline_core::remote::{Key, ProviderError, Raw, RemoteVersion, WriteOutcome, WriteRequest, WriteVerb};

use super::{errors, query, settings::Settings};
use crate::rest::{Answer, Call, segment};

#[derive(Deserialize)]
struct Saved {
    id: String,
    #[serde(default)]
    created: Option<bool>,
}

/// The call of a write.
pub(super) fn request(settings: &Settings, row: &WriteRequest) -> Result<Call, ProviderError> {
    query::identifier(row.object.as_str())?;
    let objects = settings.path(&format!("/sobjects/{}", row.object));
    let call = match &row.verb {
        WriteVerb::Create { key: Some(key) } => {
            query::identifier(&key.field)?;
            let path = format!("{objects}/{}/{}", key.field, segment(&key.value));
            Call::patch(path, body(row, Some(key)))
        }
        WriteVerb::Create { key: None } => Call::post(objects, body(row, None)),
        WriteVerb::Update { id, expected } => {
            let call = Call::patch(format!("{objects}/{}", segment(id.as_str())), body(row, None));
            match expected {
                Some(version) => call.header("if-unmodified-since", http_date(version)),
                None => call,
            }
        }
        WriteVerb::Delete { id, .. } => return Ok(Call::delete(format!("{objects}/{}", segment(id.as_str())))),
    };
    Ok(with_rules(call))
}

/// Lets saves pass the account's duplicate rules, since matching is ours, and keeps assignment rules from rewriting owners.
pub(super) fn with_rules(call: Call) -> Call {
    call.header("sforce-duplicate-rule-header", "allowSave=true").header("sforce-auto-assign", "FALSE")
}

/// The body of a write; the key stands in the address and must not be repeated. JSON null clears a field.
pub(super) fn body(row: &WriteRequest, key: Option<&Key>) -> Value {
    let is_key = |name: &str| key.is_some_and(|key| key.field.eq_ignore_ascii_case(name));
    let fields: Raw =
        row.body.iter().filter(|(name, _)| !is_key(name)).map(|(name, value)| (name.clone(), spelled(value))).collect();
    Value::Object(fields)
}

/// Multi-select fields are text with semicolons.
fn spelled(value: &Value) -> Value {
    match value {
        Value::Array(members) => {
            let texts = members.iter().map(|member| member.as_str().map_or_else(|| member.to_string(), str::to_owned));
            Value::String(texts.collect::<Vec<_>>().join(";"))
        }
        other => other.clone(),
    }
}

/// The stamp as RFC 1123 text, which has whole seconds, as Salesforce's stamps have.
fn http_date(version: &RemoteVersion) -> String {
    let ms = u64::try_from(version.stamp.0).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(ms))
}

/// How the write ended.
pub(super) fn outcome(answer: &Answer, row: &WriteRequest) -> WriteOutcome {
    if !answer.is_success() {
        return errors::refused(answer, &row.verb);
    }
    let applied = |id, created| WriteOutcome::Applied { id, created, object: None, whole: false };
    match &row.verb {
        WriteVerb::Update { id, .. } | WriteVerb::Delete { id, .. } => applied(id.clone(), false),
        WriteVerb::Create { .. } => match answer.json::<Saved>() {
            Ok(saved) => applied(saved.id.into(), saved.created.unwrap_or(answer.status == 201)),
            Err(error) => WriteOutcome::Unknown { message: error.message },
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    fn row(verb: WriteVerb) -> WriteRequest {
        let Value::Object(body) = json!({"Email": null, "key__c": "k/1", "Tags__c": ["a", "b"]}) else {
            unreachable!()
        };
        WriteRequest { object: "Contact".into(), verb, body, trace: 0 }
    }

    fn key() -> WriteVerb {
        WriteVerb::Create { key: Some(Key { field: "Key__c".into(), value: "k/1".into() }) }
    }

    #[test]
    fn each_verb_has_its_call() {
        let version = RemoteVersion { stamp: Millis(784_111_777_000), precision_ms: 1000 };
        let cases = [
            (
                key(),
                "PATCH /services/data/v62.0/sobjects/Contact/Key__c/k%2F1",
                Some(json!({"Email": null, "Tags__c": "a;b"})),
                None,
            ),
            (
                WriteVerb::Create { key: None },
                "POST /services/data/v62.0/sobjects/Contact",
                Some(json!({"Email": null, "key__c": "k/1", "Tags__c": "a;b"})),
                None,
            ),
            (
                WriteVerb::Update { id: "003A".into(), expected: Some(version) },
                "PATCH /services/data/v62.0/sobjects/Contact/003A",
                Some(json!({"Email": null, "key__c": "k/1", "Tags__c": "a;b"})),
                Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
            (
                WriteVerb::Delete { id: "003A".into(), expected: Some(version) },
                "DELETE /services/data/v62.0/sobjects/Contact/003A",
                None,
                None,
            ),
        ];
        for (verb, line, body, precondition) in cases {
            let call = request(&Settings::default(), &row(verb)).expect("a call");
            assert_eq!(format!("{} {}", call.method, call.target()), line);
            let json = match &call.body {
                crate::rest::Body::Json(value) => Some(value.clone()),
                _ => None,
            };
            assert_eq!(json, body, "{line}");
            let header =
                |name: &str| call.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
            assert_eq!(header("if-unmodified-since"), precondition, "{line}");
            assert_eq!(header("sforce-auto-assign").is_some(), body.is_some(), "{line}");
        }
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let answer = |status, body: &str| Answer { status, body: body.to_owned().into(), ..Answer::default() };
        let applied = |id: &str, created| WriteOutcome::Applied { id: id.into(), created, object: None, whole: false };
        let saved = r#"{"id":"003B","success":true,"errors":[]}"#;
        let upserted = r#"{"id":"003B","success":true,"errors":[],"created":false}"#;
        let update = || WriteVerb::Update { id: "003A".into(), expected: None };
        assert_eq!(outcome(&answer(204, ""), &row(update())), applied("003A", false));
        assert_eq!(outcome(&answer(201, saved), &row(key())), applied("003B", true));
        assert_eq!(outcome(&answer(200, upserted), &row(key())), applied("003B", false));
        assert_eq!(outcome(&answer(412, "[]"), &row(update())), WriteOutcome::Stale);
        assert!(matches!(outcome(&answer(200, "{"), &row(key())), WriteOutcome::Unknown { .. }));
    }

    #[test]
    fn no_name_leaves_its_place_in_the_address() {
        let mut bad = row(key());
        bad.object = "Contact/../User".into();
        assert!(request(&Settings::default(), &bad).is_err());
        let bad = row(WriteVerb::Create { key: Some(Key { field: "a/b".into(), value: "x".into() }) });
        assert!(request(&Settings::default(), &bad).is_err());
    }
}
