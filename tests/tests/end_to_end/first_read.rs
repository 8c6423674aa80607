//! The first read of two accounts that have people in common.

use std::collections::BTreeMap;

use syncline_sandbox::ledger::Op;

use crate::{api::copy_of, stage::Stage};

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
