//! What Salesforce's error codes mean, by remedy.

use serde::Deserialize;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Remedy, WriteOutcome, WriteVerb},
};

use super::budgets;
use crate::rest::{Answer, Outcomes};

/// One error, as whole answers (`errorCode`) and rows of collections (`statusCode`) spell it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    #[serde(alias = "errorCode", alias = "statusCode")]
    code: String,
    message: String,
    fields: Vec<String>,
}

/// The errors of an answer that is no success. A gateway's page becomes one error without a code.
fn faults(answer: &Answer) -> Vec<Fault> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        Many(Vec<Fault>),
        One(Fault),
    }
    let faults = match answer.json::<Body>() {
        Ok(Body::Many(faults)) => faults,
        Ok(Body::One(fault)) if !fault.code.is_empty() => vec![fault],
        Ok(Body::One(_)) | Err(_) => Vec::new(),
    };
    if faults.is_empty() {
        return vec![Fault { message: answer.excerpt(), ..Fault::default() }];
    }
    faults
}

/// What a failed call means.
pub(super) fn classify(answer: &Answer) -> ProviderError {
    let faults = faults(answer);
    let code = faults[0].code.as_str();
    let remedy = remedy(answer, code);
    let mut message = format!("HTTP {}: {}", answer.status, words(&faults));
    match code {
        "INVALID_FIELD" => {
            message.push_str(" (a field that exists may be hidden from our user by field-level security)")
        }
        "REQUEST_LIMIT_EXCEEDED" => {
            if let Some(usage) = answer.header("sforce-limit-info") {
                message.push_str(&format!(" ({usage})"));
            }
        }
        _ => {}
    }
    ProviderError { remedy, message }
}

fn remedy(answer: &Answer, code: &str) -> Remedy {
    if let Some(remedy) = remedy_of_code(code, answer.retry_after_ms()) {
        return remedy;
    }
    match answer.status {
        401 => Remedy::Refresh,
        404 | 410 => Remedy::Gone,
        408 | 420 | 409 | 425 => Remedy::Retry,
        429 => wait(answer.retry_after_ms()),
        500.. => Remedy::Retry,
        _ => Remedy::Configure,
    }
}

/// The remedy of a code that means the same on a whole call and on a row; `None` for codes about values.
fn remedy_of_code(code: &str, retry_after_ms: Option<u64>) -> Option<Remedy> {
    Some(match code {
        "INVALID_SESSION_ID" => Remedy::Refresh,
        "REQUEST_LIMIT_EXCEEDED" => wait(retry_after_ms),
        "UNABLE_TO_LOCK_ROW" | "SERVER_UNAVAILABLE" | "UNKNOWN_EXCEPTION" | "QUERY_TIMEOUT" => Remedy::Retry,
        "ALL_OR_NONE_OPERATION_ROLLED_BACK" => Remedy::Retry,
        "INVALID_QUERY_LOCATOR" => Remedy::Restart,
        "INVALID_REPLICATION_DATE" => Remedy::Resync,
        "NOT_FOUND" | "ENTITY_IS_DELETED" => Remedy::Gone,
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" | "INVALID_TYPE" => Remedy::Configure,
        _ => return None,
    })
}

fn wait(after_ms: Option<u64>) -> Remedy {
    Remedy::Wait { after_ms, budget: budgets::DAILY.to_owned() }
}

/// Whether the answer says that a window holds more ids than one answer may.
pub(super) fn is_too_many_ids(error: &ProviderError) -> bool {
    error.message.contains("EXCEEDED_ID_LIMIT")
}

fn words(faults: &[Fault]) -> String {
    let words = faults.iter().map(|fault| match fault.code.as_str() {
        "" => fault.message.clone(),
        code => format!("{code}: {}", fault.message),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// How a write of one row ended whose call was answered beyond 2xx.
pub(super) fn refused(answer: &Answer, verb: &WriteVerb) -> WriteOutcome {
    let faults = faults(answer);
    match answer.status {
        300 => Outcomes::refused("MULTIPLE_CHOICES", ambiguous(verb), key_field(verb)),
        412 => WriteOutcome::Stale,
        401 | 429 => WriteOutcome::NotApplied(classify(answer)),
        500.. if faults[0].code == "SERVER_UNAVAILABLE" || faults[0].code == "UNABLE_TO_LOCK_ROW" => {
            WriteOutcome::NotApplied(classify(answer))
        }
        500.. => WriteOutcome::Unknown { message: classify(answer).message },
        404 if matches!(verb, WriteVerb::Create { .. }) => WriteOutcome::NotApplied(ProviderError {
            remedy: Remedy::Configure,
            message: format!("{} (does the key field exist, visible to our user?)", classify(answer).message),
        }),
        400..500 if faults[0].code.is_empty() => WriteOutcome::NotApplied(classify(answer)),
        _ => row_refused(&faults, verb),
    }
}

/// How a row of a collection ended that has errors.
pub(super) fn row_refused(faults: &[Fault], verb: &WriteVerb) -> WriteOutcome {
    let Some(first) = faults.first() else {
        return WriteOutcome::Unknown { message: "Salesforce refused the row without an error".to_owned() };
    };
    let creates = matches!(verb, WriteVerb::Create { .. });
    match first.code.as_str() {
        "ENTITY_IS_DELETED" | "NOT_FOUND" if !creates => return WriteOutcome::Gone,
        "INVALID_CROSS_REFERENCE_KEY" if !creates && first.fields.is_empty() => return WriteOutcome::Gone,
        "DUPLICATE_VALUE" if creates => {
            return WriteOutcome::Exists { id: id_in(&first.message), message: words(faults) };
        }
        "DUPLICATE_EXTERNAL_ID" => {
            return Outcomes::refused("DUPLICATE_EXTERNAL_ID", ambiguous(verb), key_field(verb));
        }
        "ENTITY_IS_DELETED" | "NOT_FOUND" => {}
        code => {
            if let Some(remedy) = remedy_of_code(code, None) {
                return WriteOutcome::NotApplied(ProviderError { remedy, message: words(faults) });
            }
        }
    }
    let mut fields: Vec<String> = faults.iter().flat_map(|fault| fault.fields.clone()).collect();
    fields.dedup();
    Outcomes::refused(first.code.clone(), words(faults), fields)
}

fn ambiguous(verb: &WriteVerb) -> String {
    match verb {
        WriteVerb::Create { key: Some(key) } => format!(
            "several objects hold `{}` in {}: make the field unique, and clear it on all but one object",
            key.value, key.field
        ),
        _ => "several objects match: nothing was written".to_owned(),
    }
}

fn key_field(verb: &WriteVerb) -> Vec<String> {
    match verb {
        WriteVerb::Create { key: Some(key) } => vec![key.field.clone()],
        _ => Vec::new(),
    }
}

/// The id in "… duplicates value on record with id: 003…".
fn id_in(message: &str) -> Option<ExternalId> {
    let (_, rest) = message.rsplit_once("id: ")?;
    let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    matches!(id.len(), 15 | 18).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use syncline_core::remote::{Key, Refusal};

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into(), ..Answer::default() }
    }

    fn error(code: &str) -> Value {
        json!([{"message": "words", "errorCode": code, "fields": []}])
    }

    #[test]
    fn every_code_has_a_remedy() {
        let wait = Remedy::Wait { after_ms: None, budget: "DailyApiRequests".to_owned() };
        let cases = [
            (401, "INVALID_SESSION_ID", Remedy::Refresh),
            (401, "INVALID_AUTH_HEADER", Remedy::Refresh),
            (403, "REQUEST_LIMIT_EXCEEDED", wait),
            (400, "UNABLE_TO_LOCK_ROW", Remedy::Retry),
            (500, "UNKNOWN_EXCEPTION", Remedy::Retry),
            (503, "SERVER_UNAVAILABLE", Remedy::Retry),
            (400, "QUERY_TIMEOUT", Remedy::Retry),
            (400, "INVALID_QUERY_LOCATOR", Remedy::Restart),
            (400, "INVALID_REPLICATION_DATE", Remedy::Resync),
            (404, "NOT_FOUND", Remedy::Gone),
            (404, "ENTITY_IS_DELETED", Remedy::Gone),
            (403, "API_DISABLED_FOR_ORG", Remedy::Configure),
            (403, "INSUFFICIENT_ACCESS_OR_READONLY", Remedy::Configure),
            (404, "INVALID_TYPE", Remedy::Configure),
            (400, "INVALID_FIELD", Remedy::Configure),
            (400, "MALFORMED_QUERY", Remedy::Configure),
            (414, "URI_TOO_LONG", Remedy::Configure),
        ];
        for (status, code, remedy) in cases {
            let error = classify(&answer(status, &error(code)));
            assert_eq!(error.remedy, remedy, "{status} {code}");
            assert!(error.message.contains(code) && error.message.contains("words"), "{error}");
        }
    }

    #[test]
    fn a_gateways_page_is_quoted() {
        let answer = Answer { status: 502, body: "<h1>Bad gateway</h1>".into(), ..Answer::default() };
        let error = classify(&answer);
        assert_eq!((error.remedy, error.message.as_str()), (Remedy::Retry, "HTTP 502: <h1>Bad gateway</h1>"));
    }

    fn update() -> WriteVerb {
        WriteVerb::Update { id: "003A".into(), expected: None }
    }

    fn create() -> WriteVerb {
        WriteVerb::Create { key: Some(Key { field: "Key__c".into(), value: "k1".into() }) }
    }

    fn name(outcome: &WriteOutcome) -> String {
        match outcome {
            WriteOutcome::NotApplied(error) => format!("not applied: {:?}", error.remedy),
            WriteOutcome::Refused(refusal) => format!("refused: {} {:?}", refusal.code, refusal.fields),
            WriteOutcome::Exists { id, .. } => format!("exists: {}", id.as_ref().map_or("?", ExternalId::as_str)),
            WriteOutcome::Unknown { .. } => "unknown".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn a_refused_write_says_whether_it_may_be_sent_again() {
        let cases = [
            (412, "", update(), "stale"),
            (300, "", create(), "refused: MULTIPLE_CHOICES [\"Key__c\"]"),
            (401, "INVALID_SESSION_ID", update(), "not applied: Refresh"),
            (404, "ENTITY_IS_DELETED", update(), "gone"),
            (404, "NOT_FOUND", update(), "gone"),
            (404, "NOT_FOUND", create(), "not applied: Configure"),
            (400, "UNABLE_TO_LOCK_ROW", update(), "not applied: Retry"),
            (500, "UNKNOWN_EXCEPTION", update(), "unknown"),
            (503, "SERVER_UNAVAILABLE", update(), "not applied: Retry"),
            (502, "", update(), "unknown"),
            (400, "STRING_TOO_LONG", update(), "refused: STRING_TOO_LONG []"),
            (403, "INSUFFICIENT_ACCESS_OR_READONLY", update(), "refused: INSUFFICIENT_ACCESS_OR_READONLY []"),
            (400, "MALFORMED_ID", update(), "refused: MALFORMED_ID []"),
        ];
        for (status, code, verb, expected) in cases {
            let body = if code.is_empty() { json!([]) } else { error(code) };
            assert_eq!(name(&refused(&answer(status, &body), &verb)), expected, "{status} {code}");
        }
    }

    #[test]
    fn rows_are_judged_like_calls() {
        let fault = |code: &str, message: &str, fields: &[&str]| Fault {
            code: code.to_owned(),
            message: message.to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        let duplicate = "duplicate value found: Key__c duplicates value on record with id: 003000000000001AAA";
        let cases = [
            (fault("DUPLICATE_VALUE", duplicate, &[]), create(), "exists: 003000000000001AAA"),
            (fault("DUPLICATE_VALUE", "somewhere", &[]), create(), "exists: ?"),
            (fault("DUPLICATE_VALUE", duplicate, &["Key__c"]), update(), "refused: DUPLICATE_VALUE [\"Key__c\"]"),
            (fault("DUPLICATES_DETECTED", "", &[]), create(), "refused: DUPLICATES_DETECTED []"),
            (fault("INVALID_CROSS_REFERENCE_KEY", "", &[]), update(), "gone"),
            (
                fault("INVALID_CROSS_REFERENCE_KEY", "", &["OwnerId"]),
                update(),
                "refused: INVALID_CROSS_REFERENCE_KEY [\"OwnerId\"]",
            ),
            (
                fault("REQUEST_LIMIT_EXCEEDED", "", &[]),
                update(),
                "not applied: Wait { after_ms: None, budget: \"DailyApiRequests\" }",
            ),
            (fault("ALL_OR_NONE_OPERATION_ROLLED_BACK", "", &[]), update(), "not applied: Retry"),
        ];
        for (fault, verb, expected) in cases {
            assert_eq!(name(&row_refused(std::slice::from_ref(&fault), &verb)), expected, "{fault:?}");
        }
        let both = [fault("STRING_TOO_LONG", "a", &["Phone"]), fault("INVALID_EMAIL_ADDRESS", "b", &["Email"])];
        let expected = Refusal {
            code: "STRING_TOO_LONG".into(),
            message: "STRING_TOO_LONG: a; INVALID_EMAIL_ADDRESS: b".into(),
            fields: vec!["Phone".into(), "Email".into()],
        };
        assert_eq!(row_refused(&both, &update()), WriteOutcome::Refused(expected));
    }
}
