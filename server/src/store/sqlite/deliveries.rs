//! Deliveries: the columns `delivery` and `due` of replicas.

use async_trait::async_trait;
use serde::Deserialize;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use syncline_core::{
    ids::{ConnectionId, ModelName, ObjectName, RecordId},
    outbox::Delivery,
    replica::Link,
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{DIRTY, PARKED, decode, decode_id, id_bytes, unsigned},
    names::TenantNames,
};
use crate::store::{
    StoreError,
    deliveries::{Deliveries, DeliveryCount, DeliveryQuery, DeliveryRow, DeliveryState, OutboxMeasure},
};

/// The most rows in one answer.
const PAGE_MAX: u32 = 1_000;

/// The statements that workers and metrics ask again and again, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&str; 3] = [DUE, NEXT_DUE, OUTBOX];

/// What is owed of a damaged record waits until its document has been made again.
const DUE: &str = "SELECT r.id FROM replicas p CROSS JOIN records r ON r.pk = p.record \
    WHERE p.connection = ? AND p.delivery <> 0 AND p.delivery = ? AND p.due <= ? AND r.model = ? \
    AND NOT EXISTS (SELECT 1 FROM damages d WHERE d.record = p.record) \
    AND NOT EXISTS (SELECT 1 FROM held_deletes h WHERE h.source IN (0, p.connection) AND h.record = p.record \
        AND (h.source = 0 OR h.standing = 0)) \
    ORDER BY p.due LIMIT ?";

const NEXT_DUE: &str = "SELECT p.due FROM replicas p CROSS JOIN records r ON r.pk = p.record \
    WHERE p.connection = ? AND p.delivery <> 0 AND p.delivery = ? AND r.model = ? \
    AND NOT EXISTS (SELECT 1 FROM damages d WHERE d.record = p.record) \
    AND NOT EXISTS (SELECT 1 FROM held_deletes h WHERE h.source IN (0, p.connection) AND h.record = p.record \
        AND (h.source = 0 OR h.standing = 0)) \
    ORDER BY p.due LIMIT 1";

const OUTBOX: &str = "SELECT p.delivery, count(*), count(*) FILTER (WHERE p.due <= ?), min(p.due) FROM replicas p \
    WHERE p.connection = ? AND p.delivery <> 0 GROUP BY p.delivery";

#[async_trait]
impl Deliveries for SqliteTenant {
    async fn due_deliveries(
        &self,
        connection: &ConnectionId,
        model: &ModelName,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(Vec::new()) };
        let query = sqlx::query(DUE).bind(side).bind(DIRTY).bind(now.0).bind(model.as_str()).bind(limit);
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| decode_id(row.try_get(0)?)).collect()
    }

    async fn next_due(&self, connection: &ConnectionId, model: &ModelName) -> Result<Option<Millis>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(None) };
        let query = sqlx::query_scalar(NEXT_DUE).bind(side).bind(DIRTY).bind(model.as_str());
        let due: Option<i64> = query.fetch_optional(self.readers()).await?;
        Ok(due.map(Millis))
    }

    async fn list_deliveries(&self, query: &DeliveryQuery) -> Result<Vec<DeliveryRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = list(&names, query).build().fetch_all(self.readers()).await?;
        rows.iter().map(|row| decode_delivery(&names, row)).collect()
    }

    async fn measure_outbox(&self, connection: &ConnectionId, now: Millis) -> Result<OutboxMeasure, StoreError> {
        let mut measure = OutboxMeasure::default();
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(measure) };
        for row in sqlx::query(OUTBOX).bind(now.0).bind(side).fetch_all(self.readers()).await? {
            let (number, due) = (unsigned(row.try_get(1)?), unsigned(row.try_get(2)?));
            match row.try_get::<i64, _>(0)? {
                DIRTY => {
                    (measure.due, measure.waiting) = (due, number.saturating_sub(due));
                    let oldest = row.try_get::<Option<i64>, _>(3)?.map(Millis);
                    measure.oldest_due = oldest.filter(|oldest| *oldest <= now);
                }
                PARKED => measure.parked = number,
                _ => {}
            }
        }
        Ok(measure)
    }

    async fn count_deliveries(&self, connection: Option<&ConnectionId>) -> Result<DeliveryCount, StoreError> {
        let mut count = DeliveryCount::default();
        let Some(names) = self.names() else { return Ok(count) };
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT p.delivery, count(*) FROM connections c CROSS JOIN replicas p ON p.connection = c.pk WHERE c.tenant = ",
        );
        sql.push_bind(names.pk);
        if let Some(connection) = connection {
            sql.push(" AND c.name = ").push_bind(connection.as_str().to_owned());
        }
        sql.push(" GROUP BY p.delivery");
        for row in sql.build().fetch_all(self.readers()).await? {
            let number = unsigned(row.try_get(1)?);
            match row.try_get::<i64, _>(0)? {
                DIRTY => count.dirty = number,
                PARKED => count.parked = number,
                _ => count.clean = number,
            }
        }
        Ok(count)
    }
}

fn list(names: &TenantNames, query: &DeliveryQuery) -> QueryBuilder<Sqlite> {
    let state = match query.state {
        DeliveryState::Dirty => DIRTY,
        DeliveryState::Parked => PARKED,
    };
    let mut sql = QueryBuilder::new(
        "SELECT r.id, r.model, p.connection, \
         json_object('object', p.replica ->> '$.object', 'link', p.replica -> '$.link', 'delivery', p.replica -> '$.delivery') \
         FROM connections c CROSS JOIN replicas p ON p.connection = c.pk JOIN records r ON r.pk = p.record WHERE c.tenant = ",
    );
    sql.push_bind(names.pk).push(" AND p.delivery <> 0 AND p.delivery = ").push_bind(state);
    if let Some(connection) = &query.connection {
        sql.push(" AND c.name = ").push_bind(connection.as_str().to_owned());
    }
    if let Some((connection, record)) = &query.after {
        sql.push(" AND (c.name, r.id) > (").push_bind(connection.as_str().to_owned()).push(", ");
        sql.push_bind(id_bytes(*record)).push(")");
    }
    sql.push(" ORDER BY c.name, r.id LIMIT ").push_bind(query.limit.clamp(1, PAGE_MAX));
    sql
}

/// What a list shows of a replica.
#[derive(Deserialize)]
struct Excerpt {
    object: ObjectName,
    link: Link,
    delivery: Delivery,
}

fn decode_delivery(names: &TenantNames, row: &SqliteRow) -> Result<DeliveryRow, StoreError> {
    let Excerpt { object, link, delivery } = decode("a replica", row.try_get(3)?)?;
    Ok(DeliveryRow {
        record: decode_id(row.try_get(0)?)?,
        model: ModelName::new(row.try_get::<&str, _>(1)?),
        connection: names.connection(row.try_get(2)?)?.clone(),
        object,
        external_id: link.external_id().cloned(),
        delivery,
    })
}
