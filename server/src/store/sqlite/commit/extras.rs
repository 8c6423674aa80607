//! What a batch carries beside its records: checkpoints, quarantine, worked-off hints, closed conflicts.

use sqlx::SqliteConnection;

use crate::store::{
    CommitBatch, StoreError,
    conflicts::Closing,
    inbox::HintId,
    quarantine::{QuarantineId, Quarantined},
    sqlite::{
        codec::{encode, pk_list, signed},
        names::TenantNames,
    },
    syncs::{CheckpointPut, Phase},
};

/// Writes them all.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    batch: CommitBatch,
) -> Result<(), StoreError> {
    for checkpoint in batch.checkpoints {
        put_checkpoint(connection, names, checkpoint).await?;
    }
    for row in batch.quarantine {
        quarantine(connection, names, row).await?;
    }
    release(connection, names, &batch.released).await?;
    finish_hints(connection, names, &batch.hints_done).await?;
    for closing in batch.conflicts_closed {
        close_conflict(connection, names, closing).await?;
    }
    Ok(())
}

async fn put_checkpoint(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    checkpoint: CheckpointPut,
) -> Result<(), StoreError> {
    let CheckpointPut { stream, state, rows } = checkpoint;
    let side = names.known(&stream.connection)?;
    sqlx::query(
        "INSERT INTO checkpoints (tenant, sync, connection, stream, state) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, sync, connection, stream) DO UPDATE SET state = excluded.state",
    )
    .bind(names.pk)
    .bind(&stream.sync)
    .bind(side)
    .bind(stream.name)
    .bind(state)
    .execute(&mut *connection)
    .await?;
    if rows == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO syncs (tenant, sync, connection, phase, approved, read) VALUES (?, ?, ?, ?, 0, ?) \
         ON CONFLICT (tenant, sync, connection) DO UPDATE SET read = read + excluded.read",
    )
    .bind(names.pk)
    .bind(stream.sync)
    .bind(side)
    .bind(Phase::Backfilling.as_str())
    .bind(signed(rows)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn quarantine(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    row: Quarantined,
) -> Result<(), StoreError> {
    let raw = encode(&row.raw)?;
    let subject = match &row.external_id {
        Some(id) => format!("id:{id}"),
        None => format!("row:{}", blake3::hash(raw.as_bytes()).to_hex()),
    };
    sqlx::query(
        "INSERT INTO quarantine \
         (tenant, connection, object, subject, external_id, sync, reason, raw, attempts, first_at, last_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?9) \
         ON CONFLICT (connection, object, subject) DO UPDATE SET \
         sync = excluded.sync, reason = excluded.reason, raw = excluded.raw, attempts = attempts + 1, last_at = excluded.last_at",
    )
    .bind(names.pk)
    .bind(names.known(&row.connection)?)
    .bind(row.object.as_str())
    .bind(subject)
    .bind(row.external_id.as_ref().map(|id| id.as_str().to_owned()))
    .bind(row.sync)
    .bind(row.reason)
    .bind(raw)
    .bind(row.at.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn release(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    ids: &[QuarantineId],
) -> Result<(), StoreError> {
    if !ids.is_empty() {
        sqlx::query("DELETE FROM quarantine WHERE tenant = ? AND pk IN (SELECT value FROM json_each(?))")
            .bind(names.pk)
            .bind(pk_list(ids.iter().map(|id| id.0)))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Marks hints of this tenant as worked off.
pub(in crate::store::sqlite) async fn finish_hints(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    ids: &[HintId],
) -> Result<(), StoreError> {
    if !ids.is_empty() {
        sqlx::query(
            "UPDATE inbox SET done = 1 WHERE pk IN (SELECT value FROM json_each(?)) \
             AND connection IN (SELECT pk FROM connections WHERE tenant = ?)",
        )
        .bind(pk_list(ids.iter().map(|id| id.0)))
        .bind(names.pk)
        .execute(connection)
        .await?;
    }
    Ok(())
}

async fn close_conflict(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    closing: Closing,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE conflicts SET closed_at = ?, closed_by = ?, choice = ? WHERE pk = ? AND tenant = ? AND closed_at IS NULL",
    )
    .bind(closing.closed.at.0)
    .bind(closing.closed.by)
    .bind(closing.closed.choice)
    .bind(closing.id.0)
    .bind(names.pk)
    .execute(connection)
    .await?;
    Ok(())
}
