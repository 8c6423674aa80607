//! The database's own log, decoded through a replication slot of the table's.
//!
//! A position is a place in the log behind a commit. The log is peeked at, and the slot moved on only when the next part is asked for,
//! since what lies before is durable then. A commit is in the log a moment before others see it; a part therefore ends before the
//! first transaction that is still under way, because whoever looks at its rows then would see what they were before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{ProviderError, Remedy},
};

use super::{
    database::Database,
    kind::Kind,
    pgoutput::{Decoder, Message},
    table::{Column, Table},
};
use crate::connector::Changes;

/// The most rows that one transaction may have changed; after a larger one the table is listed again.
const ROWS_MAX: usize = 500_000;
/// So much of the log may hold nothing of the table before the slot is moved over it.
const QUIET_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How the slot stands: behind which place all is still there, whether a lack of room has ended it, and how far the log goes.
const STATE: &str = "
SELECT confirmed_flush_lsn::text, COALESCE(wal_status, 'lost') = 'lost', pg_current_wal_flush_lsn()::text
FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()";

/// What follows in the log, without moving on.
const PEEK: &str = "
SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, $2, 'proto_version', '1', 'publication_names', $1)";

/// Moves the slot on.
const ADVANCE: &str = "SELECT FROM pg_replication_slot_advance($1, $2::text::pg_lsn)";

/// The number that the next transaction gets, with its epoch, which numbers in the log lack.
const NEXT_XID: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";

/// Those of the transactions whose effects not everybody sees yet.
const UNDER_WAY: &str = "
SELECT t.xid FROM unnest($1::text[]) AS t(xid) WHERE NOT pg_visible_in_snapshot(t.xid::xid8, pg_current_snapshot())";

/// A position: everything that was committed before it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Place(u64);

impl Place {
    /// Two hexadecimal halves with a slash between them, as the server has it.
    fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
        Some(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & u64::from(u32::MAX))
    }
}

/// How a slot stands.
struct State {
    confirmed: Place,
    end: Place,
}

/// A transaction in the log.
#[derive(Default)]
struct Transaction {
    xid: u32,
    end: u64,
    /// Ids with whether they were deleted, in their order.
    rows: Vec<(String, bool)>,
    truncated: bool,
}

/// Where the slot stands: what follows it is read, and whatever was read already is seen to be an echo. The log's own end would be
/// too far: a commit is in it before others see it.
pub(super) async fn end(database: &Database, table: &Table, object: &ObjectName) -> Result<Place, ProviderError> {
    Ok(state(database, table, object).await?.confirmed)
}

/// The changes after a position, and the next one.
pub(super) async fn read(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    after: Place,
    limit: u32,
) -> Result<(Changes, Place), ProviderError> {
    let slot = moved_on(database, table, object, after).await?;
    let mut found = peek(database, table, object, limit).await?;
    let is_whole = found.messages < limit as usize;
    found.transactions.retain(|transaction| transaction.end > after.0);
    let seen = visible(database, object, found.transactions).await?;
    let mut last_word: BTreeMap<String, bool> = BTreeMap::new();
    let mut next = after;
    for transaction in seen.transactions {
        if transaction.truncated {
            return Err(resync(format!("table `{object}` was truncated: it is listed again")));
        }
        last_word.extend(transaction.rows);
        next = next.max(Place(transaction.end));
    }
    let is_quiet = last_word.is_empty() && slot.end.0.saturating_sub(after.0) > QUIET_BYTES_MAX;
    if is_whole && seen.is_all && (is_quiet || !last_word.is_empty()) {
        next = next.max(slot.end);
    }
    let of = |wanted: bool| -> Vec<ExternalId> {
        let ids = last_word.iter().filter(|(_, deleted)| **deleted == wanted);
        ids.map(|(id, _)| ExternalId::from(id.as_str())).collect()
    };
    let more = !is_whole && seen.is_all;
    Ok((Changes { changed: of(false), deleted: of(true), next: String::new(), more }, next))
}

/// Waits until the log holds a change of the table. The server tells nobody, so it is asked how long its log is, and only where that
/// has grown what is in it.
pub(super) async fn wait(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    after: Place,
    patience: Duration,
    look_every: Duration,
) -> Result<(), ProviderError> {
    let begun = Instant::now();
    moved_on(database, table, object, after).await?;
    let mut looked = after;
    loop {
        let slot = state(database, table, object).await?;
        if slot.end > looked {
            let found = peek(database, table, object, 1).await?;
            if found.transactions.iter().any(|transaction| transaction.end > after.0) {
                return Ok(());
            }
            looked = slot.end;
        }
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        tokio::time::sleep(look_every.min(left)).await;
    }
}

/// What a look into the log has shown.
struct Found {
    transactions: Vec<Transaction>,
    messages: usize,
}

async fn peek(database: &Database, table: &Table, object: &ObjectName, limit: u32) -> Result<Found, ProviderError> {
    let failed = |error: sqlx::Error| database.failed(object, &error);
    let unreadable = |error: super::pgoutput::Unreadable| {
        database.forget(object);
        resync(format!("{error}, perhaps because the key of `{object}` has changed: it is listed again"))
    };
    let mut decoder = Decoder::new(table.key().map(|column| column.name.as_str()).collect());
    let mut found = Found { transactions: Vec::new(), messages: 0 };
    let mut open = Transaction::default();
    let mut messages = sqlx::query_scalar::<_, Vec<u8>>(PEEK)
        .bind(&table.slot)
        .bind(i32::try_from(limit).unwrap_or(i32::MAX))
        .fetch(&database.pool);
    while let Some(message) = messages.try_next().await.map_err(failed)? {
        found.messages += 1;
        match decoder.read(&message).map_err(unreadable)? {
            Message::Begin { xid } => open = Transaction { xid, ..Transaction::default() },
            Message::Changed { key, before } => {
                open.rows.extend(before.map(|before| (id_of(table, &before), true)));
                open.rows.push((id_of(table, &key), false));
            }
            Message::Deleted { key } => open.rows.push((id_of(table, &key), true)),
            Message::Truncated => open.truncated = true,
            Message::Commit { end } => {
                found.transactions.push(Transaction { end, ..std::mem::take(&mut open) });
            }
            Message::Other => {}
        }
        if open.rows.len() > ROWS_MAX {
            // Where it ends is not read any more, and a list shows what it did.
            open.rows.clear();
            open.truncated = true;
        }
    }
    Ok(found)
}

/// Transactions up to the first whose effects not everybody sees yet.
struct Visible {
    transactions: Vec<Transaction>,
    is_all: bool,
}

async fn visible(
    database: &Database,
    object: &ObjectName,
    mut transactions: Vec<Transaction>,
) -> Result<Visible, ProviderError> {
    if transactions.is_empty() {
        return Ok(Visible { transactions, is_all: true });
    }
    let failed = |error: sqlx::Error| database.failed(object, &error);
    let next: String = sqlx::query_scalar(NEXT_XID).fetch_one(&database.pool).await.map_err(failed)?;
    let next: u64 = next.parse().unwrap_or_default();
    let names: Vec<String> =
        transactions.iter().map(|transaction| with_epoch(transaction.xid, next).to_string()).collect();
    let under_way: Vec<String> =
        sqlx::query_scalar(UNDER_WAY).bind(&names).fetch_all(&database.pool).await.map_err(failed)?;
    let under_way: BTreeSet<String> = under_way.into_iter().collect();
    let first = names.iter().position(|name| under_way.contains(name));
    if let Some(first) = first {
        transactions.truncate(first);
    }
    Ok(Visible { transactions, is_all: first.is_none() })
}

/// A transaction's number with its epoch: it lies less than half of all numbers from the next one.
fn with_epoch(xid: u32, next: u64) -> u64 {
    let epoch = next >> 32 << 32;
    let whole = epoch | u64::from(xid);
    let half = 1 << 31;
    if whole > next + half { whole.saturating_sub(1 << 32) } else { whole }
}

/// Moves the slot on to a position, which is durable with the caller; how it stood.
async fn moved_on(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    after: Place,
) -> Result<State, ProviderError> {
    let slot = state(database, table, object).await?;
    if after < slot.confirmed {
        return Err(resync(format!(
            "the log of table `{object}` was read by somebody else meanwhile: it is listed again"
        )));
    }
    if after > slot.confirmed {
        let moved = sqlx::query(ADVANCE).bind(&table.slot).bind(after.to_string()).execute(&database.pool).await;
        moved.map_err(|error| database.failed(object, &error))?;
    }
    Ok(slot)
}

async fn state(database: &Database, table: &Table, object: &ObjectName) -> Result<State, ProviderError> {
    let found: Option<(Option<String>, bool, String)> = sqlx::query_as(STATE)
        .bind(&table.slot)
        .fetch_optional(&database.pool)
        .await
        .map_err(|error| database.failed(object, &error))?;
    let (confirmed, end) = match found {
        Some((Some(confirmed), false, end)) => (confirmed, end),
        Some(_) => return Err(lost(table)),
        None => {
            database.forget(object);
            return Err(resync(format!("the replication slot of `{object}` is gone: the table is listed again")));
        }
    };
    let unreadable = || resync("the server's positions in its log cannot be read".to_owned());
    let place = |text: &str| Place::parse(text).ok_or_else(unreadable);
    Ok(State { confirmed: place(&confirmed)?, end: place(&end)? })
}

/// The id of a row, as statements show it, of its key's texts as the log shows them.
fn id_of(table: &Table, key: &[String]) -> String {
    let shown = |(column, text): (&Column, &String)| match (column.kind, text.as_str()) {
        (Kind::Bool, "t") => "true".to_owned(),
        (Kind::Bool, "f") => "false".to_owned(),
        _ if column.plain == "bpchar" => text.trim_end_matches(' ').to_owned(),
        (_, text) => text.to_owned(),
    };
    let texts: Vec<String> = table.key().zip(key).map(shown).collect();
    match texts.as_slice() {
        [only] => only.clone(),
        texts => {
            let quoted: Vec<String> =
                texts.iter().map(|text| serde_json::Value::from(text.as_str()).to_string()).collect();
            format!("[{}]", quoted.join(", "))
        }
    }
}

fn lost(table: &Table) -> ProviderError {
    ProviderError {
        remedy: Remedy::Configure,
        message: format!(
            "the replication slot of table {} is lost, because the log that it kept grew over `max_slot_wal_keep_size`: \
             uninstall it and install it again",
            table.name
        ),
    }
}

fn resync(message: String) -> ProviderError {
    ProviderError { remedy: Remedy::Resync, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spelled_as_the_server_does() {
        for (text, place) in
            [("0/16B3748", Some(0x016B_3748)), ("2/A", Some(0x2_0000_000A)), ("2", None), ("x/1", None)]
        {
            assert_eq!(Place::parse(text).map(|place| place.0), place, "{text}");
            if let Some(place) = place {
                assert_eq!(Place(place).to_string(), text);
            }
        }
    }

    #[test]
    fn numbers_of_transactions_get_their_epoch() {
        let epoch = 1_u64 << 32;
        for (xid, next, whole) in [
            (700, 701, 700),
            (700, 3 * epoch + 701, 3 * epoch + 700),
            (u32::MAX, 3 * epoch + 5, 3 * epoch - 1),
            (9, 3 * epoch + 5, 3 * epoch + 9),
        ] {
            assert_eq!(with_epoch(xid, next), whole, "{xid} before {next}");
        }
    }
}
