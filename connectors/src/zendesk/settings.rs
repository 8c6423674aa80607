//! What an integration with Zendesk may set.

use serde::Deserialize;

use super::NAME;
use crate::{
    registry::{self, BuildError},
    rest::BaseUrl,
};

/// The integration's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// The account of connections whose credentials name none.
    pub(super) base_url: Option<String>,
    /// Requests in a minute, which depend on the account's plan.
    pub(super) calls_per_minute: u32,
    /// Writes in a minute: an account may update 100 tickets, or 300 with the High Volume API.
    pub(super) writes_per_minute: u32,
    /// The share of all limits left for the account's other integrations, in percent.
    pub(super) reserve_percent: u8,
    /// Whether Zendesk asks the users that we create, by e-mail, to verify their address.
    pub(super) verify_emails: bool,
    /// Multiplies lag, overlap and waits, for sandboxes whose times are scaled. Real accounts need 1.
    pub(super) time_scale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: None,
            calls_per_minute: 400,
            writes_per_minute: 100,
            reserve_percent: 10,
            verify_emails: false,
            time_scale: 1.0,
        }
    }
}

impl Settings {
    /// Decodes and checks settings; the address comes back parsed.
    pub(super) fn parse(value: serde_json::Value) -> Result<(Self, Option<BaseUrl>), BuildError> {
        let settings: Self = registry::settings(NAME, value)?;
        let wrong = |message: &str| BuildError::Settings { provider: NAME.to_owned(), message: message.to_owned() };
        if settings.calls_per_minute == 0 || settings.writes_per_minute == 0 {
            return Err(wrong("limits of 0 calls would stop every sync: leave the setting out for Zendesk's own"));
        }
        if settings.reserve_percent > 99 {
            return Err(wrong("`reserve_percent` must be below 100"));
        }
        registry::check_time_scale(NAME, settings.time_scale)?;
        let base = settings.base_url.as_deref().map(BaseUrl::parse).transpose();
        let base = base.map_err(|error| BuildError::address(NAME, "base_url", &error))?;
        Ok((settings, base))
    }
}
