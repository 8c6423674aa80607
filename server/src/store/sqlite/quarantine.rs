//! Quarantined rows.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use syncline_core::{
    ids::{ConnectionId, ExternalId, ObjectName},
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode, encode, unsigned},
    names::TenantNames,
};
use crate::store::{
    StoreError,
    quarantine::{Quarantine, QuarantineCause, QuarantineId, QuarantineRow, Quarantined},
};

/// The statements of the list of issues, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&str; 2] = [FOR_CAUSE, COUNT_CAUSES];

const FOR_CAUSE: &str = "SELECT pk, connection, object, external_id, sync, reason, raw, attempts, first_at, last_at, cause \
     FROM quarantine WHERE connection = ? AND cause = ? AND pk > ? ORDER BY pk LIMIT ?";

const COUNT_CAUSES: &str = "SELECT cause, count(*) FROM quarantine WHERE connection = ? GROUP BY cause";

const COLUMNS: &str = "SELECT pk, connection, object, external_id, sync, reason, raw, attempts, first_at, last_at, cause \
     FROM quarantine WHERE tenant = ";

/// The most rows in one answer.
const PAGE_MAX: u32 = 1_000;

#[async_trait]
impl Quarantine for SqliteTenant {
    async fn list_quarantine(
        &self,
        connection: Option<&ConnectionId>,
        after: Option<QuarantineId>,
        limit: u32,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
        sql.push_bind(names.pk);
        if let Some(connection) = connection {
            let Some(side) = names.number(connection) else { return Ok(Vec::new()) };
            sql.push(" AND connection = ").push_bind(side);
        }
        if let Some(after) = after {
            sql.push(" AND pk > ").push_bind(after.0);
        }
        sql.push(" ORDER BY pk LIMIT ").push_bind(limit.clamp(1, PAGE_MAX));
        let rows = sql.build().fetch_all(self.readers()).await?;
        rows.iter().map(|row| decode_row(&names, row)).collect()
    }

    async fn get_quarantined(&self, id: QuarantineId) -> Result<Option<QuarantineRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
        sql.push_bind(names.pk).push(" AND pk = ").push_bind(id.0);
        let row = sql.build().fetch_optional(self.readers()).await?;
        row.map(|row| decode_row(&names, &row)).transpose()
    }

    async fn find_quarantined(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<Vec<(ExternalId, QuarantineId)>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT q.external_id, q.pk FROM json_each(?) wanted CROSS JOIN quarantine q \
             ON q.connection = ? AND q.object = ? AND q.subject = 'id:' || wanted.value",
        )
        .bind(encode(ids)?)
        .bind(side)
        .bind(object.as_str())
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| Ok((ExternalId::new(row.try_get::<&str, _>(0)?), QuarantineId(row.try_get(1)?))))
            .collect()
    }

    async fn quarantined_for(
        &self,
        connection: &ConnectionId,
        cause: QuarantineCause,
        after: Option<QuarantineId>,
        limit: u32,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let Some(side) = names.number(connection) else { return Ok(Vec::new()) };
        let rows = sqlx::query(FOR_CAUSE)
            .bind(side)
            .bind(cause.as_str())
            .bind(after.map_or(0, |after| after.0))
            .bind(limit.clamp(1, PAGE_MAX))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| decode_row(&names, row)).collect()
    }

    async fn count_causes(&self, connection: &ConnectionId) -> Result<Vec<(QuarantineCause, u64)>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(Vec::new()) };
        let rows = sqlx::query(COUNT_CAUSES).bind(side).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((decode_cause(row.try_get(0)?)?, unsigned(row.try_get(1)?)))).collect()
    }

    async fn count_quarantine(&self, connection: Option<&ConnectionId>) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM quarantine WHERE tenant = ");
        sql.push_bind(names.pk);
        if let Some(connection) = connection {
            let Some(side) = names.number(connection) else { return Ok(0) };
            sql.push(" AND connection = ").push_bind(side);
        }
        Ok(unsigned(sql.build_query_scalar().fetch_one(self.readers()).await?))
    }
}

fn decode_cause(word: &str) -> Result<QuarantineCause, StoreError> {
    QuarantineCause::parse(word).ok_or_else(|| StoreError::Corrupt(format!("`{word}` is no cause of quarantine")))
}

fn decode_row(names: &TenantNames, row: &SqliteRow) -> Result<QuarantineRow, StoreError> {
    Ok(QuarantineRow {
        id: QuarantineId(row.try_get(0)?),
        row: Quarantined {
            connection: names.connection(row.try_get(1)?)?.clone(),
            object: ObjectName::new(row.try_get::<&str, _>(2)?),
            external_id: row.try_get::<Option<&str>, _>(3)?.map(ExternalId::new),
            sync: row.try_get(4)?,
            cause: decode_cause(row.try_get(10)?)?,
            reason: row.try_get(5)?,
            raw: decode("a quarantined row", row.try_get(6)?)?,
            at: Millis(row.try_get(8)?),
        },
        attempts: unsigned(row.try_get(7)?),
        last_at: Millis(row.try_get(9)?),
    })
}
