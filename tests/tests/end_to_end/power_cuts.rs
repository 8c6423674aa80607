//! Power cuts: the process is killed in the middle of reading and of writing, and started again.

use syncline_sandbox::ledger::Op;

use crate::{patience::until_reached, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_read_goes_on_after_power_cuts_with_nothing_lost_or_doubled() {
    let stage = Stage::set(200, 120).await;
    stage.salesforce().set_fault("short_page", 1.0);
    let mut in_the_middle = 0;
    for pages in [2, 4, 3, 5] {
        let goal = requests(&stage) + pages;
        let server = stage.serve().await;
        until_reached("the accounts are read", goal, || requests(&stage)).await;
        server.kill();
        in_the_middle += usize::from(stage.accounts().iter().all(|account| account.writes() == 0));
    }
    assert!(in_the_middle >= 2, "only {in_the_middle} power cuts fell into the first read");

    let server = stage.serve().await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 280);
    for account in stage.accounts() {
        assert_eq!(account.sent(Op::Create), 80, "creates in {}", account.words.connection);
    }
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_created_once_through_power_cuts() {
    let stage = Stage::set(60, 36).await;
    for writes in [1, 20, 30, 47] {
        let server = stage.serve().await;
        until_reached("objects are created", writes, || writes_of(&stage)).await;
        server.kill();
    }
    let server = stage.serve().await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 84);
    created_once(&stage);
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_delivered_once_through_power_cuts() {
    let stage = Stage::set(40, 40).await;
    let server = stage.serve().await;
    server.agree().await;
    server.kill();
    let objects = stage.salesforce().objects().await;
    for (round, cut) in [1, 5, 15, 30].into_iter().enumerate() {
        let server = stage.serve().await;
        let goal = stage.hubspot().writes() + cut;
        for id in objects.keys().take(30) {
            stage.salesforce().edit(id, &[("title", &format!("Title {round}"))]).await;
        }
        until_reached("edits are delivered", goal, || stage.hubspot().writes()).await;
        server.kill();
    }
    let server = stage.serve().await;
    let agreement = server.agree().await;
    let retitled = agreement.records.values().filter(|record| record["title"] == "Title 3").count();
    assert_eq!((agreement.records.len(), retitled), (40, 30));
    assert_eq!(server.api.conflicts().await, Vec::<serde_json::Value>::new(), "one writer is in conflict with nobody");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_power_cuts_together_make_no_duplicates() {
    let stage = Stage::set(60, 36).await;
    stage.accounts().iter().for_each(|account| account.set_fault("response_lost", 0.5));
    let lost = || stage.accounts().iter().map(|account| account.fired("response_lost")).sum();
    for answers in [1, 3, 6] {
        let server = stage.serve().await;
        // Users give the service something to write once everybody is created.
        for id in stage.salesforce().objects().await.keys().take(10) {
            stage.salesforce().edit(id, &[("title", &format!("Lost {answers}"))]).await;
        }
        until_reached("answers are lost", answers, lost).await;
        server.kill();
    }
    let server = stage.serve().await;
    stage.accounts().iter().for_each(|account| account.set_fault("response_lost", 0.0));
    let agreement = server.agree().await;
    let retitled = agreement.records.values().filter(|record| record["title"] == "Lost 6").count();
    assert_eq!((agreement.records.len(), retitled), (84, 10));
    created_once(&stage);
    server.stays_quiet().await;
}

/// Twenty-four people were missing in each account.
fn created_once(stage: &Stage) {
    for account in stage.accounts() {
        assert_eq!(account.sent(Op::Create), 24, "creates in {}", account.words.connection);
    }
}

fn requests(stage: &Stage) -> u64 {
    stage.accounts().iter().map(|account| account.requests()).sum()
}

fn writes_of(stage: &Stage) -> u64 {
    stage.accounts().iter().map(|account| account.writes()).sum()
}
