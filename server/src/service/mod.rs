//! The running service: store, engine and HTTP listener, put together from a configuration and taken apart in order.
//!
//! # Layout
//!
//! * `error`: why it could not start. `facts`: what the API has to know of the configuration.

mod error;
mod facts;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::serve::ListenerExt as _;
use syncline_connectors::http::{HttpClient, ReqwestClient};
use syncline_core::{ids::ConnectionId, repo::StorageId};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub use self::error::ServiceError;
use crate::{
    config::{self, Config},
    engine::{Engine, EngineParts, clock::Clock, open_sessions, session::Session},
    failpoint::{Point, reach},
    http::{self, AppState, RepoState},
    live::FeedHub,
    metrics::Metrics,
    repo::{RepoHub, Tokens},
    secrets::SecretsKey,
    store::{
        STORE_NAME, Store, StoreError,
        keys::{ApiKey, KeyHash},
        sqlite::SqliteStore,
    },
};

/// How long open requests may take to end once the service is asked to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// How many connections may wait to be accepted, as far as the system allows (`net.core.somaxconn`). When thousands of clients
/// return at once, what finds no room here is dropped without an answer, and tried again only after seconds.
const BACKLOG: u32 = 4_096;

/// A service that answers requests and keeps records the same, until it is stopped.
pub struct Service {
    address: SocketAddr,
    store: Arc<dyn Store>,
    engine: Arc<Engine>,
    feed: Arc<FeedHub>,
    repo: Arc<RepoHub>,
    drain: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Service {
    /// Starts everything that the configuration asks for; requests are answered when this returns.
    ///
    /// # Errors
    /// Why a part could not start; the parts that had started are stopped again.
    pub async fn start(config: &Config) -> Result<Self, ServiceError> {
        // The address first: it is what most often fails, and nothing has to be undone then.
        let listen = config.server.listen;
        let refused = |source| ServiceError::Listen { address: listen, source };
        let listener = listen_on(listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.server.database).await?);
        reach(Point::StoreOpened);
        match Self::start_on(config, listener, address, store.clone()).await {
            Ok(service) => Ok(service),
            Err(error) => {
                // The first error is the one to tell.
                let _ = store.close().await;
                Err(error)
            }
        }
    }

    async fn start_on(
        config: &Config,
        listener: TcpListener,
        address: SocketAddr,
        store: Arc<dyn Store>,
    ) -> Result<Self, ServiceError> {
        let client: Arc<dyn HttpClient> = Arc::new(ReqwestClient::new()?);
        let public_url = public_url(config, address);
        let facts = Arc::new(facts::gather(config, &public_url, &client)?);
        adopt_keys(&*store, &config.api_keys).await?;
        reach(Point::KeysAdopted);
        let feed = Arc::new(FeedHub::new());
        let repo = RepoHub::new(store_name(&*store).await?);
        let key = Arc::new(secrets_key(config)?);
        let parts = EngineParts {
            config,
            store: store.clone(),
            vault: store.clone(),
            feed: feed.clone(),
            repo: repo.clone(),
            http: client,
            key: key.clone(),
            public_url,
        };
        let engine = Engine::start(parts).await?;
        reach(Point::EngineStarted);
        let tokens = Tokens::new(&key.derived("syncline 2026 repo token"));
        let repo_state =
            RepoState { hub: repo.clone(), documents: engine.documents(), tokens, options: config.repo.clone() };
        let state = AppState {
            store: store.clone(),
            commands: engine.clone(),
            feed: feed.clone(),
            facts,
            repo: Arc::new(repo_state),
            webhooks: Arc::new(Semaphore::new(http::webhooks::AT_ONCE_MAX)),
            metrics: Arc::new(Metrics::new(engine.tally().clone(), config.server.metrics_token.as_ref())),
        };
        let drain = CancellationToken::new();
        let drained = drain.clone().cancelled_owned();
        // A change is a small frame after another; held back until the last one is acknowledged, it comes 40 ms late.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection's frames may come late");
            }
        });
        let serving =
            tokio::spawn(axum::serve(listener, http::router(state)).with_graceful_shutdown(drained).into_future());
        Ok(Self { address, store, engine, feed, repo, drain, serving })
    }

    /// The address that requests are answered on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine, for whoever runs it in the same process.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Waits until the HTTP listener ends by itself, which it does only by failing.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn failed(&mut self) -> ServiceError {
        match (&mut self.serving).await {
            Ok(Ok(())) => ServiceError::Serving(std::io::Error::other("it ended")),
            Ok(Err(error)) => ServiceError::Serving(error),
            Err(error) => ServiceError::Serving(std::io::Error::other(error)),
        }
    }

    /// Stops in order: no new requests, open ones end, the engine's tasks finish their present step, the store closes.
    ///
    /// # Errors
    /// The store did not close well.
    pub async fn stop(self) -> Result<(), ServiceError> {
        let Self { store, engine, feed, repo, drain, mut serving, .. } = self;
        feed.close();
        repo.close();
        drain.cancel();
        if !serving.is_finished() && tokio::time::timeout(DRAIN_TIME_MAX, &mut serving).await.is_err() {
            tracing::warn!("some requests did not end in time and were cut off");
            serving.abort();
        }
        engine.stop().await;
        reach(Point::Closing);
        Ok(store.close().await?)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where providers and apps reach the service, without a slash at the end.
fn public_url(config: &Config, address: SocketAddr) -> String {
    match &config.server.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    }
}

/// The key for stored credentials. Only a configuration without connections has none, and then nothing is sealed.
pub(crate) fn secrets_key(config: &Config) -> Result<SecretsKey, ServiceError> {
    Ok(match &config.server.secrets_key {
        Some(key) => SecretsKey::parse(key.expose())?,
        None => SecretsKey::parse(&SecretsKey::generate())?,
    })
}

/// A listener with room for a storm.
fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // As everywhere but on Windows, where it means that others may take the address over.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Opens a session with every connection, for verbs that call accounts without an engine.
pub(crate) async fn sessions(
    config: &Config,
    store: &Arc<dyn Store>,
) -> Result<BTreeMap<ConnectionId, Arc<Session>>, ServiceError> {
    let client: Arc<dyn HttpClient> = Arc::new(ReqwestClient::new()?);
    let key = Arc::new(secrets_key(config)?);
    Ok(open_sessions(config, store, &client, &key, &Arc::default(), &CancellationToken::new()).await?)
}

/// The name of this database among the stores that peers of the automerge-repo protocol know; the same after each start.
async fn store_name(store: &dyn Store) -> Result<StorageId, StoreError> {
    let name = match store.setting(STORE_NAME).await? {
        Some(name) => name,
        None => {
            let name = uuid::Uuid::now_v7().to_string();
            store.put_setting(STORE_NAME, &name).await?;
            name
        }
    };
    StorageId::new(&name).map_err(|error| StoreError::Corrupt(format!("the setting `{STORE_NAME}`: {error}")))
}

/// Makes the database's API keys those of the configuration: new ones are added, changed ones replaced, others revoked.
async fn adopt_keys(store: &dyn Store, keys: &[config::ApiKey]) -> Result<(), StoreError> {
    let names: BTreeSet<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    for known in store.api_keys().await? {
        if !names.contains(known.name.as_str()) {
            store.revoke_api_key(&known.name).await?;
        }
    }
    for key in keys {
        let hash = KeyHash::of(key.key.expose());
        let kept = store.api_key(&hash).await?;
        if kept.is_some_and(|kept| kept.name == key.name && kept.tenant == key.tenant) {
            continue;
        }
        let row = ApiKey {
            name: key.name.clone(),
            tenant: key.tenant.clone(),
            created_at: Clock::wall(),
            last_used_at: None,
        };
        store.put_api_key(&hash, &row).await?;
    }
    Ok(())
}
