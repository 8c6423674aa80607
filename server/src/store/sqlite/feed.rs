//! The change feed.

use async_trait::async_trait;
use sqlx::{Row, sqlite::SqliteRow};
use syncline_core::{
    ids::ModelName,
    live::{Change, Cursor, FeedEvent},
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode_changed, decode_id, encode, parse_action, plain_fields, signed, unsigned},
    names::TenantNames,
    values::decode_fields,
};
use crate::store::{
    StoreError,
    feed::{CHANGES_MAX, Changes, Feed, FeedSpan},
};

/// The most changes that one step of a trim drops: commits wait no longer than that takes.
const TRIM_STEP: u64 = 2_000;

#[async_trait]
impl Feed for SqliteTenant {
    async fn changes(&self, after: Cursor, models: &[ModelName], limit: u32) -> Result<Changes, StoreError> {
        let nothing = Changes::Page { changes: Vec::new(), next: after };
        let Some(names) = self.names() else { return Ok(nothing) };
        let limit = limit.clamp(1, CHANGES_MAX) as usize;
        let rows = sqlx::query(
            "SELECT f.seq, f.record, f.model, f.action, f.version, f.at, f.fields, f.changed FROM feed f \
             WHERE f.tenant = ?1 AND f.seq > ?2 AND (?3 = '[]' OR f.model IN (SELECT value FROM json_each(?3))) \
             ORDER BY f.seq LIMIT ?4",
        )
        .bind(names.pk)
        .bind(signed(after.0)?)
        .bind(encode(models)?)
        .bind(limit as i64)
        .fetch_all(self.readers())
        .await?;
        // Read after the rows: a trim that went on in between has raised the floor by now.
        let span = span(self, &names).await?;
        if after < span.floor {
            return Ok(Changes::TooOld { head: span.head });
        }
        let changes = rows.iter().map(decode_change).collect::<Result<Vec<_>, _>>()?;
        let next = changes.last().map_or(after, |change| change.cursor);
        Ok(Changes::Page { changes, next })
    }

    async fn feed_span(&self) -> Result<FeedSpan, StoreError> {
        match self.names() {
            Some(names) => span(self, &names).await,
            None => Ok(FeedSpan::default()),
        }
    }

    async fn trim_feed(&self, keep: u64) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let before = span(self, &names).await?;
        let target = before.head.0.saturating_sub(keep);
        let mut floor = before.floor.0;
        while floor < target {
            floor = target.min(floor + TRIM_STEP);
            let mut tx = self.writer().begin().await?;
            sqlx::query("DELETE FROM feed WHERE tenant = ? AND seq <= ?")
                .bind(names.pk)
                .bind(signed(floor)?)
                .execute(tx.connection())
                .await?;
            sqlx::query("UPDATE tenants SET feed_floor = ? WHERE pk = ?")
                .bind(signed(floor)?)
                .bind(names.pk)
                .execute(tx.connection())
                .await?;
            tx.commit().await?;
        }
        Ok(floor - before.floor.0)
    }
}

async fn span(store: &SqliteTenant, names: &TenantNames) -> Result<FeedSpan, StoreError> {
    let row = sqlx::query("SELECT feed_floor, feed_head FROM tenants WHERE pk = ?")
        .bind(names.pk)
        .fetch_one(store.readers())
        .await?;
    Ok(FeedSpan { floor: Cursor(unsigned(row.try_get(0)?)), head: Cursor(unsigned(row.try_get(1)?)) })
}

fn decode_change(row: &SqliteRow) -> Result<Change, StoreError> {
    let fields = decode_fields(row.try_get(6)?)?;
    Ok(Change {
        cursor: Cursor(unsigned(row.try_get(0)?)),
        event: FeedEvent {
            record: decode_id(row.try_get(1)?)?,
            model: ModelName::new(row.try_get::<&str, _>(2)?),
            action: parse_action(row.try_get(3)?)?,
            version: unsigned(row.try_get(4)?),
            changed: decode_changed(row.try_get(7)?, &fields)?,
            fields: plain_fields(&fields),
            at: Millis(row.try_get(5)?),
        },
    })
}
