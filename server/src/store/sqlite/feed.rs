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
    identity::decode_optional_id,
    names::TenantNames,
    values::decode_fields,
};
use crate::store::{
    StoreError,
    feed::{CHANGES_MAX, Changes, Feed, FeedSpan},
};

/// The most changes that one step of a trim drops: commits wait no longer than that takes.
const TRIM_STEP: u64 = 2_000;

/// The statement that subscribers ask again and again, for the test that looks at its plan.
#[cfg(test)]
pub(super) const HOT: [&str; 1] = [CHANGES];

/// Changes, floor and head in one statement, and so of one moment.
const CHANGES: &str = "\
    SELECT t.feed_floor, t.feed_head, f.seq, f.record, f.model, f.action, f.version, f.at, f.fields, f.changed, f.merged_into \
    FROM tenants t LEFT JOIN (SELECT * FROM feed WHERE tenant = ?1 AND seq > ?2 \
        AND (?3 = '[]' OR model IN (SELECT value FROM json_each(?3))) ORDER BY seq LIMIT ?4) f ON true \
    WHERE t.pk = ?1 ORDER BY f.seq";

#[async_trait]
impl Feed for SqliteTenant {
    async fn changes(&self, after: Cursor, models: &[ModelName], limit: u32) -> Result<Changes, StoreError> {
        let Some(names) = self.names() else { return Ok(Changes::Page { changes: Vec::new(), next: after }) };
        let limit = limit.clamp(1, CHANGES_MAX) as usize;
        let rows = sqlx::query(CHANGES)
            .bind(names.pk)
            .bind(signed(after.0)?)
            .bind(encode(models)?)
            .bind(limit as i64)
            .fetch_all(self.readers())
            .await?;
        let Some(first) = rows.first() else { return Err(missing(self)) };
        let span = decode_span(first)?;
        if after < span.floor {
            return Ok(Changes::TooOld { head: span.head });
        }
        let changes = rows.iter().filter_map(decode_change).collect::<Result<Vec<_>, _>>()?;
        let next = match changes.last() {
            Some(last) if changes.len() == limit => last.cursor,
            _ => span.head.max(after),
        };
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
        .fetch_optional(store.readers())
        .await?;
    decode_span(&row.ok_or_else(|| missing(store))?)
}

fn missing(store: &SqliteTenant) -> StoreError {
    StoreError::Corrupt(format!("the row of tenant `{}` is gone", store.tenant))
}

fn decode_span(row: &SqliteRow) -> Result<FeedSpan, StoreError> {
    Ok(FeedSpan { floor: Cursor(unsigned(row.try_get(0)?)), head: Cursor(unsigned(row.try_get(1)?)) })
}

/// The change in a row; `None` in the row that stands for an empty page.
fn decode_change(row: &SqliteRow) -> Option<Result<Change, StoreError>> {
    match row.try_get::<Option<i64>, _>(2) {
        Ok(None) => None,
        Ok(Some(seq)) => Some(decode_present(Cursor(unsigned(seq)), row)),
        Err(error) => Some(Err(error.into())),
    }
}

fn decode_present(cursor: Cursor, row: &SqliteRow) -> Result<Change, StoreError> {
    let fields = decode_fields(row.try_get(8)?)?;
    Ok(Change {
        cursor,
        event: FeedEvent {
            record: decode_id(row.try_get(3)?)?,
            model: ModelName::new(row.try_get::<&str, _>(4)?),
            action: parse_action(row.try_get(5)?)?,
            version: unsigned(row.try_get(6)?),
            changed: decode_changed(row.try_get(9)?, &fields)?,
            fields: plain_fields(&fields),
            merged_into: decode_optional_id(row.try_get(10)?)?,
            at: Millis(row.try_get(7)?),
        },
    })
}
