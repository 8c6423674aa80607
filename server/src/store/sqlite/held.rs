//! Deletes that wait for a person.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use sqlx::Row;
use syncline_core::{
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId},
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode, decode_id, encode, id_bytes, id_list, signed, unsigned},
    names::TenantNames,
    script::Script,
};
use crate::store::{
    StoreError,
    held::{DeleteSource, GuardPut, HELD_PAGE_MAX, HeldDeletes, HeldPlace, HeldRow, HeldWrite, Standing},
};

/// The source that is no connection.
const CLIENTS: i64 = 0;

/// The statements that intake and the workers ask again and again, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&str; 2] = [STANDINGS, LIST];

const STANDINGS: &str = "SELECT r.id, h.standing FROM json_each(?) wanted \
    CROSS JOIN records r ON r.id = unhex(wanted.value) \
    CROSS JOIN held_deletes h ON h.source = ? AND h.record = r.pk WHERE r.tenant = ?";

const LIST: &str = "SELECT h.record, r.id, h.external_id, h.at FROM held_deletes h CROSS JOIN records r ON r.pk = h.record \
    WHERE h.tenant = ? AND h.sync = ? AND h.source = ? AND h.standing = ? AND h.record > ? ORDER BY h.record LIMIT ?";

const COUNT_OBJECTS: &str = "SELECT count(*) FROM (SELECT 1 FROM links l CROSS JOIN records r ON r.pk = l.record \
    WHERE l.connection = ? AND l.object = ? AND r.deleted_at IS NULL LIMIT ?)";

const COUNT_RECORDS: &str = "SELECT count(*) FROM (SELECT 1 FROM records \
    WHERE tenant = ? AND model = ? AND deleted_at IS NULL LIMIT ?)";

#[async_trait]
impl HeldDeletes for SqliteTenant {
    async fn delete_guards(&self) -> Result<Vec<GuardPut>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query("SELECT sync, source, state FROM delete_guards WHERE tenant = ?")
            .bind(names.pk)
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                let state = decode("a delete guard", row.try_get(2)?)?;
                Ok(GuardPut { sync: row.try_get(0)?, source: decode_source(&names, row.try_get(1)?)?, state })
            })
            .collect()
    }

    async fn held_deletes(
        &self,
        source: &DeleteSource,
        records: &[RecordId],
    ) -> Result<HashMap<RecordId, Standing>, StoreError> {
        let Some(names) = self.names() else { return Ok(HashMap::new()) };
        let Some(source) = number(&names, source) else { return Ok(HashMap::new()) };
        let rows =
            sqlx::query(STANDINGS).bind(id_list(records)).bind(source).bind(names.pk).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((decode_id(row.try_get(0)?)?, decode_standing(row.try_get(1)?)?))).collect()
    }

    async fn list_held(
        &self,
        sync: &str,
        source: &DeleteSource,
        standing: Standing,
        after: Option<HeldPlace>,
        limit: u32,
    ) -> Result<Vec<HeldRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let Some(source) = number(&names, source) else { return Ok(Vec::new()) };
        let rows = sqlx::query(LIST)
            .bind(names.pk)
            .bind(sync)
            .bind(source)
            .bind(encode_standing(standing))
            .bind(after.map_or(i64::MIN, |place| place.0))
            .bind(limit.clamp(1, HELD_PAGE_MAX))
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(HeldRow {
                    place: HeldPlace(row.try_get(0)?),
                    record: decode_id(row.try_get(1)?)?,
                    object: row.try_get::<Option<&str>, _>(2)?.map(ExternalId::new),
                    at: Millis(row.try_get(3)?),
                })
            })
            .collect()
    }

    async fn count_held(&self, sync: &str) -> Result<BTreeMap<(DeleteSource, Standing), u64>, StoreError> {
        let Some(names) = self.names() else { return Ok(BTreeMap::new()) };
        let rows = sqlx::query(
            "SELECT source, standing, count(*) FROM held_deletes WHERE tenant = ? AND sync = ? GROUP BY source, standing",
        )
        .bind(names.pk)
        .bind(sync)
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let key = (decode_source(&names, row.try_get(0)?)?, decode_standing(row.try_get(1)?)?);
                Ok((key, unsigned(row.try_get(2)?)))
            })
            .collect()
    }

    async fn answer_held(&self, guard: &GuardPut, answer: Standing) -> Result<(), StoreError> {
        let names = self.ensure_names(guard.source.connection()).await?;
        let mut tx = self.writer().begin().await?;
        let mut script = Script::new(tx.connection());
        script
            .add("UPDATE held_deletes SET standing = ? WHERE tenant = ? AND sync = ? AND source = ? AND standing = ?")
            .bind(encode_standing(answer))
            .bind(names.pk)
            .bind(guard.sync.as_str())
            .bind(known(&names, &guard.source)?)
            .bind(encode_standing(Standing::Waits));
        put_guard(&mut script, &names, guard)?;
        script.run().await?;
        tx.commit().await
    }

    async fn count_live_objects(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        at_most: u64,
    ) -> Result<u64, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(0) };
        let query = sqlx::query_scalar(COUNT_OBJECTS).bind(side).bind(object.as_str()).bind(limit_of(at_most));
        Ok(unsigned(query.fetch_one(self.readers()).await?))
    }

    async fn count_live_records(&self, model: &ModelName, at_most: u64) -> Result<u64, StoreError> {
        let Some(names) = self.names() else { return Ok(0) };
        let query = sqlx::query_scalar(COUNT_RECORDS).bind(names.pk).bind(model.as_str()).bind(limit_of(at_most));
        Ok(unsigned(query.fetch_one(self.readers()).await?))
    }
}

/// Writes what a batch holds back and lets go.
pub(super) fn write(script: &mut Script<'_>, names: &TenantNames, held: Vec<HeldWrite>) -> Result<(), StoreError> {
    for write in held {
        match write {
            HeldWrite::Hold { sync, source, record, object, at } => script
                .add(
                    "INSERT INTO held_deletes (source, record, tenant, sync, external_id, standing, at) \
                     SELECT ?, pk, tenant, ?, ?, 0, ? FROM records WHERE id = ? AND tenant = ? \
                     ON CONFLICT (source, record) DO NOTHING",
                )
                .bind(known(names, &source)?)
                .bind(sync)
                .bind(object.map(|id| id.as_str().to_owned()))
                .bind(at.0)
                .bind(id_bytes(record))
                .bind(names.pk),
            HeldWrite::LetGo { source, record } => script
                .add(
                    "DELETE FROM held_deletes WHERE source = ? AND record = (SELECT pk FROM records WHERE id = ? AND tenant = ?)",
                )
                .bind(known(names, &source)?)
                .bind(id_bytes(record))
                .bind(names.pk),
        };
    }
    Ok(())
}

/// Writes what a guard has counted and asks.
pub(super) fn put_guard(script: &mut Script<'_>, names: &TenantNames, guard: &GuardPut) -> Result<(), StoreError> {
    script
        .add(
            "INSERT INTO delete_guards (tenant, sync, source, state) VALUES (?, ?, ?, ?) \
             ON CONFLICT (tenant, sync, source) DO UPDATE SET state = excluded.state",
        )
        .bind(names.pk)
        .bind(guard.sync.as_str())
        .bind(known(names, &guard.source)?)
        .bind(encode(&guard.state)?);
    Ok(())
}

fn number(names: &TenantNames, source: &DeleteSource) -> Option<i64> {
    source.connection().map_or(Some(CLIENTS), |connection| names.number(connection))
}

fn known(names: &TenantNames, source: &DeleteSource) -> Result<i64, StoreError> {
    source.connection().map_or(Ok(CLIENTS), |connection| names.known(connection))
}

fn decode_source(names: &TenantNames, number: i64) -> Result<DeleteSource, StoreError> {
    match number {
        CLIENTS => Ok(DeleteSource::Clients),
        side => Ok(DeleteSource::Connection(names.connection(side)?.clone())),
    }
}

const fn encode_standing(standing: Standing) -> i64 {
    match standing {
        Standing::Waits => 0,
        Standing::Approved => 1,
        Standing::Rejected => 2,
    }
}

fn decode_standing(number: i64) -> Result<Standing, StoreError> {
    match number {
        0 => Ok(Standing::Waits),
        1 => Ok(Standing::Approved),
        2 => Ok(Standing::Rejected),
        other => Err(StoreError::Corrupt(format!("a held delete stands at {other}, which means nothing"))),
    }
}

fn limit_of(at_most: u64) -> i64 {
    signed(at_most).unwrap_or(i64::MAX)
}
