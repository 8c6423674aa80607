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

    /// How far the provider's clock is ahead of ours, in milliseconds, as last measured.
    async fn clock_offset_ms(&self, connection: &ConnectionId) -> Result<Option<i64>, StoreError>;

    /// Stores the measured offset.
    async fn put_clock_offset_ms(&self, connection: &ConnectionId, offset_ms: i64) -> Result<(), StoreError>;
}
