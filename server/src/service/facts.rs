//! What the API has to know of the configuration.

use std::{collections::BTreeMap, sync::Arc};

use syncline_connectors::{
    http::HttpClient,
    manifest::Catalogue,
    registry::{self, BuildError},
};

use crate::{
    config::Config,
    http::{
        Facts,
        state::{ConnectionFacts, IntegrationFacts, ProviderFacts, SyncFacts},
    },
};

/// Gathers the facts; `public_url` has no slash at its end.
pub(super) fn gather(config: &Config, public_url: &str, http: &Arc<dyn HttpClient>) -> Result<Facts, BuildError> {
    let integrations = config
        .integrations
        .iter()
        .map(|(name, integration)| IntegrationFacts { name: name.clone(), provider: integration.provider.clone() });
    Ok(Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_url: public_url.to_owned(),
        models: Arc::new(config.models.clone()),
        providers: providers(&config.manifests, http)?,
        integrations: integrations.collect(),
        connections: connections(config),
        syncs: syncs(config),
    })
}

/// Every provider of this build, and of the user's own manifests. A connector without settings tells what the provider lets us do.
fn providers(manifests: &Catalogue, http: &Arc<dyn HttpClient>) -> Result<Vec<ProviderFacts>, BuildError> {
    registry::names(manifests)
        .into_iter()
        .map(|name| {
            let connector = registry::build_of(manifests, name, registry::Integration::default(), http.clone())?;
            Ok(ProviderFacts {
                name: name.to_owned(),
                writes: connector.writer().is_some(),
                webhooks: connector.webhooks().is_some(),
                creates_fields: connector.fields().is_some(),
            })
        })
        .collect()
}

fn connections(config: &Config) -> BTreeMap<syncline_core::ids::ConnectionId, ConnectionFacts> {
    let known = config.connections.iter().filter_map(|(id, connection)| {
        let provider = config.integration_of(id)?.provider.clone();
        let (tenant, integration) = (connection.tenant.clone(), connection.integration.clone());
        Some((id.clone(), ConnectionFacts { tenant, integration, provider }))
    });
    known.collect()
}

fn syncs(config: &Config) -> BTreeMap<String, SyncFacts> {
    let facts = config.syncs.iter().map(|(name, sync)| {
        let sides =
            sync.plan.sides.iter().map(|(connection, side)| (connection.clone(), side.object.clone())).collect();
        let facts = SyncFacts { tenant: sync.plan.tenant.clone(), model: sync.plan.model.name.clone(), sides };
        (name.clone(), facts)
    });
    facts.collect()
}
