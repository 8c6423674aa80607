//! Finding and loading records for a change.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use syncline_core::{
    document::Document,
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId, TenantId},
    journal::ChangeEntry,
    matching::MatchKey,
    record::RecordState,
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{
        decode, decode_epoch, decode_heads, decode_id, decode_seal, encode, hexadecimal, id_list, key_hash, unsigned,
    },
    identity::decode_optional_id,
    names::TenantNames,
    replicas::decode_replica,
    values::decode_fields,
};
use crate::store::{
    StoreError,
    intake::{Intake, MATCHES_MAX},
};

/// The statements of the hot path, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&str; 6] = [FIND_REPLICAS, FORMER_RECORDS, LINKED_IDS, FIND_MATCHES, LOAD, LOAD_SURFACE];

const FIND_REPLICAS: &str = "SELECT l.external_id, r.id FROM json_each(?) wanted \
    CROSS JOIN links l ON l.connection = ? AND l.object = ? AND l.external_id = wanted.value \
    CROSS JOIN records r ON r.pk = l.record";

const FORMER_RECORDS: &str = "SELECT l.external_id, l.record FROM json_each(?) wanted \
    CROSS JOIN former_links l ON l.connection = ? AND l.object = ? AND l.external_id = wanted.value";

const LINKED_IDS: &str = "SELECT external_id FROM links WHERE connection = ? AND object = ? AND external_id > ? \
    ORDER BY external_id LIMIT ?";

/// One row for each key that somebody has, with the records that have it.
const FIND_MATCHES: &str = "\
    SELECT wanted.value, (SELECT json_group_array(hex(id)) FROM (SELECT r.id AS id \
        FROM match_keys k CROSS JOIN records r ON r.pk = k.record \
        WHERE k.hash = unhex(wanted.value) AND r.tenant = ?2 AND r.model = ?3 AND r.deleted_at IS NULL LIMIT ?4)) \
    FROM json_each(?1) wanted WHERE EXISTS (SELECT 1 FROM match_keys WHERE hash = unhex(wanted.value))";

#[async_trait]
impl Intake for SqliteTenant {
    async fn load(&self, ids: &[RecordId]) -> Result<Vec<RecordState>, StoreError> {
        self.load_by(LOAD, ids).await
    }

    async fn load_surface(&self, ids: &[RecordId]) -> Result<Vec<RecordState>, StoreError> {
        self.load_by(LOAD_SURFACE, ids).await
    }

    async fn find_replicas(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, RecordId>, StoreError> {
        self.records_of(FIND_REPLICAS, connection, object, ids).await
    }

    async fn former_records(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, RecordId>, StoreError> {
        self.records_of(FORMER_RECORDS, connection, object, ids).await
    }

    async fn linked_ids(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        after: Option<&ExternalId>,
        limit: u32,
    ) -> Result<Vec<ExternalId>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(Vec::new()) };
        let rows = sqlx::query(LINKED_IDS)
            .bind(side)
            .bind(object.as_str())
            .bind(after.map_or("", ExternalId::as_str))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| Ok(ExternalId::new(row.try_get::<&str, _>(0)?))).collect()
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
        let rows = sqlx::query(FIND_MATCHES)
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

/// A record's own row and its replicas in one statement and so of one moment: a replica is read against the fields of its
/// record. The document and the journal come with the record's row; a journal of many entries is one value, because a row for
/// each costs more than its entry.
macro_rules! load {
    ($document:literal, $journal:literal) => {
        concat!(
            "WITH wanted AS MATERIALIZED ( \
                SELECT r.pk FROM json_each(?1) ids CROSS JOIN records r ON r.id = unhex(ids.value) WHERE r.tenant = ?2) \
             SELECT 0, r.pk, r.revision, r.version, r.fields, r.genesis, r.id, r.model, r.first_seen_at, \
                    r.last_modified_at, r.deleted_at, r.heads, r.epoch, r.epoch_revision, r.document_bytes, r.document_sum, \
                    r.logged, r.merged_into, ",
            $document,
            ", ",
            $journal,
            " FROM wanted CROSS JOIN records r ON r.pk = wanted.pk \
             UNION ALL \
             SELECT 1, p.record, p.connection, NULL, p.replica, p.baseline, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
                    NULL, NULL, NULL, NULL, NULL \
                    FROM wanted CROSS JOIN replicas p ON p.record = wanted.pk"
        )
    };
}

const LOAD: &str = load!(
    "r.document",
    "(SELECT '[' || group_concat(entry) || ']' FROM \
        (SELECT j.entry FROM journal j WHERE j.record = r.pk AND j.revision >= r.epoch_revision ORDER BY j.revision, j.n))"
);
const LOAD_SURFACE: &str = load!("x''", "NULL");

impl SqliteTenant {
    async fn records_of(
        &self,
        statement: &'static str,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, RecordId>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(HashMap::new()) };
        let found = sqlx::query(statement).bind(encode(ids)?).bind(side).bind(object.as_str());
        let rows = found.fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((ExternalId::new(row.try_get::<&str, _>(0)?), decode_id(row.try_get(1)?)?))).collect()
    }

    async fn load_by(&self, statement: &'static str, ids: &[RecordId]) -> Result<Vec<RecordState>, StoreError> {
        let Some(names) = self.names().filter(|_| !ids.is_empty()) else { return Ok(Vec::new()) };
        let mut reader = self.readers().acquire().await?;
        load(&mut reader, statement, &self.tenant, &names, ids).await
    }
}

async fn load(
    connection: &mut SqliteConnection,
    statement: &'static str,
    tenant: &TenantId,
    names: &TenantNames,
    ids: &[RecordId],
) -> Result<Vec<RecordState>, StoreError> {
    let rows = sqlx::query(statement).bind(id_list(ids)).bind(names.pk).fetch_all(connection).await?;
    let mut states = BTreeMap::new();
    let mut replicas = Vec::new();
    for row in &rows {
        let pk: i64 = row.try_get(1)?;
        match row.try_get::<i64, _>(0)? {
            0 => drop(states.insert(pk, decode_state(tenant, row)?)),
            _ => replicas.push((pk, row)),
        }
    }
    for (pk, row) in replicas {
        if let Some(state) = states.get_mut(&pk) {
            let side = names.connection(row.try_get(2)?)?.clone();
            let replica = decode_replica(row.try_get(4)?, row.try_get(5)?, &state.fields)?;
            state.replicas.insert(side, replica);
        }
    }
    Ok(states.into_values().collect())
}

fn decode_state(tenant: &TenantId, row: &SqliteRow) -> Result<RecordState, StoreError> {
    let began_anew = row.try_get::<i64, _>(13)? > 0;
    let genesis: Option<&str> = row.try_get::<Option<&str>, _>(5)?.filter(|_| !began_anew);
    let later: Option<&str> = row.try_get(19)?;
    let mut journal: Vec<ChangeEntry> =
        later.map(|entries| decode("the journal", entries)).transpose()?.unwrap_or_default();
    if let Some(genesis) = genesis {
        journal.insert(0, decode("a journal entry", genesis)?);
    }
    Ok(RecordState {
        tenant: tenant.clone(),
        id: decode_id(row.try_get(6)?)?,
        model: ModelName::new(row.try_get::<&str, _>(7)?),
        revision: unsigned(row.try_get(2)?),
        epoch: decode_epoch(row.try_get(12)?)?,
        version: unsigned(row.try_get(3)?),
        fields: decode_fields(row.try_get(4)?)?,
        deleted: row.try_get::<Option<i64>, _>(10)?.map(Millis),
        merged_into: decode_optional_id(row.try_get(17)?)?,
        document: Document::from_saved(row.try_get(18)?, decode_heads(row.try_get(11)?)?)
            .kept_with(decode_seal(row.try_get(14)?, row.try_get(15)?), row.try_get(16)?),
        journal,
        replicas: BTreeMap::new(),
        first_seen_at: Millis(row.try_get(8)?),
        last_modified_at: Millis(row.try_get(9)?),
    })
}
