//! What HubSpot's errors mean, by remedy: of whole calls and of rows inside a batch.

use serde::Deserialize;
use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Remedy, WriteOutcome, WriteVerb},
};

use super::{budgets, rows::id_of};
use crate::rest::{Answer, Outcomes};

/// A record that is locked stays so for seconds.
const LOCKED_MS: u64 = 2_000;

/// The day ends at midnight in the account's time zone, which we do not know: look again after a while.
const DAILY_MS: u64 = 15 * 60_000;

/// What stands before the list of refused properties inside a message.
const INVALID_PROPERTIES: &str = "Property values were not valid: ";

/// An error, as whole answers and rows of a batch spell it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RowError {
    category: String,
    message: String,
    policy_name: Option<String>,
    context: Context,
    errors: Vec<Detail>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    object_write_trace_id: Vec<Value>,
    ids: Vec<Value>,
    id: Vec<Value>,
    existing_id: Vec<Value>,
    property_name: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    message: String,
    code: Option<String>,
    #[serde(rename = "in")]
    place: Option<String>,
    context: Context,
}

/// One of the properties listed inside a message.
#[derive(Deserialize)]
struct InvalidProperty {
    name: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

impl RowError {
    /// The rows that the error speaks of, by the trace ids that we gave them.
    pub(super) fn traces(&self) -> impl Iterator<Item = &str> {
        self.context.object_write_trace_id.iter().filter_map(Value::as_str)
    }

    /// The objects that the error speaks of.
    pub(super) fn ids(&self) -> impl Iterator<Item = ExternalId> {
        self.context.ids.iter().chain(&self.context.id).filter_map(id_of)
    }

    /// Whether it only says that objects are not there.
    pub(super) fn is_missing(&self) -> bool {
        self.category == "OBJECT_NOT_FOUND"
    }

    /// What the error means to a batch that reads.
    pub(super) fn as_read(&self) -> ProviderError {
        ProviderError { remedy: self.remedy(None).unwrap_or(Remedy::Retry), message: self.words() }
    }

    /// The remedy of an error that is not about values.
    fn remedy(&self, retry_after_ms: Option<u64>) -> Option<Remedy> {
        Some(match self.category.as_str() {
            "EXPIRED_AUTHENTICATION" | "INVALID_AUTHENTICATION" => Remedy::Refresh,
            "MISSING_SCOPES" | "BANNED" => Remedy::Configure,
            "RATE_LIMITS" | "RATE_LIMIT" => self.wait(retry_after_ms),
            "OBJECT_NOT_FOUND" => Remedy::Gone,
            _ => return None,
        })
    }

    fn wait(&self, retry_after_ms: Option<u64>) -> Remedy {
        let budget = self.policy_name.clone().unwrap_or_else(|| budgets::ROLLING.to_owned());
        let usual = match budget.as_str() {
            budgets::SECONDLY => 1_000,
            budgets::DAILY => DAILY_MS,
            _ => 10_000,
        };
        Remedy::Wait { after_ms: Some(retry_after_ms.unwrap_or(usual)), budget }
    }

    fn words(&self) -> String {
        let details = self.errors.iter().map(|detail| detail.message.as_str()).filter(|text| !text.is_empty());
        let details: Vec<&str> = details.filter(|text| !self.message.contains(text)).collect();
        let mut words = if self.category.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.category, self.message)
        };
        if !details.is_empty() {
            words.push_str(&format!(" ({})", details.join("; ")));
        }
        words
    }

    /// Properties that HubSpot lists inside the message as JSON.
    fn invalid_properties(&self) -> Vec<InvalidProperty> {
        let Some((_, list)) = self.message.split_once(INVALID_PROPERTIES) else { return Vec::new() };
        serde_json::Deserializer::from_str(list).into_iter().next().and_then(Result::ok).unwrap_or_default()
    }

    /// The properties at fault.
    fn fields(&self) -> Vec<String> {
        let listed = self.invalid_properties().into_iter().filter_map(|property| property.name);
        let details = self.errors.iter().flat_map(|detail| {
            let place = detail.place.as_deref().map(|place| place.trim_start_matches("properties.").to_owned());
            detail.context.property_name.iter().cloned().chain(place)
        });
        let mut fields: Vec<String> = self.context.property_name.iter().cloned().chain(listed).chain(details).collect();
        fields.sort();
        fields.dedup();
        fields
    }

    /// The most telling code.
    fn code(&self) -> String {
        let listed = self.invalid_properties().into_iter().find_map(|property| property.error);
        let detailed = self.errors.iter().find_map(|detail| detail.code.clone());
        listed.or(detailed).unwrap_or_else(|| match self.category.as_str() {
            "" => "REFUSED".to_owned(),
            category => category.to_owned(),
        })
    }

    /// The object that already holds a unique value: named in the context or only in words.
    fn existing(&self) -> Option<ExternalId> {
        if let Some(id) = self.context.existing_id.iter().find_map(id_of) {
            return Some(id);
        }
        let listed = self.invalid_properties().into_iter().filter_map(|property| property.message);
        let mut texts = std::iter::once(self.message.clone()).chain(listed);
        texts.find_map(|text| {
            let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
            let after = text.split_once("Existing ID: ").map(|(_, rest)| digits(rest));
            let before =
                text.split_once(" already has that value").and_then(|(head, _)| head.rsplit(' ').next()).map(digits);
            after.or(before).filter(|id| !id.is_empty()).map(ExternalId::from)
        })
    }

    /// How a row ended of which the error speaks.
    pub(super) fn outcome(&self, verb: &WriteVerb) -> WriteOutcome {
        let creates = matches!(verb, WriteVerb::Create { .. });
        let conflict = self.category == "CONFLICT" || self.code() == "CONFLICTING_UNIQUE_VALUE";
        match self.category.as_str() {
            "OBJECT_NOT_FOUND" if !creates => return WriteOutcome::Gone,
            "INTERNAL_ERROR" | "SERVER_ERROR" | "TIMEOUT" => return WriteOutcome::Unknown { message: self.words() },
            _ if conflict && creates => {
                return WriteOutcome::Exists { id: self.existing(), message: self.words() };
            }
            _ => {}
        }
        match self.remedy(None).filter(|remedy| *remedy != Remedy::Gone) {
            Some(remedy) => WriteOutcome::NotApplied(ProviderError { remedy, message: self.words() }),
            None => Outcomes::refused(self.code(), self.words(), self.fields()),
        }
    }
}

/// The error of an answer that is no success. A gateway's page becomes one without a category.
fn error_of(answer: &Answer) -> RowError {
    let mut error: RowError = answer.json().unwrap_or_default();
    if error.message.is_empty() {
        error.message = answer.excerpt();
    }
    error
}

/// What a failed call means.
pub(super) fn classify(answer: &Answer) -> ProviderError {
    let error = error_of(answer);
    let after_ms = answer.retry_after_ms();
    let remedy = match answer.status {
        401 => Remedy::Refresh,
        403 => Remedy::Configure,
        404 | 410 => Remedy::Gone,
        408 | 409 | 425 => Remedy::Retry,
        423 => Remedy::Busy { after_ms: after_ms.unwrap_or(LOCKED_MS).max(LOCKED_MS) },
        429 => error.wait(after_ms),
        477 => Remedy::Wait { after_ms, budget: "MIGRATION".to_owned() },
        500.. => Remedy::Retry,
        _ => error.remedy(after_ms).filter(|remedy| *remedy != Remedy::Gone).unwrap_or(Remedy::Configure),
    };
    ProviderError { remedy, message: format!("HTTP {}: {}", answer.status, error.words()) }
}

/// What the refusal of a whole writing batch means.
pub(super) enum BatchRefused {
    /// One of the rows is at fault, and nothing was written: smaller batches will tell which.
    Row(RowFault),
    /// All rows ended like this.
    All(WriteOutcome),
}

/// Why a batch was refused whole for one of its rows.
pub(super) enum RowFault {
    /// The row's values are refused.
    Values(Box<RowError>),
    /// The row's object is in use.
    InUse(ProviderError),
}

impl RowFault {
    /// How the row ended, once it stands alone.
    pub(super) fn outcome(&self, verb: &WriteVerb) -> WriteOutcome {
        match self {
            Self::Values(error) => error.outcome(verb),
            Self::InUse(error) => WriteOutcome::NotApplied(error.clone()),
        }
    }
}

/// Reads the refusal of a whole writing batch.
pub(super) fn refused(answer: &Answer) -> BatchRefused {
    match answer.status {
        400 | 404 | 409 | 413 | 422 => {
            let error = error_of(answer);
            match error.remedy(answer.retry_after_ms()).filter(|remedy| *remedy != Remedy::Gone) {
                Some(_) => BatchRefused::All(WriteOutcome::NotApplied(classify(answer))),
                None => BatchRefused::Row(RowFault::Values(Box::new(error))),
            }
        }
        // It says nothing of the other objects.
        423 => BatchRefused::Row(RowFault::InUse(classify(answer))),
        408 | 500.. => BatchRefused::All(WriteOutcome::Unknown { message: classify(answer).message }),
        _ => BatchRefused::All(WriteOutcome::NotApplied(classify(answer))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::remote::Key;

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into(), ..Answer::default() }
    }

    fn wait(after_ms: u64, budget: &str) -> Remedy {
        Remedy::Wait { after_ms: Some(after_ms), budget: budget.to_owned() }
    }

    #[test]
    fn every_failure_has_a_remedy() {
        let category = |category: &str| json!({"status": "error", "message": "words", "category": category});
        let policy =
            |name: &str| json!({"status": "error", "message": "words", "errorType": "RATE_LIMIT", "policyName": name});
        let cases = [
            (401, category("EXPIRED_AUTHENTICATION"), Remedy::Refresh),
            (401, category("INVALID_AUTHENTICATION"), Remedy::Refresh),
            (403, category("MISSING_SCOPES"), Remedy::Configure),
            (404, category("OBJECT_NOT_FOUND"), Remedy::Gone),
            (400, category("VALIDATION_ERROR"), Remedy::Configure),
            (423, json!({"message": "locked"}), Remedy::Busy { after_ms: 2_000 }),
            (429, policy("TEN_SECONDLY_ROLLING"), wait(10_000, "TEN_SECONDLY_ROLLING")),
            (429, policy("SECONDLY"), wait(1_000, "SECONDLY")),
            (429, policy("DAILY"), wait(900_000, "DAILY")),
            (429, json!({}), wait(10_000, "TEN_SECONDLY_ROLLING")),
            (477, json!({}), Remedy::Wait { after_ms: None, budget: "MIGRATION".to_owned() }),
            (502, json!({}), Remedy::Retry),
            (524, json!({}), Remedy::Retry),
        ];
        for (status, body, remedy) in cases {
            assert_eq!(classify(&answer(status, &body)).remedy, remedy, "{status} {body}");
        }
    }

    #[test]
    fn retry_after_wins() {
        let mut answer = answer(429, &json!({"policyName": "SECONDLY"}));
        answer.headers.insert("retry-after", http::HeaderValue::from_static("7"));
        assert_eq!(classify(&answer).remedy, wait(7_000, "SECONDLY"));
    }

    fn create() -> WriteVerb {
        WriteVerb::Create { key: Some(Key { field: "ext".into(), value: "1".into() }) }
    }

    fn update() -> WriteVerb {
        WriteVerb::Update { id: "1".into(), expected: None }
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
    fn every_row_error_has_an_outcome() {
        let existing = "Contact already exists. Existing ID: 6001";
        let invalid = r#"Property values were not valid: [{"isValid":false,"message":"x is not a valid email","error":"INVALID_EMAIL","name":"email"}]"#;
        let unique = r#"Property values were not valid: [{"isValid":false,"message":"Cannot set PropertyValueCoordinates. 171 already has that value.","error":"CONFLICTING_UNIQUE_VALUE","name":"ext"}]"#;
        let cases = [
            (json!({"category": "CONFLICT", "message": existing}), create(), "exists: 6001"),
            (
                json!({"category": "CONFLICT", "message": "Contact exists", "context": {"existingId": ["77"]}}),
                create(),
                "exists: 77",
            ),
            (json!({"category": "CONFLICT", "message": "Contact exists"}), create(), "exists: ?"),
            (json!({"category": "CONFLICT", "message": existing}), update(), "refused: CONFLICT []"),
            (json!({"category": "VALIDATION_ERROR", "message": unique}), create(), "exists: 171"),
            (
                json!({"category": "VALIDATION_ERROR", "message": unique}),
                update(),
                "refused: CONFLICTING_UNIQUE_VALUE [\"ext\"]",
            ),
            (
                json!({"category": "VALIDATION_ERROR", "message": invalid}),
                update(),
                "refused: INVALID_EMAIL [\"email\"]",
            ),
            (
                json!({"category": "VALIDATION_ERROR", "message": "bad", "errors": [
                    {"message": "too long", "code": "TOO_LONG", "context": {"propertyName": ["phone"]}}]}),
                update(),
                "refused: TOO_LONG [\"phone\"]",
            ),
            (json!({"category": "OBJECT_NOT_FOUND", "context": {"ids": ["1"]}}), update(), "gone"),
            (json!({"category": "OBJECT_NOT_FOUND"}), create(), "refused: OBJECT_NOT_FOUND []"),
            (json!({"category": "EXPIRED_AUTHENTICATION"}), update(), "not applied: Refresh"),
            (json!({"category": "INTERNAL_ERROR"}), update(), "unknown"),
        ];
        for (error, verb, expected) in cases {
            let error: RowError = serde_json::from_value(error.clone()).expect("an error");
            assert_eq!(name(&error.outcome(&verb)), expected, "{error:?}");
        }
    }

    #[test]
    fn a_refused_batch_is_split_only_for_what_is_one_rows() {
        let show = |status, body: Value| match refused(&answer(status, &body)) {
            BatchRefused::Row(RowFault::Values(error)) => format!("values: {}", error.category),
            BatchRefused::Row(RowFault::InUse(error)) => format!("in use: {:?}", error.remedy),
            BatchRefused::All(outcome) => name(&outcome),
        };
        let cases = [
            (400, json!({"category": "VALIDATION_ERROR"}), "values: VALIDATION_ERROR"),
            (409, json!({"category": "CONFLICT"}), "values: CONFLICT"),
            (404, json!({"category": "OBJECT_NOT_FOUND"}), "values: OBJECT_NOT_FOUND"),
            (423, json!({"message": "locked"}), "in use: Busy { after_ms: 2000 }"),
            (401, json!({"category": "EXPIRED_AUTHENTICATION"}), "not applied: Refresh"),
            (403, json!({"category": "MISSING_SCOPES"}), "not applied: Configure"),
            (500, json!({}), "unknown"),
            (504, json!({}), "unknown"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(show(status, body.clone()), expected, "{status} {body}");
        }
    }

    #[test]
    fn words_hold_the_details_once() {
        let error = json!({"category": "VALIDATION_ERROR", "message": "bad input", "errors": [{"message": "bad"}, {"message": "phone"}]});
        let error: RowError = serde_json::from_value(error).expect("an error");
        assert_eq!(error.words(), "VALIDATION_ERROR: bad input (phone)");
    }
}
