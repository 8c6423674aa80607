//! A product's backend that embeds the client: it serves contacts from its own store, also while the Syncline server is
//! away, and passes changes on to browsers as they come.
//!
//! ```text
//! cargo run -p syncline-client --example backend -- http://127.0.0.1:8080 KEY backend.db 127.0.0.1:3000
//! curl http://127.0.0.1:3000/contacts
//! curl -X POST http://127.0.0.1:3000/contacts -H 'content-type: application/json' -d '{"first_name": "Ann"}'
//! curl -X PATCH http://127.0.0.1:3000/contacts/ID -H 'content-type: application/json' -d '{"first_name": "Anna"}'
//! curl -N http://127.0.0.1:3000/changes
//! ```

use std::{convert::Infallible, error::Error};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::{get, patch},
};
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline_client::{Client, ClientError, Collection, Filter, Item, RecordId, SqliteStore, WatchEvent};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Contact {
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let key = arguments.next().ok_or("say the server's address and an API key")?;
    let store = SqliteStore::open(arguments.next().unwrap_or_else(|| "backend.db".to_owned())).await?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let client = Client::builder(&url).api_key(key).store(store).name("backend").build().await?;
    let routes = Router::new()
        .route("/contacts", get(list).post(create))
        .route("/contacts/{id}", patch(edit).delete(delete))
        .route("/changes", get(changes))
        .with_state(client.collection::<Contact>("contact"));
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}

type Contacts = State<Collection<Contact>>;

/// An error as an answer.
struct Failure(ClientError);

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            ClientError::Unknown { .. } | ClientError::Unavailable { .. } => StatusCode::NOT_FOUND,
            ClientError::NotHeld { .. } | ClientError::Offline => StatusCode::SERVICE_UNAVAILABLE,
            ClientError::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.to_string()).into_response()
    }
}

fn shown(item: Item<Contact>) -> serde_json::Value {
    json!({"id": item.id, "contact": item.value, "pending": item.pending})
}

async fn list(State(contacts): Contacts) -> Result<Json<Vec<serde_json::Value>>, Failure> {
    let items = contacts.list(&Filter::default()).await?;
    Ok(Json(items.into_iter().map(shown).collect()))
}

async fn create(State(contacts): Contacts, Json(contact): Json<Contact>) -> Result<Json<RecordId>, Failure> {
    Ok(Json(contacts.create(&contact).await?))
}

/// Sets the fields that are named, and leaves the others alone.
async fn edit(
    State(contacts): Contacts,
    Path(id): Path<RecordId>,
    Json(new): Json<Contact>,
) -> Result<StatusCode, Failure> {
    let edit = move |contact: &mut Contact| {
        contact.first_name = new.first_name.or(contact.first_name.take());
        contact.last_name = new.last_name.or(contact.last_name.take());
        contact.email = new.email.or(contact.email.take());
    };
    contacts.edit(id, edit).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(State(contacts): Contacts, Path(id): Path<RecordId>) -> Result<StatusCode, Failure> {
    contacts.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The live query as server-sent events. Each browser has a query of its own, bounded by itself.
async fn changes(State(contacts): Contacts) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let live = contacts.watch(Filter::default()).await?;
    Ok(Sse::new(live.map(|event| Ok(sent(event)))))
}

fn sent(event: Result<WatchEvent<Contact>, ClientError>) -> Event {
    let (name, data) = match event {
        Ok(WatchEvent::Snapshot(items)) => ("snapshot", items.into_iter().map(shown).collect()),
        Ok(WatchEvent::Inserted(item)) => ("inserted", shown(item)),
        Ok(WatchEvent::Updated { item, .. }) => ("updated", shown(item)),
        Ok(WatchEvent::Removed(id)) => ("removed", json!({"id": id})),
        Err(error) => ("error", json!(error.to_string())),
    };
    Event::default().event(name).data(data.to_string())
}
