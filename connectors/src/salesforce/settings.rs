//! What an integration with Salesforce may set.

use serde::Deserialize;

use crate::{
    registry::{self, BuildError},
    rest::BaseUrl,
};

use super::NAME;

/// Upserts answer with a body, and collections take upserts, since this version.
const API_VERSION_MIN: u32 = 46;

/// The integration's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// The REST API's version.
    pub(super) api_version: String,
    /// Where tokens are refreshed: `https://login.salesforce.com`, `https://test.salesforce.com` or a My Domain.
    pub(super) login_url: String,
    /// Our name in the account's change log (`changeOrigin`).
    pub(super) client_name: String,
    /// Multiplies lag and overlap, for sandboxes whose clock lags are scaled. Real accounts need 1.
    pub(super) time_scale: f64,
    /// The organisation's API calls in 24 hours, as its set-up page says.
    pub(super) daily_calls: u32,
    /// The share of the daily calls left for the customer's other integrations, in percent.
    pub(super) reserve_percent: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_version: "62.0".to_owned(),
            login_url: "https://login.salesforce.com".to_owned(),
            client_name: "syncline".to_owned(),
            time_scale: 1.0,
            daily_calls: 100_000,
            reserve_percent: 20,
        }
    }
}

impl Settings {
    /// Decodes and checks settings; the login address comes back parsed.
    pub(super) fn parse(value: serde_json::Value) -> Result<(Self, BaseUrl), BuildError> {
        let settings: Self = registry::settings(NAME, value)?;
        let wrong = |message: &str| BuildError::Settings { provider: NAME.to_owned(), message: message.to_owned() };
        let major = settings.api_version.strip_suffix(".0").and_then(|major| major.parse::<u32>().ok());
        match major {
            None => return Err(wrong("`api_version` must look like \"62.0\"")),
            Some(major) if major < API_VERSION_MIN => return Err(wrong("`api_version` must be 46.0 or newer")),
            Some(_) => {}
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if settings.client_name.is_empty() || !settings.client_name.chars().all(plain) {
            return Err(wrong("`client_name` may hold letters, digits, `-`, `_` and `.` only"));
        }
        if settings.reserve_percent > 99 {
            return Err(wrong("`reserve_percent` must be below 100"));
        }
        registry::check_time_scale(NAME, settings.time_scale)?;
        let login =
            BaseUrl::parse(&settings.login_url).map_err(|error| BuildError::address(NAME, "login_url", &error))?;
        Ok((settings, login))
    }

    /// A path of the data API.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/services/data/v{}{rest}", self.api_version)
    }
}
