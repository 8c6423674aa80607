//! The client for programs without an async runtime: the same calls, each of which waits.
//!
//! ```no_run
//! # fn main() -> Result<(), syncline_client::ClientError> {
//! # use serde::{Serialize, Deserialize};
//! # #[derive(Serialize, Deserialize)] struct Contact { name: String }
//! use syncline_client::{Client, MemoryStore, blocking};
//!
//! let builder = Client::builder("http://127.0.0.1:8080").api_key("a-key").store(MemoryStore::new());
//! let client = blocking::Client::build(builder)?;
//! let contacts = client.collection::<Contact>("contact");
//! let id = contacts.create(&Contact { name: "Ann".into() })?;
//! contacts.edit(id, |contact| contact.name = "Anna".into())?;
//! # Ok(())
//! # }
//! ```

use std::{future::Future, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use syncline_core::{ids::RecordId, live::Filter};
use tokio::runtime::Runtime;

use crate::{
    client::{self, ClientBuilder, ClientError, Item, Pending, WatchEvent},
    error::Error,
};

/// A [`Client`](crate::Client) with a runtime of its own, which works on one thread beside the program's. Must not be
/// used from within an async task.
#[derive(Clone, Debug)]
pub struct Client {
    runtime: Arc<Runtime>,
    client: client::Client,
}

impl Client {
    /// Builds the client that the builder describes. A store that has to be opened first is opened with
    /// [`Client::build_with`].
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn build(builder: ClientBuilder) -> Result<Self, ClientError> {
        Self::build_with(async { Ok(builder) })
    }

    /// Builds the client that the future describes, which may open a store.
    ///
    /// # Errors
    /// What the future fails with, or as [`ClientBuilder::build`].
    pub fn build_with(builder: impl Future<Output = Result<ClientBuilder, ClientError>>) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime
            .map_err(|error| Error::Unreachable { url: "the async runtime".to_owned(), reason: error.to_string() })?;
        let client = runtime.block_on(async { builder.await?.build().await })?;
        Ok(Self { runtime: Arc::new(runtime), client })
    }

    /// The records of a model.
    pub fn collection<T: Serialize + DeserializeOwned>(&self, model: &str) -> Collection<T> {
        Collection { runtime: self.runtime.clone(), collection: self.client.collection(model) }
    }

    /// How many edits are not settled with the server.
    pub fn pending(&self) -> Pending {
        self.client.pending()
    }

    /// Waits until the server has acknowledged every edit that it has not refused.
    ///
    /// # Errors
    /// As [`crate::Client::settled`].
    pub fn settled(&self) -> Result<Pending, ClientError> {
        self.runtime.block_on(self.client.settled())
    }

    /// The async client, for calls that have no waiting form here; wait for them with [`Client::wait`].
    pub fn inner(&self) -> &client::Client {
        &self.client
    }

    /// Waits for any future, such as a call of [`Client::inner`].
    pub fn wait<R>(&self, future: impl Future<Output = R>) -> R {
        self.runtime.block_on(future)
    }
}

/// A [`Collection`](crate::Collection) whose calls wait.
#[derive(Debug)]
pub struct Collection<T> {
    runtime: Arc<Runtime>,
    collection: client::Collection<T>,
}

impl<T: Serialize + DeserializeOwned + 'static> Collection<T> {
    /// As [`crate::Collection::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, id: RecordId) -> Result<Option<Item<T>>, ClientError> {
        self.runtime.block_on(self.collection.get(id))
    }

    /// As [`crate::Collection::list`].
    ///
    /// # Errors
    /// As there.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Item<T>>, ClientError> {
        self.runtime.block_on(self.collection.list(filter))
    }

    /// As [`crate::Collection::create`].
    ///
    /// # Errors
    /// As there.
    pub fn create(&self, value: &T) -> Result<RecordId, ClientError> {
        self.runtime.block_on(self.collection.create(value))
    }

    /// As [`crate::Collection::edit`].
    ///
    /// # Errors
    /// As there.
    pub fn edit(&self, id: RecordId, change: impl FnOnce(&mut T) + Send + 'static) -> Result<(), ClientError> {
        self.runtime.block_on(self.collection.edit(id, change))
    }

    /// As [`crate::Collection::delete`].
    ///
    /// # Errors
    /// As there.
    pub fn delete(&self, id: RecordId) -> Result<(), ClientError> {
        self.runtime.block_on(self.collection.delete(id))
    }

    /// As [`crate::Collection::restore`].
    ///
    /// # Errors
    /// As there.
    pub fn restore(&self, id: RecordId) -> Result<(), ClientError> {
        self.runtime.block_on(self.collection.restore(id))
    }

    /// As [`crate::Collection::watch`], as an iterator that waits for each event and ends with the client.
    ///
    /// # Errors
    /// As there.
    pub fn watch(
        &self,
        filter: Filter,
    ) -> Result<impl Iterator<Item = Result<WatchEvent<T>, ClientError>>, ClientError> {
        let mut watch = self.runtime.block_on(self.collection.watch(filter))?;
        let runtime = self.runtime.clone();
        Ok(std::iter::from_fn(move || runtime.block_on(watch.next())))
    }
}
