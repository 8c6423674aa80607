//! Every provider by name. A new coded connector costs one folder and one line here, a declarative one a file in `manifests/`.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::{
    connector::Connector,
    github,
    http::HttpClient,
    hubspot,
    manifest::{self, Catalogue},
    postgres,
    rest::BaseUrlError,
    salesforce, zendesk,
};

/// A kind of external system that Syncline speaks to.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// The name that configuration uses.
    pub name: &'static str,
    /// The name that people use.
    pub title: &'static str,
    /// Objects that it is tested with.
    pub objects: &'static [&'static str],
    build: Build,
}

type Build = fn(Integration, Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError>;

/// Every provider that has a connector in Rust.
pub const PROVIDERS: &[Provider] = &[
    Provider { name: salesforce::NAME, title: "Salesforce", objects: salesforce::OBJECTS, build: salesforce::build },
    Provider { name: hubspot::NAME, title: "HubSpot", objects: hubspot::OBJECTS, build: hubspot::build },
    Provider { name: github::NAME, title: "GitHub", objects: github::OBJECTS, build: github::build },
    Provider { name: zendesk::NAME, title: "Zendesk", objects: zendesk::OBJECTS, build: zendesk::build },
    Provider { name: postgres::NAME, title: "PostgreSQL", objects: postgres::OBJECTS, build: postgres::build },
];

/// A provider as the product's team configured it. Never logged: `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct Integration {
    /// The OAuth client's id, where tokens are to be refreshed.
    pub client_id: Option<String>,
    /// The OAuth client's secret; it also verifies webhooks.
    pub client_secret: Option<String>,
    /// The provider's own settings: a JSON object, or null for the defaults. Unknown keys are errors.
    pub settings: serde_json::Value,
}

impl std::fmt::Debug for Integration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Integration").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why a connector could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The name is nobody's.
    #[error("`{name}` is no provider: choose one of {known}")]
    UnknownProvider {
        /// The name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A setting is unknown, missing or of the wrong type.
    #[error("the settings of `{provider}` are wrong: {message}")]
    Settings {
        /// The provider's name.
        provider: String,
        /// What is wrong, and how to mend it.
        message: String,
    },
}

impl BuildError {
    /// A base address in the settings is wrong.
    pub(crate) fn address(provider: &'static str, key: &str, error: &BaseUrlError) -> Self {
        wrong_settings(provider, format!("`{key}`: {error}"))
    }
}

/// The names of all providers: those with a connector in Rust, and the manifests that are at hand.
pub fn names(catalogue: &Catalogue) -> Vec<&str> {
    PROVIDERS.iter().map(|provider| provider.name).chain(catalogue.names()).collect()
}

/// The provider of that name that has a connector in Rust.
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// Builds the connector of an integration. Cheap: no call is made.
pub fn build(
    provider: &str,
    integration: Integration,
    http: Arc<dyn HttpClient>,
) -> Result<Arc<dyn Connector>, BuildError> {
    build_of(&Catalogue::default(), provider, integration, http)
}

/// Builds the connector of an integration, where the user has manifests of their own.
///
/// # Errors
/// A name that is nobody's, or settings that the provider does not take.
pub fn build_of(
    catalogue: &Catalogue,
    provider: &str,
    integration: Integration,
    http: Arc<dyn HttpClient>,
) -> Result<Arc<dyn Connector>, BuildError> {
    match (find(provider), catalogue.get(provider)) {
        (Some(found), _) => (found.build)(integration, http),
        (None, Some(manifest)) => manifest::build(manifest.clone(), integration, http),
        (None, None) => {
            let known = names(catalogue).join(", ");
            Err(BuildError::UnknownProvider { name: provider.to_owned(), known })
        }
    }
}

/// Decodes a provider's settings; null means "all defaults".
pub(crate) fn settings<T: DeserializeOwned + Default>(
    provider: &'static str,
    value: serde_json::Value,
) -> Result<T, BuildError> {
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value).map_err(|error| wrong_settings(provider, error.to_string()))
}

/// Settings of a provider that are wrong.
pub(crate) fn wrong_settings(provider: &str, message: impl Into<String>) -> BuildError {
    BuildError::Settings { provider: provider.to_owned(), message: message.into() }
}

/// Multiplies a real-length time by the `time_scale` of a sandbox.
pub(crate) fn scaled(ms: u64, time_scale: f64) -> u64 {
    (ms as f64 * time_scale).round() as u64
}

/// Checks a `time_scale` setting.
pub(crate) fn check_time_scale(provider: &str, time_scale: f64) -> Result<(), BuildError> {
    if time_scale.is_finite() && (0.0..=1000.0).contains(&time_scale) {
        return Ok(());
    }
    Err(wrong_settings(provider, "`time_scale` must lie between 0 and 1000; real accounts need 1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::{HttpRequest, HttpResponse, TransportError};

    #[derive(Debug)]
    struct Nobody;

    #[async_trait::async_trait]
    impl HttpClient for Nobody {
        async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
            Err(TransportError::unsent("nobody answers"))
        }
    }

    fn build_error(provider: &str, settings: serde_json::Value) -> Option<String> {
        let integration = Integration { settings, ..Integration::default() };
        build(provider, integration, Arc::new(Nobody)).err().map(|error| error.to_string())
    }

    #[test]
    fn settings_are_typed_and_strict() {
        let cases = [
            ("salesforce", json!(null), None),
            ("hubspot", json!({}), None),
            ("salesforce", json!({"api_version": "62.0", "login_url": "https://test.salesforce.com"}), None),
            ("hubspot", json!({"base_url": "http://127.0.0.1:9000", "app_id": "123", "time_scale": 0.01}), None),
            ("zoho", json!({}), Some("choose one of salesforce, hubspot, github, zendesk, postgres")),
            ("salesforce", json!({"api_verison": "62.0"}), Some("unknown field `api_verison`")),
            ("salesforce", json!({"api_version": "45.0"}), Some("46.0 or newer")),
            ("salesforce", json!({"api_version": "latest"}), Some("62.0")),
            ("salesforce", json!({"login_url": "http://login.salesforce.com"}), Some("`login_url`")),
            ("salesforce", json!({"time_scale": -1.0}), Some("time_scale")),
            ("hubspot", json!({"base_url": "api.hubapi.com"}), Some("`base_url`")),
            ("hubspot", json!({"app_id": true}), Some("app_id")),
            ("hubspot", json!({"api_version": "../x"}), Some("api_version")),
            ("hubspot", json!({"reserve_percent": 100}), Some("reserve_percent")),
            (
                "github",
                json!({"base_url": "http://127.0.0.1:9000", "repository": "acme/app", "time_scale": 0.01}),
                None,
            ),
            ("github", json!({"repository": "acme"}), Some("`repository`")),
            ("github", json!({"api_version": "v3"}), Some("api_version")),
            ("github", json!({"base_url": "http://api.github.com"}), Some("`base_url`")),
            ("github", json!({"writes_per_hour": 0}), Some("limits of 0")),
            ("zendesk", json!({"base_url": "https://acme.zendesk.com", "verify_emails": true}), None),
            ("zendesk", json!({"base_url": "http://acme.zendesk.com"}), Some("`base_url`")),
            ("zendesk", json!({"writes_per_minute": 0}), Some("limits of 0 calls")),
            ("zendesk", json!({"reserve_percent": 100}), Some("reserve_percent")),
            ("postgres", json!({"base_url": "postgres://app@127.0.0.1/shop", "capture": "triggers"}), None),
            ("postgres", json!({"base_url": "postgres://app:hush@db/shop"}), Some("holds a password")),
            ("postgres", json!({"capture": "polling"}), Some("unknown variant `polling`")),
            ("postgres", json!({"connections_max": 1}), Some("connections_max")),
            ("postgres", json!({"keep_hours": 0}), Some("keep_hours")),
            ("postgres", json!({"look_every_ms": 0}), Some("look_every_ms")),
        ];
        for (provider, settings, expected) in cases {
            let got = build_error(provider, settings.clone());
            match expected {
                None => assert_eq!(got, None, "{settings}"),
                Some(part) => {
                    let got = got.unwrap_or_default();
                    assert!(got.contains(part), "{settings}: {got}");
                }
            }
        }
    }

    /// The error about an unknown setting names all that are known: each must be in the documentation.
    #[test]
    fn every_setting_is_documented() {
        let readme = include_str!("../README.md");
        for provider in PROVIDERS {
            let error = build_error(provider.name, json!({"no such setting": 1})).unwrap_or_default();
            let (_, known) = error.split_once("expected one of ").expect("the known settings");
            let known: Vec<&str> = known.split(", ").map(|name| name.trim_matches('`')).collect();
            assert!(known.len() > 3, "{known:?}");
            let section = readme.split("\n## ").find(|section| section.starts_with(provider.title)).expect("a section");
            for name in known {
                assert!(section.contains(&format!("| `{name}` |")), "{} {name}", provider.title);
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let integration = Integration { client_secret: Some("hush".into()), ..Integration::default() };
        assert!(!format!("{integration:?}").contains("hush"));
    }
}
