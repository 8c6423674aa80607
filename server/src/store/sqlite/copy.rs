//! Copies of a database: a backup of one that may be in use, and putting a backup in its place.
//!
//! A restored store has forgotten what its clients, its subscribers and the providers still know. So it begins a life of its
//! own: it writes under other actors, its feed goes on far above every place that was told, and so do versions and ticks.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use syncline_core::writer::WriterEpochs;

use super::{
    check::{self, Fault},
    open::{self, SqliteOptions},
};
use crate::store::{StoreError, WRITER_EPOCHS};

/// How far the numbers of a restored store go on above those of its backup: feeds, and the versions of records. Nothing that
/// was lost can have counted so far.
const FEED_LEAP: i64 = 1_000_000_000;
const VERSION_LEAP: i64 = 1_000_000;
/// The same for ticks, of which each start of the service reserves 100,000.
const TICK_LEAP: i64 = 1_000_000_000_000;

/// Why a database was not copied. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Something lies where the copy should go.
    #[error("{0} exists already: choose another name, or move it away; nothing was overwritten")]
    Exists(PathBuf),
    /// The copy, or the backup to restore, is damaged.
    #[error("{path} is damaged, so it is not used: {what}; take another backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found first.
        what: String,
    },
    /// A file could not be read, written or moved.
    #[error("{path}: {source}; check the path, its permissions and the free space")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a restored store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Where the store lies that was there before; `None` where there was none.
    pub aside: Option<PathBuf>,
    /// The writer epochs since.
    pub writer: WriterEpochs,
    /// Why the newest credentials and clients' actors could not be taken over from the store before; `None` where they were, or
    /// there was none.
    pub not_carried: Option<String>,
}

/// Writes a consistent copy of the database to `to`, which must not exist, while others may use the database. The copy is
/// complete, verified and durable when it gets its name.
///
/// # Errors
/// See [`CopyError`]; no file is left behind.
pub async fn backup(database: &Path, to: &Path) -> Result<(), CopyError> {
    if to.exists() {
        return Err(CopyError::Exists(to.into()));
    }
    let partial = beside(to, ".partial");
    let made = copy(database, &partial).await;
    let named = match made {
        Ok(()) => give_name(&partial, to),
        Err(error) => Err(error),
    };
    // What is left of a copy that failed, or the second name of one that did not.
    let _ = fs::remove_file(&partial);
    named?;
    sync_folder(to)
}

/// Copies the database in one snapshot and verifies the copy.
async fn copy(database: &Path, to: &Path) -> Result<(), CopyError> {
    remove(to)?;
    let mut source = open::read(&SqliteOptions::new(database)).await?;
    let target = to.to_str().ok_or_else(|| StoreError::Value(format!("{} is not UTF-8", to.display())))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(target).execute(&mut source).await.map_err(StoreError::from);
    source.close().await.map_err(StoreError::from)?;
    copied?;
    verify(to).await?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|source| CopyError::File { path: to.into(), source })
}

/// Looks at every page and document of a file.
async fn verify(path: &Path) -> Result<(), CopyError> {
    let faults = check::examine(path, None, |_| ()).await?;
    match faults.into_iter().find(Fault::is_damage) {
        Some(fault) => Err(CopyError::Damaged { path: path.into(), what: fault.to_string() }),
        None => Ok(()),
    }
}

/// Puts a backup in the place of the database, which no server may hold. The store that was there is kept aside, and its newest
/// credentials and clients' actors are taken over where it can still be read.
///
/// # Errors
/// See [`CopyError`].
pub async fn restore(backup: &Path, database: &Path, now_seconds: u32) -> Result<Restored, CopyError> {
    let _claim = open::claim(database)?;
    let partial = beside(database, ".restoring");
    verify(backup).await?;
    copy(backup, &partial).await?;
    let old = database.exists().then_some(database);
    let prepared = begin_life(&partial, old, now_seconds).await;
    let (writer, not_carried) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let _ = fs::remove_file(&partial);
            return Err(error.into());
        }
    };
    let aside = match old {
        Some(old) => Some(put_aside(old, now_seconds).await?),
        None => None,
    };
    let moved = fs::rename(&partial, database);
    moved.map_err(|source| CopyError::File { path: database.into(), source })?;
    sync_folder(database)?;
    Ok(Restored { aside, writer, not_carried })
}

/// Makes a copy fit to be written in the place of a store that knew more.
async fn begin_life(
    copy: &Path,
    old: Option<&Path>,
    now_seconds: u32,
) -> Result<(WriterEpochs, Option<String>), StoreError> {
    let mut connection = SqliteConnectOptions::new()
        .filename(copy)
        .foreign_keys(false)
        // One file and no log beside it: it is renamed when it is complete.
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    open::migrate(&mut connection).await?;
    let mut epochs = vec![read_epochs(&mut connection, "main").await?];
    let mut not_carried = None;
    if let Some(old) = old {
        match carry_over(&mut connection, old).await {
            Ok(known) => epochs.push(known),
            Err(error) => not_carried = Some(error.to_string()),
        }
    }
    let writer = next_life(&epochs, now_seconds);
    leap(&mut connection, &writer).await?;
    connection.close().await?;
    Ok((writer, not_carried))
}

/// The writer epochs of a store that forgets some of what was written in `lives`. The number is the time, so that a second
/// restore of one backup gets another, also where the store before cannot be read any more.
fn next_life(lives: &[WriterEpochs], now_seconds: u32) -> WriterEpochs {
    let mut retired: Vec<u32> = lives.iter().flat_map(WriterEpochs::all).collect();
    retired.sort_unstable();
    retired.dedup();
    let newest = retired.last().copied().unwrap_or(WriterEpochs::FIRST);
    WriterEpochs { current: now_seconds.max(newest + 1), retired }
}

async fn read_epochs(connection: &mut SqliteConnection, store: &'static str) -> Result<WriterEpochs, StoreError> {
    let statement = match store {
        "main" => "SELECT value FROM main.settings WHERE name = ?",
        _ => "SELECT value FROM old.settings WHERE name = ?",
    };
    let stored: Option<String> = sqlx::query_scalar(statement).bind(WRITER_EPOCHS).fetch_optional(connection).await?;
    stored.map_or(Ok(WriterEpochs::default()), |text| super::codec::decode("the writer epochs", &text))
}

/// Takes over what was learned since the backup and cannot be learned again: credentials, since a provider that rotates its
/// tokens refuses the old ones, which client uses which actor, and the ids of records by their objects. Returns the old store's
/// writer epochs.
async fn carry_over(connection: &mut SqliteConnection, old: &Path) -> Result<WriterEpochs, StoreError> {
    let path = old.to_str().ok_or_else(|| StoreError::Value(format!("{} is not UTF-8", old.display())))?;
    sqlx::query("ATTACH DATABASE ? AS old").bind(path).execute(&mut *connection).await?;
    let known = read_epochs(connection, "old").await;
    let carried = carry_rows(connection).await;
    sqlx::query("DETACH DATABASE old").execute(&mut *connection).await?;
    carried?;
    known
}

async fn carry_rows(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut tx = connection.begin().await?;
    for statement in [
        "UPDATE main.connections SET credentials = o.credentials, credentials_at = o.credentials_at \
         FROM old.connections o JOIN old.tenants ot ON ot.pk = o.tenant JOIN main.tenants t ON t.name = ot.name \
         WHERE main.connections.tenant = t.pk AND main.connections.name = o.name \
           AND o.credentials_at > coalesce(main.connections.credentials_at, 0)",
        "INSERT OR IGNORE INTO main.actors (tenant, actor, principal) \
         SELECT t.pk, o.actor, o.principal FROM old.actors o JOIN old.tenants ot ON ot.pk = o.tenant \
         JOIN main.tenants t ON t.name = ot.name",
        "INSERT OR REPLACE INTO main.former_links (connection, object, external_id, record) \
         SELECT c.pk, o.object, o.external_id, r.id FROM old.links o JOIN old.records r ON r.pk = o.record \
         JOIN old.connections oc ON oc.pk = o.connection JOIN old.tenants ot ON ot.pk = oc.tenant \
         JOIN main.tenants t ON t.name = ot.name JOIN main.connections c ON c.tenant = t.pk AND c.name = oc.name \
         WHERE r.tenant = ot.pk AND NOT EXISTS (SELECT 1 FROM main.records known WHERE known.id = r.id)",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Lets every number that others may remember go on above all that they can remember.
async fn leap(connection: &mut SqliteConnection, writer: &WriterEpochs) -> Result<(), StoreError> {
    let mut tx = connection.begin().await?;
    // Everybody who follows a feed is told to read the records again.
    sqlx::query("DELETE FROM feed").execute(&mut *tx).await?;
    sqlx::query("UPDATE tenants SET feed_head = feed_head + ?1, feed_floor = feed_head + ?1")
        .bind(FEED_LEAP)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE records SET version = version + ?").bind(VERSION_LEAP).execute(&mut *tx).await?;
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES (?1, CAST(1 + ?2 AS TEXT)) \
         ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + ?2 AS TEXT)",
    )
    .bind(super::NEXT_TICK)
    .bind(TICK_LEAP)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(WRITER_EPOCHS)
    .bind(super::codec::encode(writer)?)
    .execute(&mut *tx)
    .await?;
    // Peers that know how far they were in step with the store before must not think so of this one.
    sqlx::query("DELETE FROM settings WHERE name = ?").bind(crate::store::STORE_NAME).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Gives the store that is there a second name, under which it stays.
async fn put_aside(database: &Path, now_seconds: u32) -> Result<PathBuf, CopyError> {
    let aside = beside(database, &format!(".before-restore-{now_seconds}"));
    if aside.exists() {
        return Err(CopyError::Exists(aside));
    }
    // One that can still be read becomes one file; of another the log is moved along.
    if let Err(error) = open::fold(database).await {
        tracing::warn!(%error, "the write-ahead log of the store before was not folded into it; it is kept beside it");
    }
    let failed = |source| CopyError::File { path: aside.clone(), source };
    // A link first: at no time is there no database, which a start would take for a new one.
    if fs::hard_link(database, &aside).is_err() {
        fs::rename(database, &aside).map_err(failed)?;
    }
    for suffix in ["-wal", "-shm"] {
        match fs::rename(beside(database, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(aside)
}

/// Gives a complete copy its name, but never that of a file that is there.
fn give_name(partial: &Path, to: &Path) -> Result<(), CopyError> {
    fs::hard_link(partial, to).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CopyError::Exists(to.into()),
        _ => CopyError::File { path: to.into(), source },
    })
}

fn remove(path: &Path) -> Result<(), CopyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CopyError::File { path: path.into(), source }),
        _ => Ok(()),
    }
}

/// Makes a new name in a folder durable.
fn sync_folder(path: &Path) -> Result<(), CopyError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| CopyError::File { path: folder.into(), source })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lives_of_a_store_share_a_writer_epoch() {
        let first = next_life(&[WriterEpochs::default()], 1_000);
        assert_eq!((first.current, &first.retired[..]), (1_000, &[1][..]));
        // The same backup again, at a later time, with the store of the first life gone or there.
        let second = next_life(&[WriterEpochs::default()], 1_001);
        assert_eq!(second.current, 1_001);
        let third = next_life(&[WriterEpochs::default(), first.clone()], 900);
        assert_eq!((third.current, &third.retired[..]), (1_001, &[1, 1_000][..]), "a clock that went back counts on");
        assert_eq!(first.record_epoch(None), 1_000, "new records get ids of documents that were never used");
        assert_eq!(WriterEpochs::default().record_epoch(None), 0);
    }
}
