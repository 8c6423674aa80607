//! What is kept of a connection: its sealed credentials and its clock's offset.

use async_trait::async_trait;
use syncline_core::{ids::ConnectionId, time::Millis};

use super::StoreError;
use crate::secrets::Sealed;

/// Reads and writes what is kept of connections.
#[async_trait]
pub trait Connections {
    /// The connection's credentials, sealed; `None` where none were stored.
    async fn credentials(&self, connection: &ConnectionId) -> Result<Option<Sealed>, StoreError>;

    /// Stores the connection's credentials, durably, before anybody uses them.
    async fn put_credentials(&self, connection: &ConnectionId, sealed: &Sealed, at: Millis) -> Result<(), StoreError>;

    /// Why and since when the provider has refused the connection's credentials for good; `None` while it takes them.
    async fn revocation(&self, connection: &ConnectionId) -> Result<Option<Revocation>, StoreError>;

    /// Stores or, with `None`, forgets the revocation; says whether that is news. One that is stored already stays as it is.
    async fn put_revocation(
        &self,
        connection: &ConnectionId,
        revocation: Option<&Revocation>,
    ) -> Result<bool, StoreError>;

    /// How far the provider's clock is ahead of ours, in milliseconds, as last measured.
    async fn clock_offset_ms(&self, connection: &ConnectionId) -> Result<Option<i64>, StoreError>;

    /// Stores the measured offset.
    async fn put_clock_offset_ms(&self, connection: &ConnectionId, offset_ms: i64) -> Result<(), StoreError>;
}

/// The provider refuses a connection's credentials until a person authorises it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Millis,
    /// Why, in the provider's words.
    pub why: String,
    /// A hash of the credentials that were configured then: others are tried.
    pub configured: String,
}
