//! What a disk that lied leaves behind: a log that is torn or cut short, and a database whose pages are not what was written.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::stage::Stage;

/// Bytes of a page of the database, and of a page in the log with its header.
const PAGE: usize = 4_096;
const FRAME: usize = PAGE + 24;

/// A torn end of the log is what a crash in the middle of a write leaves: nobody was told of it, and everything before it
/// stands. Fails where the log is thrown away because of its end, as with `PRAGMA journal_mode = DELETE` on opening.
#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_torn_log_costs_nothing_that_was_acknowledged() {
    let (stage, id) = at_rest().await;
    for (round, torn) in [FRAME / 2, FRAME, FRAME + FRAME / 2].into_iter().enumerate() {
        let title = format!("Title {round}");
        let server = stage.serve().await;
        server.api.patch(&id, &json!({ "title": title })).await;
        server.kill();
        let mut log = fs::read(log_of(&stage)).expect("a log");
        // The end of the log once more: whole pages, of another place and so with checksums that are wrong there.
        log.extend_from_within(log.len() - torn..);
        fs::write(log_of(&stage), log).expect("a written log");
        let server = stage.serve().await;
        assert_eq!(server.api.record(&id).await["title"], *title, "a tail of {torn} bytes");
        server.kill();
    }
    let server = stage.serve().await;
    server.agree().await;
    server.stays_quiet().await;
}

/// A disk that has said that it kept what it did not: what is missing is missing as a whole, and what the accounts have of it
/// comes back from them. Fails where a commit's parts are not one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_lost_fsync_loses_whole_commits_and_the_accounts_bring_them_back() {
    let (stage, id) = at_rest().await;
    let server = stage.serve().await;
    server.api.patch(&id, &json!({"title": "Delivered", "first_name": "Ann"})).await;
    server.agree().await;
    server.kill();
    let whole = fs::read(log_of(&stage)).expect("a log");
    for frames in [1, 3, 10, 30] {
        fs::write(log_of(&stage), &whole[..whole.len().saturating_sub(frames * FRAME + 1).max(32)]).expect("a cut log");
        let server = stage.serve().await;
        let agreement = server.agree().await;
        let record = &agreement.records[&id];
        assert_eq!((&record["title"], &record["first_name"]), (&json!("Delivered"), &json!("Ann")), "{frames} frames");
        server.stays_quiet().await;
        server.kill();
    }
}

/// Fails where opening does not read the schema and the tables that every start needs.
#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_damaged_database_is_refused_at_the_start() {
    let (stage, _) = at_rest().await;
    stage.serve().await.end();
    let whole = fs::read(stage.database()).expect("a database");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("pages are not what was written", |bytes| bytes[PAGE..].iter_mut().for_each(|byte| *byte ^= 0xa5)),
        ("the file was cut", |bytes| bytes.truncate(3 * PAGE)),
        ("the file is something else", |bytes| bytes[..PAGE].fill(b'x')),
    ];
    for (what, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(stage.database(), bytes).expect("a written file");
        let status = stage.refuses_to_start();
        assert_eq!(status.code(), Some(1), "{what}");
        let said = stage.log_tail();
        assert!(said.contains("damaged") && said.contains("backup"), "{what}: {said}");
    }
    fs::write(stage.database(), whole).expect("a written file");
    stage.serve().await.agree().await;
}

/// Two contacts on all sides, nothing owed, no server; and the id of one of them.
async fn at_rest() -> (Stage, String) {
    let stage = Stage::set(2, 2).await;
    let server = stage.serve().await;
    let (id, _) = server.agree().await.records.pop_first().expect("a record");
    server.kill();
    (stage, id)
}

fn log_of(stage: &Stage) -> PathBuf {
    let mut name = stage.database().into_os_string();
    name.push("-wal");
    name.into()
}
