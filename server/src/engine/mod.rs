//! The engine: what changes records. It reads providers, takes in what they show, and writes what they lack.
//!
//! # Layout, in the order of the data path
//!
//! * [`reader`]: backfill, changes and deletes of one side; [`logged`]: the same by a provider's own log. [`looker`]: hints and doubts, read by id.
//! * [`intake`]: the one way into the store, a transaction around `reconcile`.
//! * [`sweeper`]: the complete listing that finds what vanished without a sign. [`answered`]: carries out what a person
//!   answered about deletes that waited.
//! * [`inspector`]: whether the provider's object still has the mapped fields. [`schema`]: what is known of it.
//! * [`writer`]: deliveries of one side.
//! * [`session`]: a connection's credentials, budgets and retries. [`side`]: what the tasks of a side share.
//! * [`commands`], [`desk`], `identity`: what HTTP handlers ask, and the answers. `webhooks`: what providers push.
//!   [`documents`]: what holders of documents ask.
//! * [`erasure`], [`barred`]: records that are removed for good, and what keeps them from coming back by accident.
//! * [`clock`], [`tally`]: time and counts. `told`: what the log tells of failures. `keeper`: drops what is only kept for a while.

mod answered;
mod barred;
pub mod clock;
pub mod commands;
mod desk;
pub mod documents;
mod echoes;
mod erasure;
mod identity;
mod inspector;
pub mod intake;
mod keeper;
mod logged;
mod looker;
mod reader;
pub mod schema;
pub mod session;
pub mod side;
mod sweeper;
pub mod tally;
mod told;
mod webhooks;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use syncline_connectors::{connector::Credentials, http::HttpClient};
use syncline_core::{
    ids::{ConnectionId, ObjectName},
    plan::SyncPlan,
    writer::WriterEpochs,
};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    config::{Config, InitialCredentials},
    live::FeedHub,
    repo::RepoHub,
    secrets::SecretsKey,
    store::{Store, StoreError, WRITER_EPOCHS, syncs::Phase},
};
use barred::Barred;
use clock::Clock;
use documents::{Documents, Hands, Scribe};
use erasure::Eraser;
use intake::Intake;
use keeper::Keeper;
use session::{Session, SessionError};
use side::{RunningSide, RunningSync, SideParts};
use tally::{Counts, Tally};

/// How long the tasks' present steps may take to end once the service is asked to stop.
const STEP_TIME_MAX: Duration = Duration::from_secs(5);

/// The running engine.
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    intake: Arc<Intake>,
    tally: Arc<Tally>,
    syncs: Vec<Arc<RunningSync>>,
    sides: Vec<Arc<RunningSide>>,
    public_url: String,
    stop: CancellationToken,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    scribe: Arc<Scribe>,
    eraser: Arc<Eraser>,
    doors: webhooks::Doors,
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A connection's session could not be opened.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// An integration's settings are wrong.
    #[error(transparent)]
    Build(#[from] syncline_connectors::registry::BuildError),
}

/// What an engine is made of.
pub struct EngineParts<'a> {
    /// What to sync.
    pub config: &'a Config,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Where credentials and clock offsets are kept: the same store, but for a rehearsal on a temporary one.
    pub vault: Arc<dyn Store>,
    /// Where commits are announced.
    pub feed: Arc<FeedHub>,
    /// Where those who hold documents are told.
    pub repo: Arc<RepoHub>,
    /// How providers are called.
    pub http: Arc<dyn HttpClient>,
    /// What stored credentials are sealed with.
    pub key: Arc<SecretsKey>,
    /// The address at which providers reach this service, without a slash at its end.
    pub public_url: String,
}

impl Engine {
    /// Opens every session and starts every side's tasks.
    ///
    /// # Errors
    /// A session cannot be opened; nothing runs then.
    pub async fn start(parts: EngineParts<'_>) -> Result<Arc<Self>, StartError> {
        let EngineParts { config, store, vault, feed, repo, http, key, public_url } = parts;
        let stop = CancellationToken::new();
        let clock = Arc::new(Clock::new(store.clone()));
        let tally = Arc::new(Tally::default());
        let writer = writer_epochs(&*store).await?;
        let barred = Arc::new(Barred::new(&key));
        let guarded = config.syncs.iter().map(|(name, sync)| (name.clone(), sync.mass_delete)).collect();
        let intake = Intake::new(store.clone(), clock.clone(), feed, repo.clone(), tally.clone(), config.history);
        let intake = Arc::new(intake.guarded(guarded, barred));
        let sessions = open_sessions(config, &vault, &http, &key, &tally, &stop).await?;
        let (mut syncs, mut sides) = (Vec::new(), Vec::new());
        for (name, sync) in &config.syncs {
            let running = Arc::new(RunningSync {
                name: name.clone(),
                plan: SyncPlan { writer: writer.clone(), ..sync.plan.clone() },
                approval: sync.approval,
                mass_delete: sync.mass_delete,
                stirred: Notify::new(),
                answered: Notify::new(),
            });
            syncs.push(running.clone());
            let mut peers = Vec::new();
            for (connection, schedule) in &sync.schedules {
                let Some(session) = sessions.get(connection).cloned() else { continue };
                let stored = store.tenant(&sync.plan.tenant).sync_state(name, connection).await?;
                let side = Arc::new(RunningSide::new(SideParts {
                    sync: running.clone(),
                    session,
                    schedule: *schedule,
                    intake: intake.clone(),
                    clock: clock.clone(),
                    tally: tally.clone(),
                    store: store.clone(),
                    request_deadline: config.server.request_deadline,
                    paused: stored.is_some_and(|state| state.phase == Phase::Paused),
                    stop: stop.clone(),
                }));
                peers.push(side);
            }
            let weak: Vec<_> = peers.iter().map(Arc::downgrade).collect();
            for side in &peers {
                // Set exactly once, here.
                let _ = side.peers.set(weak.clone());
            }
            sides.extend(peers);
        }
        let mapped = mapped_objects(config);
        let mut tasks = JoinSet::new();
        for side in &sides {
            let _ = side.mapped_objects.set(mapped.get(&side.connection).cloned().unwrap_or_default());
            tasks.spawn(reader::run(side.clone()).instrument(side.span("reader")));
            tasks.spawn(looker::run(side.clone()).instrument(side.span("looker")));
            (0..writer::LANES)
                .for_each(|_| drop(tasks.spawn(writer::run(side.clone()).instrument(side.span("writer")))));
        }
        for sync in &syncs {
            let of_sync = sides.iter().filter(|side| Arc::ptr_eq(&side.sync, sync)).cloned().collect();
            tasks.spawn(answered::run(sync.clone(), of_sync, stop.clone()));
        }
        let tenants = syncs.iter().map(|sync| sync.plan.tenant.clone()).collect();
        let keeper = Keeper { store: store.clone(), repo: repo.clone(), tenants, retention: config.retention };
        tasks.spawn(keeper.run(stop.clone()));
        let principals = config.api_keys.iter().map(|key| key.name.clone()).collect();
        let scribe = Arc::new(Scribe::new(
            store.clone(),
            intake.clone(),
            repo.clone(),
            syncs.clone(),
            sides.clone(),
            config.repo.clone(),
            Hands { principals, writer },
        ));
        let eraser = Arc::new(Eraser {
            store: store.clone(),
            intake: intake.clone(),
            scribe: scribe.clone(),
            repo,
            syncs: syncs.clone(),
            sides: sides.clone(),
            asked: Notify::new(),
        });
        tasks.spawn(eraser.clone().run(stop.clone()));
        tasks.spawn(scribe.clone().run(stop.clone()));
        let tasks = tokio::sync::Mutex::new(tasks);
        let doors = webhooks::Doors::of(config);
        let engine = Self { store, clock, intake, tally, syncs, sides, public_url, stop, tasks, scribe, eraser, doors };
        engine.warn_of_missing_secrets();
        Ok(Arc::new(engine))
    }

    /// What counts what it does.
    pub const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// What the engine did since it started.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Serves documents to those who hold them.
    pub fn documents(&self) -> Arc<dyn Documents> {
        self.scribe.clone()
    }

    /// Every side of every sync.
    pub fn sides(&self) -> &[Arc<RunningSide>] {
        &self.sides
    }

    /// Ends every task after its present step and waits for them, but not for ever: a provider that does not answer is left
    /// waiting, and what became of a write that it was sent is looked up after the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        if tokio::time::timeout(STEP_TIME_MAX, joined(&mut tasks)).await.is_err() {
            tracing::warn!(
                tasks = tasks.len(),
                "steps did not end in time and were cut off; the next start takes them up"
            );
            tasks.abort_all();
            joined(&mut tasks).await;
        }
    }
}

/// Waits for every task.
async fn joined(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && !error.is_cancelled()
        {
            tracing::error!(%error, "a task of the engine ended badly");
        }
    }
}

/// The writer epochs of the store.
async fn writer_epochs(store: &dyn Store) -> Result<WriterEpochs, StoreError> {
    let Some(stored) = store.setting(WRITER_EPOCHS).await? else { return Ok(WriterEpochs::default()) };
    serde_json::from_str(&stored)
        .map_err(|error| StoreError::Corrupt(format!("the setting `{WRITER_EPOCHS}` cannot be read: {error}")))
}

/// Opens a session with every connection.
pub(crate) async fn open_sessions(
    config: &Config,
    store: &Arc<dyn Store>,
    http: &Arc<dyn HttpClient>,
    key: &Arc<SecretsKey>,
    tally: &Arc<Tally>,
    stop: &CancellationToken,
) -> Result<BTreeMap<ConnectionId, Arc<Session>>, StartError> {
    let mut sessions = BTreeMap::new();
    for (id, connection) in &config.connections {
        let Some(integration) = config.integration_of(id) else { continue };
        let session = Session::open(
            connection.tenant.clone(),
            id.clone(),
            integration.connector(http.clone())?,
            first_credentials(&connection.credentials),
            store.clone(),
            key.clone(),
            stop.clone(),
        )
        .await?;
        sessions.insert(id.clone(), Arc::new(session.counted(tally.clone())));
    }
    Ok(sessions)
}

/// The credentials that a connection begins with.
pub(crate) fn first_credentials(initial: &InitialCredentials) -> Credentials {
    Credentials {
        access_token: initial.access_token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default(),
        refresh_token: initial.refresh_token.as_ref().map(|token| token.expose().to_owned()),
        expires_at: None,
        base_url: initial.base_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
    }
}

/// The objects of each connection that any sync maps.
pub(crate) fn mapped_objects(config: &Config) -> BTreeMap<ConnectionId, BTreeSet<ObjectName>> {
    let mut mapped: BTreeMap<ConnectionId, BTreeSet<ObjectName>> = BTreeMap::new();
    for sync in config.syncs.values() {
        for (connection, side) in &sync.plan.sides {
            mapped.entry(connection.clone()).or_default().insert(side.object.clone());
        }
    }
    mapped
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("syncs", &self.syncs).finish_non_exhaustive()
    }
}
