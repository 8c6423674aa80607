//! Local-first records for product backends and desktop apps: read and edit them with no network, and find everything
//! merged when it is back.
//!
//! ```no_run
//! # async fn example() -> Result<(), syncline_client::ClientError> {
//! use serde::{Deserialize, Serialize};
//! use syncline_client::{Client, Filter, SqliteStore};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Contact {
//!     first_name: Option<String>,
//!     email: Option<String>,
//! }
//!
//! let store = SqliteStore::open("contacts.db").await?;
//! let client = Client::builder("http://127.0.0.1:8080").api_key("a-key").store(store).build().await?;
//! let contacts = client.collection::<Contact>("contact");
//! let mut live = contacts.watch(Filter::default()).await?;
//! while let Some(event) = live.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Beneath it lies a typed client of the HTTP API, [`Api`], with the live feed, [`Live`], for what needs the network
//! anyway.
//!
//! # Layout
//!
//! * `client`: what applications use: [`Client`], [`Collection`], [`Watch`]. [`blocking`]: the same without async.
//! * `engine`: the heart, without IO: what happened goes in, what is to be done comes out. `document`: a record's
//!   Automerge document. `fields`: between an application's types and a document's fields.
//! * [`store`]: what is kept on this machine. `transport`: how the engine reaches the server.
//! * `api`: one server's HTTP API and how a call is made. `error`: how calls fail. `page`: lists.
//! * `records`, `history`, `identity`, `changes`, `conflicts`, `connections`, `syncs`, `deliveries`, `quarantine`, `erasures`, `issues`:
//!   one resource each, with the calls it takes.
//! * `live`: the live feed, through lost connections.

mod api;
pub mod blocking;
mod changes;
mod client;
mod conflicts;
mod connections;
mod deliveries;
mod document;
mod engine;
mod erasures;
mod error;
mod fields;
mod history;
mod identity;
mod issues;
mod live;
mod page;
mod quarantine;
mod records;
pub mod store;
mod syncs;
mod transport;

pub use syncline_core::{
    ids::RecordId,
    journal::Origin,
    live::{Action, Change, ChangedField, Cursor, Filter, JsonFields, SnapshotRow, Subscribe},
};

pub use self::{
    api::Api,
    changes::{Changes, ChangesQuery},
    client::{
        Client, ClientBuilder, ClientError, ClientEvent, Collection, ConnectionState, Events, Item, Pending, Presence,
        Said, States, Watch, WatchEvent, filter,
    },
    conflicts::{Candidate, Choice, Conflict, ConflictQuery, ConflictState, Resolution},
    connections::{Connection, Health, WebhookSecret, Webhooks},
    deliveries::{Delivery, DeliveryCounts, DeliveryQuery, DeliveryState, Standing},
    engine::Source,
    erasures::{Erasure, ErasureProof},
    error::{Error, FieldProblem, Problem},
    fields::{Counter, Text, Timestamp, Unfit},
    history::{HistoryEntry, Written},
    identity::{IdentityChanged, IdentityObject, IdentityOperation, IdentityUndone, RecordLink},
    issues::{Issue, IssueNotReplayed, IssueQuery, IssuesReplayed},
    live::{Event, Live},
    page::{At, Page},
    quarantine::{QuarantinedRecord, QuarantinedRow, RebuiltRecord},
    records::{External, Record, RecordMeta, RecordQuery},
    store::{MemoryStore, SqliteStore, Store, StoreError},
    syncs::{Checkpoint, HeldDelete, HeldDeletes, Phase, Progress, Side, Steering, Sync},
};
