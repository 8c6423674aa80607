//! Damaged documents of records.

use async_trait::async_trait;
use sqlx::{Row, sqlite::SqliteRow};
use syncline_core::{
    ids::{ModelName, RecordId},
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode_id, id_bytes, unsigned},
};
use crate::store::{
    StoreError,
    mending::{DAMAGED_PAGE_MAX, DamagedRecord, Mending},
};

#[async_trait]
impl Mending for SqliteTenant {
    async fn log_of(&self, record: RecordId) -> Result<Vec<u8>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let chunks: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT c.chunk FROM records r CROSS JOIN changes c ON c.record = r.pk \
             WHERE r.id = ? AND r.tenant = ? ORDER BY c.revision",
        )
        .bind(id_bytes(record))
        .bind(names.pk)
        .fetch_all(self.readers())
        .await?;
        Ok(chunks.concat())
    }

    async fn note_damage(&self, record: RecordId, what: &str, at: Millis) -> Result<(), StoreError> {
        let Some(names) = self.names() else { return Ok(()) };
        let mut tx = self.writer().begin().await?;
        sqlx::query(
            "INSERT INTO damages (record, tenant, found_at, what) \
             SELECT pk, tenant, ?, ? FROM records WHERE id = ? AND tenant = ? \
             ON CONFLICT (record) DO UPDATE SET what = excluded.what",
        )
        .bind(at.0)
        .bind(what)
        .bind(id_bytes(record))
        .bind(names.pk)
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    async fn count_damaged(&self) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let count = sqlx::query_scalar("SELECT count(*) FROM damages WHERE tenant = ?");
        Ok(unsigned(count.bind(names.pk).fetch_one(self.readers()).await?))
    }

    async fn damaged_record(&self, record: RecordId) -> Result<Option<DamagedRecord>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let row = sqlx::query(
            "SELECT r.id, r.model, d.found_at, d.what FROM records r CROSS JOIN damages d ON d.record = r.pk \
             WHERE r.id = ? AND r.tenant = ?",
        )
        .bind(id_bytes(record))
        .bind(names.pk)
        .fetch_optional(self.readers())
        .await?;
        row.as_ref().map(decode_damaged).transpose()
    }

    async fn damaged_records(&self, after: Option<RecordId>, limit: u32) -> Result<Vec<DamagedRecord>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT r.id, r.model, d.found_at, d.what FROM damages d CROSS JOIN records r ON r.pk = d.record \
             WHERE d.tenant = ? AND r.id > ? ORDER BY r.id LIMIT ?",
        )
        .bind(names.pk)
        .bind(after.map(id_bytes).unwrap_or_default())
        .bind(limit.clamp(1, DAMAGED_PAGE_MAX))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(decode_damaged).collect()
    }
}

fn decode_damaged(row: &SqliteRow) -> Result<DamagedRecord, StoreError> {
    Ok(DamagedRecord {
        record: decode_id(row.try_get(0)?)?,
        model: ModelName::new(row.try_get::<&str, _>(1)?),
        found_at: Millis(row.try_get(2)?),
        what: row.try_get(3)?,
    })
}
