//! GitHub's limits: the calls of an hour, which answers tell, and the secondary limits, which nothing tells before they are
//! met: how much may be created, and how many points a minute may cost (1 for a read, 5 for a write, 900 in all).

use http::HeaderMap;
use syncline_core::{
    budget::{BudgetFacts, CallKind, Usage},
    time::Millis,
};

use super::settings::Settings;
use crate::{registry::scaled, usage::BudgetUsage};

/// The calls of an hour: GitHub's own name for it, in `x-ratelimit-resource`.
pub(super) const CORE: &str = "core";

/// GitHub asks for one write at a time, and a second between two.
pub(super) const PACE: &str = "one write at a time";
const WRITES_PER_MINUTE: &str = "writes in a minute";
const WRITES_PER_HOUR: &str = "writes in an hour";
const READS_PER_MINUTE: &str = "reads in a minute";

/// The second between two writes, and what the readings before them may differ in length: the time is counted from where
/// a row begins.
pub(super) const PACE_MS: u64 = 1_500;

/// What the minute's 900 points leave to reads beside a write in every second.
const READS_MAX: u32 = 600;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The budgets of a connection; a scaled sandbox scales their windows.
pub(super) fn facts(settings: &Settings) -> Vec<BudgetFacts> {
    let facts = |name: &str, window_ms, limit, calls: &[CallKind], reserve_percent| BudgetFacts {
        name: name.to_owned(),
        window_ms: scaled(window_ms, settings.time_scale).max(1),
        limit,
        calls: calls.to_vec(),
        reserve_percent,
    };
    let but_writes = [CallKind::Read, CallKind::Search, CallKind::Other];
    vec![
        facts(CORE, HOUR_MS, settings.calls_per_hour, &CallKind::ALL, settings.reserve_percent),
        facts(READS_PER_MINUTE, MINUTE_MS, READS_MAX, &but_writes, 0),
        facts(PACE, PACE_MS, 1, &[CallKind::Write], 0),
        facts(WRITES_PER_MINUTE, MINUTE_MS, settings.writes_per_minute, &[CallKind::Write], 0),
        facts(WRITES_PER_HOUR, HOUR_MS, settings.writes_per_hour, &[CallKind::Write], 0),
    ]
}

/// Reads the rate headers. Searches and other resources are metered apart, and not used.
pub(super) fn usage(headers: &HeaderMap) -> Vec<BudgetUsage> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<u32>().ok();
    if text("x-ratelimit-resource").is_some_and(|resource| resource != CORE) {
        return Vec::new();
    }
    let Some(remaining) = number("x-ratelimit-remaining") else { return Vec::new() };
    let reset = text("x-ratelimit-reset").and_then(|seconds| seconds.parse::<i64>().ok());
    let reset = reset.and_then(|seconds| seconds.checked_mul(1_000)).map(Millis);
    vec![BudgetUsage { budget: CORE.into(), usage: Usage { limit: number("x-ratelimit-limit"), remaining, reset } }]
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(resource: &'static str) -> HeaderMap {
        [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4987"),
            ("x-ratelimit-used", "13"),
            ("x-ratelimit-reset", "1778003600"),
            ("x-ratelimit-resource", resource),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect()
    }

    #[test]
    fn answers_tell_of_the_hour() {
        let expected = Usage { limit: Some(5_000), remaining: 4_987, reset: Some(Millis(1_778_003_600_000)) };
        assert_eq!(usage(&headers("core")), [BudgetUsage { budget: CORE.into(), usage: expected }]);
        assert!(usage(&headers("search")).is_empty());
        assert!(usage(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn writes_go_one_by_one() {
        let facts = facts(&Settings::default());
        let pace = facts.iter().find(|facts| facts.name == PACE).expect("the pace");
        assert_eq!((pace.window_ms, pace.limit, &pace.calls[..]), (1_500, 1, &[CallKind::Write][..]));
        let scaled = super::facts(&Settings { time_scale: 0.0, ..Settings::default() });
        assert!(scaled.iter().all(|facts| facts.window_ms == 1));
    }
}
