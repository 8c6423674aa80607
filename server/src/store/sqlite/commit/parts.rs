//! What hangs on a record: replicas, links, match keys, journal, feed and conflicts.

use super::encode::RecordRows;
use crate::store::sqlite::{
    codec::{KEY_HASH_LEN, id_bytes},
    names::TenantNames,
    script::{RowsStatement, Script},
};

const REPLICAS: RowsStatement = RowsStatement {
    head: "INSERT INTO replicas (record, connection, delivery, due, marks, replica, baseline) VALUES ",
    row: "(?,?,?,?,?,?,?)",
    tail: " ON CONFLICT (record, connection) DO UPDATE SET delivery = excluded.delivery, due = excluded.due, \
           marks = excluded.marks, replica = excluded.replica, baseline = excluded.baseline",
};

/// Writes the replicas that changed.
pub(super) async fn write_replicas(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    let rows = drain(records, |record| std::mem::take(&mut record.replicas));
    script
        .rows(&REPLICAS, rows, |values, (record, row)| {
            values
                .bind(record)
                .bind(row.connection)
                .bind(row.delivery)
                .bind(row.due)
                .bind(row.marks)
                .bind(row.replica)
                .bind(row.baseline);
        })
        .await
}

pub(super) const GIVE_UP: RowsStatement = RowsStatement {
    head: "DELETE FROM links WHERE (connection, object, external_id, record) IN (VALUES ",
    row: "(?,?,?,?)",
    tail: ")",
};

/// Removes the links that records give up, before any record takes new ones.
pub(super) async fn give_up_links(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    let rows = drain(records, |record| std::mem::take(&mut record.given_up));
    script
        .rows(&GIVE_UP, rows, |values, (record, link)| {
            values.bind(link.connection).bind(link.object).bind(link.external_id).bind(record);
        })
        .await
}

/// A link that the record holds already stays; that of another record would become null, which its column refuses.
pub(super) const CLAIM: RowsStatement = RowsStatement {
    head: "INSERT INTO links (connection, object, external_id, record) VALUES ",
    row: "(?,?,?,?)",
    tail: " ON CONFLICT (connection, object, external_id) DO UPDATE SET record = CASE WHEN record = excluded.record THEN record END",
};

/// Makes the records' external ids resolve to them, which is refused where one belongs to another record.
pub(super) async fn claim_links(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    // The claims stay with the records: they are looked at again where one is refused.
    let rows = drain(records, |record| record.claims.clone());
    script
        .rows(&CLAIM, rows, |values, (record, link)| {
            values.bind(link.connection).bind(link.object).bind(link.external_id).bind(record);
        })
        .await
}

const FORBID: RowsStatement = RowsStatement {
    head: "INSERT INTO not_same (connection, object, external_id, record) VALUES ",
    row: "(?,?,?,?)",
    tail: " ON CONFLICT DO NOTHING",
};

const ALLOW: RowsStatement = RowsStatement {
    head: "DELETE FROM not_same WHERE (connection, object, external_id, record) IN (VALUES ",
    row: "(?,?,?,?)",
    tail: ")",
};

/// Notes which objects a person has cut off from their records, and which not any more.
pub(super) async fn write_not_same(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    let allowed = drain(records, |record| std::mem::take(&mut record.maybe_same));
    let forbidden = drain(records, |record| std::mem::take(&mut record.not_same));
    for (statement, rows) in [(&ALLOW, allowed), (&FORBID, forbidden)] {
        script
            .rows(statement, rows, |values, (record, link)| {
                values.bind(link.connection).bind(link.object).bind(link.external_id).bind(record);
            })
            .await?;
    }
    Ok(())
}

const ADD_KEYS: RowsStatement = RowsStatement {
    head: "INSERT INTO match_keys (hash, record) VALUES ",
    row: "(?,?)",
    tail: " ON CONFLICT DO NOTHING",
};

pub(super) const DROP_KEYS: RowsStatement =
    RowsStatement { head: "DELETE FROM match_keys WHERE (hash, record) IN (VALUES ", row: "(?,?)", tail: ")" };

/// Replaces match keys where they differ from those stored.
pub(super) async fn write_match_keys(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    let (mut added, mut dropped) = (Vec::new(), Vec::new());
    for record in records {
        let Some(keys) = record.match_keys.take() else { continue };
        let (before, _) = record.match_keys_before.as_chunks::<KEY_HASH_LEN>();
        added.extend(keys.iter().filter(|key| !before.contains(key)).map(|key| (*key, record.pk)));
        dropped.extend(before.iter().filter(|key| !keys.contains(key)).map(|key| (*key, record.pk)));
        if !record.is_new() && keys != before {
            script.add("UPDATE records SET match_keys = ? WHERE pk = ?").bind(keys.concat()).bind(record.pk);
        }
    }
    // In the order of the index, so that neighbours meet on one page.
    added.sort_unstable();
    for (statement, rows) in [(&DROP_KEYS, dropped), (&ADD_KEYS, added)] {
        script
            .rows(statement, rows, |values, (key, record)| {
                values.bind(key.to_vec()).bind(record);
            })
            .await?;
    }
    Ok(())
}

const JOURNAL: RowsStatement =
    RowsStatement { head: "INSERT INTO journal (record, revision, n, entry) VALUES ", row: "(?,?,?,?)", tail: "" };

/// Appends the journal entries.
pub(super) async fn write_journal(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for record in records {
        let (pk, revision) = (record.pk, record.expected + 1);
        let entries = std::mem::take(&mut record.journal).into_iter().zip(0_i64..);
        rows.extend(entries.map(|(entry, n)| (pk, revision, n, entry)));
    }
    script
        .rows(&JOURNAL, rows, |values, (record, revision, n, entry)| {
            values.bind(record).bind(revision).bind(n).bind(entry);
        })
        .await
}

const CHANGES: RowsStatement =
    RowsStatement { head: "INSERT INTO changes (record, revision, chunk) VALUES ", row: "(?,?,?)", tail: "" };

/// Adds to the log of the documents' changes. An epoch's log begins with the epoch.
pub(super) async fn write_changes(script: &mut Script<'_>, records: &mut [RecordRows]) -> Result<(), sqlx::Error> {
    for record in records.iter().filter(|record| record.mended) {
        script.add("DELETE FROM damages WHERE record = ?").bind(record.pk);
        if record.epoch.is_some() {
            script.add("DELETE FROM changes WHERE record = ?").bind(record.pk);
        }
    }
    let rows =
        records.iter_mut().filter_map(|record| Some((record.pk, record.expected + 1, record.chunk.take()?))).collect();
    script
        .rows(&CHANGES, rows, |values, (record, revision, chunk)| {
            values.bind(record).bind(revision).bind(chunk);
        })
        .await
}

const FEED: RowsStatement = RowsStatement {
    head: "INSERT INTO feed (tenant, seq, record, model, action, version, at, fields, changed, merged_into) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?)",
    tail: "",
};

/// Appends the announcements at their places.
pub(super) async fn write_feed(
    script: &mut Script<'_>,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), sqlx::Error> {
    let tenant = names.pk;
    let rows = records
        .iter_mut()
        .filter_map(|record| Some((record.changed, record.id, record.model.clone(), record.event.take()?)))
        .collect();
    script
        .rows(&FEED, rows, |values, (seq, id, model, event)| {
            values
                .bind(tenant)
                .bind(seq)
                .bind(id_bytes(id))
                .bind(model)
                .bind(event.action)
                .bind(event.version)
                .bind(event.at)
                .bind(event.fields)
                .bind(event.changed)
                .bind(event.merged_into);
        })
        .await
}

const CONFLICTS: RowsStatement = RowsStatement {
    head: "INSERT INTO conflicts (tenant, record, model, field, loser, winner, conflict) VALUES ",
    row: "(?,?,?,?,?,?,?)",
    tail: " ON CONFLICT (record, field, loser, winner) DO NOTHING",
};

/// Keeps the conflicts that are not known yet.
pub(super) async fn write_conflicts(
    script: &mut Script<'_>,
    names: &TenantNames,
    records: &mut [RecordRows],
) -> Result<(), sqlx::Error> {
    let tenant = names.pk;
    let mut rows = Vec::new();
    for record in records {
        let (pk, model) = (record.pk, record.model.clone());
        rows.extend(std::mem::take(&mut record.conflicts).into_iter().map(|row| (pk, model.clone(), row)));
    }
    script
        .rows(&CONFLICTS, rows, |values, (record, model, row)| {
            values
                .bind(tenant)
                .bind(record)
                .bind(model)
                .bind(row.field)
                .bind(row.loser)
                .bind(row.winner)
                .bind(row.conflict);
        })
        .await
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
