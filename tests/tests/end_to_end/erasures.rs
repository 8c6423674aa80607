//! A person's data erased on request: nothing of it is left in the files, nobody who follows is lost, and it does not come back.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    accounts::Account,
    api::{KEY, copy_of},
    patience::{eventually, until_reached},
    stage::{Server, Stage},
};

/// Polls by which something that comes back would have done so.
const A_WHILE: u64 = 20;

/// What only the person's data holds, each in another field or of another time.
const CANARIES: [&str; 7] = [
    "canary.address@erase-me.example",
    "Canarygiven",
    "Canaryfamily \"quoted\"",
    "Canary title the first",
    "Canary title that lost",
    "Canary title that won",
    "Canary title of the last epoch",
];
/// A value that does not fit its field, so that the whole object is quarantined.
const TOO_LONG: &str = "Canarymuchtoolongforafirstnameoffortycharacters";

/// Fails without `secure_delete`, without the emptied log, or without any of the tables in `sqlite/erasures`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_in_no_file_and_does_not_come_back_by_itself() {
    let stage = Stage::set(6, 6).await;
    stage.amend("models:", "history: {changes: 4}\nmodels:");
    stage.amend("poll: 300ms", "poll: 300ms\n        sweep: 1s");
    let server = stage.serve().await;
    let record = plant(&server, &stage).await;
    let before = files_with(&stage, &CANARIES);
    assert!(before.len() >= 5, "most of them are in the files in plain: {before:?}");
    let copies: Vec<String> =
        stage.accounts().iter().filter_map(|account| copy_of(&record.1, account.words.connection)).collect();
    assert_eq!(copies.len(), 2);

    let receipt = erase(&stage, &record.0, &[]);
    assert_eq!((&receipt["state"], &receipt["proof"]["left"]), (&json!("erased"), &json!(0)), "{receipt}");
    for table in ["records", "journal", "replicas", "links", "feed", "conflicts", "quarantine", "documents"] {
        assert!(receipt["rows"][table].as_u64() > Some(0), "rows of {table}: {receipt}");
    }
    let mut gone: Vec<&str> = CANARIES.to_vec();
    gone.push(TOO_LONG);
    gone.extend(copies.iter().map(String::as_str).filter(|copy| copy.len() >= 6));
    assert_eq!(files_with(&stage, &gone), Vec::<String>::new(), "nothing is left of it");
    assert_eq!(server.api.call(Method::GET, &format!("/v1/records/contact/{}", record.0), None).await.status, 404);
    feed_is_whole(&server, &record.0).await;

    // Its objects are still there, are edited, listed and swept, and the service is started anew.
    for (account, copy) in stage.accounts().iter().zip(&copies) {
        account.edit(copy, &[("title", "Canary title afterwards")]).await;
    }
    stays_away(&server, &stage, 5).await;
    server.end();
    let server = stage.serve().await;
    stays_away(&server, &stage, 5).await;
    let again = [&gone[..], &["Canary title afterwards"]].concat();
    assert_eq!(files_with(&stage, &again), Vec::<String>::new(), "what is not taken in is not kept either");

    let id = receipt["id"].as_i64().expect("an id");
    server.api.post(&format!("/v1/erasures/{id}/readmit"), &json!({})).await;
    eventually("it is let in again", async || match server.api.records().await.len() {
        6 => Ok(()),
        found => Err(found.to_string()),
    })
    .await;
}

/// Fails without `merged_into` in the erasure, and without `identity_operations` in `sqlite/erasures`.
#[tokio::test(flavor = "multi_thread")]
async fn what_went_into_a_record_is_erased_with_it() {
    let stage = Stage::set(5, 5).await;
    stage.amend("poll: 300ms", "poll: 300ms\n        sweep: 1s");
    let server = stage.serve().await;
    let mut names = server.agree().await.records.into_keys();
    let (stays, goes) = (names.next().expect("a record"), names.next().expect("another"));
    let (of_one, of_other) = (CANARIES[3], CANARIES[4]);
    server.api.patch(&stays, &json!({"title": of_one})).await;
    server.api.patch(&goes, &json!({"title": of_other})).await;
    server.agree().await;
    server.api.post(&format!("/v1/records/contact/{stays}/merge"), &json!({"record": goes})).await;
    assert!(
        !files_with(&stage, &[of_other]).is_empty(),
        "what was before a merge is kept, so that it can be taken back"
    );

    let receipt = erase(&stage, &stays, &[]);
    assert_eq!((&receipt["state"], &receipt["proof"]["left"]), (&json!("erased"), &json!(0)), "{receipt}");
    assert_eq!(
        (&receipt["rows"]["records"], &receipt["rows"]["identity_operations"]),
        (&json!(2), &json!(1)),
        "{receipt}"
    );
    assert_eq!(files_with(&stage, &[of_one, of_other]), Vec::<String>::new(), "nothing is left of either");
    for record in [&stays, &goes] {
        assert_eq!(server.api.call(Method::GET, &format!("/v1/records/contact/{record}"), None).await.status, 404);
    }
    stays_away(&server, &stage, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_erased_everywhere_once_its_objects_are_gone() {
    let stage = Stage::set(4, 4).await;
    let server = stage.serve().await;
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    let receipt = erase(&stage, &id, &["--everywhere"]);
    assert_eq!(receipt["state"], "waiting", "{receipt}");
    let path = format!("/v1/erasures/{}", receipt["id"]);
    let receipt = eventually("it is erased", async || {
        let receipt = server.api.get(&path).await;
        if receipt["state"] == "erased" && !receipt["proof"].is_null() { Ok(receipt) } else { Err(receipt.to_string()) }
    })
    .await;
    assert_eq!(receipt["proof"]["left"], 0, "{receipt}");
    for account in stage.accounts() {
        let copy = copy_of(&record, account.words.connection).expect("a copy");
        assert!(!account.objects().await.contains_key(&copy), "its object is gone");
    }
    assert_eq!(server.agree().await.records.len(), 3);
    server.stays_quiet().await;
}

/// A record whose every trace is a canary: values of several times and writers, a conflict, a quarantined row, epochs.
async fn plant(server: &Server<'_>, stage: &Stage) -> (String, Json) {
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    let [email, first, last, title, lost, won, present] = CANARIES;
    server.api.patch(&id, &json!({"email": email, "first_name": first, "last_name": last, "title": title})).await;
    server.agree().await;
    let copy = |account: Account<'_>| copy_of(&record, account.words.connection).expect("a copy");
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    server.api.steer("pause").await;
    salesforce.edit(&copy(salesforce), &[("title", lost)]).await;
    hubspot.edit(&copy(hubspot), &[("title", won)]).await;
    server.api.steer("resume").await;
    eventually("one of them lost", async || match server.api.conflicts().await.len() {
        0 => Err("no conflict yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    server.agree().await;
    for n in 0..5 {
        server.api.patch(&id, &json!({"title": format!("{present} {n}")})).await;
        server.agree().await;
    }
    hubspot.edit(&copy(hubspot), &[("first_name", TOO_LONG)]).await;
    eventually("it is quarantined", async || match server.api.quarantine().await.len() {
        0 => Err("nothing yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    (id, record)
}

/// Erases a record as a person would.
fn erase(stage: &Stage, id: &str, more: &[&str]) -> Json {
    let api = format!("http://127.0.0.1:{}", stage.port);
    let words = ["records", "erase", "contact", id, "--yes", "--json", "--api", &api, "--key", KEY];
    let done = stage.run(&[&words, more].concat());
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).expect("a receipt")
}

/// The texts that the database's files or the log hold, in plain or as JSON writes them.
fn files_with(stage: &Stage, texts: &[&str]) -> Vec<String> {
    let database = stage.database();
    let log = PathBuf::from(format!("{}-wal", database.display()));
    let mut found = Vec::new();
    for path in [database, log, stage.file("server.log")] {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for text in texts {
            let escaped = text.replace('"', "\\\"");
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            if holds(text) || holds(&escaped) {
                found.push(format!("{text} in {}", path.display()));
            }
        }
    }
    found
}

/// Asserts that the feed has no gap, and that the record's entries say nothing but that it was erased.
async fn feed_is_whole(server: &Server<'_>, id: &str) {
    let (changes, head) = server.api.changes(0).await;
    let cursors: Vec<u64> = changes.iter().filter_map(|change| change["cursor"].as_u64()).collect();
    assert_eq!(cursors, (1..=head).collect::<Vec<_>>());
    let own: Vec<&Json> = changes.iter().filter(|change| change["record"] == id).collect();
    assert!(own.len() > 5);
    for change in own {
        assert_eq!(
            (&change["action"], &change["fields"], &change["changed"]),
            (&json!("erased"), &json!({}), &json!([]))
        );
    }
}

/// Asserts that the record is not made anew although its objects are read.
async fn stays_away(server: &Server<'_>, stage: &Stage, others: usize) {
    for account in stage.accounts() {
        let goal = account.requests() + A_WHILE;
        until_reached("polls and sweeps go on", goal, || account.requests()).await;
    }
    assert_eq!(server.api.records().await.len(), others, "it does not come back");
    assert!(server.api.quarantine().await.is_empty(), "nor into quarantine");
}
