//! What an integration with HubSpot may set.

use serde::Deserialize;
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};

use super::NAME;
use crate::{
    registry::{self, BuildError},
    rest::BaseUrl,
};

/// The integration's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Where all calls go.
    pub(super) base_url: String,
    /// `v3`, or a dated version such as `2026-03`.
    pub(super) api_version: String,
    /// Our app's id, by which the history of a field tells our own writes from others'.
    pub(super) app_id: Option<AppId>,
    /// Multiplies lag and overlap, for sandboxes whose index lags are scaled. Real accounts need 1.
    pub(super) time_scale: f64,
    /// Calls in ten seconds: 110 for a public app, 100 or 190 for a token of the account's own.
    pub(super) calls_per_10_s: u32,
    /// Searches in a second.
    pub(super) searches_per_s: u32,
    /// Calls in a day; absent for public apps, which have no such limit.
    pub(super) daily_calls: Option<u32>,
    /// The share of all limits left for the account's other integrations, in percent.
    pub(super) reserve_percent: u8,
}

/// An app's id, which people write as a number or as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(super) struct AppId(pub(super) String);

impl TryFrom<serde_json::Value> for AppId {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match value {
            serde_json::Value::String(text) if !text.trim().is_empty() => Ok(Self(text.trim().to_owned())),
            serde_json::Value::Number(number) if number.is_u64() => Ok(Self(number.to_string())),
            other => Err(format!("`app_id` must be the app's number, not {other}")),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.hubapi.com".to_owned(),
            api_version: "v3".to_owned(),
            app_id: None,
            time_scale: 1.0,
            calls_per_10_s: 110,
            searches_per_s: 5,
            daily_calls: None,
            reserve_percent: 10,
        }
    }
}

impl Settings {
    /// Decodes and checks settings; the address comes back parsed.
    pub(super) fn parse(value: serde_json::Value) -> Result<(Self, BaseUrl), BuildError> {
        let settings: Self = registry::settings(NAME, value)?;
        let wrong = |message: &str| BuildError::Settings { provider: NAME.to_owned(), message: message.to_owned() };
        if settings.api_version != "v3" && !is_dated(&settings.api_version) {
            return Err(wrong("`api_version` must be \"v3\" or a dated version such as \"2026-03\""));
        }
        if settings.calls_per_10_s == 0 || settings.searches_per_s == 0 || settings.daily_calls == Some(0) {
            return Err(wrong("limits of 0 calls would stop every sync: leave the setting out for HubSpot's own"));
        }
        if settings.reserve_percent > 99 {
            return Err(wrong("`reserve_percent` must be below 100"));
        }
        registry::check_time_scale(NAME, settings.time_scale)?;
        let base = BaseUrl::parse(&settings.base_url).map_err(|error| BuildError::address(NAME, "base_url", &error))?;
        Ok((settings, base))
    }

    /// A path of the objects API.
    pub(super) fn objects(&self, object: &ObjectName, rest: &str) -> Result<String, ProviderError> {
        let object = checked(object)?;
        Ok(match self.api_version.as_str() {
            "v3" => format!("/crm/v3/objects/{object}{rest}"),
            dated => format!("/crm/objects/{dated}/{object}{rest}"),
        })
    }
}

/// Whether the text looks like `2026-03`.
fn is_dated(version: &str) -> bool {
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    version.split_once('-').is_some_and(|(year, month)| digits(year, 4) && digits(month, 2))
}

/// The object's name, if it can stand in an address.
pub(super) fn checked(object: &ObjectName) -> Result<&str, ProviderError> {
    let name = object.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(name);
    }
    Err(ProviderError {
        remedy: Remedy::Configure,
        message: format!("`{name}` is no HubSpot object: write it like `contacts`, or `2-123456` for a custom object"),
    })
}

/// The property that holds an object's modification stamp.
pub(super) fn stamp_property(object: &ObjectName) -> &'static str {
    match object.as_str() {
        "contacts" | "0-1" => "lastmodifieddate",
        _ => "hs_lastmodifieddate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_their_paths() {
        let path = |version: &str, object: &str| {
            let settings = Settings { api_version: version.to_owned(), ..Settings::default() };
            settings.objects(&object.into(), "/batch/read").ok()
        };
        assert_eq!(path("v3", "contacts").as_deref(), Some("/crm/v3/objects/contacts/batch/read"));
        assert_eq!(path("2026-03", "2-123").as_deref(), Some("/crm/objects/2026-03/2-123/batch/read"));
        for object in ["contacts/x", "", "a?b", ".."] {
            assert_eq!(path("v3", object), None, "{object}");
        }
    }

    #[test]
    fn dated_versions_are_a_year_and_a_month() {
        for (version, expected) in [("2026-03", true), ("2026-3", false), ("v3", false), ("../..", false)] {
            assert_eq!(is_dated(version), expected, "{version}");
        }
    }
}
