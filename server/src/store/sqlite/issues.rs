//! Marked replicas: the column `marks` and its partial index.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use sqlx::{Row, sqlite::SqliteRow};
use syncline_core::{
    ids::{ConnectionId, FieldName, ModelName, ObjectName, RecordId},
    outbox::Delivery,
    replica::{IntentVerb, Link, ParkCause},
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode, decode_id, id_bytes, unsigned},
    names::TenantNames,
};
use crate::store::{
    StoreError,
    issues::{Issues, MarkedPlace, MarkedQuery, MarkedReplica, Marks, ParkedField},
};

/// The most rows in one answer.
const PAGE_MAX: u32 = 1_000;

/// The statements of a list, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&str; 4] = [NEXT_MARKS, WITH_MARKS, ONE, COUNT];

/// The set of marks that comes next; there are at most 127.
const NEXT_MARKS: &str =
    "SELECT p.marks FROM replicas p WHERE p.connection = ? AND p.marks <> 0 AND p.marks > ? ORDER BY p.marks LIMIT 1";

const WITH_MARKS: &str = "SELECT p.record, p.marks, r.id, r.model, p.connection, \
    json_object('object', p.replica ->> '$.object', 'link', p.replica -> '$.link', 'delivery', p.replica -> '$.delivery', \
                'intent', p.replica -> '$.intent', 'parked', p.replica -> '$.parked') \
    FROM replicas p CROSS JOIN records r ON r.pk = p.record \
    WHERE p.connection = ? AND p.marks <> 0 AND p.marks = ? AND p.record > ? ORDER BY p.record LIMIT ?";

const ONE: &str = "SELECT p.record, p.marks, r.id, r.model, p.connection, \
    json_object('object', p.replica ->> '$.object', 'link', p.replica -> '$.link', 'delivery', p.replica -> '$.delivery', \
                'intent', p.replica -> '$.intent', 'parked', p.replica -> '$.parked') \
    FROM records r CROSS JOIN replicas p ON p.record = r.pk \
    WHERE r.id = ? AND r.tenant = ? AND p.connection = ? AND p.marks <> 0";

const COUNT: &str = "SELECT p.marks, count(*) FROM replicas p WHERE p.connection = ? AND p.marks <> 0 GROUP BY p.marks";

#[async_trait]
impl Issues for SqliteTenant {
    async fn marked_replicas(&self, query: &MarkedQuery) -> Result<Vec<MarkedReplica>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let Some(side) = names.number(&query.connection) else { return Ok(Vec::new()) };
        let limit = query.limit.clamp(1, PAGE_MAX) as usize;
        let after = query.after.unwrap_or_default();
        let mut found = Vec::new();
        // The marks of the page before come first: there may be more of them.
        let mut next =
            if after.marks == Marks::default() { self.next_marks(side, 0).await? } else { Some(after.marks) };
        while let Some(marks) = next.filter(|_| found.len() < limit) {
            if marks.meets(query.marks) {
                let row = if marks == after.marks { after.row } else { 0 };
                let rows = sqlx::query(WITH_MARKS)
                    .bind(side)
                    .bind(i64::from(marks.0))
                    .bind(row)
                    .bind(i64::try_from(limit - found.len()).unwrap_or(i64::MAX))
                    .fetch_all(self.readers())
                    .await?;
                for row in &rows {
                    found.push(decode_marked(&names, row)?);
                }
            }
            next = self.next_marks(side, marks.0).await?;
        }
        Ok(found)
    }

    async fn marked_replica(
        &self,
        record: RecordId,
        connection: &ConnectionId,
    ) -> Result<Option<MarkedReplica>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let Some(side) = names.number(connection) else { return Ok(None) };
        let query = sqlx::query(ONE).bind(id_bytes(record)).bind(names.pk).bind(side);
        let row = query.fetch_optional(self.readers()).await?;
        row.map(|row| decode_marked(&names, &row)).transpose()
    }

    async fn count_marked(&self, connection: &ConnectionId) -> Result<Vec<(Marks, u64)>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(Vec::new()) };
        let rows = sqlx::query(COUNT).bind(side).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((decode_marks(row.try_get(0)?)?, unsigned(row.try_get(1)?)))).collect()
    }
}

impl SqliteTenant {
    async fn next_marks(&self, side: i64, after: u8) -> Result<Option<Marks>, StoreError> {
        let query = sqlx::query_scalar(NEXT_MARKS).bind(side).bind(i64::from(after));
        let marks: Option<i64> = query.fetch_optional(self.readers()).await?;
        marks.map(decode_marks).transpose()
    }
}

fn decode_marks(marks: i64) -> Result<Marks, StoreError> {
    u8::try_from(marks).map(Marks).map_err(|_| StoreError::Corrupt(format!("{marks} is no set of marks of a replica")))
}

/// What a list shows of a replica. Values are not even decoded.
#[derive(Deserialize)]
struct Excerpt {
    object: ObjectName,
    link: Link,
    delivery: Delivery,
    intent: Option<IntentExcerpt>,
    parked: Option<BTreeMap<FieldName, ParkedExcerpt>>,
}

#[derive(Deserialize)]
struct IntentExcerpt {
    verb: IntentVerb,
    opened: Millis,
    uncertain: bool,
}

#[derive(Deserialize)]
struct ParkedExcerpt {
    reason: String,
    at: Millis,
    #[serde(default)]
    cause: ParkCause,
}

fn decode_marked(names: &TenantNames, row: &SqliteRow) -> Result<MarkedReplica, StoreError> {
    let Excerpt { object, link, delivery, intent, parked } = decode("a replica", row.try_get(5)?)?;
    let parked = parked.unwrap_or_default().into_iter().map(|(field, parked)| {
        let ParkedExcerpt { reason, at, cause } = parked;
        ParkedField { field, cause, reason, at }
    });
    Ok(MarkedReplica {
        place: MarkedPlace { marks: decode_marks(row.try_get(1)?)?, row: row.try_get(0)? },
        record: decode_id(row.try_get(2)?)?,
        model: ModelName::new(row.try_get::<&str, _>(3)?),
        connection: names.connection(row.try_get(4)?)?.clone(),
        object,
        external_id: link.external_id().cloned(),
        delivery,
        uncertain: intent.filter(|intent| intent.uncertain).map(|intent| (intent.verb, intent.opened)),
        parked: parked.collect(),
    })
}
