//! The records' own rows: new ones are inserted, known ones compared and swapped.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};
use syncline_core::ids::RecordId;

use super::encode::{Body, RecordRows};
use crate::store::{
    CommitError, StoreError,
    sqlite::{
        codec::{decode_id, id_bytes, id_list, signed},
        failure,
        names::TenantNames,
        rows::RowsStatement,
    },
};

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO records (pk, id, tenant, model, revision, version, changed, first_seen_at, last_modified_at, \
           deleted_at, match_keys, origins, fields, genesis, heads, document) VALUES ",
    row: "(?,?,?,?,1,?,?,?,?,?,?,?,?,?,?,?)",
    tail: "",
};

const REWRITE: RowsStatement = RowsStatement {
    head: "UPDATE records SET revision = v.column3 + 1, version = v.column4, changed = coalesce(v.column5, changed), \
           last_modified_at = v.column6, deleted_at = v.column7, \
           origins = CASE WHEN v.column8 IS NULL THEN origins ELSE json_patch(origins, v.column8) END, \
           fields = v.column9, heads = v.column10, document = v.column11 FROM (VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?)",
    tail: ") AS v WHERE id = v.column1 AND tenant = v.column2 AND revision = v.column3 RETURNING pk, id, match_keys",
};

const TOUCH: RowsStatement = RowsStatement {
    head: "UPDATE records SET revision = v.column3 + 1 FROM (VALUES ",
    row: "(?,?,?)",
    tail: ") AS v WHERE id = v.column1 AND tenant = v.column2 AND revision = v.column3 RETURNING pk, id, match_keys",
};

/// Swaps every known record whose revision is the expected one, and fails with those whose is not.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), CommitError> {
    let tenant = names.pk;
    let (mut rewrites, mut touches) = (Vec::new(), Vec::new());
    for record in records.iter_mut().filter(|record| !record.is_new()) {
        match record.body.take() {
            Some(body) => {
                let changed = record.event.is_some().then(|| signed(record.changed)).transpose()?;
                rewrites.push((record.id, record.expected, changed, body));
            }
            None => touches.push((record.id, record.expected)),
        }
    }
    let mut swapped = REWRITE
        .fetch(connection, rewrites, |statement, (id, expected, changed, body)| {
            let Body { version, last_modified_at, deleted_at, origins, fields, heads, document, .. } = body;
            statement
                .bind(id_bytes(id))
                .bind(tenant)
                .bind(expected)
                .bind(version)
                .bind(changed)
                .bind(last_modified_at)
                .bind(deleted_at)
                .bind(origins)
                .bind(fields)
                .bind(heads)
                .bind(document)
        })
        .await
        .map_err(StoreError::from)?;
    let touched = TOUCH
        .fetch(connection, touches, |statement, (id, expected)| {
            statement.bind(id_bytes(id)).bind(tenant).bind(expected)
        })
        .await
        .map_err(StoreError::from)?;
    swapped.extend(touched);
    adopt(records, &swapped)
}

/// Notes what the swap returned; a record that it did not return is stale.
fn adopt(records: &mut [RecordRows], swapped: &[sqlx::sqlite::SqliteRow]) -> Result<(), CommitError> {
    let mut found = HashMap::with_capacity(swapped.len());
    for row in swapped {
        let (pk, keys) = (row.try_get(0).map_err(StoreError::from)?, row.try_get(2).map_err(StoreError::from)?);
        found.insert(decode_id(row.try_get(1).map_err(StoreError::from)?)?, (pk, keys));
    }
    let mut stale = Vec::new();
    for record in records.iter_mut().filter(|record| !record.is_new()) {
        match found.remove(&record.id) {
            Some((pk, keys)) => (record.pk, record.match_keys_before) = (pk, keys),
            None => stale.push(record.id),
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(CommitError::Stale(stale)) }
}

/// Inserts every new record, and fails with those that exist already.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), CommitError> {
    let tenant = names.pk;
    let ids: Vec<RecordId> = records.iter().filter(|record| record.is_new()).map(|record| record.id).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for record in records.iter_mut().filter(|record| record.is_new()) {
        if let Some(body) = record.body.take() {
            let keys: Vec<u8> = record.match_keys.iter().flatten().flatten().copied().collect();
            rows.push((record.pk, record.id, record.model.clone(), signed(record.changed)?, keys, body));
        }
    }
    let inserted = INSERT
        .execute(connection, rows, |statement, (pk, id, model, changed, keys, body)| {
            let Body {
                version,
                first_seen_at,
                last_modified_at,
                deleted_at,
                origins,
                fields,
                genesis,
                heads,
                document,
            } = body;
            statement
                .bind(pk)
                .bind(id_bytes(id))
                .bind(tenant)
                .bind(model)
                .bind(version)
                .bind(changed)
                .bind(first_seen_at)
                .bind(last_modified_at)
                .bind(deleted_at)
                .bind(keys)
                .bind(origins)
                .bind(fields)
                .bind(genesis)
                .bind(heads)
                .bind(document)
        })
        .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if failure::is_duplicate(&error) => Err(CommitError::Stale(existing(connection, &ids).await?)),
        Err(error) => Err(StoreError::from(error).into()),
    }
}

/// Which of these records are stored already.
async fn existing(connection: &mut SqliteConnection, ids: &[RecordId]) -> Result<Vec<RecordId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM records WHERE id IN (SELECT unhex(value) FROM json_each(?))")
        .bind(id_list(ids))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| decode_id(row.try_get(0)?)).collect()
}
