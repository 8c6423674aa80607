//! Connections: the tenant's accounts.

use serde::{Deserialize, Serialize};

use crate::{api::Api, deliveries::DeliveryCounts, error::Error, page::Page, syncs::Phase};

/// A tenant's authorised account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its id in the configuration.
    pub id: String,
    /// The integration.
    pub integration: String,
    /// The integration's provider.
    pub provider: String,
    /// The worst state of its syncs; `None` before the first of them has started.
    pub status: Option<Phase>,
    /// What went wrong last, and not since gone right.
    pub last_error: Option<String>,
    /// How far the provider's clock is ahead of the server's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// The syncs that it takes part in.
    pub syncs: Vec<String>,
    /// Its deliveries.
    pub deliveries: DeliveryCounts,
    /// Where the provider is to send webhooks.
    pub webhook_url: String,
    /// What it sent since the server started; `None` where the provider does not push.
    #[serde(default)]
    pub webhooks: Option<Webhooks>,
}

/// What came in by a connection's webhooks since the server started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhooks {
    /// The secrets that deliveries are verified with, the newest first.
    pub secrets: Vec<WebhookSecret>,
    /// How many deliveries were refused.
    pub refused: u64,
    /// When one was refused last.
    pub last_refused_at: Option<String>,
    /// Why.
    pub last_refusal: Option<String>,
}

/// What one secret has verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    /// How many deliveries.
    pub verified: u64,
    /// When the last one.
    pub last_used_at: Option<String>,
}

/// The server's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The server's version.
    pub version: String,
}

impl Api {
    /// The tenant's connections.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connections(&self) -> Result<Page<Connection>, Error> {
        self.get(&["v1", "connections"]).read().await
    }

    /// A connection.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connection(&self, id: &str) -> Result<Connection, Error> {
        self.get(&["v1", "connections", id]).read().await
    }

    /// Whether the server can answer requests now.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ready(&self) -> Result<Health, Error> {
        self.get(&["ready"]).read().await
    }
}
