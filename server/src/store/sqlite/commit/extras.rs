//! What a batch carries beside its records: checkpoints, quarantine, worked-off hints, closed conflicts, documents
//! that are no record's own, operations on identity.

use crate::store::{
    CommitBatch, StoreError,
    conflicts::Closing,
    inbox::{HintId, HintPut},
    quarantine::{QuarantineId, Quarantined},
    sqlite::{
        codec::{encode, pk_list, signed},
        documents, held, identity,
        names::TenantNames,
        script::Script,
    },
    syncs::{CheckpointPut, Phase},
};

/// Adds them all to the script.
pub(super) fn write(script: &mut Script<'_>, names: &TenantNames, batch: CommitBatch) -> Result<(), StoreError> {
    for checkpoint in batch.checkpoints {
        put_checkpoint(script, names, checkpoint)?;
    }
    for row in batch.quarantine {
        quarantine(script, names, row)?;
    }
    release(script, names, &batch.released);
    finish_hints(script, names, &batch.hints_done);
    for hint in batch.hints {
        put_hint(script, names, hint)?;
    }
    for closing in batch.conflicts_closed {
        close_conflict(script, names, closing);
    }
    documents::write(script, names, batch.documents)?;
    documents::claim_actors(script, names, batch.actors);
    held::write(script, names, batch.held)?;
    for guard in &batch.guards {
        held::put_guard(script, names, guard)?;
    }
    identity::write(script, names, batch.operations)
}

fn put_checkpoint(script: &mut Script<'_>, names: &TenantNames, checkpoint: CheckpointPut) -> Result<(), StoreError> {
    let CheckpointPut { stream, state, rows } = checkpoint;
    let side = names.known(&stream.connection)?;
    script
        .add(
            "INSERT INTO checkpoints (tenant, sync, connection, stream, state) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (tenant, sync, connection, stream) DO UPDATE SET state = excluded.state",
        )
        .bind(names.pk)
        .bind(stream.sync.as_str())
        .bind(side)
        .bind(stream.name)
        .bind(state);
    if rows > 0 {
        script
            .add(
                "INSERT INTO syncs (tenant, sync, connection, phase, approved, read) VALUES (?, ?, ?, ?, 0, ?) \
                 ON CONFLICT (tenant, sync, connection) DO UPDATE SET read = read + excluded.read",
            )
            .bind(names.pk)
            .bind(stream.sync)
            .bind(side)
            .bind(Phase::Backfilling.as_str())
            .bind(signed(rows)?);
    }
    Ok(())
}

fn quarantine(script: &mut Script<'_>, names: &TenantNames, row: Quarantined) -> Result<(), StoreError> {
    let raw = encode(&row.raw)?;
    let subject = match &row.external_id {
        Some(id) => format!("id:{id}"),
        None => format!("row:{}", blake3::hash(raw.as_bytes()).to_hex()),
    };
    script
        .add(
            "INSERT INTO quarantine \
             (tenant, connection, object, subject, external_id, sync, cause, reason, raw, attempts, first_at, last_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (connection, object, subject) DO UPDATE SET \
             sync = excluded.sync, cause = excluded.cause, reason = excluded.reason, raw = excluded.raw, attempts = attempts + 1, \
             last_at = excluded.last_at",
        )
        .bind(names.pk)
        .bind(names.known(&row.connection)?)
        .bind(row.object.as_str())
        .bind(subject)
        .bind(row.external_id.as_ref().map(|id| id.as_str()))
        .bind(row.sync)
        .bind(row.cause.as_str())
        .bind(row.reason)
        .bind(raw)
        .bind(row.at.0)
        .bind(row.at.0);
    Ok(())
}

fn release(script: &mut Script<'_>, names: &TenantNames, ids: &[QuarantineId]) {
    if !ids.is_empty() {
        script
            .add("DELETE FROM quarantine WHERE tenant = ? AND pk IN (SELECT value FROM json_each(?))")
            .bind(names.pk)
            .bind(pk_list(ids.iter().map(|id| id.0)));
    }
}

fn put_hint(script: &mut Script<'_>, names: &TenantNames, put: HintPut) -> Result<(), StoreError> {
    let HintPut { connection, hint, at } = put;
    script
        .add(
            "INSERT INTO inbox (connection, dedupe, object, external_id, account, at) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (connection, dedupe) DO NOTHING",
        )
        .bind(names.known(&connection)?)
        .bind(hint.dedupe)
        .bind(hint.object.as_str())
        .bind(hint.id.as_str())
        .bind(hint.account)
        .bind(at.0);
    Ok(())
}

/// Marks hints of this tenant as worked off.
pub(in crate::store::sqlite) fn finish_hints(script: &mut Script<'_>, names: &TenantNames, ids: &[HintId]) {
    if !ids.is_empty() {
        script
            .add(
                "UPDATE inbox SET done = 1 WHERE pk IN (SELECT value FROM json_each(?)) \
                 AND connection IN (SELECT pk FROM connections WHERE tenant = ?)",
            )
            .bind(pk_list(ids.iter().map(|id| id.0)))
            .bind(names.pk);
    }
}

fn close_conflict(script: &mut Script<'_>, names: &TenantNames, closing: Closing) {
    script
        .add(
            "UPDATE conflicts SET closed_at = ?, closed_by = ?, choice = ? \
             WHERE pk = ? AND tenant = ? AND closed_at IS NULL",
        )
        .bind(closing.closed.at.0)
        .bind(closing.closed.by)
        .bind(closing.closed.choice)
        .bind(closing.id.0)
        .bind(names.pk);
}
