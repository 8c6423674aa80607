//! Salesforce's limits. One budget counts every call of the organisation, whoever makes it, over a rolling day.

use syncline_core::budget::{BudgetFacts, CallKind};

use super::settings::Settings;

/// The budget's name, in [`syncline_core::remote::Remedy::Wait`] too.
pub(super) const DAILY: &str = "DailyApiRequests";

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The budgets of a connection.
pub(super) fn facts(settings: &Settings) -> Vec<BudgetFacts> {
    vec![BudgetFacts {
        name: DAILY.to_owned(),
        window_ms: DAY_MS,
        limit: settings.daily_calls,
        calls: CallKind::ALL.to_vec(),
        reserve_percent: settings.reserve_percent,
    }]
}
