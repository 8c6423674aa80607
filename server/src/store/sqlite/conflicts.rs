//! Conflict rows.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use syncline_core::{ids::ModelName, time::Millis};

use super::{
    SqliteTenant,
    codec::{decode, decode_id, id_bytes, unsigned},
};
use crate::store::{
    StoreError,
    conflicts::{Closed, ConflictCount, ConflictId, ConflictQuery, ConflictRow, Conflicts},
};

const COLUMNS: &str = "SELECT c.pk, r.id, c.model, c.conflict, c.closed_at, c.closed_by, c.choice \
     FROM conflicts c JOIN records r ON r.pk = c.record WHERE c.tenant = ";

/// The statement of metrics, for the test that looks at its plan.
#[cfg(test)]
pub(super) const HOT: [&str; 1] = [COUNT_OPEN];

const COUNT_OPEN: &str = "SELECT count(*) FROM conflicts WHERE tenant = ? AND closed_at IS NULL";

/// The most rows in one answer.
const PAGE_MAX: u32 = 1_000;

#[async_trait]
impl Conflicts for SqliteTenant {
    async fn list_conflicts(&self, query: &ConflictQuery) -> Result<Vec<ConflictRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
        sql.push_bind(names.pk);
        sql.push(match query.open {
            Some(true) => " AND c.closed_at IS NULL",
            Some(false) => " AND c.closed_at IS NOT NULL",
            None => "",
        });
        if let Some(model) = &query.model {
            sql.push(" AND c.model = ").push_bind(model.as_str().to_owned());
        }
        if let Some(record) = query.record {
            sql.push(" AND c.record = (SELECT pk FROM records WHERE id = ").push_bind(id_bytes(record)).push(")");
        }
        if let Some(after) = query.after {
            sql.push(" AND c.pk > ").push_bind(after.0);
        }
        sql.push(" ORDER BY c.pk LIMIT ").push_bind(query.limit.clamp(1, PAGE_MAX));
        let rows = sql.build().fetch_all(self.readers()).await?;
        rows.iter().map(decode_conflict).collect()
    }

    async fn get_conflict(&self, id: ConflictId) -> Result<Option<ConflictRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
        sql.push_bind(names.pk).push(" AND c.pk = ").push_bind(id.0);
        let row = sql.build().fetch_optional(self.readers()).await?;
        row.as_ref().map(decode_conflict).transpose()
    }

    async fn count_open_conflicts(&self) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        Ok(unsigned(sqlx::query_scalar(COUNT_OPEN).bind(names.pk).fetch_one(self.readers()).await?))
    }

    async fn count_conflicts(&self) -> Result<ConflictCount, StoreError> {
        let Some(names) = self.names() else { return Ok(ConflictCount::default()) };
        let row = sqlx::query("SELECT count(*), count(closed_at) FROM conflicts WHERE tenant = ?")
            .bind(names.pk)
            .fetch_one(self.readers())
            .await?;
        let (all, closed) = (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?));
        Ok(ConflictCount { open: all - closed, closed })
    }
}

fn decode_conflict(row: &SqliteRow) -> Result<ConflictRow, StoreError> {
    let closed = match row.try_get::<Option<i64>, _>(4)? {
        Some(at) => Some(Closed { at: Millis(at), by: row.try_get(5)?, choice: row.try_get(6)? }),
        None => None,
    };
    Ok(ConflictRow {
        id: ConflictId(row.try_get(0)?),
        record: decode_id(row.try_get(1)?)?,
        model: ModelName::new(row.try_get::<&str, _>(2)?),
        conflict: decode("a conflict", row.try_get(3)?)?,
        closed,
    })
}
