//! The `retention` section: how long what is not needed any more is kept.

use std::time::Duration;

use super::spot::{Spot, Table};

/// The keys of the section.
pub(super) const KEYS: &[&str] =
    &["changes", "changes_age", "hints", "history", "conflicts", "quarantine", "documents", "erasures"];

/// The shortest age after which anything is dropped. Providers deliver a webhook again for about a day.
const AGE_MIN: Duration = Duration::from_secs(24 * 3_600);
const DAY: u64 = 24 * 3_600;

/// How long what is not needed any more is kept; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many changes a tenant's feed keeps: a subscriber that was away for longer takes a snapshot.
    pub changes: u64,
    /// How old they may become.
    pub changes_age: Option<Duration>,
    /// How long a worked-off webhook hint is remembered, to recognise repeats.
    pub hints: Duration,
    /// How long the history of a record's earlier epochs is kept.
    pub history: Option<Duration>,
    /// How long a conflict is kept that a person has closed.
    pub conflicts: Option<Duration>,
    /// How long a row stays in quarantine that was not tried again.
    pub quarantine: Option<Duration>,
    /// How long the documents are kept that records left behind or that went into them.
    pub documents: Option<Duration>,
    /// How long receipts of erasures are kept.
    pub erasures: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            changes: 1_000_000,
            changes_age: None,
            hints: Duration::from_secs(3 * DAY),
            history: None,
            conflicts: Some(Duration::from_secs(365 * DAY)),
            quarantine: Some(Duration::from_secs(365 * DAY)),
            documents: Some(Duration::from_secs(365 * DAY)),
            erasures: None,
        }
    }
}

impl Retention {
    pub(super) fn read(spot: Option<&Spot<'_>>) -> Self {
        let usual = Self::default();
        let Some(table) = spot.and_then(|spot| spot.table(KEYS)) else { return usual };
        let changes = table.get("changes").and_then(|spot| spot.whole(1_000..=u32::MAX));
        Self {
            changes: changes.map_or(usual.changes, u64::from),
            changes_age: age(&table, "changes_age", usual.changes_age),
            hints: table.get("hints").and_then(|spot| spot.duration(AGE_MIN)).unwrap_or(usual.hints),
            history: age(&table, "history", usual.history),
            conflicts: age(&table, "conflicts", usual.conflicts),
            quarantine: age(&table, "quarantine", usual.quarantine),
            documents: age(&table, "documents", usual.documents),
            erasures: age(&table, "erasures", usual.erasures),
        }
    }
}

fn age(table: &Table<'_>, key: &str, usual: Option<Duration>) -> Option<Duration> {
    let Some(spot) = table.get(key) else { return usual };
    if spot.is_text("forever") { None } else { spot.duration(AGE_MIN).or(usual) }
}
