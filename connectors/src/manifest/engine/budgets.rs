//! What the provider allows, and what its answers tell of it.

use serde_json::Value;
use syncline_core::{
    budget::{BudgetFacts, CallKind, Usage},
    time::Millis,
};

use super::Engine;
use crate::{
    manifest::spec::{self, Hint, Unit},
    registry::scaled,
    rest::Answer,
    usage::BudgetUsage,
};

/// Longer waits are mistakes of what tells of them.
const WAIT_MS_MAX: u64 = 30 * 86_400_000;

/// The budgets of a connection; a scaled sandbox scales their windows.
pub(super) fn facts(engine: &Engine) -> Vec<BudgetFacts> {
    let settings = &engine.settings;
    let facts = |budget: &spec::Budget| {
        let set = budget.setting.as_ref().and_then(|name| settings.limits.get(name)).and_then(Value::as_u64);
        BudgetFacts {
            name: budget.name.clone(),
            window_ms: scaled(budget.per.ms(), settings.time_scale).max(1),
            limit: set.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(budget.limit),
            calls: calls(&budget.calls),
            reserve_percent: settings.reserve_percent,
        }
    };
    engine.spec().limits.budgets.iter().map(facts).collect()
}

fn calls(named: &[spec::CallKind]) -> Vec<CallKind> {
    let kind = |kind: &spec::CallKind| match kind {
        spec::CallKind::Read => CallKind::Read,
        spec::CallKind::Search => CallKind::Search,
        spec::CallKind::Write => CallKind::Write,
        spec::CallKind::Other => CallKind::Other,
    };
    if named.is_empty() { CallKind::ALL.to_vec() } else { named.iter().map(kind).collect() }
}

/// What an answer tells: how much is left by its headers, and whether nothing is to be sent for a while.
pub(super) fn told(engine: &Engine, answer: &Answer) -> Vec<BudgetUsage> {
    let limits = &engine.spec().limits;
    let mut told: Vec<BudgetUsage> = limits.budgets.iter().filter_map(|budget| of_headers(budget, answer)).collect();
    if let (Some(after_ms), Some(budget)) = (pause(engine, answer), limits.budgets.first()) {
        let after_ms = i64::try_from(scaled(after_ms, engine.settings.time_scale)).unwrap_or(i64::MAX);
        let reset = answer.date().map(|now| now.plus(after_ms));
        told.push(BudgetUsage {
            budget: budget.name.clone().into(),
            usage: Usage { limit: None, remaining: 0, reset },
        });
    }
    told
}

fn of_headers(budget: &spec::Budget, answer: &Answer) -> Option<BudgetUsage> {
    let headers = budget.headers.as_ref()?;
    let number = |names: &[String]| names.iter().find_map(|name| answer.header(name)?.trim().parse::<u32>().ok());
    let remaining = number(&headers.remaining)?;
    let reset = headers.reset.as_ref().and_then(|name| answer.header(name)?.trim().parse::<f64>().ok());
    let reset = reset.and_then(|number| at(number, headers.unit, answer));
    Some(BudgetUsage {
        budget: budget.name.clone().into(),
        usage: Usage { limit: number(&headers.limit), remaining, reset },
    })
}

/// The time that a number speaks of, by the provider's clock.
fn at(number: f64, unit: Unit, answer: &Answer) -> Option<Millis> {
    let from_now = |ms: f64| answer.date().map(|now| now.plus(ms as i64));
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    match unit {
        Unit::S => from_now(number * 1_000.0),
        Unit::Ms => from_now(number),
        Unit::M => from_now(number * 60_000.0),
        Unit::EpochS => Some(Millis((number * 1_000.0) as i64)),
        Unit::EpochMs => Some(Millis(number as i64)),
    }
}

/// How long a refusal asks us to wait, in milliseconds.
pub(super) fn wait(engine: &Engine, answer: &Answer, body: &Value) -> Option<u64> {
    let hints = &engine.spec().limits.wait;
    let told = answer.retry_after_ms().or_else(|| hints.iter().find_map(|hint| hinted(hint, answer, body)));
    told.or_else(|| pause(engine, answer)).map(|ms| scaled(ms.min(WAIT_MS_MAX), engine.settings.time_scale))
}

/// How long an answer asks that nothing be sent, in milliseconds.
fn pause(engine: &Engine, answer: &Answer) -> Option<u64> {
    let hints = &engine.spec().limits.pause;
    if hints.is_empty() {
        return None;
    }
    let body = match hints.iter().any(|hint| hint.path.is_some()) {
        true => answer.json().unwrap_or(Value::Null),
        false => Value::Null,
    };
    hints.iter().find_map(|hint| hinted(hint, answer, &body)).filter(|ms| *ms > 0)
}

fn hinted(hint: &Hint, answer: &Answer, body: &Value) -> Option<u64> {
    let number: f64 = match (&hint.header, &hint.path) {
        (Some(header), _) => answer.header(header)?.trim().parse().ok()?,
        (None, Some(path)) => match path.find(body)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        },
        (None, None) => return None,
    };
    let ms = match hint.unit {
        Unit::S => number * 1_000.0,
        Unit::Ms => number,
        Unit::M => number * 60_000.0,
        Unit::EpochS | Unit::EpochMs => {
            let until = at(number, hint.unit, answer)?;
            return u64::try_from(until.0.saturating_sub(answer.date()?.0)).ok().map(|ms| ms.min(WAIT_MS_MAX));
        }
    };
    (ms.is_finite() && ms >= 0.0).then_some((ms as u64).min(WAIT_MS_MAX))
}
