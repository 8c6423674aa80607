//! What Zendesk's errors mean, by remedy.

use serde_json::Value;
use syncline_core::remote::{ProviderError, Remedy, WriteOutcome, WriteVerb};

use super::{budgets, kind::Kind, values};
use crate::rest::{Answer, Outcomes};

/// How long to wait where Zendesk does not say.
const WAIT_MS: u64 = 10_000;

/// Endpoints count by the minute. A longer wait is that of a ticket, which counts in ten.
const MINUTE_MS: u64 = 60_000;

/// An error, of whichever of Zendesk's forms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fault {
    code: String,
    message: String,
    details: Vec<Detail>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
struct Detail {
    field: String,
    code: String,
    message: String,
}

impl Fault {
    /// The code, such as `RecordInvalid`; empty where there is none.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// The code with Zendesk's words.
    pub(super) fn words(&self) -> String {
        let mut words = match (self.code.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        let details: Vec<&str> =
            self.details.iter().map(|detail| detail.message.as_str()).filter(|text| !text.is_empty()).collect();
        if !details.is_empty() {
            words.push_str(&format!(" ({})", details.join("; ")));
        }
        words
    }

    /// Whether some field is refused because another object holds its value.
    pub(super) fn is_duplicate(&self) -> bool {
        self.details.iter().any(|detail| detail.code == "DuplicateValue")
    }

    /// The most telling code, and the fields at fault.
    fn refusal(&self) -> WriteOutcome {
        let code = self.details.iter().map(|detail| detail.code.as_str()).find(|code| !code.is_empty());
        let mut fields: Vec<String> = self.details.iter().map(|detail| detail.field.clone()).collect();
        fields.retain(|field| field != "base");
        fields.sort();
        fields.dedup();
        let code = code.or((!self.code.is_empty()).then_some(self.code.as_str())).unwrap_or("Refused");
        Outcomes::refused(code, self.words(), fields)
    }
}

/// The error of an answer that is no success. A gateway's page becomes one without a code.
pub(super) fn fault(answer: &Answer) -> Fault {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body: Value = answer.json().unwrap_or_default();
    let mut fault = match (&body["error"], &body["errors"][0]) {
        (Value::String(code), _) => {
            let message = ["description", "error_description", "message"].into_iter().map(|name| text(&body[name]));
            Fault { code: code.clone(), message: first(message), details: details(&body["details"]) }
        }
        (error @ Value::Object(_), _) => {
            Fault { code: text(&error["title"]), message: text(&error["message"]), details: Vec::new() }
        }
        (_, error @ Value::Object(_)) => {
            let message = ["detail", "title"].into_iter().map(|name| text(&error[name]));
            Fault { code: text(&error["code"]), message: first(message), details: Vec::new() }
        }
        _ => Fault::default(),
    };
    if fault.code.is_empty() && fault.message.is_empty() {
        fault.message = answer.excerpt();
    }
    fault
}

fn first(mut texts: impl Iterator<Item = String>) -> String {
    texts.find(|text| !text.is_empty()).unwrap_or_default()
}

/// `{"name": [{"description": "Name: cannot be blank", "error": "BlankValue"}]}`.
fn details(value: &Value) -> Vec<Detail> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = value.as_object().into_iter().flatten();
    let of = |(field, faults): (&String, &Value)| {
        let faults = faults.as_array().cloned().unwrap_or_default();
        let detail = |fault: Value| Detail {
            field: values::name_of_fault(field),
            code: text(&fault["error"]),
            message: text(&fault["description"]),
        };
        faults.into_iter().map(detail).collect::<Vec<_>>()
    };
    fields.flat_map(of).collect()
}

/// What a failed call means.
pub(super) fn classify(answer: &Answer) -> ProviderError {
    let fault = fault(answer);
    let remedy = match answer.status {
        401 => Remedy::Refresh,
        403 => Remedy::Configure,
        404 | 410 => Remedy::Gone,
        408 | 409 | 425 => Remedy::Retry,
        429 => limited(answer),
        500.. => Remedy::Retry,
        _ => Remedy::Configure,
    };
    ProviderError { remedy, message: format!("HTTP {}: {}", answer.status, fault.words()) }
}

/// The account's own limit holds up everything. That of an endpoint or of an object, which an answer with requests left tells
/// of, holds up only who met it.
fn limited(answer: &Answer) -> Remedy {
    let left = ["ratelimit-remaining", "x-rate-limit-remaining"].into_iter().find_map(|name| answer.header(name));
    let after_ms = answer.retry_after_ms();
    match left.and_then(|left| left.trim().parse::<u32>().ok()) {
        Some(1..) => Remedy::Busy { after_ms: after_ms.unwrap_or(WAIT_MS) },
        Some(0) | None => Remedy::Wait { after_ms, budget: budgets::ACCOUNT.to_owned() },
    }
}

/// The remedy of a write that met a limit: users have limits each, organizations together, and tickets both.
fn limited_write(remedy: Remedy, kind: Kind) -> Remedy {
    match (remedy, kind) {
        (Remedy::Busy { after_ms }, Kind::Tickets) if after_ms <= MINUTE_MS => wait_for_writes(after_ms),
        (Remedy::Busy { after_ms }, Kind::Organizations) => wait_for_writes(after_ms),
        (remedy, _) => remedy,
    }
}

fn wait_for_writes(after_ms: u64) -> Remedy {
    Remedy::Wait { after_ms: Some(after_ms), budget: budgets::WRITES.to_owned() }
}

/// How a write of one row ended whose call was answered beyond 2xx.
pub(super) fn refused(answer: &Answer, kind: Kind, verb: &WriteVerb) -> WriteOutcome {
    let fault = fault(answer);
    let not_applied = |remedy| {
        let message = classify(answer).message;
        WriteOutcome::NotApplied(ProviderError { remedy, message })
    };
    let creates = matches!(verb, WriteVerb::Create { .. });
    match answer.status {
        409 if matches!(verb, WriteVerb::Update { expected: Some(_), .. }) && fault.code == "UpdateConflict" => {
            WriteOutcome::Stale
        }
        404 | 410 if !creates && fault.code != "InvalidEndpoint" => WriteOutcome::Gone,
        404 | 410 => not_applied(Remedy::Configure),
        429 => not_applied(limited_write(limited(answer), kind)),
        408 | 500.. => WriteOutcome::Unknown { message: classify(answer).message },
        // The body that the key first came with was another one: a look for the ticket that it made comes first.
        400 if fault.code == "IdempotentRequestError" => not_applied(Remedy::Retry),
        422 if creates && fault.is_duplicate() => WriteOutcome::Exists { id: None, message: fault.words() },
        400 | 422 if !fault.code.is_empty() => fault.refusal(),
        _ => not_applied(classify(answer).remedy),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;
    use syncline_core::{remote::RemoteVersion, time::Millis};

    use super::*;

    type Headers = [(&'static str, &'static str)];

    fn answer(status: u16, body: &Value, headers: &Headers) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status, headers, body: body.to_string().into() }
    }

    fn invalid(field: &str, code: &str) -> Value {
        json!({"error": "RecordInvalid", "description": "Record validation errors",
               "details": {field: [{"description": format!("{field}: is wrong"), "error": code}]}})
    }

    #[test]
    fn every_form_of_an_error_is_understood() {
        let cases = [
            (json!({"error": "RecordNotFound", "description": "Not found"}), "RecordNotFound: Not found"),
            (json!({"error": {"title": "Forbidden", "message": "You may not"}}), "Forbidden: You may not"),
            (json!({"error": "invalid_token", "error_description": "expired"}), "invalid_token: expired"),
            (json!({"errors": [{"code": "TooManyRequests", "title": "Too many"}]}), "TooManyRequests: Too many"),
            (json!({"status": 500, "error": "Internal Server Error"}), "Internal Server Error"),
            (invalid("name", "BlankValue"), "RecordInvalid: Record validation errors (name: is wrong)"),
            (json!("<html>"), "\"<html>\""),
        ];
        for (body, words) in cases {
            assert_eq!(fault(&answer(400, &body, &[])).words(), words);
        }
    }

    #[test]
    fn every_failure_has_a_remedy() {
        let left = [("x-rate-limit-remaining", "12"), ("retry-after", "41")];
        let none_left = [("ratelimit-remaining", "0"), ("retry-after", "41")];
        let account = |after_ms| Remedy::Wait { after_ms, budget: budgets::ACCOUNT.to_owned() };
        let cases: [(u16, &Headers, Remedy); 9] = [
            (401, &[], Remedy::Refresh),
            (403, &[], Remedy::Configure),
            (404, &[], Remedy::Gone),
            (409, &[], Remedy::Retry),
            (422, &[], Remedy::Configure),
            (503, &[], Remedy::Retry),
            (429, &left, Remedy::Busy { after_ms: 41_000 }),
            (429, &none_left, account(Some(41_000))),
            (429, &[], account(None)),
        ];
        for (status, headers, remedy) in cases {
            assert_eq!(classify(&answer(status, &json!({}), headers)).remedy, remedy, "{status} {headers:?}");
        }
    }

    #[test]
    fn a_writes_limit_is_its_objects_or_that_of_all_writes() {
        let after = |seconds: &'static str| [("x-rate-limit-remaining", "9"), ("retry-after", seconds)];
        let writes = |ms| Remedy::Wait { after_ms: Some(ms), budget: budgets::WRITES.to_owned() };
        let cases = [
            (Kind::Tickets, "30", writes(30_000)),
            (Kind::Tickets, "400", Remedy::Busy { after_ms: 400_000 }),
            (Kind::Users, "30", Remedy::Busy { after_ms: 30_000 }),
            (Kind::Organizations, "30", writes(30_000)),
        ];
        for (kind, seconds, remedy) in cases {
            let outcome = refused(&answer(429, &json!({}), &after(seconds)), kind, &update(None));
            let WriteOutcome::NotApplied(error) = outcome else { panic!("{outcome:?}") };
            assert_eq!(error.remedy, remedy, "{kind:?} {seconds}");
        }
    }

    fn update(expected: Option<RemoteVersion>) -> WriteVerb {
        WriteVerb::Update { id: "1".into(), expected }
    }

    fn name(outcome: &WriteOutcome) -> String {
        match outcome {
            WriteOutcome::NotApplied(error) => format!("not applied: {:?}", error.remedy),
            WriteOutcome::Refused(refusal) => format!("refused: {} {:?}", refusal.code, refusal.fields),
            WriteOutcome::Exists { .. } => "exists".to_owned(),
            WriteOutcome::Unknown { .. } => "unknown".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn every_refused_write_has_an_outcome() {
        let create = WriteVerb::Create { key: None };
        let expected = Some(RemoteVersion { stamp: Millis(0), precision_ms: 1000 });
        let conflict = json!({"error": "UpdateConflict", "description": "Safe Update prevented the update"});
        let code = |code: &str| json!({"error": code, "description": "words"});
        let cases = [
            (409, conflict.clone(), update(expected), "stale"),
            (409, conflict, update(None), "not applied: Retry"),
            (409, code("DatabaseConflict"), update(expected), "not applied: Retry"),
            (404, code("RecordNotFound"), update(None), "gone"),
            (404, code("InvalidEndpoint"), update(None), "not applied: Configure"),
            (404, code("RecordNotFound"), create.clone(), "not applied: Configure"),
            (422, invalid("email", "DuplicateValue"), create.clone(), "exists"),
            (422, invalid("email", "DuplicateValue"), update(None), "refused: DuplicateValue [\"email\"]"),
            (422, invalid("email", "InvalidValue"), create.clone(), "refused: InvalidValue [\"email\"]"),
            (422, invalid("base", "InvalidValue"), update(None), "refused: InvalidValue []"),
            (422, invalid("360001", "InvalidValue"), update(None), "refused: InvalidValue [\"custom_field_360001\"]"),
            (400, code("ParameterMissing"), create.clone(), "refused: ParameterMissing []"),
            (400, code("IdempotentRequestError"), create.clone(), "not applied: Retry"),
            (400, json!("<html>"), create.clone(), "not applied: Configure"),
            (401, code("invalid_token"), create.clone(), "not applied: Refresh"),
            (403, code("Forbidden"), update(None), "not applied: Configure"),
            (503, json!({}), update(None), "unknown"),
            (504, json!({}), create, "unknown"),
        ];
        for (status, body, verb, expected) in cases {
            assert_eq!(name(&refused(&answer(status, &body, &[]), Kind::Tickets, &verb)), expected, "{status} {body}");
        }
    }
}
