//! Sealed credentials and clock offsets.

use async_trait::async_trait;
use sqlx::Row;
use syncline_core::{ids::ConnectionId, time::Millis};

use super::SqliteTenant;
use crate::{
    secrets::Sealed,
    store::{
        StoreError,
        connections::{Connections, Revocation},
    },
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

    async fn revocation(&self, connection: &ConnectionId) -> Result<Option<Revocation>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(None) };
        let row = sqlx::query(
            "SELECT revoked_at, coalesce(revoked_why, ''), coalesce(revoked_of, '') FROM connections \
             WHERE pk = ? AND revoked_at IS NOT NULL",
        )
        .bind(side)
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| Ok(Revocation { at: Millis(row.try_get(0)?), why: row.try_get(1)?, configured: row.try_get(2)? }))
            .transpose()
    }

    async fn put_revocation(
        &self,
        connection: &ConnectionId,
        revocation: Option<&Revocation>,
    ) -> Result<bool, StoreError> {
        let side = self.ensure_names([connection]).await?.known(connection)?;
        let mut tx = self.writer().begin().await?;
        let done = sqlx::query(
            "UPDATE connections SET revoked_at = ?, revoked_why = ?, revoked_of = ? WHERE pk = ? AND (revoked_at IS NULL) = ?",
        )
        .bind(revocation.map(|revocation| revocation.at.0))
        .bind(revocation.map(|revocation| revocation.why.as_str()))
        .bind(revocation.map(|revocation| revocation.configured.as_str()))
        .bind(side)
        .bind(revocation.is_some())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
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
