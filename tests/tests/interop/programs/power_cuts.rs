//! The server is killed while edits are on their way.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::json;
use syncline_client::{Counter, RecordId};
use syncline_tests::patience::until_reached;

use super::{Program, contact};
use crate::stage::{empty, until_record};

const RECORDS: usize = 20;
const CUTS: usize = 3;
/// The power is cut when so many of a round's edits are acknowledged.
const ENOUGH: u64 = 5;

/// What the program has been told is safe, is safe without the program: it is closed before the server starts again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_power_cut_without_the_program() {
    let stage = empty().await;
    let server = stage.serve().await;
    let program = Program::open(&stage, "program.db").await;
    let mut ids = Vec::new();
    for number in 0..RECORDS {
        ids.push(program.create(contact(&format!("p{number}@x.example"))).await);
    }
    program.settled().await;
    server.kill();
    program.end().await;

    let (mut edits, mut in_the_middle) = (0, 0);
    for cut in 0..CUTS {
        let server = stage.serve().await;
        let program = Program::open(&stage, "program.db").await;
        program.online().await;
        program.settled().await;
        let made = AtomicU64::new(0);
        let editing = async {
            for id in &ids {
                count_up(&program, *id, cut).await;
                made.fetch_add(1, Ordering::Relaxed);
            }
        };
        let cutting = async {
            let acknowledged = || made.load(Ordering::Relaxed).saturating_sub(program.client.pending().waiting);
            until_reached("edits are acknowledged", ENOUGH, acknowledged).await;
            server.kill();
        };
        tokio::join!(editing, cutting);
        program.offline().await;
        edits += RECORDS as u64;
        in_the_middle += usize::from(program.client.pending().waiting > 0);
        let safe: BTreeMap<RecordId, Option<Counter>> = program
            .all()
            .await
            .into_iter()
            .filter(|item| item.pending == 0)
            .map(|item| (item.id, item.value.logins))
            .collect();
        program.end().await;
        assert!(!safe.is_empty(), "something was acknowledged");

        let server = stage.serve().await;
        for (id, logins) in safe {
            let logins = logins.map(|counter| counter.0);
            until_record(&server.api, &id.to_string(), json!({"title": format!("Cut {cut}"), "logins": logins})).await;
        }
        server.kill();
    }

    assert!(in_the_middle > 0, "no power cut fell between edits");

    let server = stage.serve().await;
    let program = Program::open(&stage, "program.db").await;
    program.online().await;
    program.settled().await;
    let records = server.agree().await.records;
    let counted: u64 = records.values().map(|record| record["logins"].as_u64().expect("a number")).sum();
    assert_eq!((records.len(), counted), (RECORDS, edits), "no edit is lost, and none counts twice");
    program.end().await;
}

/// The program stays, and sends again what was under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_stays_brings_everything_once_through_power_cuts() {
    let stage = empty().await;
    let mut server = stage.serve().await;
    let program = Program::open(&stage, "program.db").await;
    let mut ids = Vec::new();
    for number in 0..RECORDS {
        ids.push(program.create(contact(&format!("p{number}@x.example"))).await);
    }
    for cut in 0..CUTS {
        program.online().await;
        for id in &ids {
            count_up(&program, *id, cut).await;
        }
        server.kill();
        for id in &ids {
            count_up(&program, *id, cut).await;
        }
        server = stage.serve().await;
    }
    program.settled().await;
    let records = server.agree().await.records;
    assert_eq!(records.len(), RECORDS);
    for record in records.values() {
        assert_eq!((&record["title"], &record["logins"]), (&json!("Cut 2"), &json!(2 * CUTS)), "{record}");
    }
    program.end().await;
}

async fn count_up(program: &Program, id: RecordId, cut: usize) {
    program
        .edit(id, move |contact| {
            contact.title = Some(format!("Cut {cut}"));
            contact.logins = Some(Counter(contact.logins.unwrap_or_default().0 + 1));
        })
        .await;
}
