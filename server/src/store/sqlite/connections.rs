//! Sealed credentials and clock offsets.

use async_trait::async_trait;
use syncline_core::{ids::ConnectionId, time::Millis};

use super::SqliteTenant;
use crate::{
    secrets::Sealed,
    store::{StoreError, connections::Connections},
};

#[async_trait]
impl Connections for SqliteTenant {
    async fn credentials(&self, connection: &ConnectionId) -> Result<Option<Sealed>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(None) };
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT credentials FROM connections WHERE pk = ?")
            .bind(side)
            .fetch_one(self.readers())
            .await?;
        Ok(sealed.map(Sealed::from_bytes))
    }

    async fn put_credentials(&self, connection: &ConnectionId, sealed: &Sealed, at: Millis) -> Result<(), StoreError> {
        let side = self.ensure_names([connection]).await?.known(connection)?;
        let mut tx = self.writer().begin().await?;
        sqlx::query("UPDATE connections SET credentials = ?, credentials_at = ? WHERE pk = ?")
            .bind(sealed.as_bytes())
            .bind(at.0)
            .bind(side)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    async fn clock_offset_ms(&self, connection: &ConnectionId) -> Result<Option<i64>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(None) };
        Ok(sqlx::query_scalar("SELECT clock_offset_ms FROM connections WHERE pk = ?")
            .bind(side)
            .fetch_one(self.readers())
            .await?)
    }

    async fn put_clock_offset_ms(&self, connection: &ConnectionId, offset_ms: i64) -> Result<(), StoreError> {
        let side = self.ensure_names([connection]).await?.known(connection)?;
        let mut tx = self.writer().begin().await?;
        sqlx::query("UPDATE connections SET clock_offset_ms = ? WHERE pk = ?")
            .bind(offset_ms)
            .bind(side)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}
