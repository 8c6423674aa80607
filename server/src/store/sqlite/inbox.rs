//! The webhook inbox.

use async_trait::async_trait;
use sqlx::Row;
use syncline_connectors::connector::Hint;
use syncline_core::{ids::ConnectionId, time::Millis};

use super::{SqliteTenant, commit::finish_hints, postbox::Delivery, script::Script};
use crate::store::{
    StoreError,
    inbox::{HintId, Inbox, PendingHint},
};

#[async_trait]
impl Inbox for SqliteTenant {
    async fn put_hints(&self, connection: &ConnectionId, hints: &[Hint], at: Millis) -> Result<usize, StoreError> {
        let names = self.ensure_names([connection]).await?;
        let side = names.known(connection)?;
        let delivery = Delivery { side, connection: connection.clone(), hints: hints.to_vec(), at };
        self.shared.postbox.put(delivery).await
    }

    async fn pending_hints(&self, connection: &ConnectionId, limit: u32) -> Result<Vec<PendingHint>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT pk, object, external_id, account, dedupe, at FROM inbox WHERE connection = ? AND done = 0 ORDER BY pk LIMIT ?",
        )
        .bind(side)
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(PendingHint {
                    id: HintId(row.try_get(0)?),
                    hint: Hint {
                        object: row.try_get::<String, _>(1)?.into(),
                        id: row.try_get::<String, _>(2)?.into(),
                        account: row.try_get(3)?,
                        dedupe: row.try_get(4)?,
                    },
                    at: Millis(row.try_get(5)?),
                })
            })
            .collect()
    }

    async fn finish_hints(&self, ids: &[HintId]) -> Result<(), StoreError> {
        let Some(names) = self.names() else { return Ok(()) };
        let mut tx = self.writer().begin().await?;
        let mut script = Script::new(tx.connection());
        finish_hints(&mut script, &names, ids);
        script.run().await?;
        tx.commit().await
    }

    async fn trim_hints(&self, before: Millis) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let mut tx = self.writer().begin().await?;
        let dropped = sqlx::query(
            "DELETE FROM inbox WHERE connection IN (SELECT pk FROM connections WHERE tenant = ?) AND done = 1 AND at < ?",
        )
        .bind(names.pk)
        .bind(before.0)
        .execute(tx.connection())
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(dropped)
    }
}
