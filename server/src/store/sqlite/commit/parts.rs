//! What hangs on a record: replicas, links, match keys, journal, feed and conflicts.

use sqlx::SqliteConnection;

use super::encode::{EventRow, LinkRow, RecordRows};
use crate::store::{
    CommitError, StoreError,
    sqlite::{
        codec::{KEY_HASH_LEN, decode_id, id_bytes, signed},
        names::TenantNames,
        rows::RowsStatement,
    },
};

const REPLICAS: RowsStatement = RowsStatement {
    head: "INSERT INTO replicas (record, connection, delivery, due, replica, baseline) VALUES ",
    row: "(?,?,?,?,?,?)",
    tail: " ON CONFLICT (record, connection) DO UPDATE SET delivery = excluded.delivery, due = excluded.due, \
           replica = excluded.replica, baseline = excluded.baseline",
};

/// Writes the replicas that changed.
pub(super) async fn write_replicas(
    connection: &mut SqliteConnection,
    records: &mut [RecordRows],
) -> Result<(), StoreError> {
    let rows = drain(records, |record| std::mem::take(&mut record.replicas));
    REPLICAS
        .execute(connection, rows, |statement, (record, row)| {
            statement
                .bind(record)
                .bind(row.connection)
                .bind(row.delivery)
                .bind(row.due)
                .bind(row.replica)
                .bind(row.baseline)
        })
        .await?;
    Ok(())
}

const GIVE_UP: RowsStatement = RowsStatement {
    head: "DELETE FROM links WHERE (connection, object, external_id, record) IN (VALUES ",
    row: "(?,?,?,?)",
    tail: ")",
};

/// Removes the links that records give up, before any record takes new ones.
pub(super) async fn give_up_links(
    connection: &mut SqliteConnection,
    records: &mut [RecordRows],
) -> Result<(), StoreError> {
    let rows = drain(records, |record| std::mem::take(&mut record.given_up));
    GIVE_UP
        .execute(connection, rows, |statement, (record, link)| {
            statement.bind(link.connection).bind(link.object).bind(link.external_id).bind(record)
        })
        .await?;
    Ok(())
}

/// Counts a link that this record holds already as written, and one that another record holds not at all.
const CLAIM: RowsStatement = RowsStatement {
    head: "INSERT INTO links (connection, object, external_id, record) VALUES ",
    row: "(?,?,?,?)",
    tail: " ON CONFLICT (connection, object, external_id) DO UPDATE SET record = record WHERE record = excluded.record",
};

/// Makes the records' external ids resolve to them, and fails where one belongs to another record.
pub(super) async fn claim_links(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), CommitError> {
    let rows = drain(records, |record| std::mem::take(&mut record.claims));
    let claimed = rows.len() as u64;
    let wanted = rows.clone();
    let written = CLAIM
        .execute(connection, rows, |statement, (record, link)| {
            statement.bind(link.connection).bind(link.object).bind(link.external_id).bind(record)
        })
        .await
        .map_err(StoreError::from)?;
    if written == claimed { Ok(()) } else { Err(taken(connection, names, wanted).await?) }
}

/// Names the first link that another record holds.
async fn taken(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    wanted: Vec<(i64, LinkRow)>,
) -> Result<CommitError, StoreError> {
    for (record, link) in wanted {
        let holder: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT r.id FROM links l JOIN records r ON r.pk = l.record \
             WHERE l.connection = ? AND l.object = ? AND l.external_id = ? AND l.record <> ?",
        )
        .bind(link.connection)
        .bind(&link.object)
        .bind(&link.external_id)
        .bind(record)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(holder) = holder {
            return Ok(CommitError::Taken {
                connection: names.connection(link.connection)?.clone(),
                object: link.object.into(),
                id: link.external_id.into(),
                holder: decode_id(&holder)?,
            });
        }
    }
    Err(StoreError::Corrupt("an object's link was refused, yet no record holds it".into()))
}

const ADD_KEYS: RowsStatement = RowsStatement {
    head: "INSERT INTO match_keys (hash, record) VALUES ",
    row: "(?,?)",
    tail: " ON CONFLICT DO NOTHING",
};

const DROP_KEYS: RowsStatement =
    RowsStatement { head: "DELETE FROM match_keys WHERE (hash, record) IN (VALUES ", row: "(?,?)", tail: ")" };

/// Replaces match keys where they differ from those stored.
pub(super) async fn write_match_keys(
    connection: &mut SqliteConnection,
    records: &mut [RecordRows],
) -> Result<(), StoreError> {
    let (mut added, mut dropped, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        let Some(keys) = record.match_keys.take() else { continue };
        let (before, _) = record.match_keys_before.as_chunks::<KEY_HASH_LEN>();
        added.extend(keys.iter().filter(|key| !before.contains(key)).map(|key| (*key, record.pk)));
        dropped.extend(before.iter().filter(|key| !keys.contains(key)).map(|key| (*key, record.pk)));
        if !record.is_new() && keys != before {
            moved.push((record.pk, keys.concat()));
        }
    }
    // In the order of the index, so that neighbours meet on one page.
    added.sort_unstable();
    DROP_KEYS
        .execute(connection, dropped, |statement, (key, record)| statement.bind(key.to_vec()).bind(record))
        .await?;
    ADD_KEYS.execute(connection, added, |statement, (key, record)| statement.bind(key.to_vec()).bind(record)).await?;
    for (record, keys) in moved {
        sqlx::query("UPDATE records SET match_keys = ? WHERE pk = ?")
            .bind(keys)
            .bind(record)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

const JOURNAL: RowsStatement =
    RowsStatement { head: "INSERT INTO journal (record, revision, n, entry) VALUES ", row: "(?,?,?,?)", tail: "" };

/// Appends the journal entries.
pub(super) async fn write_journal(
    connection: &mut SqliteConnection,
    records: &mut [RecordRows],
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for record in records {
        let (pk, revision) = (record.pk, record.expected + 1);
        rows.extend(
            std::mem::take(&mut record.journal).into_iter().zip(0_i64..).map(|(entry, n)| (pk, revision, n, entry)),
        );
    }
    JOURNAL
        .execute(connection, rows, |statement, (record, revision, n, entry)| {
            statement.bind(record).bind(revision).bind(n).bind(entry)
        })
        .await?;
    Ok(())
}

const FEED: RowsStatement = RowsStatement {
    head: "INSERT INTO feed (tenant, seq, record, model, action, version, at, fields, changed) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?)",
    tail: "",
};

/// Appends the announcements at their places.
pub(super) async fn write_feed(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), StoreError> {
    let tenant = names.pk;
    let mut rows = Vec::new();
    for record in records {
        if let Some(event) = record.event.take() {
            rows.push((signed(record.changed)?, record.id, record.model.clone(), event));
        }
    }
    FEED.execute(connection, rows, |statement, (seq, id, model, event)| {
        let EventRow { action, version, at, fields, changed, .. } = event;
        statement
            .bind(tenant)
            .bind(seq)
            .bind(id_bytes(id))
            .bind(model)
            .bind(action)
            .bind(version)
            .bind(at)
            .bind(fields)
            .bind(changed)
    })
    .await?;
    Ok(())
}

const CONFLICTS: RowsStatement = RowsStatement {
    head: "INSERT INTO conflicts (tenant, record, model, field, loser, winner, conflict) VALUES ",
    row: "(?,?,?,?,?,?,?)",
    tail: " ON CONFLICT (record, field, loser, winner) DO NOTHING",
};

/// Keeps the conflicts that are not known yet.
pub(super) async fn write_conflicts(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), StoreError> {
    let tenant = names.pk;
    let mut rows = Vec::new();
    for record in records {
        let (pk, model) = (record.pk, record.model.clone());
        rows.extend(std::mem::take(&mut record.conflicts).into_iter().map(|row| (pk, model.clone(), row)));
    }
    CONFLICTS
        .execute(connection, rows, |statement, (record, model, row)| {
            statement
                .bind(tenant)
                .bind(record)
                .bind(model)
                .bind(row.field)
                .bind(row.loser)
                .bind(row.winner)
                .bind(row.conflict)
        })
        .await?;
    Ok(())
}

/// Takes one kind of rows out of every record, each with its record's row number.
fn drain<T>(records: &mut [RecordRows], mut take: impl FnMut(&mut RecordRows) -> Vec<T>) -> Vec<(i64, T)> {
    let mut rows = Vec::new();
    for record in records {
        let pk = record.pk;
        rows.extend(take(record).into_iter().map(|row| (pk, row)));
    }
    rows
}
