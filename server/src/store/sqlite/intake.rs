//! Finding and loading records for a change.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use syncline_core::{
    document::Document,
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId, TenantId},
    matching::MatchKey,
    record::RecordState,
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode, decode_heads, decode_id, encode, id_list, key_hash, pk_list, unsigned},
    names::TenantNames,
    values::decode_fields,
};
use crate::store::{
    StoreError,
    intake::{Intake, MATCHES_MAX},
};

#[async_trait]
impl Intake for SqliteTenant {
    async fn load(&self, ids: &[RecordId]) -> Result<Vec<RecordState>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut reader = self.readers().acquire().await?;
        load(&mut reader, &self.tenant, &names, ids).await
    }

    async fn find_replicas(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, RecordId>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(HashMap::new()) };
        let rows = sqlx::query(
            "SELECT l.external_id, r.id FROM json_each(?) wanted \
             CROSS JOIN links l ON l.connection = ? AND l.object = ? AND l.external_id = wanted.value \
             JOIN records r ON r.pk = l.record",
        )
        .bind(encode(ids)?)
        .bind(side)
        .bind(object.as_str())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| Ok((ExternalId::new(row.try_get::<&str, _>(0)?), decode_id(row.try_get(1)?)?))).collect()
    }

    async fn find_matches(
        &self,
        model: &ModelName,
        keys: &[MatchKey],
    ) -> Result<HashMap<MatchKey, Vec<RecordId>>, StoreError> {
        let Some(names) = self.names() else { return Ok(HashMap::new()) };
        let by_hash: HashMap<String, &MatchKey> =
            keys.iter().map(|key| (hexadecimal(&key_hash(&self.tenant, model, key)), key)).collect();
        let wanted: Vec<&String> = by_hash.keys().collect();
        let rows = sqlx::query(
            "SELECT wanted.value, (SELECT json_group_array(hex(id)) FROM (SELECT r.id AS id \
             FROM match_keys k JOIN records r ON r.pk = k.record \
             WHERE k.hash = unhex(wanted.value) AND r.tenant = ?2 AND r.model = ?3 AND r.deleted_at IS NULL LIMIT ?4)) \
             FROM json_each(?1) wanted WHERE EXISTS (SELECT 1 FROM match_keys WHERE hash = unhex(wanted.value))",
        )
        .bind(encode(&wanted)?)
        .bind(names.pk)
        .bind(model.as_str())
        .bind(MATCHES_MAX as i64)
        .fetch_all(self.readers())
        .await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            let records: Vec<RecordId> = decode("a list of matches", row.try_get(1)?)?;
            if let (Some(key), false) = (by_hash.get(row.try_get::<&str, _>(0)?), records.is_empty()) {
                found.insert(MatchKey::clone(key), records);
            }
        }
        Ok(found)
    }
}

/// Loads records, their own rows first: parts that are newer than the row make the later commit fail as stale, so that no
/// transaction is needed for reading.
async fn load(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    names: &TenantNames,
    ids: &[RecordId],
) -> Result<Vec<RecordState>, StoreError> {
    let rows = sqlx::query(
        "SELECT r.pk, r.id, r.model, r.revision, r.version, r.first_seen_at, r.last_modified_at, r.deleted_at, \
         r.fields, r.genesis, r.heads, r.document \
         FROM json_each(?) wanted CROSS JOIN records r ON r.id = unhex(wanted.value) WHERE r.tenant = ?",
    )
    .bind(id_list(ids))
    .bind(names.pk)
    .fetch_all(&mut *connection)
    .await?;
    let mut states = BTreeMap::new();
    for row in &rows {
        states.insert(row.try_get::<i64, _>(0)?, decode_state(tenant, row)?);
    }
    let pks = pk_list(states.keys().copied());
    add_replicas(connection, names, &mut states, &pks).await?;
    add_journal(connection, &mut states, &pks).await?;
    Ok(states.into_values().collect())
}

fn decode_state(tenant: &TenantId, row: &SqliteRow) -> Result<RecordState, StoreError> {
    let genesis: Option<&str> = row.try_get(9)?;
    Ok(RecordState {
        tenant: tenant.clone(),
        id: decode_id(row.try_get(1)?)?,
        model: ModelName::new(row.try_get::<&str, _>(2)?),
        revision: unsigned(row.try_get(3)?),
        version: unsigned(row.try_get(4)?),
        fields: decode_fields(row.try_get(8)?)?,
        deleted: row.try_get::<Option<i64>, _>(7)?.map(Millis),
        document: Document::from_saved(row.try_get(11)?, decode_heads(row.try_get(10)?)?),
        journal: genesis.map(|entry| decode("a journal entry", entry)).transpose()?.into_iter().collect(),
        replicas: BTreeMap::new(),
        first_seen_at: Millis(row.try_get(5)?),
        last_modified_at: Millis(row.try_get(6)?),
    })
}

async fn add_replicas(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    states: &mut BTreeMap<i64, RecordState>,
    pks: &str,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT p.record, p.connection, p.replica FROM json_each(?) wanted \
         CROSS JOIN replicas p ON p.record = wanted.value",
    )
    .bind(pks)
    .fetch_all(connection)
    .await?;
    for row in &rows {
        if let Some(state) = states.get_mut(&row.try_get::<i64, _>(0)?) {
            let side = names.connection(row.try_get(1)?)?.clone();
            state.replicas.insert(side, decode("a replica", row.try_get(2)?)?);
        }
    }
    Ok(())
}

async fn add_journal(
    connection: &mut SqliteConnection,
    states: &mut BTreeMap<i64, RecordState>,
    pks: &str,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT j.record, j.entry FROM json_each(?) wanted CROSS JOIN journal j ON j.record = wanted.value \
         ORDER BY j.record, j.revision, j.n",
    )
    .bind(pks)
    .fetch_all(connection)
    .await?;
    for row in &rows {
        if let Some(state) = states.get_mut(&row.try_get::<i64, _>(0)?) {
            state.journal.push(decode("a journal entry", row.try_get(1)?)?);
        }
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
