//! What is particular to SQLite: opening, and what the file system does to it.

use std::{
    fs,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::future::join_all;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use syncline_connectors::connector::Hint;
use syncline_core::value::Value;
use syncline_server::store::{
    CommitBatch, CommitError, Store, StoreError,
    records::RecordQuery,
    sqlite::{SqliteOptions, SqliteStore},
};

use crate::{Home, people::*};

/// Another program's connection to the same file.
async fn stranger(home: &Home) -> sqlx::SqliteConnection {
    SqliteConnectOptions::new().filename(home.file()).create_if_missing(true).connect().await.unwrap()
}

async fn statement(connection: &mut sqlx::SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

fn impatient(home: &Home) -> SqliteOptions {
    SqliteOptions { busy_timeout: Duration::ZERO, ..SqliteOptions::new(home.file()) }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let home = Home::new();
    let store = home.open().await;
    populate(&*store, 3).await;
    let ticks = store.reserve_ticks(10).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = home.open().await;
    let tenant = store.tenant(&acme());
    assert_eq!(load(&*tenant, 2).await.fields, person(2));
    commit_one(&*tenant, edited(load(&*tenant, 2).await, "name", Value::text("x"), NOW)).await;
    assert_eq!(commit_one(&*tenant, newborn(&acme(), 3)).await.changes[0].cursor.0, 5);
    assert!(store.reserve_ticks(1).await.unwrap().0 >= ticks.0 + 10);
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash() {
    let home = Home::new();
    let store = home.open().await;
    let tenant = populate(&*store, 3).await;
    // The files as a crash would leave them: the write-ahead log is not folded in, a lock file lies about.
    let after = Home::new();
    for file in fs::read_dir(home.folder.path()).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), after.folder.path().join(file.file_name())).unwrap();
        }
    }
    commit_one(&*tenant, newborn(&acme(), 9)).await;
    let store = after.open().await;
    let tenant = store.tenant(&acme());
    let rows = tenant.list_records(&RecordQuery::of("contact".into())).await.unwrap().rows;
    assert_eq!(rows.len(), 3);
    commit_one(&*tenant, newborn(&acme(), 3)).await;
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let home = Home::new();
    let store = SqliteStore::open(home.file()).await.unwrap();
    let refused = SqliteStore::open(home.file()).await.unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    store.close().await.unwrap();
    drop(store);
    SqliteStore::open(home.file()).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let home = Home::new();
    home.open().await.close().await.unwrap();
    let mut other = stranger(&home).await;
    statement(
        &mut other,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await;
    other.close().await.unwrap();
    let before = fs::read(home.file()).unwrap();
    match SqliteStore::open(home.file()).await {
        Err(StoreError::Newer { found: 9999, known, .. }) => assert!(known < 9999),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(home.file()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let foreign = Home::new();
    let mut other = stranger(&foreign).await;
    statement(&mut other, "CREATE TABLE precious (id INTEGER)").await;
    other.close().await.unwrap();
    let garbage = Home::new();
    fs::write(garbage.file(), "this is a letter to my grandmother, not a database".repeat(100)).unwrap();
    for home in [foreign, garbage] {
        let before = fs::read(home.file()).unwrap();
        let refused = SqliteStore::open(home.file()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
        assert_eq!(fs::read(home.file()).unwrap(), before);
    }
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let home = Home::new();
    let missing = home.folder.path().join("missing/syncline.db");
    let refused = SqliteStore::open(&missing).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Open { path, .. } if *path == missing), "{refused}");
}

#[tokio::test]
async fn a_lock_by_another_program_is_waited_out_or_reported() {
    let home = Home::new();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_with(&impatient(&home)).await.unwrap());
    let tenant = populate(&*store, 1).await;
    let mut other = stranger(&home).await;
    statement(&mut other, "BEGIN IMMEDIATE").await;

    let refused = tenant.commit(CommitBatch::of(vec![newborn(&acme(), 1)])).await.unwrap_err();
    assert!(matches!(&refused, CommitError::Store(error @ StoreError::Busy(_)) if error.is_passing()), "{refused}");
    assert!(matches!(store.probe().await, Err(StoreError::Busy(_))));
    assert_eq!(load(&*tenant, 0).await.fields, person(0), "reads go on");
    statement(&mut other, "ROLLBACK").await;
    commit_one(&*tenant, newborn(&acme(), 1)).await;
    store.probe().await.unwrap();

    // A database that is locked while it is opened.
    statement(&mut other, "BEGIN EXCLUSIVE").await;
    drop((store, tenant));
    let refused = SqliteStore::open_with(&impatient(&home)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Busy(_)), "{refused}");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_reads_and_heals_by_itself() {
    let home = Home::new();
    home.open().await.close().await.unwrap();
    let empty_pages = fs::metadata(home.file()).unwrap().len() / 4_096;
    let options = SqliteOptions { pages_max: Some(empty_pages as u32 + 40), ..SqliteOptions::new(home.file()) };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_with(&options).await.unwrap());
    let tenant = store.tenant(&acme());
    let mut stored = 0;
    let refused = loop {
        let batch = CommitBatch::of((stored..stored + 10).map(|n| newborn(&acme(), n)).collect());
        match tenant.commit(batch).await {
            Ok(_) => stored += 10,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the disk becomes full");
    };
    assert!(matches!(&refused, CommitError::Store(error @ StoreError::Full(_)) if error.is_passing()), "{refused}");
    let rows = tenant.list_records(&RecordQuery { limit: 1_000, ..RecordQuery::of("contact".into()) }).await.unwrap();
    assert_eq!(rows.rows.len() as u64, stored, "nothing of the refused batch is stored, everything before it is");
    assert_eq!(tenant.feed_span().await.unwrap().head.0, stored);
    // Space is freed: what was refused goes through without a restart.
    tenant.trim_feed(0).await.unwrap();
    commit_one(&*tenant, newborn(&acme(), stored)).await;
    assert_eq!(load(&*tenant, stored).await.fields, person(stored));
}

/// Waits for another program's lock for as long as this machine may be slow.
fn patient(home: &Home) -> SqliteOptions {
    SqliteOptions { busy_timeout: Duration::from_secs(90), ..SqliteOptions::new(home.file()) }
}

/// Begins the future, or goes on with it as far as it can get now; whether there is more to it.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// The hint of one webhook.
fn hint(n: usize) -> Hint {
    Hint { object: "contacts".into(), id: format!("{n}").into(), account: None, dedupe: format!("event {n}") }
}

/// While the writer is busy, deliveries wait together; then they are stored by one commit, or by two if the first had been taken
/// up when the others came.
///
/// Fails without the group commit, with a commit for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_wait_together_share_a_commit() {
    let home = Home::new();
    let store = SqliteStore::open_with(&patient(&home)).await.unwrap();
    let tenant = store.tenant(&acme());
    let before_one = store.commits();
    tenant.put_hints(&desk(), &[hint(0)], NOW).await.unwrap();
    let names = 1;
    assert_eq!(
        store.commits() - before_one,
        1 + names,
        "one delivery is one commit, after its connection was first named"
    );

    let mut other = stranger(&home).await;
    statement(&mut other, "BEGIN IMMEDIATE").await;
    let before = store.commits();
    let all: Vec<Vec<Hint>> = (1..=100).map(|n| vec![hint(n), hint(0)]).collect();
    let side = desk();
    let mut waiting = Box::pin(join_all(all.iter().map(|hints| tenant.put_hints(&side, hints, NOW))));
    assert!(is_pending(waiting.as_mut()).await, "nothing is answered before it is stored");
    statement(&mut other, "ROLLBACK").await;
    let stored: Vec<usize> = waiting.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(stored, [1; 100], "each delivery learns how many of its own hints are new");
    let commits = store.commits() - before;
    assert!((1..=2).contains(&commits), "{commits} commits for 100 deliveries");
    assert_eq!(tenant.pending_hints(&desk(), 1_000).await.unwrap().len(), 101);
}

/// More deliveries than may wait are refused at once, and those that wait are stored all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_beyond_a_bound_are_refused_at_once() {
    let home = Home::new();
    let store = SqliteStore::open_with(&patient(&home)).await.unwrap();
    let tenant = store.tenant(&acme());
    tenant.put_hints(&desk(), &[hint(0)], NOW).await.unwrap();
    let mut other = stranger(&home).await;
    statement(&mut other, "BEGIN IMMEDIATE").await;
    let many: Vec<[Hint; 1]> = (1..=2_000).map(|n| [hint(n)]).collect();
    let side = desk();
    let mut waiting = Box::pin(join_all(many.iter().map(|hints| tenant.put_hints(&side, hints, NOW))));
    assert!(is_pending(waiting.as_mut()).await);
    statement(&mut other, "ROLLBACK").await;
    let (stored, refused): (Vec<_>, Vec<_>) = waiting.await.into_iter().partition(Result::is_ok);
    assert!(refused.iter().all(|error| matches!(error, Err(StoreError::Overloaded(_)))), "{:?}", refused.first());
    assert!((1_024..=1_024 + 128).contains(&stored.len()), "{} were let in", stored.len());
    assert_eq!(tenant.pending_hints(&desk(), 5_000).await.unwrap().len(), stored.len() + 1);
}
