//! API keys.

use async_trait::async_trait;
use sqlx::{Row, sqlite::SqliteRow};
use syncline_core::{ids::TenantId, time::Millis};

use super::SqliteStore;
use crate::store::{
    StoreError,
    keys::{ApiKey, KeyHash, Keys},
};

/// A use is noted at most so often: every request would otherwise cost a durable write.
const USE_NOTED_EVERY_MS: i64 = 60_000;

#[async_trait]
impl Keys for SqliteStore {
    async fn api_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        let row = sqlx::query("SELECT name, tenant, created_at, last_used_at FROM api_keys WHERE hash = ?")
            .bind(hash.0.to_vec())
            .fetch_optional(&self.shared.readers)
            .await?;
        row.as_ref().map(decode_key).transpose()
    }

    async fn put_api_key(&self, hash: &KeyHash, key: &ApiKey) -> Result<(), StoreError> {
        let mut tx = self.shared.writer.begin().await?;
        sqlx::query("DELETE FROM api_keys WHERE name = ? AND hash <> ?")
            .bind(&key.name)
            .bind(hash.0.to_vec())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "INSERT INTO api_keys (hash, name, tenant, created_at, last_used_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (hash) DO UPDATE SET name = excluded.name, tenant = excluded.tenant",
        )
        .bind(hash.0.to_vec())
        .bind(&key.name)
        .bind(key.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()))
        .bind(key.created_at.0)
        .bind(key.last_used_at.map(|at| at.0))
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sqlx::query("SELECT name, tenant, created_at, last_used_at FROM api_keys ORDER BY name")
            .fetch_all(&self.shared.readers)
            .await?;
        rows.iter().map(decode_key).collect()
    }

    async fn revoke_api_key(&self, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.shared.writer.begin().await?;
        let revoked = sqlx::query("DELETE FROM api_keys WHERE name = ?")
            .bind(name)
            .execute(tx.connection())
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(revoked > 0)
    }

    async fn api_key_used(&self, hash: &KeyHash, at: Millis) -> Result<(), StoreError> {
        let noted: Option<Option<i64>> = sqlx::query_scalar("SELECT last_used_at FROM api_keys WHERE hash = ?")
            .bind(hash.0.to_vec())
            .fetch_optional(&self.shared.readers)
            .await?;
        let due = match noted {
            None => false,
            Some(last) => last.is_none_or(|last| at.0.saturating_sub(last) >= USE_NOTED_EVERY_MS),
        };
        if !due {
            return Ok(());
        }
        let mut tx = self.shared.writer.begin().await?;
        sqlx::query("UPDATE api_keys SET last_used_at = ? WHERE hash = ?")
            .bind(at.0)
            .bind(hash.0.to_vec())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

fn decode_key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        name: row.try_get(0)?,
        tenant: row.try_get::<Option<String>, _>(1)?.map(TenantId::from),
        created_at: Millis(row.try_get(2)?),
        last_used_at: row.try_get::<Option<i64>, _>(3)?.map(Millis),
    })
}
