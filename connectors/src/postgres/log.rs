//! The log that triggers write: a row of `syncline.changes` for each row that a statement has changed.
//!
//! A position in it is a snapshot of the database: what was visible then has been read. The next read shows what is visible now
//! and was not in that snapshot, whatever the order in which transactions took their numbers and ended: one that was open for an hour
//! is read when it has committed, and holds nobody up meanwhile.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{ProviderError, Remedy},
};

use super::{database::Database, table::Table};
use crate::connector::Changes;

/// How often old changes are removed.
const SHORTEN_EVERY: Duration = Duration::from_secs(60);
/// How many changes are looked at for that at once.
const SHORTEN_ROWS: u32 = 10_000;

/// The end of the log: which log it is, and what is visible now.
const END: &str = "SELECT log::text, pg_current_snapshot()::text FROM syncline.kept WHERE object = $1::oid";

/// A part of the log. The snapshot up to which it is read stays the same from its first page to its last.
const READ: &str = "
SELECT b.log, b.lost, b.upto::text, c.xid::text, c.place, c.id, c.deleted
FROM (SELECT k.log::text AS log, $2::text::pg_snapshot AS seen,
             COALESCE($3::text::pg_snapshot, pg_current_snapshot()) AS upto,
             pg_snapshot_xmax($2::text::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
             OR k.shortened IS NOT NULL AND NOT pg_visible_in_snapshot(k.shortened, $2::text::pg_snapshot) AS lost
      FROM syncline.kept k WHERE k.object = $1::oid) AS b
LEFT JOIN LATERAL (
    SELECT c.xid, c.place, c.id, c.deleted FROM syncline.changes c
    WHERE c.object = $1::oid AND c.xid >= pg_snapshot_xmin(b.seen)
      AND (c.xid, c.place) > ($4::text::xid8, $5)
      AND NOT pg_visible_in_snapshot(c.xid, b.seen) AND pg_visible_in_snapshot(c.xid, b.upto)
    ORDER BY c.xid, c.place LIMIT $6
) AS c ON true
ORDER BY c.xid, c.place";

/// Whether anything follows a snapshot.
const FOLLOWS: &str = "
SELECT EXISTS (SELECT FROM syncline.changes c
               WHERE c.object = $1::oid AND c.xid >= pg_snapshot_xmin($2::text::pg_snapshot)
                 AND NOT pg_visible_in_snapshot(c.xid, $2::text::pg_snapshot))";

/// Removes changes that are too old, and notes how far the log reaches back. Rows whose last change is forgotten count as
/// unchanged since then.
const SHORTEN: &str = "
WITH gone AS (
    DELETE FROM syncline.changes WHERE ctid = ANY(ARRAY(
        SELECT o.ctid FROM (SELECT ctid, at FROM syncline.changes WHERE object = $1::oid ORDER BY xid, place LIMIT $3) AS o
        WHERE o.at < clock_timestamp() - make_interval(hours => $2)))
    RETURNING xid, at
)
UPDATE syncline.kept SET since = GREATEST(since, (SELECT max(at) FROM gone)),
       shortened = GREATEST(shortened, (SELECT xid FROM gone ORDER BY xid DESC LIMIT 1))
WHERE object = $1::oid AND EXISTS (SELECT FROM gone)";

/// A position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Which log it is a position of: a table that is installed anew has another one.
    log: String,
    /// Everything that was visible in this snapshot has been read.
    seen: String,
    /// The page that was read last, where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<PageEnd>,
}

/// The end of a page inside a part of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PageEnd {
    /// The snapshot up to which the part is read.
    upto: String,
    /// The last row's transaction.
    xid: String,
    /// The last row's place.
    place: i64,
}

/// A row of the log with what is the same in all of an answer.
type Row = (String, bool, String, Option<String>, Option<i64>, Option<String>, Option<bool>);

/// The channel on which a table's changes are told.
pub(super) fn channel(table: &Table) -> String {
    format!("syncline_{}", table.oid)
}

/// The log's end.
pub(super) async fn end(database: &Database, table: &Table, object: &ObjectName) -> Result<Place, ProviderError> {
    let end: Option<(String, String)> = sqlx::query_as(END)
        .bind(table.oid)
        .fetch_optional(&database.pool)
        .await
        .map_err(|error| database.failed(object, &error))?;
    let (log, seen) = end.ok_or_else(begins_anew)?;
    Ok(Place { log, seen, page: None })
}

/// The changes after a position, and the next one.
pub(super) async fn read(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    after: &Place,
    limit: u32,
) -> Result<(Changes, Place), ProviderError> {
    let page = after.page.as_ref();
    let rows: Vec<Row> = sqlx::query_as(READ)
        .bind(table.oid)
        .bind(&after.seen)
        .bind(page.map(|page| page.upto.as_str()))
        .bind(page.map_or("0", |page| page.xid.as_str()))
        .bind(page.map_or(0, |page| page.place))
        .bind(i64::from(limit.max(1)))
        .fetch_all(&database.pool)
        .await
        .map_err(|error| database.failed(object, &error))?;
    let Some((log, lost, upto, ..)) = rows.first() else { return Err(begins_anew()) };
    if *lost || *log != after.log {
        return Err(begins_anew());
    }
    let next = Place { log: log.clone(), seen: upto.clone(), page: None };
    let entries: Vec<(&String, i64, Option<&String>, bool)> = rows
        .iter()
        .filter_map(|(_, _, _, xid, place, id, deleted)| Some((xid.as_ref()?, (*place)?, id.as_ref(), (*deleted)?)))
        .collect();
    let mut last_word: BTreeMap<&str, bool> = BTreeMap::new();
    for (_, _, id, deleted) in &entries {
        // Only a table that was emptied at once is noted without ids: a list tells what is left.
        let id = id.ok_or_else(|| resync(format!("table `{object}` was truncated: it is listed again")))?;
        last_word.insert(id, *deleted);
    }
    let more = entries.len() as u64 == u64::from(limit.max(1));
    let next = match entries.last().filter(|_| more) {
        Some((xid, place, ..)) => {
            let page = PageEnd { upto: upto.clone(), xid: (*xid).clone(), place: *place };
            Place { page: Some(page), ..after.clone() }
        }
        None => next,
    };
    let of = |wanted: bool| -> Vec<ExternalId> {
        last_word.iter().filter(|(_, deleted)| **deleted == wanted).map(|(id, _)| ExternalId::from(*id)).collect()
    };
    Ok((Changes { changed: of(false), deleted: of(true), next: String::new(), more }, next))
}

/// Waits until the log has grown.
pub(super) async fn wait(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    after: &Place,
    patience: Duration,
) -> Result<(), ProviderError> {
    let failed = |error: sqlx::Error| database.failed(object, &error);
    let channel = channel(table);
    let mut listener = database.listener(&channel).await.map_err(failed)?;
    // What was heard so far is in what is looked at now: each notice by itself would end a wait for nothing.
    while let Some(Ok(Some(_))) = listener.try_recv().now_or_never() {}
    // Who listens first and looks then misses nothing.
    let follows: bool = sqlx::query_scalar(FOLLOWS)
        .bind(table.oid)
        .bind(&after.seen)
        .fetch_one(&database.pool)
        .await
        .map_err(failed)?;
    if !follows && after.page.is_none() {
        match tokio::time::timeout(patience, listener.try_recv()).await {
            Ok(heard) => drop(heard.map_err(failed)?),
            Err(_nothing_came) => {}
        }
    }
    database.keep(&channel, listener);
    Ok(())
}

/// Removes what is older than `hours`, now and then.
pub(super) async fn shorten(database: &Database, table: &Table, hours: u32) {
    if !database.may_shorten(table.oid, SHORTEN_EVERY) {
        return;
    }
    let hours = i32::try_from(hours).unwrap_or(i32::MAX);
    let done = sqlx::query(AssertSqlSafe(SHORTEN))
        .bind(table.oid)
        .bind(hours)
        .bind(i64::from(SHORTEN_ROWS))
        .execute(&database.pool)
        .await;
    if let Err(error) = done {
        tracing::warn!(table = table.name, error = %super::errors::classify(&error), "old changes could not be removed");
    }
}

fn begins_anew() -> ProviderError {
    resync("the log of changes was made anew or shortened since it was last read: the table is listed again".to_owned())
}

fn resync(message: String) -> ProviderError {
    ProviderError { remedy: Remedy::Resync, message }
}
