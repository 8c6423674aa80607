//! The one transaction that changes records.
//!
//! # Layout, in the order of a commit
//!
//! * [`encode`]: records become rows, before the writer is taken.
//! * [`records`]: compare-and-swap of the records themselves.
//! * [`parts`]: replicas, links, match keys, journal, feed, conflicts.
//! * [`extras`]: what a batch carries beside its records.

mod encode;
mod extras;
mod parts;
mod records;

use std::collections::BTreeSet;

use sqlx::{Row, SqliteConnection};
use syncline_core::{
    ids::{ConnectionId, RecordId},
    live::{Change, Cursor},
};

use self::encode::RecordRows;
pub(super) use self::extras::finish_hints;
use super::{
    SqliteTenant,
    codec::{signed, unsigned},
    names::TenantNames,
};
use crate::store::{CommitBatch, CommitError, Committed, StoreError};

/// Commits a batch: all of it, durably, or nothing.
pub(super) async fn commit(store: &SqliteTenant, mut batch: CommitBatch) -> Result<Committed, CommitError> {
    if batch.is_empty() {
        return Ok(Committed::default());
    }
    refuse_repeats(&batch)?;
    let names = store.ensure_names(connections(&batch)).await?;
    let records = std::mem::take(&mut batch.records)
        .into_iter()
        .map(|record| encode::encode_record(&store.tenant, &names, record))
        .collect::<Result<Vec<_>, _>>()?;

    let mut tx = store.writer().begin().await?;
    match apply(tx.connection(), &names, records, batch).await {
        Ok(changes) => {
            tx.commit().await?;
            Ok(Committed { changes })
        }
        Err(error) => {
            tx.roll_back().await?;
            Err(error)
        }
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    mut records: Vec<RecordRows>,
    batch: CommitBatch,
) -> Result<Vec<Change>, CommitError> {
    let changes = place(connection, names, &mut records).await?;
    records::update(connection, names, &mut records).await?;
    parts::give_up_links(connection, &mut records).await?;
    records::insert(connection, names, &mut records).await?;
    parts::write_replicas(connection, &mut records).await?;
    parts::claim_links(connection, names, &mut records).await?;
    parts::write_match_keys(connection, &mut records).await?;
    parts::write_journal(connection, &mut records).await?;
    parts::write_feed(connection, names, &mut records).await?;
    parts::write_conflicts(connection, names, &mut records).await?;
    extras::write(connection, names, batch).await?;
    Ok(changes)
}

/// Gives new records their row numbers and announcements their places in the feed, both without a gap: this is the only
/// writer, and a transaction that fails takes its numbers back.
async fn place(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<Vec<Change>, StoreError> {
    let announced = records.iter().filter(|record| record.event.is_some()).count();
    if announced == 0 && !records.iter().any(RecordRows::is_new) {
        return Ok(Vec::new());
    }
    let row = sqlx::query(
        "UPDATE tenants SET feed_head = feed_head + ?2 WHERE pk = ?1 \
         RETURNING feed_head, (SELECT coalesce(max(pk), 0) FROM records)",
    )
    .bind(names.pk)
    .bind(signed(announced as u64)?)
    .fetch_one(connection)
    .await?;
    let mut cursor = unsigned(row.try_get(0)?) - announced as u64;
    let mut pk: i64 = row.try_get(1)?;
    let mut changes = Vec::with_capacity(announced);
    for record in records {
        if record.is_new() {
            pk += 1;
            record.pk = pk;
        }
        record.changed = cursor;
        if let Some(event) = &mut record.event {
            cursor += 1;
            record.changed = cursor;
            changes.extend(event.change.take().map(|event| Change { cursor: Cursor(cursor), event }));
        }
    }
    Ok(changes)
}

/// A record that comes twice would be compared with a revision that the batch itself has moved.
fn refuse_repeats(batch: &CommitBatch) -> Result<(), StoreError> {
    let mut seen: BTreeSet<RecordId> = BTreeSet::new();
    match batch.records.iter().find(|record| !seen.insert(record.state.id)) {
        Some(twice) => Err(StoreError::Value(format!("record {} comes twice in one batch", twice.state.id))),
        None => Ok(()),
    }
}

/// Every connection that the batch speaks of.
fn connections(batch: &CommitBatch) -> impl Iterator<Item = &ConnectionId> {
    let of_records = batch.records.iter().flat_map(|record| {
        record
            .state
            .replicas
            .keys()
            .chain(record.aliases.iter().chain(&record.given_up).map(|object| &object.connection))
    });
    of_records
        .chain(batch.checkpoints.iter().map(|checkpoint| &checkpoint.stream.connection))
        .chain(batch.quarantine.iter().map(|row| &row.connection))
}
