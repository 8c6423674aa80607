//! The process is stopped for longer than any request may take, and goes on as if nothing had been: a machine that slept, or
//! was starved. The seam of row 33: one node, without leases yet.

use std::time::Duration;

use syncline_client::{Cursor, Event, Subscribe};
use syncline_sandbox::ledger::Op;

use crate::{
    api::KEY,
    patience::{eventually, until_reached},
    stage::Stage,
};

/// Longer than the request deadline of the configuration, 2 s.
const SLEEP: Duration = Duration::from_millis(2_500);
const CONTACTS: u64 = 40;

/// Fails where a write that was under way when the process stopped is sent again without being read, and where the live feed
/// goes on from its ring after the subscriber's place in it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn row_33_a_process_that_wakes_late_corrupts_nothing() {
    let stage = Stage::set(CONTACTS, CONTACTS).await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let server = stage.serve().await;
    server.agree().await;
    let (_, end) = server.api.changes(0).await;
    let api = syncline_client::Api::new(&stage.url(), KEY).expect("an address");
    let subscribe = Subscribe { models: vec!["contact".into()], cursor: Some(Cursor(end)), ..Subscribe::default() };
    let mut live = api.live(subscribe).await.expect("a subscription");

    let objects = salesforce.objects().await;
    for (round, under_way) in [1, CONTACTS / 2, CONTACTS].into_iter().enumerate() {
        let goal = hubspot.sent(Op::Update) as u64 + under_way;
        for id in objects.keys() {
            salesforce.edit(id, &[("title", &format!("Title {round}"))]).await;
        }
        until_reached("writes are under way", goal, || hubspot.sent(Op::Update) as u64).await;
        server.signal("STOP");
        // Its users go on meanwhile, and platforms push into the void.
        for (place, id) in hubspot.objects().await.into_keys().take(10).enumerate() {
            hubspot.edit(&id, &[("first_name", &format!("Awake {round} {place}"))]).await;
        }
        // The sleep is the fault; nothing waits for it.
        tokio::time::sleep(SLEEP).await;
        server.signal("CONT");
        let agreement = server.agree().await;
        let title = format!("Title {round}");
        assert_eq!(agreement.records.values().filter(|record| record["title"] == *title).count() as u64, CONTACTS);
        let awake = format!("Awake {round} ");
        let named = agreement
            .records
            .values()
            .filter(|record| record["first_name"].as_str().is_some_and(|name| name.starts_with(&awake)));
        assert_eq!(named.count(), 10, "edits of users who were awake");
    }
    server.stays_quiet().await;

    let (changes, end) = server.api.changes(end).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&end) {
        match tokio::time::timeout(crate::patience::PATIENCE, live.next()).await {
            Ok(Ok(Event::Change(change))) => heard.push(change.cursor.0),
            Ok(Ok(Event::Subscribed(_) | Event::Lost(_))) => {}
            other => panic!("{other:?} after {} changes", heard.len()),
        }
    }
    let told: Vec<u64> = changes.iter().map(|change| change["cursor"].as_u64().expect("a cursor")).collect();
    assert_eq!(heard, told, "the subscriber heard everything once, in order");
    eventually("the server answers", async || server.idle().await).await;
    server.end();
}
