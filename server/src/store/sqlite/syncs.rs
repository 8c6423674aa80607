//! The state of syncs.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use syncline_core::{ids::ConnectionId, time::Millis};

use super::{
    SqliteTenant,
    codec::{signed, unsigned},
    names::TenantNames,
};
use crate::store::{
    StoreError,
    syncs::{Phase, Stream, SyncState, Syncs},
};

#[async_trait]
impl Syncs for SqliteTenant {
    async fn checkpoint(&self, stream: &Stream) -> Result<Option<String>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let Some(side) = names.number(&stream.connection) else { return Ok(None) };
        Ok(sqlx::query_scalar(
            "SELECT state FROM checkpoints WHERE tenant = ? AND sync = ? AND connection = ? AND stream = ?",
        )
        .bind(names.pk)
        .bind(&stream.sync)
        .bind(side)
        .bind(&stream.name)
        .fetch_optional(self.readers())
        .await?)
    }

    async fn checkpoints(&self, sync: &str) -> Result<Vec<(Stream, String)>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT connection, stream, state FROM checkpoints WHERE tenant = ? AND sync = ? ORDER BY connection, stream",
        )
        .bind(names.pk)
        .bind(sync)
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let connection = names.connection(row.try_get(0)?)?.clone();
                Ok((Stream { sync: sync.to_owned(), connection, name: row.try_get(1)? }, row.try_get(2)?))
            })
            .collect()
    }

    async fn forget_checkpoints(&self, sync: &str, connection: &ConnectionId) -> Result<(), StoreError> {
        let names = self.ensure_names([connection]).await?;
        let side = names.known(connection)?;
        let mut tx = self.writer().begin().await?;
        for statement in [
            "DELETE FROM checkpoints WHERE tenant = ? AND sync = ? AND connection = ?",
            "UPDATE syncs SET read = 0, expected = NULL WHERE tenant = ? AND sync = ? AND connection = ?",
        ] {
            sqlx::query(statement).bind(names.pk).bind(sync).bind(side).execute(tx.connection()).await?;
        }
        tx.commit().await
    }

    async fn sync_states(&self) -> Result<Vec<SyncState>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let mut sql = select(&names);
        sql.push(" ORDER BY s.sync, c.name");
        let rows = sql.build().fetch_all(self.readers()).await?;
        rows.iter().map(|row| decode_state(&names, row)).collect()
    }

    async fn sync_state(&self, sync: &str, connection: &ConnectionId) -> Result<Option<SyncState>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let Some(side) = names.number(connection) else { return Ok(None) };
        let mut sql = select(&names);
        sql.push(" AND s.sync = ").push_bind(sync.to_owned()).push(" AND s.connection = ").push_bind(side);
        let row = sql.build().fetch_optional(self.readers()).await?;
        row.map(|row| decode_state(&names, &row)).transpose()
    }

    async fn put_sync_state(&self, state: &SyncState) -> Result<(), StoreError> {
        let names = self.ensure_names([&state.connection]).await?;
        let mut tx = self.writer().begin().await?;
        sqlx::query(
            "INSERT INTO syncs (tenant, sync, connection, phase, approved, read, expected, last_error, started_at, last_success_at, since) \
             VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?) \
             ON CONFLICT (tenant, sync, connection) DO UPDATE SET phase = excluded.phase, approved = excluded.approved, \
             expected = excluded.expected, last_error = excluded.last_error, started_at = excluded.started_at, \
             last_success_at = excluded.last_success_at, since = excluded.since",
        )
        .bind(names.pk)
        .bind(&state.sync)
        .bind(names.known(&state.connection)?)
        .bind(state.phase.as_str())
        .bind(state.approved)
        .bind(state.expected.map(signed).transpose()?)
        .bind(&state.last_error)
        .bind(state.started_at.map(|at| at.0))
        .bind(state.last_success_at.map(|at| at.0))
        .bind(state.since.map(|at| at.0))
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }
}

fn select(names: &TenantNames) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT s.sync, s.connection, s.phase, s.approved, s.read, s.expected, s.last_error, s.started_at, s.last_success_at, s.since \
         FROM syncs s JOIN connections c ON c.pk = s.connection WHERE s.tenant = ",
    );
    sql.push_bind(names.pk);
    sql
}

fn decode_state(names: &TenantNames, row: &SqliteRow) -> Result<SyncState, StoreError> {
    let phase: &str = row.try_get(2)?;
    Ok(SyncState {
        sync: row.try_get(0)?,
        connection: names.connection(row.try_get(1)?)?.clone(),
        phase: Phase::parse(phase).ok_or_else(|| StoreError::Corrupt(format!("`{phase}` is no phase of a sync")))?,
        approved: row.try_get(3)?,
        read: unsigned(row.try_get(4)?),
        expected: row.try_get::<Option<i64>, _>(5)?.map(unsigned),
        last_error: row.try_get(6)?,
        started_at: row.try_get::<Option<i64>, _>(7)?.map(Millis),
        last_success_at: row.try_get::<Option<i64>, _>(8)?.map(Millis),
        since: row.try_get::<Option<i64>, _>(9)?.map(Millis),
    })
}
