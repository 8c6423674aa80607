//! Programs on our own SDK.

mod access;
mod agreement;
mod merging;
mod offline;
mod power_cuts;
mod reconnect;

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, Serialize};
use syncline_client::{
    Client, ClientBuilder, ClientEvent, Collection, ConnectionState, Counter, Events, Filter, Item, RecordId,
    SqliteStore, Text,
};
use syncline_tests::{
    api::KEY,
    patience::{PATIENCE, eventually},
    stage::Stage,
};

/// A contact as a program declares it: one field of each kind that merges, and plain ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) email: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) logins: Option<Counter>,
    #[serde(default)]
    pub(crate) interests: BTreeSet<String>,
    pub(crate) notes: Option<Text>,
}

/// A program with a client of its own.
pub(crate) struct Program {
    pub(crate) client: Client,
    pub(crate) contacts: Collection<Contact>,
}

impl Program {
    /// A program that shows the tenant's key, with what it kept in this file.
    pub(crate) async fn open(stage: &Stage, file: &str) -> Self {
        Self::start(builder(stage).api_key(KEY), &stage.file(file)).await
    }

    /// A program with these credentials.
    pub(crate) async fn start(builder: ClientBuilder, file: &Path) -> Self {
        let store = SqliteStore::open(file).await.expect("a store");
        let client = builder.store(store).build().await.expect("a client");
        let contacts = client.collection("contact");
        // The first use of a collection makes its model one that is kept here.
        contacts.list(&Filter::default()).await.expect("a list");
        Self { client, contacts }
    }

    /// Waits until it is connected.
    pub(crate) async fn online(&self) {
        self.until_state("it is online", |state| *state == ConnectionState::Online).await;
    }

    /// Waits until it has noticed that the server is gone.
    pub(crate) async fn offline(&self) {
        self.until_state("it is offline", |state| matches!(state, ConnectionState::Offline { .. })).await;
    }

    /// Waits for a state of the connection.
    pub(crate) async fn until_state(&self, what: &str, fits: impl FnMut(&ConnectionState) -> bool) {
        let mut states = self.client.state();
        let reached = tokio::time::timeout(PATIENCE, states.wait_for(fits)).await;
        reached.unwrap_or_else(|_| panic!("{what}: it is {:?}", self.client.state().current()));
    }

    /// Waits until it holds so many records with their documents, all as the server has them.
    pub(crate) async fn holds(&self, records: usize) {
        eventually(&format!("{records} records are held"), async || {
            let (held, pending) = (self.all().await.len(), self.client.pending());
            if held == records && pending.stale == 0 { Ok(()) } else { Err(format!("{held}; {pending:?}")) }
        })
        .await;
    }

    /// Waits until the server has acknowledged everything; nothing may have been refused.
    pub(crate) async fn settled(&self) {
        let settled = tokio::time::timeout(PATIENCE, self.client.settled()).await;
        let pending = settled.unwrap_or_else(|_| panic!("not settled: {:?}", self.client.pending()));
        assert_eq!(pending.expect("a client").refused, 0, "nothing is refused");
    }

    /// Makes a record.
    pub(crate) async fn create(&self, contact: Contact) -> RecordId {
        self.contacts.create(&contact).await.expect("a durable record")
    }

    /// Edits a record.
    pub(crate) async fn edit(&self, id: RecordId, change: impl FnOnce(&mut Contact) + Send + 'static) {
        self.contacts.edit(id, change).await.expect("a durable edit");
    }

    /// A record, if it is here.
    pub(crate) async fn get(&self, id: RecordId) -> Option<Item<Contact>> {
        self.contacts.get(id).await.expect("a readable store")
    }

    /// All records.
    pub(crate) async fn all(&self) -> Vec<Item<Contact>> {
        self.contacts.list(&Filter::default()).await.expect("a readable store")
    }

    /// Waits until a record is here and shows what it should.
    pub(crate) async fn shows(&self, id: RecordId, what: &str, fits: impl Fn(&Contact) -> bool) {
        eventually(what, async || {
            let item = self.get(id).await;
            if item.as_ref().is_some_and(|item| fits(&item.value)) { Ok(()) } else { Err(format!("{item:?}")) }
        })
        .await;
    }

    /// Ends it; its file is free afterwards.
    pub(crate) async fn end(self) {
        drop(self.contacts);
        self.client.close().await;
    }
}

/// A client of the stage's server, whether or not that is up.
pub(crate) fn builder(stage: &Stage) -> ClientBuilder {
    Client::builder(&format!("http://127.0.0.1:{}", stage.port)).name("program")
}

/// A contact with an address.
pub(crate) fn contact(email: &str) -> Contact {
    Contact { email: Some(email.to_owned()), last_name: Some("Lee".to_owned()), ..Contact::default() }
}

/// The next event that fits.
pub(crate) async fn event<T>(what: &str, events: &mut Events, mut fits: impl FnMut(ClientEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = events.next().await.expect("a client that goes on");
            if let Some(found) = fits(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}
