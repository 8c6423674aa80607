//! How the engine reaches the server: one WebSocket for documents, and for each subset a listing over HTTP and then the
//! live feed.
//!
//! * `credentials`: who the client is. `backoff`: how long to wait. `link`: the WebSocket. `feed`: one subset.

pub(crate) mod backoff;
mod credentials;
mod feed;
mod link;

pub(crate) use credentials::{Auth, Credentials};
pub(crate) use feed::{FeedEvent, follow};
pub(crate) use link::{Down, LinkEvent, Outbox, keep_linked};
