//! The offline client: it takes some contacts along, edits them while it is cut off, ends and starts again on the way, and comes
//! back with its edits.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use syncline_client::{Client, ClientError, Collection, ConnectionState, Item, SqliteStore, StoreError, filter};

use super::{
    DemoError,
    players::{Acknowledged, now_us},
    scenario::MODEL,
};

/// Contacts that are taken along, at most.
const TAKEN_MAX: usize = 200;
/// Contacts that are edited on the way.
const EDITED: usize = 8;
/// How long taking contacts along, and coming back, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked how far that is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Nothing answers here.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A contact, as far as this client knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Contact {
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    title: Option<String>,
    department: Option<String>,
    interests: BTreeSet<String>,
}

/// A client that is now here, now away.
#[derive(Debug)]
pub(super) struct Traveller {
    api: String,
    key: String,
    file: PathBuf,
    noted: Vec<Acknowledged>,
}

impl Traveller {
    /// Takes the contacts of one country along.
    pub(super) async fn pack(api: &str, key: &str, folder: &Path, country: &Json) -> Result<Self, DemoError> {
        let file = folder.join("traveller.db");
        let traveller = Self { api: api.to_owned(), key: key.to_owned(), file, noted: Vec::new() };
        let client = traveller.open(api).await?;
        client.replicate(MODEL, filter([("country", country.clone())])).await?;
        let here = |client: &Client| client.state().current() == ConnectionState::Online && client.pending().stale == 0;
        let contacts = client.collection::<Contact>(MODEL);
        let begun = Instant::now();
        let mut before = 0;
        loop {
            // What was listed a moment ago counts as missing by now, unless its document is here.
            let count = listed(&contacts).await?.len();
            if count > 0 && count == before && here(&client) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(DemoError::Call("the offline client got no contacts to take along".to_owned()));
            }
            before = count;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        client.close().await;
        Ok(traveller)
    }

    /// Edits while it is cut off, in two runs of its program.
    pub(super) async fn edit_cut_off(&mut self) -> Result<(), DemoError> {
        for run in 0..2 {
            let client = self.open(NOWHERE).await?;
            let contacts = client.collection::<Contact>(MODEL);
            for (place, item) in listed(&contacts).await?.into_iter().take(EDITED).enumerate() {
                let word = format!("Written on the way {run}-{place}");
                let joined = (place % 2 == run).then(|| "mobile".to_owned());
                let sent = edited(&item.value, &word, joined.as_deref());
                let change = word.clone();
                contacts
                    .edit(item.id, move |contact| {
                        contact.title = Some(change);
                        contact.interests.extend(joined);
                    })
                    .await?;
                self.note(item.id.to_string(), seen(&item.value), sent);
            }
            if run == 0 {
                let newcomer = Contact {
                    email: Some("met.on.the.way@example.net".to_owned()),
                    first_name: Some("Met".to_owned()),
                    last_name: Some("Onthe Way".to_owned()),
                    ..Contact::default()
                };
                let id = contacts.create(&newcomer).await?;
                self.note(id.to_string(), Map::new(), seen(&newcomer));
            }
            client.close().await;
        }
        Ok(())
    }

    /// Comes back, and waits until the service has acknowledged everything; what that was.
    pub(super) async fn come_back(mut self) -> Result<Vec<Acknowledged>, DemoError> {
        let reached_us = now_us();
        self.noted.iter_mut().for_each(|noted| noted.reached_us = reached_us);
        let client = self.open(&self.api).await?;
        let settled = tokio::time::timeout(PATIENCE, client.settled()).await;
        let pending =
            settled.map_err(|_| DemoError::Call("the offline client did not get its edits in".to_owned()))??;
        if pending.refused > 0 {
            return Err(DemoError::Call(format!("{} edits of the offline client were refused", pending.refused)));
        }
        client.close().await;
        Ok(self.noted)
    }

    fn note(&mut self, record: String, seen: Map<String, Json>, sent: Map<String, Json>) {
        let sent = sent.into_iter().collect();
        self.noted.push(Acknowledged { at_us: now_us(), record, seen, sent, ..Acknowledged::default() });
    }

    /// The client's program starts. The run before may still be letting go of the file.
    async fn open(&self, url: &str) -> Result<Client, ClientError> {
        let store = loop {
            match SqliteStore::open(&self.file).await {
                Err(StoreError::InUse { .. }) => tokio::time::sleep(LOOK_EVERY).await,
                store => break store?,
            }
        };
        Client::builder(url).api_key(&self.key).store(store).name("traveller").build().await
    }
}

async fn listed(contacts: &Collection<Contact>) -> Result<Vec<Item<Contact>>, ClientError> {
    let mut items = contacts.list(&filter([])).await?;
    items.truncate(TAKEN_MAX);
    Ok(items)
}

/// What the client has before its eyes, in the form of the API.
fn seen(contact: &Contact) -> Map<String, Json> {
    match json!(contact) {
        Json::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

fn edited(contact: &Contact, title: &str, joined: Option<&str>) -> Map<String, Json> {
    let mut sent = Map::from_iter([("title".to_owned(), json!(title))]);
    if let Some(joined) = joined {
        let mut interests = contact.interests.clone();
        interests.insert(joined.to_owned());
        sent.insert("interests".to_owned(), json!(interests));
    }
    sent
}
