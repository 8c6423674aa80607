//! The engine on a temporary store: reads everything, writes nothing.

use std::{sync::Arc, time::Duration};

use syncline_connectors::http::ReqwestClient;
use syncline_core::repo::StorageId;

use super::{
    super::{failure::Failure, progress::Progress},
    ledger::Plan,
};
use crate::{
    config::{Approval, Config},
    engine::{Engine, EngineParts},
    live::FeedHub,
    repo::RepoHub,
    service::{self, ServiceError},
    store::{
        Store,
        sqlite::SqliteStore,
        syncs::{Phase, SyncState},
    },
};

/// How often the sides are asked how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A running rehearsal. Its folder, with everything that was read, is removed when it is dropped.
pub(super) struct Rehearsal {
    config: Config,
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Rehearsal {
    /// Starts reading. Credentials come from the vault and refreshed ones go there, since they outlive the rehearsal.
    pub(super) async fn start(mut config: Config, vault: Arc<dyn Store>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::said(format!("no temporary folder can be made: {error}; set TMPDIR to one with space"))
        })?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("plan.db")).await?);
        // Nobody approves anything in the temporary store, so nothing is written.
        config.syncs.values_mut().for_each(|sync| sync.approval = Approval::Manual);
        let parts = EngineParts {
            config: &config,
            store: store.clone(),
            vault,
            feed: Arc::new(FeedHub::new()),
            repo: RepoHub::new(StorageId::new("rehearsal").map_err(|error| Failure::said(error.to_string()))?),
            http: Arc::new(ReqwestClient::new().map_err(ServiceError::from)?),
            key: Arc::new(service::secrets_key(&config)?),
            public_url: String::new(),
        };
        let engine = Engine::start(parts).await.map_err(ServiceError::from)?;
        Ok(Self { config, engine, store, _folder: folder })
    }

    /// Waits until every side has been read completely, or one cannot be.
    pub(super) async fn read_all(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        loop {
            let mut reading = false;
            for (name, sync) in &self.config.syncs {
                let tenant = self.store.tenant(&sync.plan.tenant);
                for connection in sync.plan.sides.keys() {
                    let state = tenant.sync_state(name, connection).await?;
                    let state = state.unwrap_or_else(|| SyncState::new(name, connection.clone()));
                    progress.show(&format!("reading {connection}"), state.read, state.expected);
                    reading |= is_reading(&state)?;
                }
            }
            if !reading {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What the engine would do next.
    pub(super) async fn ledger(&self) -> Result<Plan, Failure> {
        Plan::draw(&self.config, &*self.store).await
    }

    /// Stops the engine and throws everything away.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.engine.stop().await;
        Ok(self.store.close().await?)
    }
}

/// Whether a side is still being read; what keeps it from being read is a failure.
fn is_reading(state: &SyncState) -> Result<bool, Failure> {
    match state.phase {
        Phase::Backfilling => Ok(true),
        Phase::WaitingApproval | Phase::Live | Phase::Paused => Ok(false),
        Phase::Degraded | Phase::ReauthNeeded => Err(Failure::said(format!(
            "`{}` cannot be read: {}",
            state.connection,
            state.last_error.as_deref().unwrap_or("the provider does not say why")
        ))),
    }
}
