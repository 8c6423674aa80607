//! Orderly ends in the middle of work.

use syncline_sandbox::ledger::Op;

use crate::{patience::until_reached, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_end_ends_well_and_goes_on_later() {
    let stage = Stage::set(100, 60).await;
    stage.salesforce().set_fault("short_page", 1.0);
    let requests = || stage.accounts().iter().map(|account| account.requests()).sum::<u64>();
    let writes = || stage.accounts().iter().map(|account| account.writes()).sum::<u64>();

    let goal = requests() + 3;
    let server = stage.serve().await;
    until_reached("the accounts are read", goal, requests).await;
    server.end();
    assert_eq!(writes(), 0, "the end fell into the first read");

    let server = stage.serve().await;
    until_reached("objects are created", 1, writes).await;
    server.end();

    let server = stage.serve().await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 140);
    for account in stage.accounts() {
        assert_eq!(account.sent(Op::Create), 40, "creates in {}", account.words.connection);
    }
    server.stays_quiet().await;
    server.end();
}
