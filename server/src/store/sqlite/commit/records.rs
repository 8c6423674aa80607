//! The records' own rows: known ones are compared and swapped, new ones inserted.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use syncline_core::{
    document::Seal,
    ids::RecordId,
    live::{Change, Cursor},
};

use super::encode::{Body, LinkRow, RecordRows};
use crate::store::{
    CommitError, StoreError,
    sqlite::{
        codec::{self, decode_id, id_bytes, id_list, unsigned},
        failure,
        names::TenantNames,
        script::{RowsStatement, Script, Values},
    },
};

/// Known records whose document changed. Places in the feed count from its head before this commit.
pub(super) const REWRITE: RowsStatement = RowsStatement {
    head: "UPDATE records SET revision = v.column3 + 1, version = v.column4, \
           changed = coalesce((SELECT feed_head FROM tenants WHERE pk = v.column2) + v.column5, changed), \
           last_modified_at = v.column6, deleted_at = v.column7, \
           origins = CASE WHEN v.column8 IS NULL THEN origins ELSE json_patch(origins, v.column8) END, \
           fields = v.column9, heads = v.column10, document = v.column11, document_bytes = v.column12, \
           document_sum = v.column13, logged = v.column14, merged_into = v.column15 FROM (VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    tail: ") AS v WHERE id = v.column1 AND tenant = v.column2 AND revision = v.column3 RETURNING pk, id, match_keys",
};

/// Known records of which only replicas or conflicts change.
pub(super) const TOUCH: RowsStatement = RowsStatement {
    head: "UPDATE records SET revision = v.column3 + 1 FROM (VALUES ",
    row: "(?,?,?)",
    tail: ") AS v WHERE id = v.column1 AND tenant = v.column2 AND revision = v.column3 RETURNING pk, id, match_keys",
};

/// Counts the batch's announcements. Both numbers are without a gap: this is the only writer, and a transaction that fails
/// takes its numbers back.
const COUNT: &str = "UPDATE tenants SET feed_head = feed_head + ? WHERE pk = ? \
                     RETURNING feed_head, (SELECT coalesce(max(pk), 0) FROM records)";

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO records (pk, id, tenant, model, revision, version, changed, first_seen_at, last_modified_at, \
           deleted_at, match_keys, origins, fields, genesis, heads, document, document_bytes, document_sum, logged, epoch, \
           document_id) VALUES ",
    row: "(?,?,?,?,1,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    tail: "",
};

/// Swaps every known record whose revision is the expected one, and fails with those whose is not. Gives new records
/// their row numbers and announcements their places in the feed.
pub(super) async fn swap(
    script: &mut Script<'_>,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), CommitError> {
    let announced = number_announcements(records);
    let (mut rewrites, mut touches) = (Vec::new(), Vec::new());
    for record in records.iter_mut().filter(|record| !record.is_new()) {
        match record.body.take() {
            Some(body) => rewrites.push((record.id, record.expected, record.announced, body)),
            None => touches.push((record.id, record.expected)),
        }
    }
    add_swaps(script, names.pk, rewrites, touches).await.map_err(StoreError::from)?;
    script.add(COUNT).bind(announced).bind(names.pk);
    let mut shown = script.run().await.map_err(StoreError::from)?.shown;
    let counted = shown.pop().ok_or_else(|| StoreError::Corrupt("a tenant's row is gone".into()))?;
    adopt(records, &shown)?;
    let head: i64 = counted.try_get(0).map_err(StoreError::from)?;
    let last: i64 = counted.try_get(1).map_err(StoreError::from)?;
    for (record, pk) in records.iter_mut().filter(|record| record.is_new()).zip(last + 1..) {
        record.pk = pk;
    }
    for record in records {
        record.changed = head - announced + record.announced.unwrap_or(0);
    }
    Ok(())
}

fn number_announcements(records: &mut [RecordRows]) -> i64 {
    let mut announced = 0;
    for record in records.iter_mut().filter(|record| record.event.is_some()) {
        announced += 1;
        record.announced = Some(announced);
    }
    announced
}

async fn add_swaps(
    script: &mut Script<'_>,
    tenant: i64,
    rewrites: Vec<(RecordId, i64, Option<i64>, Body)>,
    touches: Vec<(RecordId, i64)>,
) -> Result<(), sqlx::Error> {
    script
        .rows(&REWRITE, rewrites, |values, (id, expected, announced, body)| {
            values
                .bind(id_bytes(id))
                .bind(tenant)
                .bind(expected)
                .bind(body.version)
                .bind(announced)
                .bind(body.last_modified_at)
                .bind(body.deleted_at)
                .bind(body.origins)
                .bind(body.fields)
                .bind(body.heads)
                .bind(body.document);
            bind_seal(values, body.seal).bind(body.logged).bind(body.merged_into);
        })
        .await?;
    script
        .rows(&TOUCH, touches, |values, (id, expected)| {
            values.bind(id_bytes(id)).bind(tenant).bind(expected);
        })
        .await
}

/// Notes what the swap returned; a record that it did not return is stale.
fn adopt(records: &mut [RecordRows], swapped: &[SqliteRow]) -> Result<(), CommitError> {
    let mut found = swapped.iter().map(decode_swapped).collect::<Result<HashMap<_, _>, _>>()?;
    let mut stale = Vec::new();
    for record in records.iter_mut().filter(|record| !record.is_new()) {
        match found.remove(&record.id) {
            Some((pk, keys)) => (record.pk, record.match_keys_before) = (pk, keys),
            None => stale.push(record.id),
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(CommitError::Stale(stale)) }
}

fn decode_swapped(row: &SqliteRow) -> Result<(RecordId, (i64, Vec<u8>)), StoreError> {
    Ok((decode_id(row.try_get(1)?)?, (row.try_get(0)?, row.try_get(2)?)))
}

/// The announcements at their places.
pub(super) fn place(records: &mut [RecordRows]) -> Vec<Change> {
    records
        .iter_mut()
        .filter_map(|record| {
            let event = record.event.as_mut()?.change.take()?;
            Some(Change { cursor: Cursor(unsigned(record.changed)), event })
        })
        .collect()
}

/// Begins the epochs of records that were swapped before; journal entries of this commit are of the new epoch.
pub(super) fn begin_epochs(script: &mut Script<'_>, records: &mut [RecordRows]) {
    for record in records {
        let Some(epoch) = record.epoch.take() else { continue };
        script
            .add(
                "UPDATE records SET epoch = ?, epoch_revision = revision, document_id = ?, genesis = coalesce(?, genesis) \
                 WHERE pk = ?",
            )
            .bind(epoch.epoch)
            .bind(epoch.document.as_bytes().to_vec())
            .bind(epoch.genesis)
            .bind(record.pk);
    }
}

/// Inserts every new record.
pub(super) async fn insert(
    script: &mut Script<'_>,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), sqlx::Error> {
    let tenant = names.pk;
    let mut rows = Vec::with_capacity(records.len());
    for record in records.iter_mut().filter(|record| record.is_new()) {
        if let Some(body) = record.body.take() {
            let keys: Vec<u8> = record.match_keys.iter().flatten().flatten().copied().collect();
            rows.push((record.pk, record.id, record.model.clone(), record.changed, keys, body));
        }
    }
    script
        .rows(&INSERT, rows, |values, (pk, id, model, changed, keys, body)| {
            values
                .bind(pk)
                .bind(id_bytes(id))
                .bind(tenant)
                .bind(model)
                .bind(body.version)
                .bind(changed)
                .bind(body.first_seen_at)
                .bind(body.last_modified_at)
                .bind(body.deleted_at)
                .bind(keys)
                .bind(body.origins)
                .bind(body.fields)
                .bind(body.genesis)
                .bind(body.heads)
                .bind(body.document);
            bind_seal(values, body.seal).bind(body.logged).bind(body.epoch).bind(body.document_id);
        })
        .await
}

/// Binds the columns `document_bytes` and `document_sum`.
fn bind_seal(values: &mut Values, seal: Option<Seal>) -> &mut Values {
    let (bytes, sum) = codec::seal_columns(seal);
    values.bind(bytes).bind(sum)
}

/// What the refusal of a constraint means: a record that exists already, or an object that belongs to another record.
pub(super) async fn explain(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &[RecordRows],
    error: sqlx::Error,
) -> CommitError {
    let explained = if failure::is_duplicate(&error) {
        existing(connection, records).await
    } else if failure::is_null(&error) {
        taken(connection, names, records).await
    } else {
        Ok(None)
    };
    match explained {
        Ok(Some(meaning)) => meaning,
        Ok(None) => StoreError::from(error).into(),
        Err(error) => error.into(),
    }
}

/// The new records that are stored already.
async fn existing(
    connection: &mut SqliteConnection,
    records: &[RecordRows],
) -> Result<Option<CommitError>, StoreError> {
    let ids: Vec<RecordId> = records.iter().filter(|record| record.is_new()).map(|record| record.id).collect();
    // Rows of this batch have row numbers from here on.
    let first = records.iter().filter(|record| record.is_new()).map(|record| record.pk).min();
    let rows = sqlx::query("SELECT id FROM records WHERE id IN (SELECT unhex(value) FROM json_each(?)) AND pk < ?")
        .bind(id_list(&ids))
        .bind(first)
        .fetch_all(connection)
        .await?;
    let stale: Vec<RecordId> = rows.iter().map(|row| decode_id(row.try_get(0)?)).collect::<Result<_, StoreError>>()?;
    Ok((!stale.is_empty()).then_some(CommitError::Stale(stale)))
}

/// The first claimed object that another record holds.
async fn taken(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &[RecordRows],
) -> Result<Option<CommitError>, StoreError> {
    for record in records {
        for link in &record.claims {
            if let Some(holder) = other_holder(connection, record, link).await? {
                return Ok(Some(CommitError::Taken {
                    connection: names.connection(link.connection)?.clone(),
                    object: link.object.as_str().into(),
                    id: link.external_id.as_str().into(),
                    holder,
                }));
            }
        }
    }
    Ok(None)
}

/// The record that holds the object, if it is not this one.
async fn other_holder(
    connection: &mut SqliteConnection,
    record: &RecordRows,
    link: &LinkRow,
) -> Result<Option<RecordId>, StoreError> {
    let holder: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT r.id FROM links l JOIN records r ON r.pk = l.record \
         WHERE l.connection = ? AND l.object = ? AND l.external_id = ? AND l.record <> ?",
    )
    .bind(link.connection)
    .bind(link.object.as_str())
    .bind(link.external_id.as_str())
    .bind(record.pk)
    .fetch_optional(connection)
    .await?;
    holder.map(|bytes| decode_id(&bytes)).transpose()
}
