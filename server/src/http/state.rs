//! What every handler can reach: the store to read, the commands to change anything, the feed, and facts of the
//! configuration.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use syncline_core::{
    ids::{ConnectionId, FieldName, ModelName, ObjectName, TenantId},
    model::Model,
};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use crate::{
    config::Repo,
    engine::{
        commands::{Commands, Principal},
        documents::Documents,
    },
    issues::{OwnScope, ScopeSync},
    live::FeedHub,
    metrics::Metrics,
    repo::{RepoHub, Tokens},
    store::Store,
};

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The only way to read.
    pub store: Arc<dyn Store>,
    /// The only way to change anything.
    pub commands: Arc<dyn Commands>,
    /// What has just been committed.
    pub feed: Arc<FeedHub>,
    /// What the configuration says.
    pub facts: Arc<Facts>,
    /// What the automerge-repo endpoint needs.
    pub repo: Arc<RepoState>,
    /// Places for webhooks that are taken in at once: [`super::webhooks::AT_ONCE_MAX`].
    pub webhooks: Arc<Semaphore>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What the automerge-repo endpoint needs.
pub struct RepoState {
    /// Who has which document open.
    pub hub: Arc<RepoHub>,
    /// Takes changes in.
    pub documents: Arc<dyn Documents>,
    /// Who may come in.
    pub tokens: Tokens,
    /// What the configuration says.
    pub options: Repo,
}

/// What the API has to know of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The server's version.
    pub version: String,
    /// The URL under which the API is reached from outside, without a slash at the end.
    pub public_url: String,
    /// The models, which bound what may be asked for.
    pub models: Arc<BTreeMap<ModelName, Model>>,
    /// The providers that this server knows.
    pub providers: Vec<ProviderFacts>,
    /// The configured integrations, in the order to show them.
    pub integrations: Vec<IntegrationFacts>,
    /// The connections by id.
    pub connections: BTreeMap<ConnectionId, ConnectionFacts>,
    /// The syncs by id.
    pub syncs: BTreeMap<String, SyncFacts>,
}

/// A kind of external system.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderFacts {
    /// Its name, such as the one integrations refer to.
    pub name: String,
    /// Whether objects can be written there.
    pub writes: bool,
    /// Whether it pushes changes to `/v1/webhooks/{connection}`.
    pub webhooks: bool,
    /// Whether fields, such as a unique key field, can be created there.
    pub creates_fields: bool,
}

/// A provider configured by the product's team.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Integration)]
pub struct IntegrationFacts {
    /// Its name in the configuration.
    pub name: String,
    /// Its provider.
    pub provider: String,
}

/// One tenant's authorised account.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Whose account it is.
    pub tenant: TenantId,
    /// The integration.
    pub integration: String,
    /// The integration's provider.
    pub provider: String,
}

/// One sync of one tenant's model.
#[derive(Clone, Debug)]
pub struct SyncFacts {
    /// Whose sync it is.
    pub tenant: TenantId,
    /// The model that is kept the same.
    pub model: ModelName,
    /// The object on each side.
    pub sides: BTreeMap<ConnectionId, ObjectName>,
}

impl Facts {
    /// Whether anything is configured for this tenant.
    pub(super) fn has_tenant(&self, tenant: &TenantId) -> bool {
        let mut of_connections = self.connections.values().map(|connection| &connection.tenant);
        let mut of_syncs = self.syncs.values().map(|sync| &sync.tenant);
        of_connections.any(|known| known == tenant) || of_syncs.any(|known| known == tenant)
    }

    /// The tenant's part of the configuration, as issues and metrics see it.
    pub(super) fn own_scope(&self, tenant: &TenantId) -> OwnScope {
        let connections = self.connections.iter().filter(|(_, connection)| connection.tenant == *tenant);
        let syncs = self.syncs.iter().filter(|(_, sync)| sync.tenant == *tenant);
        OwnScope {
            connections: connections.map(|(id, _)| id.clone()).collect(),
            syncs: syncs
                .map(|(name, sync)| (name.clone(), ScopeSync { model: sync.model.clone(), sides: sync.sides.clone() }))
                .collect(),
        }
    }

    /// The model, or a 404 that lists those there are.
    pub(super) fn model(&self, name: &str) -> Result<&Model, Problem> {
        self.models.get(name).ok_or_else(|| {
            let known: Vec<_> = self.models.keys().map(ModelName::as_str).collect();
            Problem::new(Kind::NotFound, format!("there is no model `{name}`; the models are: {}", known.join(", ")))
        })
    }

    /// The principal's connection.
    pub(super) fn connection(&self, who: &Principal, id: &ConnectionId) -> Result<&ConnectionFacts, Problem> {
        let connection = self.connections.get(id).filter(|connection| connection.tenant == who.tenant);
        connection.ok_or_else(|| Problem::not_found(format_args!("the connection `{id}`")))
    }

    /// The principal's sync.
    pub(super) fn sync(&self, who: &Principal, id: &str) -> Result<&SyncFacts, Problem> {
        let sync = self.syncs.get(id).filter(|sync| sync.tenant == who.tenant);
        sync.ok_or_else(|| Problem::not_found(format_args!("the sync `{id}`")))
    }
}

/// A fault for every name that is no field of the model.
pub(super) fn known_field<'a>(
    model: &'a Model,
    name: &str,
) -> Result<(&'a FieldName, &'a syncline_core::model::Field), Problem> {
    model.fields.get_key_value(name).ok_or_else(|| {
        let known: Vec<_> = model.fields.keys().map(FieldName::as_str).collect();
        Problem::field(
            Kind::Malformed,
            name,
            format!("is no field of the model `{}`; its fields are: {}", model.name, known.join(", ")),
        )
    })
}
