//! Records as readers of the API see them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use syncline_core::{
    ids::{ConnectionId, FieldName, ModelName, RecordId},
    journal::ChangeEntry,
    live::Cursor,
    repo::DocumentId,
    time::Millis,
    value::Value,
};

use super::{
    SqliteTenant,
    codec::{decode, decode_epoch, decode_id, id_bytes, signed, unsigned},
    identity::decode_optional_id,
    names::TenantNames,
    values::{decode_fields, needle},
};
use crate::store::{
    StoreError,
    records::{LinkRow, RECORDS_PAGE_MAX, RecordCount, RecordPage, RecordPlace, RecordQuery, RecordRow, Records},
};

/// The columns of a record as listed; its links come along as JSON, so that a page is one consistent statement.
const COLUMNS: &str = "r.pk, r.id, r.model, r.version, r.fields, r.origins, r.deleted_at, r.first_seen_at, \
     r.last_modified_at, r.changed, r.epoch, r.merged_into, \
     (SELECT json_group_array(json_array(p.connection, json_object('object', p.replica ->> '$.object', 'link', p.replica -> '$.link'))) \
     FROM replicas p WHERE p.record = r.pk) FROM records r ";

#[async_trait]
impl Records for SqliteTenant {
    async fn list_records(&self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        let Some(names) = self.names() else { return Ok(RecordPage { rows: Vec::new(), next: None }) };
        let limit = query.limit.clamp(1, RECORDS_PAGE_MAX) as usize;
        let rows = list(&names, query, limit + 1)?.build().fetch_all(self.readers()).await?;
        let more = rows.len() > limit;
        let mut listed = Vec::with_capacity(rows.len());
        let mut place = None;
        for row in rows.iter().take(limit) {
            let record = decode_record(&names, row)?;
            place = Some(RecordPlace { changed: record.cursor, row: row.try_get(0)? });
            listed.push(record);
        }
        Ok(RecordPage { rows: listed, next: place.filter(|_| more) })
    }

    async fn get_record(&self, model: &ModelName, id: RecordId) -> Result<Option<RecordRow>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let row = QueryBuilder::<Sqlite>::new("SELECT ")
            .push(COLUMNS)
            .push("WHERE r.id = ")
            .push_bind(id_bytes(id))
            .push(" AND r.tenant = ")
            .push_bind(names.pk)
            .push(" AND r.model = ")
            .push_bind(model.as_str().to_owned())
            .build()
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| decode_record(&names, &row)).transpose()
    }

    async fn history(&self, model: &ModelName, id: RecordId) -> Result<Option<Vec<ChangeEntry>>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let rows = sqlx::query(
            "SELECT r.genesis, j.entry FROM records r LEFT JOIN journal j ON j.record = r.pk \
             WHERE r.id = ? AND r.tenant = ? AND r.model = ? ORDER BY j.revision, j.n",
        )
        .bind(id_bytes(id))
        .bind(names.pk)
        .bind(model.as_str())
        .fetch_all(self.readers())
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut entries: Vec<Option<&str>> = vec![first.try_get(0)?];
        for row in &rows {
            entries.push(row.try_get(1)?);
        }
        entries.into_iter().flatten().map(|entry| decode("a journal entry", entry)).collect::<Result<_, _>>().map(Some)
    }

    async fn count_records(&self) -> Result<BTreeMap<ModelName, RecordCount>, StoreError> {
        let Some(names) = self.names() else { return Ok(BTreeMap::new()) };
        let rows =
            sqlx::query("SELECT model, count(*), count(deleted_at) FROM records WHERE tenant = ? GROUP BY model")
                .bind(names.pk)
                .fetch_all(self.readers())
                .await?;
        rows.iter()
            .map(|row| {
                let (all, deleted) = (unsigned(row.try_get(1)?), unsigned(row.try_get(2)?));
                Ok((ModelName::new(row.try_get::<&str, _>(0)?), RecordCount { live: all - deleted, deleted }))
            })
            .collect()
    }
}

fn list(names: &TenantNames, query: &RecordQuery, limit: usize) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(COLUMNS).push("WHERE r.tenant = ").push_bind(names.pk);
    sql.push(" AND r.model = ").push_bind(query.model.as_str().to_owned());
    if let Some(place) = query.after {
        sql.push(" AND (r.changed, r.pk) > (").push_bind(signed(place.changed.0)?).push(", ");
        sql.push_bind(place.row).push(")");
    }
    if let Some(since) = query.modified_since {
        sql.push(" AND r.last_modified_at >= ").push_bind(since.0);
    }
    if !query.include_deleted {
        sql.push(" AND r.deleted_at IS NULL");
    }
    for (field, value) in &query.equals {
        equals(&mut sql, field, value)?;
    }
    sql.push(" ORDER BY r.changed, r.pk LIMIT ").push_bind(limit as i64);
    Ok(sql)
}

/// Adds the condition that a field has a value. Both sides are compared as JSON, so that `1` and `"1"` differ.
fn equals(sql: &mut QueryBuilder<Sqlite>, field: &FieldName, value: &Value) -> Result<(), StoreError> {
    let (part, wanted) = needle(value)?;
    let path = |part: &str| format!("$.\"{}\"{part}", field.as_str());
    match value {
        Value::Null => {
            sql.push(" AND coalesce(json_type(r.fields, ").push_bind(path("")).push("), 'null') = 'null'");
        }
        Value::Text(text) => {
            sql.push(" AND (json_extract(r.fields, ").push_bind(path("")).push(") = ").push_bind(text.clone());
            sql.push(" AND json_type(r.fields, ").push_bind(path("")).push(") = 'text'");
            sql.push(" OR json_type(r.fields, ").push_bind(path("")).push(") = 'array' AND EXISTS (");
            sql.push("SELECT 1 FROM json_each(r.fields, ").push_bind(path("")).push(") WHERE value = ");
            sql.push_bind(text.clone()).push("))");
        }
        _ => {
            sql.push(" AND (r.fields -> ").push_bind(path(part)).push(") = ").push_bind(wanted.to_string());
        }
    }
    Ok(())
}

fn decode_record(names: &TenantNames, row: &SqliteRow) -> Result<RecordRow, StoreError> {
    let (id, epoch) = (decode_id(row.try_get(1)?)?, decode_epoch(row.try_get(10)?)?);
    Ok(RecordRow {
        id,
        model: ModelName::new(row.try_get::<&str, _>(2)?),
        document: DocumentId::of_epoch(id, epoch),
        version: unsigned(row.try_get(3)?),
        fields: decode_fields(row.try_get(4)?)?,
        origins: decode("a record's origins", row.try_get(5)?)?,
        deleted: row.try_get::<Option<i64>, _>(6)?.map(Millis),
        merged_into: decode_optional_id(row.try_get(11)?)?,
        first_seen_at: Millis(row.try_get(7)?),
        last_modified_at: Millis(row.try_get(8)?),
        cursor: Cursor(unsigned(row.try_get(9)?)),
        links: decode_links(names, row.try_get(12)?)?,
    })
}

fn decode_links(names: &TenantNames, text: &str) -> Result<BTreeMap<ConnectionId, LinkRow>, StoreError> {
    let links: Vec<(i64, LinkRow)> = decode("a record's links", text)?;
    links.into_iter().map(|(pk, link)| Ok((names.connection(pk)?.clone(), link))).collect()
}
