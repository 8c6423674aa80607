//! HubSpot's limits: calls in ten seconds, searches in a second, and calls in a day for tokens of the account's own.

use syncline_core::budget::{BudgetFacts, CallKind};

use super::settings::Settings;

/// The names that `policyName` gives them.
pub(super) const ROLLING: &str = "TEN_SECONDLY_ROLLING";
pub(super) const SECONDLY: &str = "SECONDLY";
pub(super) const DAILY: &str = "DAILY";

/// The budgets of a connection.
pub(super) fn facts(settings: &Settings) -> Vec<BudgetFacts> {
    let facts = |name: &str, window_ms, limit, calls: &[CallKind], reserve_percent| BudgetFacts {
        name: name.to_owned(),
        window_ms,
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
