//! Zendesk's limits: requests of the account in a minute, and writes in a minute, which have limits of their own.
//!
//! Other limits belong to an endpoint (exports: 10 requests in a minute) or to an object (a ticket: 30 updates in 10 minutes; a
//! user: 5 in one). They hold up nothing but the call that met them, so they are no budgets: see `errors`.

use http::HeaderMap;
use syncline_core::budget::{BudgetFacts, CallKind, Usage};

use super::settings::Settings;
use crate::{registry::scaled, usage::BudgetUsage};

/// Requests of the whole account.
pub(super) const ACCOUNT: &str = "requests per minute";
/// Updates of tickets, or of organizations.
pub(super) const WRITES: &str = "writes per minute";

const MINUTE_MS: u64 = 60_000;

/// The budgets of a connection; a scaled sandbox scales their windows.
pub(super) fn facts(settings: &Settings) -> Vec<BudgetFacts> {
    let facts = |name: &str, limit, calls: &[CallKind]| BudgetFacts {
        name: name.to_owned(),
        window_ms: scaled(MINUTE_MS, settings.time_scale).max(1),
        limit,
        calls: calls.to_vec(),
        reserve_percent: settings.reserve_percent,
    };
    vec![
        facts(ACCOUNT, settings.calls_per_minute, &CallKind::ALL),
        facts(WRITES, settings.writes_per_minute, &[CallKind::Write]),
    ]
}

/// Reads the rate headers, of which older endpoints send the ones with an `x`.
pub(super) fn usage(headers: &HeaderMap) -> Vec<BudgetUsage> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    let Some(remaining) = number("ratelimit-remaining").or_else(|| number("x-rate-limit-remaining")) else {
        return Vec::new();
    };
    let limit = number("ratelimit-limit").or_else(|| number("x-rate-limit"));
    vec![BudgetUsage { budget: ACCOUNT.into(), usage: Usage { limit, remaining, reset: None } }]
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn answers_tell_of_the_account() {
        let told = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            usage(&headers)
        };
        let expected = |limit, remaining| {
            vec![BudgetUsage { budget: ACCOUNT.into(), usage: Usage { limit, remaining, reset: None } }]
        };
        let whole = [("ratelimit-limit", "700"), ("ratelimit-remaining", "699"), ("ratelimit-reset", "41")];
        assert_eq!(told(&whole), expected(Some(700), 699));
        assert_eq!(told(&[("x-rate-limit", "400"), ("x-rate-limit-remaining", "7")]), expected(Some(400), 7));
        assert_eq!(told(&[("x-rate-limit-remaining", "7")]), expected(None, 7));
        assert_eq!(told(&[("zendesk-ratelimit-tickets-index", "total=100; remaining=99; resets=41")]), []);
    }

    #[test]
    fn windows_are_scaled_with_the_sandbox() {
        for (time_scale, expected) in [(1.0, 60_000), (0.1, 6_000), (0.0, 1)] {
            let settings = Settings { time_scale, ..Settings::default() };
            assert!(facts(&settings).iter().all(|facts| facts.window_ms == expected), "{time_scale}");
        }
    }
}
