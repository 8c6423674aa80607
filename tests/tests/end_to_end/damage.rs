//! The database is damaged, examined, backed up and restored, and everybody still shows the same.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{
    api::copy_of,
    patience::{eventually, until_reached},
    stage::Stage,
};

/// Row 29 on the real binary: every document is cut short between two starts; the examination names them, the next edit of a
/// record rebuilds its document, and `--repair` the others. Fails without `Intake::mend` (edits end in quarantine).
#[tokio::test(flavor = "multi_thread")]
async fn row_29_damaged_documents_are_rebuilt_by_the_running_service() {
    let stage = Stage::set(4, 4).await;
    let server = stage.serve().await;
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    server.api.patch(&id, &json!({"title": "Before"})).await;
    server.agree().await;
    server.end();
    assert_eq!(check(&stage, &[]), (true, String::new()));

    let options = SqliteConnectOptions::new().filename(stage.database());
    let mut database = options.connect().await.expect("the database");
    let cut = "UPDATE records SET document = substr(document, 1, length(document) / 2)";
    sqlx::query(cut).execute(&mut database).await.expect("a cut");
    database.close().await.expect("it closes");
    let (sound, found) = check(&stage, &[]);
    assert!(!sound && found.contains(&id) && found.contains("records rebuild"), "{found}");

    let server = stage.serve().await;
    let salesforce = stage.salesforce();
    let copy = copy_of(&record, salesforce.words.connection).expect("a copy");
    salesforce.edit(&copy, &[("title", "After")]).await;
    eventually("the edit arrives", async || {
        let title = server.api.record(&id).await["title"].clone();
        if title == "After" { Ok(()) } else { Err(format!("the title is {title}")) }
    })
    .await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 4);
    assert_eq!(server.api.quarantine().await, Vec::<Json>::new());
    let (_, found) = check(&stage, &[]);
    assert!(!found.contains(&id), "beside the running server: the edited record is sound: {found}");
    server.stays_quiet().await;
    server.end();
    assert!(check(&stage, &["--repair"]).0, "what nobody edited is implied by its values");
    let server = stage.serve().await;
    assert_eq!(server.agree().await.records, agreement.records);
    server.end();
}

/// A store goes back in time, its accounts do not: what was written to them since comes back, the newest edits stand, nothing
/// is made twice and nothing is written backwards. Records that the store has forgotten have their ids again, whichever account
/// tells of them first: the product and the objects know them by these.
///
/// Fails without `copy::carry_rows` taking the links over, or without `Routes::former` in `Working::create_from`.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_takes_from_the_accounts_what_it_forgot() {
    let stage = Stage::set(6, 6).await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let server = stage.serve().await;
    let before = server.agree().await.records;
    let backup = stage.file("backup.db");
    let path = backup.to_str().expect("a path");
    verb(&stage, &["store", "backup", path], true);

    let ids: Vec<&String> = before.keys().collect();
    let copy = |n: usize, connection: &str| copy_of(&before[ids[n]], connection).expect("a copy");
    salesforce.edit(&copy(0, salesforce.words.connection), &[("title", "By Salesforce")]).await;
    hubspot.edit(&copy(1, hubspot.words.connection), &[("title", "By HubSpot")]).await;
    server.api.patch(ids[2], &json!({"title": "By the app"})).await;
    let born = salesforce.create(&[("last_name", "Later"), ("email", "later@example.com")]).await;
    server.api.post("/v1/records/contact", &json!({"last_name": "Made", "email": "made@example.com"})).await;
    eventually("everything was written", async || {
        let records = server.api.records().await;
        let (later, made) = (hubspot.by_email("later@example.com").await, hubspot.by_email("made@example.com").await);
        let titles =
            records.iter().filter(|record| record["title"].as_str().is_some_and(|title| title.starts_with("By ")));
        let written = titles.count() == 3 && records.len() == 8 && later.is_some() && made.is_some();
        if written { Ok(()) } else { Err(format!("{records:?}")) }
    })
    .await;
    let lost = fields(server.agree().await.records);
    verb(&stage, &["store", "restore", path], false);
    server.end();

    let counts = || stage.accounts().map(|account| account.writes());
    let written = counts();
    for silent in stage.accounts() {
        verb(&stage, &["store", "restore", path], true);
        silent.set_outage(true);
        let server = stage.serve().await;
        eventually("one account alone tells of everybody", async || {
            let records = server.api.records().await;
            if records.len() == 8 { Ok(()) } else { Err(format!("{records:?}")) }
        })
        .await;
        silent.set_outage(false);
        eventually("the accounts have told what was forgotten", async || {
            let records = fields(server.agree().await.records);
            if records == lost { Ok(()) } else { Err(format!("{records:?}\n{lost:?}")) }
        })
        .await;
        for account in stage.accounts() {
            let goal = account.requests() + 12;
            until_reached("polls go on", goal, || account.requests()).await;
        }
        assert_eq!(counts(), written, "everybody agreed already: nothing is written, and nothing backwards");
        server.writes_nothing_in_vain();
        assert!(salesforce.objects().await.contains_key(&born));
        server.end();
    }

    // It goes on as before.
    let server = stage.serve().await;
    salesforce.edit(&born, &[("title", "And on")]).await;
    eventually("edits go on", async || {
        let found = server.api.records().await.iter().any(|record| record["title"] == "And on");
        if found { Ok(()) } else { Err("nobody has it".to_owned()) }
    })
    .await;
    server.agree().await;
    server.writes_nothing_in_vain();
    server.end();
    assert!(check(&stage, &[]).0);
}

/// What records say, by their ids.
fn fields(records: BTreeMap<String, Json>) -> BTreeMap<String, Json> {
    let plain = |mut record: Json| {
        record.as_object_mut().expect("a record").remove("_meta");
        record
    };
    records.into_iter().map(|(id, record)| (id, plain(record))).collect()
}

/// Runs a verb, which must end well or not.
fn verb(stage: &Stage, arguments: &[&str], well: bool) {
    let output = stage.run(arguments);
    assert_eq!(output.status.success(), well, "{arguments:?}: {output:?}");
}

/// Whether the database is sound, and else what was found.
fn check(stage: &Stage, more: &[&str]) -> (bool, String) {
    let output = stage.run(&[&["check", "--store", "--json"], more].concat());
    let said = String::from_utf8(output.stdout).expect("text");
    (output.status.success(), if output.status.success() { String::new() } else { said })
}
