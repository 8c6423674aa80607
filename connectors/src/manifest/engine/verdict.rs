//! What answers mean: by the manifest's rules, and where none fits by the status.

use serde_json::Value;
use syncline_core::remote::{ProviderError, Remedy, WriteOutcome};

use super::{Engine, budgets};
use crate::{
    manifest::spec::{FieldFault, HeaderCheck, Outcome, Rule, Verb, When},
    registry::scaled,
    rest::{Answer, Outcomes},
};

/// How long to leave something alone where nobody says.
const BUSY_MS: u64 = 10_000;

/// The longest piece of a provider's words that is kept, in characters.
const WORDS_MAX: usize = 500;

/// What a failure means.
#[derive(Debug)]
pub(super) struct Verdict {
    outcome: Outcome,
    after_ms: Option<u64>,
    budget: String,
    code: String,
    message: String,
    fields: Vec<String>,
}

/// Whether an answer is a failure.
pub(super) fn fails(engine: &Engine, answer: &Answer, body: &Value) -> bool {
    !answer.is_success() || engine.spec().errors.in_success.iter().any(|check| check.holds(body))
}

/// What a failed answer means.
pub(super) fn of(engine: &Engine, answer: &Answer, body: &Value, verb: Verb) -> Verdict {
    let errors = &engine.spec().errors;
    let codes: Vec<String> = errors.code.all(body).into_iter().filter_map(text).collect();
    let mut words: Vec<String> = errors.message.all(body).into_iter().filter_map(text).collect();
    words.dedup();
    if words.is_empty() && codes.is_empty() {
        words.push(answer.excerpt());
    }
    let code = codes.first().cloned().unwrap_or_default();
    let words: String = words.join("; ").chars().take(WORDS_MAX).collect();
    let fits = |rule: &&Rule| holds(&rule.when, answer, body, verb, &codes, &words);
    let rule = errors.rules.iter().find(fits);
    let outcome = rule.map_or_else(|| by_status(answer.status, verb), |rule| rule.then);
    let told = budgets::wait(engine, answer, body);
    let own = rule.and_then(|rule| rule.after).map(|span| scaled(span.ms(), engine.settings.time_scale));
    let first = engine.spec().limits.budgets.first().map(|budget| budget.name.clone());
    Verdict {
        outcome,
        after_ms: told.or(own),
        budget: rule.and_then(|rule| rule.budget.clone()).or(first).unwrap_or_else(|| "requests".to_owned()),
        fields: at_fault(&errors.fields, body),
        message: match (code.is_empty(), words.is_empty()) {
            (true, _) => format!("HTTP {}: {words}", answer.status),
            (false, true) => format!("HTTP {}: {code}", answer.status),
            (false, false) => format!("HTTP {}: {code}: {words}", answer.status),
        },
        code,
    }
}

fn by_status(status: u16, verb: Verb) -> Outcome {
    let writes = verb != Verb::Read;
    match status {
        401 => Outcome::Refresh,
        404 | 410 if verb == Verb::Create => Outcome::Configure,
        404 | 410 => Outcome::Gone,
        408 | 500.. if writes => Outcome::Unknown,
        408 | 500.. => Outcome::Retry,
        409 | 425 => Outcome::Retry,
        412 if writes => Outcome::Stale,
        423 => Outcome::Busy,
        429 => Outcome::Wait,
        400 | 422 if writes => Outcome::Refused,
        _ => Outcome::Configure,
    }
}

fn holds(when: &When, answer: &Answer, body: &Value, verb: Verb, codes: &[String], words: &str) -> bool {
    let code = |wanted: &String| codes.contains(wanted);
    when.has_status(answer.status)
        && (when.code.all().is_empty() || when.code.all().iter().any(code))
        && (when.verb.all().is_empty() || when.verb.all().contains(&verb))
        && when.header.as_ref().is_none_or(|check| header_holds(check, answer))
        && when.body.iter().all(|check| check.holds(body))
        && when.says.as_ref().is_none_or(|part| words.to_lowercase().contains(&part.to_lowercase()))
}

pub(super) fn header_holds(check: &HeaderCheck, answer: &Answer) -> bool {
    let value = answer.header(&check.name);
    if check.present == Some(false) {
        return value.is_none();
    }
    value.is_some_and(|value| {
        check.equals.as_ref().is_none_or(|wanted| value.trim() == wanted)
            && check.contains.as_ref().is_none_or(|part| value.contains(part.as_str()))
    })
}

fn at_fault(faults: &[FieldFault], body: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    for fault in faults {
        for found in fault.path.all(body) {
            match found {
                Value::Object(object) if fault.name.is_none() => fields.extend(object.keys().cloned()),
                Value::Array(items) => {
                    let name = |item| fault.name.as_ref().map_or(Some(item), |path| path.find(item)).and_then(text);
                    fields.extend(items.iter().filter_map(name));
                }
                other => fields.extend(fault.name.as_ref().map_or(Some(other), |path| path.find(other)).and_then(text)),
            }
        }
    }
    fields.sort();
    fields.dedup();
    fields
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Verdict {
    /// Whether the answer's code is this one.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether only a reading of the object tells what is the matter.
    pub(super) fn is_doubtful(&self) -> bool {
        self.outcome == Outcome::PerhapsGone
    }

    /// As the failure of a call that changes nothing.
    pub(super) fn error(self) -> ProviderError {
        let remedy = match self.outcome {
            Outcome::Refresh => Remedy::Refresh,
            Outcome::Reauthorise => Remedy::Reauthorise,
            Outcome::Retry | Outcome::Stale | Outcome::Unknown => Remedy::Retry,
            Outcome::Wait => Remedy::Wait { after_ms: self.after_ms, budget: self.budget },
            Outcome::Busy => Remedy::Busy { after_ms: self.after_ms.unwrap_or(BUSY_MS) },
            Outcome::Restart => Remedy::Restart,
            Outcome::Resync => Remedy::Resync,
            Outcome::Gone => Remedy::Gone,
            Outcome::Configure | Outcome::Exists | Outcome::Refused | Outcome::PerhapsGone => Remedy::Configure,
        };
        ProviderError { remedy, message: self.message }
    }

    /// As the end of a write.
    pub(super) fn ended(self) -> WriteOutcome {
        match self.outcome {
            Outcome::Stale => WriteOutcome::Stale,
            Outcome::Gone => WriteOutcome::Gone,
            Outcome::Exists => WriteOutcome::Exists { id: None, message: self.message },
            Outcome::Unknown => WriteOutcome::Unknown { message: self.message },
            Outcome::Refused => {
                let code = if self.code.is_empty() { "Refused".to_owned() } else { self.code };
                Outcomes::refused(code, self.message, self.fields)
            }
            _ => WriteOutcome::NotApplied(self.error()),
        }
    }
}
