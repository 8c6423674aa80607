//! What people decided about which object is which record.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite};
use syncline_core::{
    identity::{Operation, OperationId},
    ids::{ConnectionId, ExternalId, ObjectName, RecordId},
};

use super::{
    SqliteTenant,
    codec::{decode, decode_id, encode, id_bytes, signed},
    names::TenantNames,
    script::Script,
};
use crate::store::{
    StoreError,
    identity::{Identity, MERGED_MAX, OPERATIONS_MAX, OPERATIONS_PAGE_MAX, OperationQuery},
};

/// The statements that are asked of single records, for the test that looks at its plan.
#[cfg(test)]
pub(super) const HOT: [&str; 2] = [NOT_SAME, MERGED_INTO];

const NOT_SAME: &str = "SELECT n.external_id, r.id FROM json_each(?) wanted \
    CROSS JOIN not_same n ON n.connection = ? AND n.object = ? AND n.external_id = wanted.value \
    CROSS JOIN records r ON r.pk = n.record";

const MERGED_INTO: &str = "WITH RECURSIVE f (id) AS (SELECT ?1 UNION \
    SELECT r.id FROM f CROSS JOIN records r ON r.tenant = ?2 AND r.merged_into = f.id) \
    SELECT id FROM f WHERE id <> ?1 LIMIT ?3";

#[async_trait]
impl Identity for SqliteTenant {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let text: Option<String> =
            sqlx::query_scalar("SELECT operation FROM identity_operations WHERE tenant = ? AND id = ?")
                .bind(names.pk)
                .bind(signed(id.0)?)
                .fetch_optional(self.readers())
                .await?;
        text.map(|text| decode("an operation", &text)).transpose()
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT operation FROM identity_operations WHERE tenant = ");
        sql.push_bind(names.pk);
        if let Some(record) = query.record {
            sql.push(" AND (record = ").push_bind(id_bytes(record));
            sql.push(" OR other = ").push_bind(id_bytes(record)).push(")");
        }
        if let Some(before) = query.before {
            sql.push(" AND id < ").push_bind(signed(before.0)?);
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit.clamp(1, OPERATIONS_PAGE_MAX));
        let rows = sql.build().fetch_all(self.readers()).await?;
        rows.iter().map(|row| decode("an operation", row.try_get(0)?)).collect()
    }

    async fn merged_into(&self, record: RecordId) -> Result<Vec<RecordId>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(MERGED_INTO)
            .bind(id_bytes(record))
            .bind(names.pk)
            .bind(MERGED_MAX)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|id| decode_id(id)).collect()
    }

    async fn not_same(
        &self,
        connection: &ConnectionId,
        object: &ObjectName,
        ids: &[ExternalId],
    ) -> Result<HashMap<ExternalId, BTreeSet<RecordId>>, StoreError> {
        let Some(side) = self.names().and_then(|names| names.number(connection)) else { return Ok(HashMap::new()) };
        let rows =
            sqlx::query(NOT_SAME).bind(encode(ids)?).bind(side).bind(object.as_str()).fetch_all(self.readers()).await?;
        let mut found: HashMap<ExternalId, BTreeSet<RecordId>> = HashMap::new();
        for row in &rows {
            let id = ExternalId::new(row.try_get::<&str, _>(0)?);
            found.entry(id).or_default().insert(decode_id(row.try_get(1)?)?);
        }
        Ok(found)
    }
}

/// Keeps operations; one that is there already was taken back. The oldest give way.
pub(super) fn write(
    script: &mut Script<'_>,
    names: &TenantNames,
    operations: Vec<Operation>,
) -> Result<(), StoreError> {
    if operations.is_empty() {
        return Ok(());
    }
    for operation in operations {
        script
            .add(
                "INSERT INTO identity_operations (tenant, id, record, other, operation) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT (tenant, id) DO UPDATE SET operation = excluded.operation",
            )
            .bind(names.pk)
            .bind(signed(operation.id.0)?)
            .bind(id_bytes(operation.record))
            .bind(operation.other().map(id_bytes))
            .bind(encode(&operation)?);
    }
    script
        .add(
            "DELETE FROM identity_operations WHERE tenant = ? AND id <= \
             (SELECT id FROM identity_operations WHERE tenant = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        )
        .bind(names.pk)
        .bind(names.pk)
        .bind(i64::from(OPERATIONS_MAX));
    Ok(())
}

/// A record's id where a column may have none.
pub(super) fn decode_optional_id(bytes: Option<&[u8]>) -> Result<Option<RecordId>, StoreError> {
    bytes.map(decode_id).transpose()
}
