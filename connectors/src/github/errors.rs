//! What GitHub's errors mean, by remedy.

use serde::Deserialize;
use serde_json::Value;
use syncline_core::remote::{ProviderError, Remedy, WriteOutcome};

use super::budgets;
use crate::rest::{Answer, Outcomes};

/// How long to wait after a secondary limit that does not say: GitHub asks for a minute at least.
const SECONDARY_MS: u64 = 60_000;

/// The name of a secondary limit in a wait. It is none of our budgets', so all of them stop.
const SECONDARY: &str = "secondary rate limit";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct GitHubError {
    message: String,
    documentation_url: Option<String>,
    errors: Value,
}

/// One of the faults that a refusal lists; some refusals list plain text instead.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    resource: Option<String>,
    field: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl GitHubError {
    fn of(answer: &Answer) -> Self {
        let mut error: Self = answer.json().unwrap_or_default();
        if error.message.is_empty() {
            error.message = answer.excerpt();
        }
        error
    }

    fn faults(&self) -> Vec<Fault> {
        let read = |value: &Value| match value {
            Value::String(text) => Fault { message: Some(text.clone()), ..Fault::default() },
            value => Fault::deserialize(value).unwrap_or_default(),
        };
        match &self.errors {
            Value::Array(errors) => errors.iter().map(read).collect(),
            Value::Null => Vec::new(),
            single => vec![read(single)],
        }
    }

    fn is_secondary(&self) -> bool {
        let message = self.message.to_lowercase();
        let page = self.documentation_url.as_deref().unwrap_or_default();
        message.contains("secondary rate limit")
            || message.contains("abuse detection")
            || page.contains("secondary-rate-limits")
            || page.contains("abuse-rate-limits")
    }

    fn words(&self) -> String {
        let faults = self.faults();
        let details: Vec<String> = faults.iter().filter_map(Fault::words).collect();
        if details.is_empty() { self.message.clone() } else { format!("{} ({})", self.message, details.join("; ")) }
    }
}

impl Fault {
    /// The fault in words, without the value that it may quote.
    fn words(&self) -> Option<String> {
        match (&self.field, &self.code, &self.message) {
            (_, _, Some(message)) => Some(message.clone()),
            (Some(field), Some(code), None) => Some(format!("{field}: {code}")),
            (field, code, None) => field.clone().or_else(|| code.clone()),
        }
    }

    /// Our name of the field at fault. A label that cannot be is a resource of its own.
    fn field(&self) -> Option<String> {
        match (self.resource.as_deref(), self.field.as_deref()) {
            (Some("Label"), _) => Some("labels".to_owned()),
            (Some("Milestone"), _) => Some("milestone".to_owned()),
            (_, Some("assignee")) => Some("assignees".to_owned()),
            (_, Some(field)) => Some(field.to_owned()),
            (_, None) => {
                let message = self.message.as_deref()?;
                let (first, _) = message.split_once(' ')?;
                ["title", "body"].into_iter().find(|name| first.eq_ignore_ascii_case(name)).map(str::to_owned)
            }
        }
    }
}

/// What a failed call means.
pub(super) fn classify(answer: &Answer) -> ProviderError {
    let error = GitHubError::of(answer);
    let remedy = match answer.status {
        401 => Remedy::Refresh,
        403 | 429 => limited(answer, &error).unwrap_or(Remedy::Configure),
        404 => Remedy::Gone,
        // Also the answer of a repository whose issues are switched off; readers of single objects look which it is.
        410 => Remedy::Gone,
        408 | 409 | 425 => Remedy::Retry,
        500.. => Remedy::Retry,
        _ => Remedy::Configure,
    };
    ProviderError { remedy, message: format!("HTTP {}: {}", answer.status, error.words()) }
}

/// The wait that a limit asks for: as long as the answer says, else until the hour's calls begin anew, else a minute.
fn limited(answer: &Answer, error: &GitHubError) -> Option<Remedy> {
    let exhausted = is_exhausted(answer);
    let after_ms = answer.retry_after_ms();
    if !exhausted && !error.is_secondary() && after_ms.is_none() && answer.status != 429 {
        return None;
    }
    if exhausted && !error.is_secondary() {
        return Some(Remedy::Wait {
            after_ms: after_ms.or_else(|| until_reset(answer)),
            budget: budgets::CORE.to_owned(),
        });
    }
    Some(Remedy::Wait { after_ms: Some(after_ms.unwrap_or(SECONDARY_MS)), budget: SECONDARY.to_owned() })
}

/// Whether the wait for a limit's end is the answer's own.
pub(super) fn says_how_long(answer: &Answer) -> bool {
    answer.retry_after_ms().is_some() || is_exhausted(answer)
}

fn is_exhausted(answer: &Answer) -> bool {
    answer.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0")
}

/// From the answer's own time to the one at which the hour's calls begin anew, and the second in which that happens.
fn until_reset(answer: &Answer) -> Option<u64> {
    let reset = answer.header("x-ratelimit-reset")?.trim().parse::<i64>().ok()?.checked_mul(1_000)?;
    u64::try_from(reset.saturating_sub(answer.date()?.0).saturating_add(1_000)).ok()
}

/// What the refusal of a write means; `None` where the object is not where it was, so that a look must tell what became of it.
pub(super) fn refused(answer: &Answer) -> Option<WriteOutcome> {
    let error = GitHubError::of(answer);
    Some(match answer.status {
        301 | 302 | 307 | 308 | 404 | 410 => return None,
        400 | 413 | 422 => {
            let faults = error.faults();
            let mut fields: Vec<String> = faults.iter().filter_map(Fault::field).collect();
            fields.sort_unstable();
            fields.dedup();
            let code = faults.iter().find_map(|fault| fault.code.clone()).unwrap_or_else(|| "invalid".to_owned());
            Outcomes::refused(code, error.words(), fields)
        }
        408 | 500.. => WriteOutcome::Unknown { message: classify(answer).message },
        _ => WriteOutcome::NotApplied(classify(answer)),
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    fn answer(status: u16, headers: Headers, body: &Value) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status, headers, body: body.to_string().into() }
    }

    fn wait(after_ms: u64, budget: &str) -> Remedy {
        Remedy::Wait { after_ms: Some(after_ms), budget: budget.to_owned() }
    }

    #[test]
    fn every_failure_has_a_remedy() {
        let words = |message: &str| json!({"message": message, "documentation_url": "https://docs.github.com/rest"});
        let primary = words("API rate limit exceeded for installation ID 1.");
        let secondary =
            words("You have exceeded a secondary rate limit. Please wait a few minutes before you try again.");
        let spent: Headers = &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "784111807"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        let late: Headers = &[("retry-after", "7"), ("x-ratelimit-remaining", "0")];
        let cases: [(u16, Headers, &Value, Remedy); 7] = [
            (401, &[], &primary, Remedy::Refresh),
            (403, spent, &primary, wait(31_000, "core")),
            (429, spent, &primary, wait(31_000, "core")),
            (403, late, &primary, wait(7_000, "core")),
            (403, &[("retry-after", "9")], &secondary, wait(9_000, SECONDARY)),
            (403, &[], &secondary, wait(60_000, SECONDARY)),
            (429, &[("x-ratelimit-remaining", "12")], &secondary, wait(60_000, SECONDARY)),
        ];
        for (status, headers, body, remedy) in cases {
            assert_eq!(classify(&answer(status, headers, body)).remedy, remedy, "{status} {headers:?} {body}");
        }
        let plain = [
            (403, "Resource not accessible by integration", Remedy::Configure),
            (404, "Not Found", Remedy::Gone),
            (410, "This issue was deleted", Remedy::Gone),
            (422, "Validation Failed", Remedy::Configure),
            (451, "Repository access blocked", Remedy::Configure),
            (502, "Server Error", Remedy::Retry),
        ];
        for (status, message, remedy) in plain {
            assert_eq!(classify(&answer(status, &[], &words(message))).remedy, remedy, "{status}");
        }
    }

    #[test]
    fn a_refusal_names_the_fields_and_quotes_no_value() {
        let failed = |errors: Value| json!({"message": "Validation Failed", "errors": errors});
        let cases = [
            (
                failed(json!([{"resource": "Issue", "code": "missing_field", "field": "title"}])),
                "missing_field",
                &["title"][..],
            ),
            (
                failed(json!([{"resource": "Issue", "code": "invalid", "field": "assignees", "value": "hush"}])),
                "invalid",
                &["assignees"],
            ),
            (failed(json!([{"resource": "Label", "code": "invalid", "field": "name"}])), "invalid", &["labels"]),
            (
                failed(
                    json!([{"resource": "Issue", "code": "custom", "message": "body is too long (maximum is 65536 characters)"}]),
                ),
                "custom",
                &["body"],
            ),
            (failed(json!(["Body is too long"])), "invalid", &["body"]),
            (failed(json!("Something else")), "invalid", &[]),
            (json!({"message": "Problems parsing JSON"}), "invalid", &[]),
        ];
        for (body, code, fields) in cases {
            let Some(WriteOutcome::Refused(refusal)) = refused(&answer(422, &[], &body)) else { panic!("{body}") };
            assert_eq!(
                (refusal.code.as_str(), &refusal.fields[..]),
                (code, &fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>()[..]),
                "{body}"
            );
            assert!(!refusal.message.contains("hush"), "{}", refusal.message);
        }
    }

    #[test]
    fn what_may_have_had_an_effect_is_unknown() {
        let show = |status| refused(&answer(status, &[], &json!({"message": "words"})));
        assert!(matches!(show(502), Some(WriteOutcome::Unknown { .. })));
        assert!(matches!(show(401), Some(WriteOutcome::NotApplied(_))));
        assert!(matches!(show(403), Some(WriteOutcome::NotApplied(_))));
        for status in [301, 307, 404, 410] {
            assert_eq!(show(status), None, "{status}");
        }
    }
}
