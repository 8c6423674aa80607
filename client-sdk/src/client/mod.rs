//! The client as applications use it.
//!
//! * `builder`: how it is put together. `collection`, `watch`: records and live queries. `presence`: what clients say to
//!   each other. `state`: how it stands with the server. `error`: how calls fail.
//! * `driver`, `command`, `subscriber`: the task behind all handles.

mod builder;
mod collection;
mod command;
mod driver;
mod error;
mod presence;
mod state;
mod subscriber;
mod watch;

pub use builder::ClientBuilder;
pub use collection::{Collection, Item, filter};
pub use error::ClientError;
pub use presence::{Presence, Said};
pub use state::{ClientEvent, ConnectionState, Events, Pending, States};
pub use watch::{Watch, WatchEvent};

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use syncline_core::{ids::RecordId, live::Filter};
use tokio::sync::{broadcast, mpsc, oneshot, watch as watched};

use self::{command::Command, presence::Ear};
use crate::{
    api::Api,
    conflicts::{Choice, Conflict, ConflictQuery},
    engine::Input,
    history::HistoryEntry,
    page::{At, Page},
    store::{Row, Store, StoreError, Subset, Tally},
    transport::Credentials,
};

/// The most subsets that a client replicates: each has a socket of its own for its feed.
const SUBSETS_MAX: usize = 64;

/// A local-first client: it works on what its store holds and syncs in the background. Cheap to clone; when the last
/// clone and everything made from it is dropped, its tasks end. What was edited is durable by then.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    credentials: Arc<Credentials>,
    commands: mpsc::Sender<Command>,
    state: watched::Receiver<ConnectionState>,
    tally: watched::Receiver<Tally>,
    events: broadcast::Sender<ClientEvent>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.inner.credentials).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:8080`.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder::new(url)
    }

    /// The records of a model, read and written as `T`: a struct with the model's fields, or those that matter here.
    pub fn collection<T: Serialize + DeserializeOwned>(&self, model: &str) -> Collection<T> {
        Collection::new(self.clone(), model)
    }

    /// Replicates the records of a model whose fields have these values, from now on and after restarts.
    ///
    /// # Errors
    /// [`ClientError::TooMany`] beyond 64 subsets, and [`ClientError::Store`].
    pub async fn replicate(&self, model: &str, filter: Filter) -> Result<(), ClientError> {
        let subset = Subset { model: model.into(), filter };
        let subsets = self.store().subsets().await?;
        if subsets.len() >= SUBSETS_MAX && subsets.iter().all(|state| state.subset != subset) {
            return Err(ClientError::TooMany { what: "subsets", max: SUBSETS_MAX });
        }
        self.input(Input::Hold { subset }, model, None).await.map(drop)
    }

    /// Replicates a subset no longer. Its records leave the store, but for those with edits that wait.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub async fn release(&self, model: &str, filter: Filter) -> Result<(), ClientError> {
        let subset = Subset { model: model.into(), filter };
        self.input(Input::Release { subset }, model, None).await.map(drop)
    }

    /// How the client stands with the server, now and from now on.
    pub fn state(&self) -> States {
        States(self.inner.state.clone())
    }

    /// How many edits are not settled with the server.
    pub fn pending(&self) -> Pending {
        pending_of(&self.inner.tally.borrow())
    }

    /// Waits until the server has acknowledged every edit that it has not refused.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn settled(&self) -> Result<Pending, ClientError> {
        let mut tally = self.inner.tally.clone();
        let settled = tally.wait_for(|tally| tally.pending == 0).await;
        settled.map(|tally| pending_of(&tally)).map_err(|_| ClientError::Closed)
    }

    /// What happens to the client from now on, beside the changes of its records.
    pub fn events(&self) -> Events {
        Events(self.inner.events.subscribe())
    }

    /// A place among those who have a record open.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] and [`ClientError::TooMany`].
    pub async fn presence(&self, record: RecordId) -> Result<Presence, ClientError> {
        Presence::open(self.clone(), record).await
    }

    /// Sends a record's refused edits once more.
    ///
    /// # Errors
    /// [`ClientError::Unknown`].
    pub async fn retry(&self, record: RecordId) -> Result<(), ClientError> {
        self.input(Input::Retry { record }, "record", Some(record)).await.map(drop)
    }

    /// Takes back a record's edits that the server has not acknowledged. A record that only ever existed here goes.
    ///
    /// # Errors
    /// [`ClientError::Unknown`].
    pub async fn discard(&self, record: RecordId) -> Result<(), ClientError> {
        self.input(Input::Discard { record }, "record", Some(record)).await.map(drop)
    }

    /// A page of conflicts, oldest first. Asks the server: conflicts are not kept here.
    ///
    /// # Errors
    /// [`ClientError::Api`]; offline it is [`Error::Unreachable`](crate::Error::Unreachable).
    pub async fn conflicts(&self, query: &ConflictQuery, at: &At) -> Result<Page<Conflict>, ClientError> {
        Ok(self.api().await?.conflicts(query, at).await?)
    }

    /// Confirms or overturns a conflict. Asks the server; the chosen value then arrives like any other edit.
    ///
    /// # Errors
    /// [`ClientError::Api`]; offline it is [`Error::Unreachable`](crate::Error::Unreachable).
    pub async fn resolve(&self, conflict: i64, choice: &Choice) -> Result<Conflict, ClientError> {
        Ok(self.api().await?.resolve_conflict(conflict, choice).await?)
    }

    /// A page of a record's history, newest first: who wrote what and when. Asks the server.
    ///
    /// # Errors
    /// [`ClientError::Api`]; offline it is [`Error::Unreachable`](crate::Error::Unreachable).
    pub async fn history(&self, model: &str, record: RecordId, at: &At) -> Result<Page<HistoryEntry>, ClientError> {
        Ok(self.api().await?.record_history(model, record, None, at).await?)
    }

    /// The server's API under this client's credentials, for what needs the network anyway.
    ///
    /// # Errors
    /// [`ClientError::Api`] where the provider of tokens fails.
    pub async fn api(&self) -> Result<Api, ClientError> {
        Ok(self.inner.credentials.api().await?)
    }

    /// Ends the client: what was handed to it before is made durable, and what can be sent at once is sent. Other handles
    /// of it answer [`ClientError::Closed`] from then on, and still read what the store holds. The store's file is free
    /// for another client when they are dropped.
    pub async fn close(self) {
        let (reply, end) = oneshot::channel();
        // A client that has ended already needs nothing more.
        if self.command(Command::Close { reply }).await.is_ok() {
            let _ = end.await;
        }
    }

    fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.inner.commands.send(command).await.map_err(|_| ClientError::Closed)
    }

    async fn input(&self, input: Input, model: &str, record: Option<RecordId>) -> Result<Option<Row>, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Input { input, model: model.to_owned(), record, reply }).await?;
        answer.await.map_err(|_| self.unanswered())?
    }

    /// Why a wish had no answer: the client has ended, or the store failed before the wish's turn came.
    fn unanswered(&self) -> ClientError {
        if self.inner.commands.is_closed() {
            return ClientError::Closed;
        }
        StoreError::Failed("it failed while earlier calls were being handled".to_owned()).into()
    }

    async fn listen(&self, ear: Arc<Ear>) -> Result<(), ClientError> {
        self.command(Command::Listen { ear }).await
    }

    /// Attends to a record no longer. Called where nothing can wait.
    fn leave(&self, record: RecordId) {
        let (reply, _) = oneshot::channel();
        let input = Input::Attend { record, on: false };
        let command = Command::Input { input, model: String::new(), record: Some(record), reply };
        let commands = self.inner.commands.clone();
        if let Err(mpsc::error::TrySendError::Full(command)) = self.inner.commands.try_send(command)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { commands.send(command).await });
        }
    }
}

fn pending_of(tally: &Tally) -> Pending {
    Pending { waiting: tally.pending, refused: tally.refused, stale: tally.stale }
}
