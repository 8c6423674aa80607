//! Putting a client together.

use std::{future::Future, sync::Arc};

use syncline_core::{
    live::Filter,
    repo::{PeerId, SessionId},
};
use tokio::sync::{broadcast, mpsc, watch};

use super::{
    Client, ClientError, Inner,
    driver::{Driver, Lines},
    state::{ConnectionState, EVENTS_MAX},
};
use crate::{
    engine::{Engine, Limits, Me},
    store::{MemoryStore, Store, Subset},
    transport::{self, Auth, Credentials},
};

/// The most wishes that wait for the driver; callers wait then.
const COMMANDS_MAX: usize = 1024;
/// The most messages from the server that wait for the driver; the socket waits then.
const FRAMES_MAX: usize = 256;
/// How many bytes of a client's name are sent.
const NAME_BYTES_MAX: usize = 64;

/// A client that is being put together; see [`Client::builder`].
pub struct ClientBuilder {
    url: String,
    auth: Option<Auth>,
    tenant: Option<String>,
    store: Option<Arc<dyn Store>>,
    name: String,
    subsets: Vec<Subset>,
    limits: Limits,
}

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            auth: None,
            tenant: None,
            store: None,
            name: "syncline-client".to_owned(),
            subsets: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Shows an API key to the server.
    #[must_use]
    pub fn api_key(self, key: impl Into<String>) -> Self {
        Self { auth: Some(Auth::Key(key.into())), ..self }
    }

    /// Shows tokens to the server. The provider is asked for one at the beginning, and again whenever the server refuses
    /// the last one.
    #[must_use]
    pub fn token<F, R, E>(self, provider: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let provider = move || {
            let token = provider();
            Box::pin(async move { token.await.map_err(Into::into) }) as _
        };
        Self { auth: Some(Auth::Token(Arc::new(provider))), ..self }
    }

    /// Acts for one tenant; needed only with a key that is not bound to one.
    #[must_use]
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.into()), ..self }
    }

    /// Where records are kept. Without one they are kept in memory, and nothing is there after a restart.
    #[must_use]
    pub fn store(self, store: impl Store) -> Self {
        Self { store: Some(Arc::new(store)), ..self }
    }

    /// The name by which others see this client in presence, with a random part behind it.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Replicates the records of a model whose fields have these values. Without any subset of a model, its first use
    /// replicates the whole model. What is replicated is kept in the store, until [`Client::release`].
    #[must_use]
    pub fn replicate(mut self, model: &str, filter: Filter) -> Self {
        self.subsets.push(Subset { model: model.into(), filter });
        self
    }

    /// The most documents that are loaded at once (512 without this call) and the most memory that they may take,
    /// roughly (64 MiB). Documents that are being synced stay loaded beyond that, at most 64 of them.
    #[must_use]
    pub fn loaded_at_most(self, documents_max: usize, bytes_max: usize) -> Self {
        Self { limits: Limits { documents_max, bytes_max, ..Limits::default() }, ..self }
    }

    /// Opens the store and starts working. Does not wait for the network: whatever the store holds is there at once.
    ///
    /// # Errors
    /// [`ClientError::NoCredentials`], [`ClientError::Api`] where the address or the key cannot be used, and
    /// [`ClientError::Store`].
    pub async fn build(self) -> Result<Client, ClientError> {
        let auth = self.auth.ok_or(ClientError::NoCredentials)?;
        let credentials = Arc::new(Credentials::new(self.url, self.tenant, auth)?);
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let engine = Engine::new(me(&self.name), self.limits, store.subsets().await?, store.set_fields().await?);
        let first = store.tally().await?;
        let (commands, commands_out) = mpsc::channel(COMMANDS_MAX);
        let (link_in, link) = mpsc::channel(FRAMES_MAX);
        let (state_in, state) = watch::channel(ConnectionState::Connecting);
        let (tally_in, tally) = watch::channel(first);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let lines = Lines { commands: commands_out, link, state: state_in, tally: tally_in, events: events.clone() };
        let driver = Driver::new(engine, store.clone(), credentials.clone(), lines, first);
        tokio::spawn(transport::keep_linked(credentials.clone(), link_in));
        tokio::spawn(driver.run());
        let client = Client { inner: Arc::new(Inner { store, credentials, commands, state, tally, events }) };
        for subset in self.subsets {
            client.replicate(subset.model.as_str(), subset.filter).await?;
        }
        Ok(client)
    }
}

fn me(name: &str) -> Me {
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NAME_BYTES_MAX).last();
    let name = &name[..end.unwrap_or_default()];
    let peer = format!("{name}-{:016x}", rand::random::<u64>());
    let session = format!("{:016x}", rand::random::<u64>());
    // A cut name with sixteen digits is shorter than the protocol allows.
    let (peer, session) = (PeerId::new(&peer).expect("short"), SessionId::new(&session).expect("short"));
    Me { peer, session }
}
