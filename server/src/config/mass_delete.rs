//! `syncs.*.mass_delete`: how many deletes at once wait for a person.

use std::time::Duration;

use syncline_core::guard::DeleteGuard;

use super::spot::Spot;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["share", "count", "min", "window"];

/// How many deletes may come from one system, or from the product's own clients, before a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassDelete {
    /// How many are too many.
    pub limits: DeleteGuard,
    /// The time within which they add up.
    pub window: Duration,
}

impl Default for MassDelete {
    fn default() -> Self {
        Self { limits: DeleteGuard::default(), window: Duration::from_secs(3_600) }
    }
}

impl MassDelete {
    /// The shortest time within which deletes add up.
    const WINDOW_MIN: Duration = Duration::from_secs(60);

    /// The time within which deletes add up, in milliseconds.
    pub fn window_ms(&self) -> u64 {
        u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn read(spot: Option<&Spot<'_>>) -> Self {
        let usual = Self::default();
        let Some(table) = spot.and_then(|spot| spot.table(KEYS)) else { return usual };
        let number =
            |key: &str, range, usual: u64| table.get(key).and_then(|spot| spot.whole(range)).map_or(usual, u64::from);
        let limits = DeleteGuard {
            missing_min: number("min", 0..=u32::MAX, usual.limits.missing_min),
            missing_max: number("count", 1..=u32::MAX, usual.limits.missing_max),
            share_percent_max: table
                .get("share")
                .and_then(|spot| spot.percent())
                .unwrap_or(usual.limits.share_percent_max),
        };
        if limits.missing_min > limits.missing_max {
            table.get("min").as_ref().unwrap_or_else(|| table.spot()).problem(
                format!("`min` is more than `count`, which is {}", limits.missing_max),
                "`min` deletes always pass and more than `count` never do: make `min` the smaller of the two",
            );
        }
        let window = table.get("window").and_then(|spot| spot.duration(Self::WINDOW_MIN)).unwrap_or(usual.window);
        Self { limits, window }
    }
}
