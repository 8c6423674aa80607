//! What an integration with PostgreSQL may set.

use std::time::Duration;

use serde::Deserialize;

use super::{NAME, database::Address};
use crate::registry::{self, BuildError};

/// The longest time that changes may be kept: a year.
const KEEP_HOURS_MAX: u32 = 8_784;

/// The integration's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// The database of connections whose credentials name none.
    pub(super) base_url: Option<String>,
    /// How changes are caught; where nothing is said, what `install` finds to be possible.
    pub(super) capture: Wanted,
    /// The most connections to one database, those that wait for changes left out.
    pub(super) connections_max: u32,
    /// How many hours changes are kept that triggers have noted.
    pub(super) keep_hours: u32,
    /// How often a database that decodes its log is asked whether the log has grown, in milliseconds.
    pub(super) look_every_ms: u32,
}

/// How changes are to be caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    /// By decoding where the server allows it, else by triggers.
    #[default]
    Auto,
    /// By decoding the database's own log.
    Decoding,
    /// By triggers.
    Triggers,
}

impl Default for Settings {
    fn default() -> Self {
        Self { base_url: None, capture: Wanted::Auto, connections_max: 8, keep_hours: 72, look_every_ms: 20 }
    }
}

impl Settings {
    /// Decodes and checks settings; the address comes back parsed.
    pub(super) fn parse(value: serde_json::Value) -> Result<(Self, Option<Address>), BuildError> {
        let settings: Self = registry::settings(NAME, value)?;
        let wrong = |message: String| BuildError::Settings { provider: NAME.to_owned(), message };
        if !(2..=100).contains(&settings.connections_max) {
            return Err(wrong("`connections_max` must lie between 2 and 100".to_owned()));
        }
        if !(1..=KEEP_HOURS_MAX).contains(&settings.keep_hours) {
            return Err(wrong(format!("`keep_hours` must lie between 1 and {KEEP_HOURS_MAX}")));
        }
        if !(5..=60_000).contains(&settings.look_every_ms) {
            return Err(wrong("`look_every_ms` must lie between 5 and 60000".to_owned()));
        }
        let base = settings.base_url.as_deref().map(Address::parse).transpose();
        let base = base.map_err(|error| wrong(format!("`base_url`: {error}")))?;
        Ok((settings, base))
    }

    /// How long a database rests between two looks at its log.
    pub(super) fn look_every(&self) -> Duration {
        Duration::from_millis(u64::from(self.look_every_ms))
    }
}
