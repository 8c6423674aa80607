//! Clients over real sockets, against a small server in the same process.

mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline_client::{
    Client, ClientError, ClientEvent, Collection, ConnectionState, Filter, MemoryStore, RecordId, Source, SqliteStore,
    Watch, WatchEvent, blocking, filter,
};
use syncline_core::repo::DocumentId;

use self::server::Server;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Contact {
    name: Option<String>,
    stage: Option<String>,
    #[serde(default)]
    tags: BTreeSet<String>,
}

fn named(name: &str) -> Contact {
    Contact { name: Some(name.to_owned()), ..Contact::default() }
}

async fn client(server: &Server, store: MemoryStore) -> Client {
    Client::builder(&server.url).api_key("key").store(store).build().await.unwrap()
}

async fn online(client: &Client) {
    client.state().wait_for(|state| *state == ConnectionState::Online).await.unwrap();
}

/// Reads a live query until a record is there and as it should be.
async fn until(watch: &mut Watch<Contact>, mut fits: impl FnMut(&RecordId, &Contact) -> bool) -> RecordId {
    loop {
        let items = match watch.next().await.unwrap().unwrap() {
            WatchEvent::Snapshot(items) => items,
            WatchEvent::Inserted(item) | WatchEvent::Updated { item, .. } => vec![item],
            WatchEvent::Removed(_) => Vec::new(),
        };
        if let Some(item) = items.into_iter().find(|item| fits(&item.id, &item.value)) {
            return item.id;
        }
    }
}

/// Waits until a record can be edited without the network.
async fn held(contacts: &Collection<Contact>, id: RecordId) {
    contacts.edit(id, |_| {}).await.unwrap();
}

fn is(name: &str) -> impl FnMut(&RecordId, &Contact) -> bool {
    move |_, contact| contact.name.as_deref() == Some(name)
}

#[tokio::test]
async fn what_is_edited_here_reaches_the_server_and_other_clients() {
    let server = Server::start().await;
    let id = server.add(&[("name", "Ann")]);
    let (ours, theirs) = (client(&server, MemoryStore::new()).await, client(&server, MemoryStore::new()).await);
    let contacts = ours.collection::<Contact>("contact");
    let mut mine = contacts.watch(Filter::default()).await.unwrap();
    let mut others = theirs.collection::<Contact>("contact").watch(Filter::default()).await.unwrap();
    until(&mut mine, is("Ann")).await;
    until(&mut others, is("Ann")).await;

    contacts
        .edit(id.record(), |contact| {
            contact.name = Some("Anna".into());
            contact.tags.insert("new".into());
        })
        .await
        .unwrap();
    // The edit is there at once, whatever the network does.
    assert_eq!(contacts.get(id.record()).await.unwrap().unwrap().value.name.as_deref(), Some("Anna"));
    let changed = loop {
        if let WatchEvent::Updated { changed, .. } = mine.next().await.unwrap().unwrap() {
            break changed;
        }
    };
    assert_eq!(changed, [("name".to_owned(), Source::Here), ("tags".to_owned(), Source::Here)].into());
    until(&mut others, is("Anna")).await;
    assert_eq!(ours.settled().await.unwrap().waiting, 0);
    assert_eq!(server.fields(id).unwrap(), json!({"name": "Anna", "tags": ["new"]}));

    server.edit(id, "stage", "customer");
    until(&mut mine, |_, contact| contact.stage.is_some()).await;
    contacts.delete(id.record()).await.unwrap();
    while !matches!(others.next().await.unwrap().unwrap(), WatchEvent::Removed(_)) {}
    assert_eq!(contacts.get(id.record()).await.unwrap(), None);
    contacts.restore(id.record()).await.unwrap();
    until(&mut others, is("Anna")).await;
}

#[tokio::test]
async fn an_offline_day_with_a_restart_in_its_middle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contacts.db");
    let server = Server::start().await;
    let id = server.add(&[("name", "Ann")]);
    let open = async || {
        let store = SqliteStore::open(&path).await.unwrap();
        Client::builder(&server.url).api_key("key").store(store).build().await.unwrap()
    };
    let client = open().await;
    let contacts = client.collection::<Contact>("contact");
    until(&mut contacts.watch(Filter::default()).await.unwrap(), is("Ann")).await;
    held(&contacts, id.record()).await;

    server.set(|mood| mood.is_down = true);
    client.state().wait_for(|state| matches!(state, ConnectionState::Offline { .. })).await.unwrap();
    contacts.edit(id.record(), |contact| contact.name = Some("Anna".into())).await.unwrap();
    let new = contacts.create(&named("Ben")).await.unwrap();
    assert_eq!(client.pending().waiting, 2);
    client.close().await;
    assert!(matches!(contacts.create(&named("Cid")).await, Err(ClientError::Closed)));
    drop(contacts);
    server.edit(id, "stage", "customer");

    let client = open().await;
    let contacts = client.collection::<Contact>("contact");
    assert_eq!(client.pending().waiting, 2);
    assert_eq!(contacts.list(&filter([("name", "Anna".into())])).await.unwrap().len(), 1);
    contacts.edit(new, |contact| contact.tags = ["late".to_owned()].into()).await.unwrap();

    server.set(|mood| mood.is_down = false);
    assert_eq!(client.settled().await.unwrap().waiting, 0);
    assert_eq!(server.fields(id).unwrap(), json!({"name": "Anna", "stage": "customer"}));
    assert_eq!(server.fields(DocumentId::from(new)).unwrap(), json!({"name": "Ben", "tags": ["late"]}));
    until(&mut contacts.watch(Filter::default()).await.unwrap(), |_, contact| contact.stage.is_some()).await;
}

#[tokio::test]
async fn refused_edits_are_kept_until_somebody_decides() {
    let server = Server::start().await;
    let id = server.add(&[("name", "Ann")]);
    let client = client(&server, MemoryStore::new()).await;
    let contacts = client.collection::<Contact>("contact");
    until(&mut contacts.watch(Filter::default()).await.unwrap(), is("Ann")).await;
    let mut events = client.events();
    server.set(|mood| mood.refuses = Some("not allowed".into()));
    contacts.edit(id.record(), |contact| contact.name = Some("Anna".into())).await.unwrap();
    let event = events.next().await.unwrap();
    let refused = ClientEvent::Refused { model: "contact".into(), record: id.record(), reason: "not allowed".into() };
    assert_eq!(event, refused);
    let item = contacts.get(id.record()).await.unwrap().unwrap();
    assert_eq!((item.value.name.as_deref(), item.refused.as_deref()), (Some("Anna"), Some("not allowed")));
    assert_eq!((client.pending().waiting, client.pending().refused), (0, 1));

    client.discard(id.record()).await.unwrap();
    assert_eq!(contacts.get(id.record()).await.unwrap().unwrap().value.name.as_deref(), Some("Ann"));
    contacts.edit(id.record(), |contact| contact.name = Some("Anne".into())).await.unwrap();
    assert_eq!(events.next().await.unwrap(), refused);
    server.set(|mood| mood.refuses = None);
    client.retry(id.record()).await.unwrap();
    client.settled().await.unwrap();
    assert_eq!(server.fields(id).unwrap(), json!({"name": "Anne"}));
}

#[tokio::test]
async fn a_record_that_was_only_listed_is_fetched_when_it_is_edited_and_not_offline() {
    let server = Server::start().await;
    let client = client(&server, MemoryStore::new()).await;
    let contacts = client.collection::<Contact>("contact");
    let mut watch = contacts.watch(Filter::default()).await.unwrap();
    online(&client).await;
    let id = server.add(&[("name", "Ann")]);
    until(&mut watch, is("Ann")).await;
    contacts.edit(id.record(), |contact| contact.name = Some("Anna".into())).await.unwrap();
    let unknown = RecordId("00000000-0000-0000-0000-000000000001".parse().unwrap());
    assert!(matches!(contacts.edit(unknown, |_| {}).await, Err(ClientError::Unknown { .. })));
    client.settled().await.unwrap();
    assert_eq!(server.fields(id).unwrap(), json!({"name": "Anna"}));
}

#[tokio::test]
async fn a_subset_holds_what_its_filter_says() {
    let server = Server::start().await;
    let (lead, customer) = (server.add(&[("stage", "lead")]), server.add(&[("stage", "customer")]));
    let customers = filter([("stage", "customer".into())]);
    let builder = Client::builder(&server.url).api_key("key").replicate("contact", customers);
    let client = builder.build().await.unwrap();
    let contacts = client.collection::<Contact>("contact");
    let mut watch = contacts.watch(Filter::default()).await.unwrap();
    until(&mut watch, |id, _| *id == customer.record()).await;
    assert_eq!(contacts.get(lead.record()).await.unwrap(), None);
    server.edit(lead, "stage", "customer");
    until(&mut watch, |id, _| *id == lead.record()).await;
    held(&contacts, customer.record()).await;
    server.edit(customer, "stage", "lost");
    loop {
        if let WatchEvent::Removed(id) = watch.next().await.unwrap().unwrap() {
            assert_eq!(id, customer.record());
            break;
        }
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_asked_for_again() {
    let server = Server::start().await;
    server.set(|mood| mood.token = Some("token-2".into()));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let provider = move || {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok::<_, std::io::Error>(format!("token-{number}")) }
    };
    let client = Client::builder(&server.url).token(provider).build().await.unwrap();
    let mut states = client.state();
    let refused = states.wait_for(|state| matches!(state, ConnectionState::Unauthorised { .. })).await.unwrap();
    assert_eq!(refused, ConnectionState::Unauthorised { reason: "who is it?".into() });
    online(&client).await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn clients_with_a_record_open_hear_each_other() {
    let server = Server::start().await;
    let id = server.add(&[("name", "Ann")]).record();
    let (ours, theirs) = (client(&server, MemoryStore::new()).await, client(&server, MemoryStore::new()).await);
    for client in [&ours, &theirs] {
        let contacts = client.collection::<Contact>("contact");
        until(&mut contacts.watch(Filter::default()).await.unwrap(), is("Ann")).await;
        held(&contacts, id).await;
    }
    let (mine, mut other) = (ours.presence(id).await.unwrap(), theirs.presence(id).await.unwrap());
    mine.send(&json!({"cursor": 7})).await.unwrap();
    let said = other.next::<serde_json::Value>().await;
    assert_eq!(said.message, json!({"cursor": 7}));
    server.set(|mood| mood.is_down = true);
    ours.state().wait_for(|state| matches!(state, ConnectionState::Offline { .. })).await.unwrap();
    assert!(matches!(mine.send(&1).await, Err(ClientError::Offline)));
}

/// Queries that begin while edits go on show, in the end, what everybody else sees.
#[tokio::test]
async fn a_query_that_begins_amid_edits_misses_none_of_them() {
    // Nobody answers there: everything works offline.
    let client = Client::builder("http://127.0.0.1:9").api_key("key").store(MemoryStore::new()).build().await.unwrap();
    let contacts = client.collection::<Contact>("contact");
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(contacts.create(&named("first")).await.unwrap());
    }
    let editing = async {
        for number in 0..200 {
            let id = ids[number % ids.len()];
            contacts.edit(id, move |contact| contact.name = Some(number.to_string())).await.unwrap();
            if number % 50 == 0 {
                contacts.delete(id).await.unwrap();
                contacts.restore(id).await.unwrap();
            }
        }
        contacts.edit(ids[0], |contact| contact.stage = Some("last".into())).await.unwrap();
    };
    let watching = futures_util::future::join_all((0..10).map(|_| last_seen(&contacts)));
    let ((), seen) = tokio::join!(editing, watching);
    let listed = contacts.list(&Filter::default()).await.unwrap();
    let listed: BTreeMap<RecordId, Contact> = listed.into_iter().map(|item| (item.id, item.value)).collect();
    assert!(seen.into_iter().all(|seen| seen == listed));
}

/// What a query shows when the last edit has arrived.
async fn last_seen(contacts: &Collection<Contact>) -> BTreeMap<RecordId, Contact> {
    let mut watch = contacts.watch(Filter::default()).await.unwrap();
    let mut seen = BTreeMap::new();
    while !seen.values().any(|contact: &Contact| contact.stage.is_some()) {
        match watch.next().await.unwrap().unwrap() {
            WatchEvent::Snapshot(items) => seen = items.into_iter().map(|item| (item.id, item.value)).collect(),
            WatchEvent::Inserted(item) => assert_eq!(seen.insert(item.id, item.value), None),
            WatchEvent::Updated { item, .. } => assert!(seen.insert(item.id, item.value).is_some()),
            WatchEvent::Removed(id) => assert!(seen.remove(&id).is_some()),
        }
    }
    seen
}

#[test]
fn the_blocking_client_does_the_same() {
    // Nobody answers there: everything works offline.
    let builder = Client::builder("http://127.0.0.1:9").api_key("key").store(MemoryStore::new());
    let client = blocking::Client::build(builder).unwrap();
    let contacts = client.collection::<Contact>("contact");
    let id = contacts.create(&named("Ann")).unwrap();
    contacts.edit(id, |contact| contact.name = Some("Anna".into())).unwrap();
    let mut watch = contacts.watch(Filter::default()).unwrap();
    let Some(Ok(WatchEvent::Snapshot(items))) = watch.next() else { panic!("a query begins with a snapshot") };
    assert_eq!(items[0].value.name.as_deref(), Some("Anna"));
    assert_eq!(client.pending().waiting, 2);
    let panicking = contacts.edit(id, |_| panic!("an application's mistake"));
    assert!(matches!(panicking, Err(ClientError::Panicked { .. })));
    client.wait(client.inner().discard(id)).unwrap();
    assert_eq!(contacts.list(&Filter::default()).unwrap(), []);
}
