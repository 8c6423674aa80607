//! How the client stands with the server, and what happens to it.

use std::time::Duration;

use syncline_core::ids::{ModelName, RecordId};
use tokio::sync::{broadcast, watch};

/// The most events that wait for one listener; one that falls further behind is told how many it missed.
pub(super) const EVENTS_MAX: usize = 256;

/// How the client stands with the server. Edits are taken in every state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// There is no connection; it is tried again.
    Offline {
        /// Why.
        reason: String,
        /// How long the client rests before it tries again.
        retry_in: Duration,
    },
    /// A connection is being made.
    Connecting,
    /// Changes travel both ways.
    Online,
    /// The server does not let the client in; it is tried again, with a new token where there is a provider.
    Unauthorised {
        /// Why, in the server's words.
        reason: String,
    },
    /// The client has ended.
    Closed {
        /// Why.
        reason: String,
    },
}

/// The connection's states as they follow each other. One that is passed before it is read is not seen.
#[derive(Clone, Debug)]
pub struct States(pub(super) watch::Receiver<ConnectionState>);

impl States {
    /// The present state.
    pub fn current(&self) -> ConnectionState {
        self.0.borrow().clone()
    }

    /// Waits for another state; `None` after the client has ended.
    pub async fn next(&mut self) -> Option<ConnectionState> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }

    /// Waits until a state is reached that fits; `None` where the client ends before.
    pub async fn wait_for(&mut self, fits: impl FnMut(&ConnectionState) -> bool) -> Option<ConnectionState> {
        self.0.wait_for(fits).await.ok().map(|state| state.clone())
    }
}

/// Edits that are not settled with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Local changes that the server has not acknowledged yet.
    pub waiting: u64,
    /// Local changes that the server refused; see [`Client::retry`](crate::Client::retry) and
    /// [`Client::discard`](crate::Client::discard).
    pub refused: u64,
    /// Documents that are yet to be fetched or compared.
    pub stale: u64,
}

/// What happens to a client, beside the changes of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server refused local changes of a record. They are kept, and shown, and not sent again until somebody decides.
    Refused {
        /// The record's model.
        model: ModelName,
        /// The record.
        record: RecordId,
        /// Why, in the server's words.
        reason: String,
    },
    /// The server keeps a record that was made here, but nobody else sees it yet: something about it has to be mended.
    Draft {
        /// The record's model.
        model: ModelName,
        /// The record.
        record: RecordId,
        /// What has to be mended, in the server's words.
        reason: String,
    },
    /// The server does not give out a record's document, or does not take it.
    Unavailable {
        /// The record's model.
        model: ModelName,
        /// The record.
        record: RecordId,
    },
    /// A record that was made here turned out to be one that existed: it lives on under the other id, with its edits.
    Merged {
        /// The record's model.
        model: ModelName,
        /// The id that is gone.
        from: RecordId,
        /// The id under which it lives on.
        into: RecordId,
    },
    /// A record was not shown, because it does not fit the type it is read as.
    Misfit {
        /// The record.
        record: RecordId,
        /// What did not fit.
        reason: String,
    },
    /// A record's document cannot be read, or its documents point at each other.
    Damaged {
        /// The record.
        record: RecordId,
        /// What is wrong.
        reason: String,
    },
    /// The local store failed; nothing of what was being written was kept, and whoever waited for it was told.
    StoreFailed {
        /// What went wrong.
        reason: String,
    },
    /// This listener was too slow for so many events.
    Missed(u64),
}

/// A client's events, from the moment of the call that made this.
#[derive(Debug)]
pub struct Events(pub(super) broadcast::Receiver<ClientEvent>);

impl Events {
    /// The next event; `None` after the client has ended.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(ClientEvent::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
