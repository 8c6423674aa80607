//! HubSpot's limits: calls in ten seconds, searches in a second, and calls in a day for tokens of the account's own.

use http::HeaderMap;
use syncline_core::budget::{BudgetFacts, CallKind, Usage};

use super::settings::Settings;
use crate::{registry::scaled, usage::BudgetUsage};

/// The names that `policyName` gives them.
pub(super) const ROLLING: &str = "TEN_SECONDLY_ROLLING";
pub(super) const SECONDLY: &str = "SECONDLY";
pub(super) const DAILY: &str = "DAILY";

/// The budgets of a connection; a scaled sandbox scales their windows.
pub(super) fn facts(settings: &Settings) -> Vec<BudgetFacts> {
    let facts = |name: &str, window_ms, limit, calls: &[CallKind], reserve_percent| BudgetFacts {
        name: name.to_owned(),
        window_ms: scaled(window_ms, settings.time_scale).max(1),
        limit,
        calls: calls.to_vec(),
        reserve_percent,
    };
    let reserve = settings.reserve_percent;
    // Searches are metered apart and do not count as calls of the ten seconds, but they do count in the day.
    let but_searches = [CallKind::Read, CallKind::Write, CallKind::Other];
    let mut all = vec![
        facts(ROLLING, 10_000, settings.calls_per_10_s, &but_searches, reserve),
        facts(SECONDLY, 1_000, settings.searches_per_s, &[CallKind::Search], 0),
    ];
    all.extend(settings.daily_calls.map(|limit| facts(DAILY, 86_400_000, limit, &CallKind::ALL, reserve)));
    all
}

/// Reads the rate headers. Answers to searches have none, and only tokens of the account's own have a daily limit.
pub(super) fn usage(headers: &HeaderMap) -> Vec<BudgetUsage> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    let told = |budget: &'static str, limit: &str, remaining: &str| {
        let usage = Usage { limit: number(limit), remaining: number(remaining)?, reset: None };
        Some(BudgetUsage { budget: budget.into(), usage })
    };
    [
        told(ROLLING, "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-remaining"),
        told(DAILY, "x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn answers_tell_of_their_limits() {
        let headers = [
            ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
            ("x-hubspot-ratelimit-max", "110"),
            ("x-hubspot-ratelimit-remaining", "102"),
            ("x-hubspot-ratelimit-daily", "250000"),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let told = usage(&headers.into_iter().collect());
        let expected = Usage { limit: Some(110), remaining: 102, reset: None };
        assert_eq!(told, [BudgetUsage { budget: ROLLING.into(), usage: expected }]);
        assert!(usage(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn windows_are_scaled_with_the_sandbox() {
        let windows = |time_scale| -> Vec<u64> {
            let settings = Settings { time_scale, daily_calls: Some(1), ..Settings::default() };
            facts(&settings).iter().map(|facts| facts.window_ms).collect()
        };
        assert_eq!(windows(1.0), [10_000, 1_000, 86_400_000]);
        assert_eq!(windows(0.0), [1, 1, 1]);
    }
}
