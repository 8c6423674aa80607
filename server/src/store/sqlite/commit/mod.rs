//! The one transaction that changes records.
//!
//! # Layout, in the order of a commit
//!
//! * [`encode`]: records become rows, before the writer is taken.
//! * [`records`]: compare-and-swap of the records themselves, row numbers and places in the feed.
//! * [`parts`]: replicas, links, match keys, journal, feed, conflicts.
//! * [`extras`]: what a batch carries beside its records.
//!
//! A small commit takes two trips to the database: one compares, swaps and counts, the other writes everything that
//! needs the numbers and commits.

mod encode;
mod extras;
mod parts;
mod records;

use std::collections::BTreeSet;

use syncline_core::{
    ids::{ConnectionId, RecordId},
    live::Change,
};

use self::encode::RecordRows;
pub(super) use self::extras::finish_hints;
use super::{
    SqliteTenant,
    names::TenantNames,
    script::Script,
    writer::{BEGIN, COMMIT},
};
use crate::store::{CommitBatch, CommitError, Committed, ExternalRef, RecordCommit, StoreError};

/// The statements of a commit, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&super::script::RowsStatement; 5] =
    [&records::REWRITE, &records::TOUCH, &parts::GIVE_UP, &parts::DROP_KEYS, &parts::CLAIM];

/// Commits a batch: all of it, durably, or nothing.
pub(super) async fn commit(store: &SqliteTenant, mut batch: CommitBatch) -> Result<Committed, CommitError> {
    if batch.is_empty() {
        return Ok(Committed::default());
    }
    refuse_repeats(&batch)?;
    let names = store.ensure_names(connections(&batch)).await?;
    let mut records = std::mem::take(&mut batch.records)
        .into_iter()
        .map(|record| encode::encode_record(&store.tenant, &names, record))
        .collect::<Result<Vec<_>, _>>()?;

    let mut tx = store.writer().reserve().await?;
    let mut script = Script::new(tx.connection());
    script.add(BEGIN);
    match apply(&mut script, &names, &mut records, batch).await {
        Ok(changes) => {
            tx.committed();
            Ok(Committed { changes })
        }
        Err(error) => {
            // What cannot be rolled back now is rolled back before the next transaction.
            if let Err(second) = tx.roll_back().await {
                tracing::warn!(error = %second, "a refused commit was not rolled back at once");
            }
            Err(error)
        }
    }
}

async fn apply(
    script: &mut Script<'_>,
    names: &TenantNames,
    records: &mut [RecordRows],
    batch: CommitBatch,
) -> Result<Vec<Change>, CommitError> {
    records::swap(script, names, records).await?;
    let changes = records::place(records);
    // Whatever is refused from here on is refused by a constraint, before the commit at the script's end.
    let written = write(script, names, records, batch).await;
    match written {
        Ok(()) => Ok(changes),
        Err(Unwritten::Store(error)) => Err(error.into()),
        Err(Unwritten::Database(error)) => Err(records::explain(script.connection(), names, records, error).await),
    }
}

async fn write(
    script: &mut Script<'_>,
    names: &TenantNames,
    records: &mut [RecordRows],
    batch: CommitBatch,
) -> Result<(), Unwritten> {
    parts::give_up_links(script, records).await?;
    records::insert(script, names, records).await?;
    // Before `begin_epochs`, which takes the epochs out.
    parts::write_changes(script, records).await?;
    records::begin_epochs(script, records);
    parts::write_replicas(script, records).await?;
    parts::claim_links(script, records).await?;
    parts::write_not_same(script, records).await?;
    parts::write_match_keys(script, records).await?;
    parts::write_journal(script, records).await?;
    parts::write_feed(script, names, records).await?;
    parts::write_conflicts(script, names, records).await?;
    extras::write(script, names, batch)?;
    script.add(COMMIT);
    script.run().await?;
    Ok(())
}

/// Why the rows of a batch were not written.
enum Unwritten {
    /// They could not even be sent.
    Store(StoreError),
    /// The database refused them.
    Database(sqlx::Error),
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// A record that comes twice would be compared with a revision that the batch itself has moved.
fn refuse_repeats(batch: &CommitBatch) -> Result<(), StoreError> {
    let mut seen: BTreeSet<RecordId> = BTreeSet::new();
    match batch.records.iter().find(|record| !seen.insert(record.state.id)) {
        Some(twice) => Err(StoreError::Value(format!("record {} comes twice in one batch", twice.state.id))),
        None => Ok(()),
    }
}

/// The objects that a record's commit names beside its replicas' own.
fn objects(record: &RecordCommit) -> impl Iterator<Item = &ExternalRef> {
    record.aliases.iter().chain(&record.given_up).chain(&record.not_same).chain(&record.maybe_same)
}

/// Every connection that the batch speaks of.
fn connections(batch: &CommitBatch) -> impl Iterator<Item = &ConnectionId> {
    let of_records = batch
        .records
        .iter()
        .flat_map(|record| record.state.replicas.keys().chain(objects(record).map(|object| &object.connection)));
    of_records
        .chain(batch.checkpoints.iter().map(|checkpoint| &checkpoint.stream.connection))
        .chain(batch.quarantine.iter().map(|row| &row.connection))
        .chain(batch.guards.iter().filter_map(|guard| guard.source.connection()))
}
