//! What is kept for a while only.

use async_trait::async_trait;
use syncline_core::{repo::DocumentId, time::Millis};

use super::{
    SqliteTenant,
    codec::{encode, hexadecimal, unsigned},
    documents::decode_document_id,
};
use crate::store::{
    StoreError,
    retention::{Old, Retention},
};

const fn statement(what: Old) -> &'static str {
    match what {
        Old::History => {
            "DELETE FROM journal WHERE (record, revision, n) IN (SELECT j.record, j.revision, j.n FROM records r \
             CROSS JOIN journal j ON j.record = r.pk AND j.revision < r.epoch_revision \
             WHERE r.tenant = ? AND r.epoch > 0 AND j.entry ->> '$.at' < ? LIMIT ?)"
        }
        Old::Conflicts => {
            "DELETE FROM conflicts WHERE pk IN (SELECT pk FROM conflicts WHERE tenant = ? AND closed_at < ? \
             AND closed_at IS NOT NULL LIMIT ?)"
        }
        Old::Quarantine => {
            "DELETE FROM quarantine WHERE pk IN (SELECT pk FROM quarantine WHERE tenant = ? AND last_at < ? LIMIT ?)"
        }
        Old::Erasures => {
            "DELETE FROM erasures WHERE pk IN \
             (SELECT pk FROM erasures WHERE tenant = ? AND at < ? AND record IS NULL LIMIT ?)"
        }
    }
}

#[async_trait]
impl Retention for SqliteTenant {
    async fn drop_old(&self, what: Old, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let mut tx = self.writer().begin().await?;
        let dropped =
            sqlx::query(statement(what)).bind(names.pk).bind(before.0).bind(limit).execute(tx.connection()).await?;
        tx.commit().await?;
        Ok(dropped.rows_affected())
    }

    async fn old_moved_documents(&self, before: Millis, limit: u32) -> Result<Vec<DocumentId>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT id FROM documents WHERE tenant = ? AND kind = 'moved' AND moved_at < ? AND bytes > 0 LIMIT ?",
        )
        .bind(names.pk)
        .bind(before.0)
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        ids.iter().map(|id| decode_document_id(id)).collect()
    }

    async fn empty_documents(&self, documents: &[DocumentId]) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let ids: Vec<String> = documents.iter().map(|id| hexadecimal(id.as_bytes())).collect();
        let ids = encode(&ids)?;
        let mut tx = self.writer().begin().await?;
        for statement in [
            "DELETE FROM document_chunks WHERE tenant = ? AND id IN (SELECT unhex(value) FROM json_each(?))",
            "UPDATE documents SET bytes = 0, ops = 0 WHERE tenant = ? AND id IN (SELECT unhex(value) FROM json_each(?))",
        ] {
            sqlx::query(statement).bind(names.pk).bind(&ids).execute(tx.connection()).await?;
        }
        tx.commit().await?;
        Ok(documents.len() as u64)
    }

    async fn feed_before(&self, before: Millis) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let place: i64 = sqlx::query_scalar(
            "SELECT coalesce((SELECT f.seq - 1 FROM feed f WHERE f.tenant = t.pk AND f.seq > t.feed_floor AND f.at >= ? \
             ORDER BY f.seq LIMIT 1), t.feed_head) FROM tenants t WHERE t.pk = ?",
        )
        .bind(before.0)
        .bind(names.pk)
        .fetch_one(self.readers())
        .await?;
        Ok(unsigned(place))
    }
}
