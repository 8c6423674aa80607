//! An asynchronous client of the Syncline API.
//!
//! ```no_run
//! # async fn example() -> Result<(), syncline_client::Error> {
//! use syncline_client::{Api, At, Event, RecordQuery, Subscribe};
//!
//! let api = Api::new("http://127.0.0.1:8080", "a-key-from-the-configuration")?;
//! let page = api.list_records("contact", &RecordQuery::default(), &At::default()).await?;
//! println!("{} contacts", page.items.len());
//!
//! let mut live = api.live(Subscribe { snapshot: true, ..Subscribe::default() }).await?;
//! loop {
//!     if let Event::Change(change) = live.next().await? {
//!         println!("{} of {}", change.cursor.0, change.event.record);
//!     }
//! }
//! # }
//! ```
//!
//! # Layout
//!
//! * `api`: one server's API and how a call is made. `error`: how calls fail. `page`: lists.
//! * `records`, `history`, `changes`, `conflicts`, `connections`, `syncs`, `deliveries`, `quarantine`:
//!   one resource each, with the calls it takes.
//! * `live`: the live feed, through lost connections.

mod api;
mod changes;
mod conflicts;
mod connections;
mod deliveries;
mod error;
mod history;
mod live;
mod page;
mod quarantine;
mod records;
mod syncs;

pub use syncline_core::{
    ids::RecordId,
    journal::Origin,
    live::{Action, Change, ChangedField, Cursor, Filter, JsonFields, SnapshotRow, Subscribe},
};

pub use self::{
    api::Api,
    changes::{Changes, ChangesQuery},
    conflicts::{Candidate, Choice, Conflict, ConflictQuery, ConflictState, Resolution},
    connections::{Connection, Health},
    deliveries::{Delivery, DeliveryCounts, DeliveryQuery, DeliveryState, Standing},
    error::{Error, FieldProblem, Problem},
    history::{HistoryEntry, Written},
    live::{Event, Live},
    page::{At, Page},
    quarantine::QuarantinedRow,
    records::{External, Record, RecordMeta, RecordQuery},
    syncs::{Checkpoint, Phase, Progress, Side, Steering, Sync},
};
