//! What rows say of one another: nothing points at what is not there, and what is kept twice agrees.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{Fault, REPAIR, RESTORE, tell};
use crate::store::StoreError;

/// One thing that must hold: the query shows the rows for which it does not, each as one text.
struct Tie {
    what: &'static str,
    mend: &'static str,
    query: &'static str,
}

/// Rows that point at a record that is not there. They serve nobody, so removing them loses nothing.
pub(super) const ORPHANS: [(&str, &str, &str); 8] = [
    ("links", "link", "record"),
    ("replicas", "replica", "record"),
    ("match_keys", "match key", "record"),
    ("journal", "journal entry", "record"),
    ("changes", "logged change", "record"),
    ("conflicts", "conflict row", "record"),
    ("held_deletes", "held delete", "record"),
    ("not_same", "refused link", "record"),
];

const TIES: [Tie; 11] = [
    Tie {
        what: "a replica is linked to an object that leads to no record, or to another",
        mend: REPAIR,
        query: "SELECT 'record row ' || p.record || ', connection row ' || p.connection FROM replicas p \
                WHERE p.replica ->> '$.link.state' = 'linked' AND NOT EXISTS (SELECT 1 FROM links l \
                WHERE l.connection = p.connection AND l.object = p.replica ->> '$.object' \
                  AND l.external_id = p.replica ->> '$.link.id' AND l.record = p.record)",
    },
    Tie {
        what: "a replica belongs to a connection that does not exist",
        mend: RESTORE,
        query: "SELECT 'record row ' || p.record FROM replicas p \
                WHERE NOT EXISTS (SELECT 1 FROM connections c WHERE c.pk = p.connection)",
    },
    Tie {
        what: "a delivery is owed at no time",
        mend: "edit the record, which owes it anew",
        query: "SELECT 'record row ' || p.record FROM replicas p WHERE p.delivery = 1 AND p.due IS NULL",
    },
    Tie {
        what: "a replica's delivery is another than its columns say",
        mend: "edit the record, which owes it anew",
        query: "SELECT 'record row ' || p.record FROM replicas p WHERE (p.replica ->> '$.delivery.state') IS NOT NULL \
                AND (p.delivery = 0) <> ((p.replica ->> '$.delivery.state') = 'clean')",
    },
    Tie {
        what: "a record's match keys are not those by which it is found",
        mend: REPAIR,
        query: "SELECT 'record ' || lower(hex(r.id)) FROM records r WHERE length(r.match_keys) / 16 <> \
                (SELECT count(*) FROM match_keys k WHERE k.record = r.pk AND instr(r.match_keys, k.hash) > 0) \
                OR EXISTS (SELECT 1 FROM match_keys k WHERE k.record = r.pk AND instr(r.match_keys, k.hash) = 0)",
    },
    Tie {
        what: "a record changed at a place that its tenant's feed has not reached",
        mend: RESTORE,
        query: "SELECT 'record ' || lower(hex(r.id)) FROM records r JOIN tenants t ON t.pk = r.tenant \
                WHERE r.changed > t.feed_head",
    },
    Tie {
        what: "a record belongs to a tenant that does not exist",
        mend: RESTORE,
        query: "SELECT 'record ' || lower(hex(r.id)) FROM records r \
                WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.pk = r.tenant)",
    },
    Tie {
        what: "a document moved into a record that does not exist",
        mend: RESTORE,
        query: "SELECT 'document ' || lower(hex(d.id)) FROM documents d WHERE d.record IS NOT NULL \
                AND NOT EXISTS (SELECT 1 FROM records r WHERE r.id = d.record)",
    },
    Tie {
        what: "chunks belong to a document that does not exist",
        mend: REPAIR,
        query: "SELECT DISTINCT 'document ' || lower(hex(c.id)) FROM document_chunks c \
                WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.tenant = c.tenant AND d.id = c.id)",
    },
    Tie {
        what: "a checkpoint cannot be read",
        mend: "`syncline syncs reset`, which reads everything again",
        query: "SELECT sync || ', ' || stream FROM checkpoints WHERE NOT json_valid(state)",
    },
    Tie {
        what: "a row holds text that cannot be read",
        mend: RESTORE,
        query: "SELECT 'replica of record row ' || record FROM replicas \
                    WHERE NOT json_valid(replica) OR NOT json_valid(coalesce(baseline, '{}')) \
                UNION ALL SELECT 'journal of record row ' || record FROM journal WHERE NOT json_valid(entry) \
                UNION ALL SELECT 'conflict ' || pk FROM conflicts WHERE NOT json_valid(conflict) \
                UNION ALL SELECT 'change ' || seq FROM feed WHERE NOT json_valid(fields) OR NOT json_valid(changed)",
    },
];

/// Looks at all of them.
pub(super) async fn examine(connection: &mut SqliteConnection, faults: &mut Vec<Fault>) -> Result<(), StoreError> {
    for (table, thing, column) in ORPHANS {
        let query = format!(
            "SELECT count(*) FROM {table} x WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.pk = x.{column})"
        );
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut *connection).await?;
        if count > 0 {
            let what = format!("{count} rows point at a record that does not exist ({thing})");
            faults.push(Fault::damage(format!("table {table}"), what, REPAIR));
        }
    }
    for tie in TIES {
        let places: Vec<String> = sqlx::query_scalar(tie.query).fetch_all(&mut *connection).await?;
        tell(faults, places.into_iter().map(|place| Fault::damage(place, tie.what, tie.mend)).collect());
    }
    let feeds = sqlx::query(
        "SELECT t.name, t.feed_floor, t.feed_head, count(f.seq), coalesce(min(f.seq), t.feed_floor + 1), \
         coalesce(max(f.seq), t.feed_head) FROM tenants t LEFT JOIN feed f ON f.tenant = t.pk GROUP BY t.pk",
    );
    for row in feeds.fetch_all(&mut *connection).await? {
        faults.extend(feed(&row)?);
    }
    let noted: i64 = sqlx::query_scalar("SELECT count(*) FROM damages").fetch_one(connection).await?;
    if noted > 0 {
        let what = format!("{noted} records wait for a person");
        faults.push(Fault::damage("the quarantine", what, "see `syncline quarantine list`"));
    }
    Ok(())
}

/// A feed is complete from its floor to its head.
fn feed(row: &SqliteRow) -> Result<Option<Fault>, StoreError> {
    let tenant: &str = row.try_get(0)?;
    let [floor, head, count, first, last] =
        [row.try_get::<i64, _>(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?];
    let whole = count == head - floor && first == floor + 1 && last == head;
    Ok((!whole).then(|| {
        let what = format!(
            "it has {count} changes from {first} to {last} where {} from {} to {head} are due",
            head - floor,
            floor + 1
        );
        Fault::damage(format!("the feed of tenant {tenant}"), what, RESTORE)
    }))
}
