//! Opening a database: claim it for this process, look before anything is changed, bring the schema up to date.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{SqliteStore, names::Names, writer::Writer};
use crate::store::StoreError;

/// The schema, embedded in the binary.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Marks a file as a database of this service (`PRAGMA application_id`): the ASCII letters `SYNC`.
const APPLICATION_ID: i64 = 0x5359_4e43;

/// How a database is opened. The defaults are for production.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The database file; it is created where it does not exist.
    pub path: PathBuf,
    /// Connections that read.
    pub readers: u32,
    /// How long to wait for another program's lock.
    pub busy_timeout: Duration,
    /// The most pages of 4 KiB that the file may have; beyond it writes fail with [`StoreError::Full`].
    pub pages_max: Option<u32>,
}

impl SqliteOptions {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), readers: 4, busy_timeout: Duration::from_secs(5), pages_max: None }
    }
}

/// Pages that the writer keeps in memory. Random indices (record ids, match keys) live on it during a backfill.
const WRITER_CACHE_KIB: i64 = 96 * 1024;
/// Pages that each reader keeps in memory.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// The write-ahead log is folded into the database after so many pages: a page that many transactions touch is then
/// written once.
const CHECKPOINT_PAGES: u32 = 8_000;
/// The log file is cut to this size after a checkpoint.
const LOG_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// How long a read waits for a free reader before it is refused.
const READER_WAIT: Duration = Duration::from_secs(30);
/// Prepared statements kept by the writer: every multi-row statement exists in a few lengths.
const WRITER_STATEMENTS: usize = 512;

/// Opens, and where needed creates or upgrades, a database.
pub(super) async fn open(options: &SqliteOptions) -> Result<SqliteStore, StoreError> {
    let claim = claim(&options.path)?;
    inspect(options).await?;
    let mut connection = connect_writer(options).await?;
    migrate(&mut connection).await?;
    prove_writable(&mut connection).await?;
    let names = Names::load(&mut connection).await?;
    let readers = connect_readers(options).await?;
    Ok(SqliteStore::new(readers, Writer::new(connection), names, claim))
}

/// Claims the database for this process by a lock on a file beside it; the system lets go of it when the process ends,
/// however it ends.
pub(super) fn claim(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().create(true).append(true).open(&name).map_err(|error| cannot_open(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(cannot_open(path, &error)),
    }
}

fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Open { path: path.into(), reason: error.to_string() }
}

fn base(options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&options.path)
        .busy_timeout(options.busy_timeout)
        .foreign_keys(false)
        .disable_statement_logging()
}

/// Looks at an existing file without changing it: another program's database and one from a newer version are refused.
async fn inspect(options: &SqliteOptions) -> Result<(), StoreError> {
    let is_new = std::fs::metadata(&options.path).map_or(true, |file| file.len() == 0);
    if is_new {
        return Ok(());
    }
    let mut connection = base(options).connect().await.map_err(|error| opening(options, error))?;
    let found = newest_migration(&mut connection).await;
    connection.close().await?;
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    match found? {
        Some(found) if found > known => Err(StoreError::Newer { path: options.path.clone(), found, known }),
        _ => Ok(()),
    }
}

/// The newest migration applied to the file; `None` for a file without any table.
async fn newest_migration(connection: &mut SqliteConnection) -> Result<Option<i64>, StoreError> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(None);
    }
    let id: i64 = sqlx::query("PRAGMA application_id").fetch_one(&mut *connection).await?.try_get(0)?;
    if id != APPLICATION_ID {
        return Err(StoreError::Corrupt("its tables were not made by syncline".into()));
    }
    Ok(sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await?)
}

async fn connect_writer(options: &SqliteOptions) -> Result<SqliteConnection, StoreError> {
    let mut connect = base(options)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(WRITER_STATEMENTS)
        .pragma("application_id", APPLICATION_ID.to_string())
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES_MAX.to_string())
        .pragma("temp_store", "memory")
        // What is freed is overwritten, so that what was erased is not found in the file.
        .pragma("secure_delete", "ON");
    if let Some(pages) = options.pages_max {
        connect = connect.pragma("max_page_count", pages.to_string());
    }
    connect.connect().await.map_err(|error| opening(options, error))
}

/// A failure to open, with the path where SQLite's own words lack it.
fn opening(options: &SqliteOptions, error: sqlx::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Database(reason) => cannot_open(&options.path, &reason),
        other => other,
    }
}

pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    MIGRATIONS.run(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        MigrateError::VersionMismatch(version) => {
            StoreError::Corrupt(format!("migration {version} was changed after it had been applied"))
        }
        error => StoreError::Database(format!("the schema cannot be brought up to date: {error}")),
    })
}

/// Takes the write lock and lets go of it: a read-only file is otherwise noticed only by the first write.
async fn prove_writable(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    for statement in [super::writer::BEGIN, "ROLLBACK"] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Opens an existing database for reading, whoever else has it open, and changes nothing.
pub(super) async fn read(options: &SqliteOptions) -> Result<SqliteConnection, StoreError> {
    if !options.path.is_file() {
        return Err(cannot_open(&options.path, &"there is no such file"));
    }
    inspect(options).await?;
    let connect = base(options).read_only(true).pragma("cache_size", format!("-{READER_CACHE_KIB}"));
    connect.connect().await.map_err(|error| opening(options, error))
}

/// Opens an existing database of this version for writing. Only for whoever has claimed it.
pub(super) async fn read_write(options: &SqliteOptions) -> Result<SqliteConnection, StoreError> {
    if !options.path.is_file() {
        return Err(cannot_open(&options.path, &"there is no such file"));
    }
    inspect(options).await?;
    let mut connection = connect_writer(options).await?;
    migrate(&mut connection).await?;
    Ok(connection)
}

/// Folds the write-ahead log of a database that nobody has open into it.
pub(super) async fn fold(path: &Path) -> Result<(), StoreError> {
    let options = SqliteOptions::new(path);
    let mut connection = base(&options).connect().await.map_err(|error| opening(&options, error))?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The newest migration of the file, and the newest that this version knows.
pub(super) async fn versions(connection: &mut SqliteConnection) -> Result<(Option<i64>, i64), StoreError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    Ok((newest_migration(connection).await?, known))
}

async fn connect_readers(options: &SqliteOptions) -> Result<SqlitePool, StoreError> {
    let connect = base(options).read_only(true).pragma("cache_size", format!("-{READER_CACHE_KIB}"));
    SqlitePoolOptions::new()
        .max_connections(options.readers)
        .min_connections(1)
        .test_before_acquire(false)
        .acquire_timeout(READER_WAIT)
        .connect_with(connect)
        .await
        .map_err(|error| opening(options, error))
}
