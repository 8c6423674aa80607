//! The `integrations` section: providers as the product's team has configured them.

use std::sync::Arc;

use async_trait::async_trait;
use syncline_connectors::{
    connector::Connector,
    http::{HttpClient, HttpRequest, HttpResponse, TransportError},
    manifest::{self, Catalogue, Manifest},
    registry::{self, BuildError},
};

use super::{
    name,
    secret::{Resolver, Secret},
    spot::{Named, Spot},
    webhook,
};

/// The keys of an integration.
pub(super) const KEYS: &[&str] = &["provider", "client_id", "client_secret", "webhook_secrets", "settings"];

/// A provider with the product's own OAuth client and settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// The provider's name.
    pub provider: String,
    /// The OAuth client's id.
    pub client_id: Option<Secret>,
    /// The OAuth client's secret.
    pub client_secret: Option<Secret>,
    /// What webhooks are verified with, the newest first; empty: the OAuth client's secret.
    pub webhook_secrets: Vec<Secret>,
    /// The manifest that is the provider's connector, where there is none in Rust.
    pub manifest: Option<Arc<Manifest>>,
    /// The provider's own settings, checked by its connector.
    pub settings: serde_json::Value,
}

impl Integration {
    /// Reads one integration; `providers` are the providers that there is a connector for, `manifests` those among them that are
    /// written down.
    pub(super) fn read(
        name: &Named,
        spot: &Spot<'_>,
        providers: &[&str],
        manifests: &Catalogue,
        resolver: Resolver<'_>,
    ) -> Option<(String, Self)> {
        let id = name::identifier(spot, name, "an integration");
        let table = spot.table(KEYS)?;
        let provider = table
            .need("provider", &format!("name the provider: {}", providers.join(", ")))
            .and_then(|spot| spot.reference("provider", "the providers of this build", providers));
        let secret = |key: &str| table.get(key).map(|spot| resolver.secret(&spot));
        let (client_id, client_secret) = (secret("client_id"), secret("client_secret"));
        let webhook_secrets = match table.get("webhook_secrets") {
            Some(spot) => webhook::secrets(&spot, resolver),
            None => Some(Vec::new()),
        };
        let settings = table.get("settings").map_or_else(|| serde_json::json!({}), |spot| spot.json());
        let whole = !matches!(client_id, Some(None)) && !matches!(client_secret, Some(None));
        let (client_id, client_secret) = (client_id.flatten(), client_secret.flatten());
        let webhook_secrets = webhook_secrets?;
        let provider = provider?;
        let manifest = manifests.get(&provider).filter(|_| registry::find(&provider).is_none()).cloned();
        let integration = Self { provider, client_id, client_secret, webhook_secrets, manifest, settings };
        if let Err(error) = integration.connector(Arc::new(Unconnected)) {
            table.get("settings").unwrap_or_else(|| spot.clone()).problem(error.to_string(), "");
            return None;
        }
        whole.then_some(())?;
        Some((id?, integration))
    }

    /// Builds the integration's connector over an HTTP client; no call is made.
    ///
    /// # Errors
    /// Settings that the connector does not take. A configuration that was read has none.
    pub fn connector(&self, http: Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError> {
        let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let integration = registry::Integration {
            client_id: exposed(&self.client_id),
            client_secret: exposed(&self.client_secret),
            settings: self.settings.clone(),
        };
        match &self.manifest {
            Some(manifest) => manifest::build(manifest.clone(), integration, http),
            None => registry::build(&self.provider, integration, http),
        }
    }

    /// Whether the provider keeps a history of fields.
    pub(super) fn keeps_history(&self) -> bool {
        self.connector(Arc::new(Unconnected)).is_ok_and(|connector| connector.reader().keeps_history())
    }
}

/// The HTTP client of connectors that are only asked for facts: it reaches nobody.
#[derive(Debug)]
struct Unconnected;

#[async_trait]
impl HttpClient for Unconnected {
    async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError::unsent("no calls are made while a configuration is read"))
    }
}
