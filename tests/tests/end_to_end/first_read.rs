//! The first read of two accounts that have people in common.

use std::collections::BTreeMap;

use syncline_sandbox::ledger::Op;

use crate::{api::copy_of, patience::until_reached, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn what_both_have_is_linked_the_rest_is_created_and_then_it_is_quiet() {
    let stage = Stage::set(100, 60).await;
    let mut before = BTreeMap::new();
    for account in stage.accounts() {
        before.insert(account.words.connection, account.objects().await);
    }
    let server = stage.serve().await;
    let agreement = server.agree().await;

    assert_eq!(agreement.records.len(), 140);
    for account in stage.accounts() {
        assert_eq!(account.sent(Op::Create), 40, "creates in {}", account.words.connection);
        assert_eq!(account.sent(Op::Delete), 0, "deletes in {}", account.words.connection);
    }
    let known = |record, connection: &str| {
        copy_of(record, connection).is_some_and(|copy| before[connection].contains_key(&copy))
    };
    let linked = agreement.records.values().filter(|record| {
        known(record, stage.salesforce().words.connection) && known(record, stage.hubspot().words.connection)
    });
    assert_eq!(linked.count(), 60, "people who were in both accounts are one record each");
    assert_eq!(server.api.conflicts().await, Vec::<serde_json::Value>::new());
    server.stays_quiet().await;
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_everything_again_changes_nothing() {
    let stage = Stage::set(60, 36).await;
    let server = stage.serve().await;
    let before = server.agree().await.records;
    let writes = || stage.accounts().map(|account| account.writes());
    let (sent, (_, end)) = (writes(), server.api.changes(0).await);
    let starts = stage.accounts().map(|account| account.requests());
    server.api.steer("reset").await;
    for (account, start) in stage.accounts().into_iter().zip(starts) {
        until_reached("the account is read again", start + 10, || account.requests()).await;
    }
    assert_eq!(server.agree().await.records, before);
    assert_eq!((writes(), server.api.changes(0).await.1), (sent, end));
    server.stays_quiet().await;
}
