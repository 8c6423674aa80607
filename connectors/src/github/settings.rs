//! What an integration with GitHub may set, and which repository a connection is about.

use serde::Deserialize;
use syncline_core::remote::{ProviderError, Remedy};
use url::Url;

use super::NAME;
use crate::{
    registry::{self, BuildError},
    rest::{BaseUrl, segment},
};

/// The integration's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Where all calls go: `https://api.github.com`, or `https://HOST/api/v3` for an Enterprise Server.
    pub(super) base_url: String,
    /// Where users' tokens are refreshed.
    pub(super) login_url: String,
    /// The version of the REST API: a date.
    pub(super) api_version: String,
    /// The repository of connections that name none in their own `base_url`: `owner/name`.
    pub(super) repository: Option<String>,
    /// Calls in an hour: 5,000 for a user, up to 15,000 for an App's installation; corrected by what answers say.
    pub(super) calls_per_hour: u32,
    /// Creates and changes in a minute.
    pub(super) writes_per_minute: u32,
    /// Creates and changes in an hour.
    pub(super) writes_per_hour: u32,
    /// The share of the hour's calls left for the account's other integrations, in percent.
    pub(super) reserve_percent: u8,
    /// Multiplies lags and windows, for sandboxes whose time is scaled. Real accounts need 1.
    pub(super) time_scale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.github.com".to_owned(),
            login_url: "https://github.com".to_owned(),
            api_version: "2022-11-28".to_owned(),
            repository: None,
            calls_per_hour: 5_000,
            writes_per_minute: 60,
            writes_per_hour: 500,
            reserve_percent: 20,
            time_scale: 1.0,
        }
    }
}

/// The addresses that the settings name, parsed.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// The host of all calls.
    pub(super) base: BaseUrl,
    /// What stands before every path: empty, or `/api/v3` on an Enterprise Server.
    pub(super) prefix: String,
    /// The host of users' refreshes.
    pub(super) login: BaseUrl,
    /// The repository's path where a connection names none.
    repository: Option<String>,
}

impl Settings {
    /// Decodes and checks settings; the addresses come back parsed.
    pub(super) fn parse(value: serde_json::Value) -> Result<(Self, Site), BuildError> {
        let settings: Self = registry::settings(NAME, value)?;
        let wrong = |message: String| BuildError::Settings { provider: NAME.to_owned(), message };
        if !is_date(&settings.api_version) {
            return Err(wrong("`api_version` must be a date such as \"2022-11-28\"".into()));
        }
        if settings.calls_per_hour == 0 || settings.writes_per_minute == 0 || settings.writes_per_hour == 0 {
            return Err(wrong(
                "limits of 0 calls would stop every sync: leave the setting out for GitHub's own".into(),
            ));
        }
        if settings.reserve_percent > 99 {
            return Err(wrong("`reserve_percent` must be below 100".into()));
        }
        registry::check_time_scale(NAME, settings.time_scale)?;
        let address = |key, text: &str| BaseUrl::parse(text).map_err(|error| BuildError::address(NAME, key, &error));
        let base = address("base_url", &settings.base_url)?;
        let login = address("login_url", &settings.login_url)?;
        let prefix = path_of(&settings.base_url);
        let repository = match &settings.repository {
            None => None,
            Some(name) => Some(repository_path(&prefix, name).ok_or_else(|| {
                wrong(format!("`repository`: `{name}` is no repository: write it like \"acme/app\""))
            })?),
        };
        let site = Site { base, prefix, login, repository };
        Ok((settings, site))
    }
}

impl Site {
    /// The path of a connection's repository, such as `/repos/acme/app`. A connection names it in its `base_url`, which must
    /// be an address of the integration's own host, so that tokens go nowhere else.
    pub(super) fn repository(&self, base_url: Option<&str>) -> Result<String, ProviderError> {
        let configure = |message: String| ProviderError { remedy: Remedy::Configure, message };
        let example = format!("{}{}/repos/acme/app", self.base.as_str(), self.prefix);
        let Some(address) = base_url else {
            return self.repository.clone().ok_or_else(|| {
                configure(format!(
                    "the connection names no repository: set its credentials' `base_url` to an address like {example}, or \
                     the integration's `repository`"
                ))
            });
        };
        let same_host = Url::parse(address).is_ok_and(|url| url.origin() == self.base.url().origin());
        let path = path_of(address);
        let named = path.strip_prefix(&self.prefix).and_then(|path| path.strip_prefix("/repos/"));
        match named.and_then(|name| repository_path(&self.prefix, name)) {
            Some(path) if same_host => Ok(path),
            // An address without a path says no more than the host.
            _ if same_host && (path.is_empty() || path == self.prefix) => self.repository(None),
            _ => Err(configure(format!("`base_url`: `{address}` is no repository's address: write it like {example}"))),
        }
    }
}

/// An address's path without the slash at its end; empty where the address has none.
fn path_of(address: &str) -> String {
    Url::parse(address.trim()).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

fn repository_path(prefix: &str, name: &str) -> Option<String> {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..") && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let (owner, repository) = name.split_once('/')?;
    (plain(owner) && plain(repository)).then(|| format!("{prefix}/repos/{}/{}", segment(owner), segment(repository)))
}

/// Whether the text looks like `2022-11-28`.
fn is_date(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_names_its_repository_at_the_integrations_host() {
        let github = json!({"repository": "acme/default"});
        let bare = json!({});
        let enterprise = json!({"base_url": "https://ghe.acme.com/api/v3/", "repository": "acme/default"});
        let cases = [
            (&github, None, Some("/repos/acme/default")),
            (&github, Some("https://api.github.com/repos/acme/app"), Some("/repos/acme/app")),
            (&github, Some("https://api.github.com/repos/acme/app/"), Some("/repos/acme/app")),
            (&github, Some("https://api.github.com"), Some("/repos/acme/default")),
            (&github, Some("https://evil.com/repos/acme/app"), None),
            (&github, Some("https://api.github.com/repos/acme"), None),
            (&github, Some("https://api.github.com/repos/acme/app/issues"), None),
            (&github, Some("https://api.github.com/orgs/acme"), None),
            (&github, Some("acme/app"), None),
            (&bare, None, None),
            (&bare, Some("https://api.github.com/"), None),
            (&enterprise, None, Some("/api/v3/repos/acme/default")),
            (&enterprise, Some("https://ghe.acme.com/api/v3/repos/acme/app"), Some("/api/v3/repos/acme/app")),
            (&enterprise, Some("https://ghe.acme.com/repos/acme/app"), None),
        ];
        for (settings, base_url, expected) in cases {
            let (_, site) = Settings::parse(settings.clone()).expect("settings");
            let path = site.repository(base_url);
            assert_eq!(path.as_deref().ok(), expected, "{settings} {base_url:?}");
            if let Err(error) = path {
                assert_eq!(error.remedy, Remedy::Configure);
            }
        }
    }

    #[test]
    fn a_repository_is_an_owner_and_a_name() {
        for (name, expected) in [
            ("acme/app", Some("/repos/acme/app")),
            ("acme/app.github.io", Some("/repos/acme/app.github.io")),
            ("acme", None),
            ("acme/", None),
            ("acme/..", None),
            ("acme/app/issues", None),
            ("acme/a b", None),
        ] {
            assert_eq!(repository_path("", name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn versions_are_dates() {
        for (version, expected) in [("2022-11-28", true), ("2026-03-10", true), ("v3", false), ("2022-11-28T00", false)]
        {
            assert_eq!(is_date(version), expected, "{version}");
        }
    }
}
