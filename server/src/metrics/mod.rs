//! Metrics for Prometheus. What happens is counted where it happens, by [`Instruments`]; what stands is read off the store
//! when somebody asks, along indices. No label holds a record, a value or a tenant, and the number of label values is bounded.
//!
//! # Layout
//!
//! * [`instruments`]: counters and histograms that the engine and the API move.
//! * `gauges`: what stands, gathered for one answer. `process`: what the operating system says of this process.

mod gauges;
pub mod instruments;
mod process;

use std::{fmt, sync::Arc, time::SystemTime};

use prometheus_client::{encoding::text, metrics::counter::ConstCounter, registry::Registry};
use syncline_core::ids::TenantId;
use tokio::sync::Mutex;

pub use self::instruments::Instruments;
use crate::{
    config::Secret,
    engine::tally::Tally,
    issues::OwnScope,
    live::FeedHub,
    repo::RepoHub,
    store::{Store, StoreError, keys::KeyHash},
};

/// The media type of an answer.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The service's metrics, and who may see them.
#[derive(Debug)]
pub struct Metrics {
    tally: Arc<Tally>,
    /// What opens them; `None`: nothing does.
    token: Option<KeyHash>,
    begun: SystemTime,
    /// One answer is made after the other, so that many askers cannot keep all of the store's readers busy.
    turn: Mutex<()>,
}

/// What metrics answer to whoever shows a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the one.
    Admitted,
    /// It is another one, or none was shown.
    Refused,
    /// No token is configured, so none can be the one.
    Closed,
}

/// Where gauges are read.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Every tenant of the configuration, with its part of it.
    pub tenants: &'a [(TenantId, OwnScope)],
    /// The live feed's sockets.
    pub feed: &'a FeedHub,
    /// The sockets of the automerge-repo protocol.
    pub repo: &'a RepoHub,
    /// The server's version.
    pub version: &'a str,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An answer could not be written.
    #[error("the metrics could not be written: {0}")]
    Format(#[from] fmt::Error),
}

impl Metrics {
    /// Metrics of what this tally counts, shown to whoever has the token.
    pub fn new(tally: Arc<Tally>, token: Option<&Secret>) -> Self {
        let token = token.map(|token| KeyHash::of(token.expose()));
        Self { tally, token, begun: SystemTime::now(), turn: Mutex::default() }
    }

    /// What the engine and the API move.
    pub fn instruments(&self) -> &Instruments {
        &self.tally.instruments
    }

    /// Whether they are for whoever shows this token. Hashes are compared, so the time tells nothing of how near a guess was.
    pub fn admits(&self, shown: Option<&str>) -> Admission {
        match (self.token, shown) {
            (None, _) => Admission::Closed,
            (Some(token), Some(shown)) if KeyHash::of(shown) == token => Admission::Admitted,
            _ => Admission::Refused,
        }
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// The store's.
    pub async fn scrape(&self, sources: Sources<'_>) -> Result<String, ScrapeError> {
        let _one_at_a_time = self.turn.lock().await;
        let mut registry = Registry::with_prefix("syncline");
        self.tally.instruments.register(&mut registry);
        self.register_counts(&mut registry);
        registry.register("client_changes_refused", "Changes of clients that were refused", {
            ConstCounter::new(sources.repo.changes_refused())
        });
        gauges::gather(&sources, &self.tally.instruments).await?.register(&mut registry);
        let mut text = String::new();
        text::encode_registry(&mut text, &registry)?;
        // Under the names that every Prometheus client uses, so without the prefix.
        let mut registry = Registry::default();
        process::register(&mut registry, self.begun);
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn register_counts(&self, registry: &mut Registry) {
        let counts = self.tally.counts();
        for (name, help, count) in [
            ("readings", "Readings of provider objects taken in", counts.observed),
            ("echoes", "Readings that showed nothing new", counts.echoes),
            ("stale_readings", "Readings dropped because they showed the past or wait for a read by id", counts.stale),
            ("changes", "Inputs that changed a record", counts.changed),
            ("records_created", "Records created", counts.created),
            ("conflicts", "Conflict rows kept", counts.conflicts),
            ("writes", "Objects written to providers", counts.writes),
            ("writes_not_applied", "Writes that a provider refused or did not apply", counts.refused),
            ("rows_quarantined", "Rows put into quarantine", counts.quarantined),
            ("epochs", "Histories of records that were begun anew", counts.epochs),
        ] {
            registry.register(name, help, ConstCounter::new(count));
        }
    }
}
