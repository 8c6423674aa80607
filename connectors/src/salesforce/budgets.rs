//! Salesforce's limits. One budget counts every call of the organisation, whoever makes it, over a rolling day.

use http::HeaderMap;
use syncline_core::budget::{BudgetFacts, CallKind, Usage};

use super::settings::Settings;
use crate::usage::BudgetUsage;

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

/// Reads `Sforce-Limit-Info: api-usage=10018/100000; per-app-api-usage=17/250(appName=sample)`.
pub(super) fn usage(headers: &HeaderMap) -> Vec<BudgetUsage> {
    let read = || {
        let info = headers.get("sforce-limit-info")?.to_str().ok()?;
        let usage = info.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
        let (used, limit) = usage.split_once('/')?;
        let (used, limit): (u32, u32) = (used.trim().parse().ok()?, limit.trim().parse().ok()?);
        let usage = Usage { limit: Some(limit), remaining: limit.saturating_sub(used), reset: None };
        Some(BudgetUsage { budget: DAILY.into(), usage })
    };
    read().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_answer_tells_the_days_usage() {
        let cases = [
            ("api-usage=10018/100000", Some((100_000, 89_982))),
            ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample)", Some((5_000, 4_975))),
            ("per-app-api-usage=17/250(appName=sample), api-usage=25/5000", Some((5_000, 4_975))),
            ("api-usage=6000/5000", Some((5_000, 0))),
            ("api-usage=many", None),
        ];
        for (header, expected) in cases {
            let headers = [("sforce-limit-info", header)]
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            let told = usage(&headers.into_iter().collect());
            assert_eq!(
                told.first().map(|told| (told.usage.limit.unwrap_or(0), told.usage.remaining)),
                expected,
                "{header}"
            );
        }
        assert!(usage(&HeaderMap::new()).is_empty());
    }
}
