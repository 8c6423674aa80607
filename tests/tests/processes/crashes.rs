//! The process is ended at one line that matters, and started again.

use serde_json::Value as Json;
use syncline_sandbox::ledger::Op;
use syncline_server::failpoint::Point;

use crate::{
    accounts::Account,
    patience::{eventually, until_reached},
    stage::Stage,
};

/// Requests of the other account that are made meanwhile count as a while.
const A_WHILE: u64 = 40;
/// Requests that a side may make in such a while although nothing can come of them: its tasks back off.
const TRIES_MAX: u64 = 12;

/// Fails without the commit of the intent before the request, and without the question about open intents after a restart:
/// then the intent stays open for good and the object is never made.
#[tokio::test(flavor = "multi_thread")]
async fn row_01_a_write_that_a_crash_kept_from_being_sent_is_sent_once() {
    let stage = at_rest().await;
    for (made_in, owed_to) in both_ways(&stage) {
        made_in.create(&[("email", "new@x.example"), ("last_name", "New")]).await;
        stage.die_at(Point::IntentAfter).await;
        assert_eq!(owed_to.by_email("new@x.example").await.map(|object| object.id), None, "nothing was sent");
        let server = stage.serve().await;
        server.agree().await;
        assert_eq!(owed_to.sent(Op::Create), 1, "creates in {}", owed_to.words.connection);
        server.stays_quiet().await;
        server.kill();
        made_in.delete(&made_in.by_email("new@x.example").await.expect("the object").id).await;
        let server = stage.serve().await;
        server.agree().await;
        server.kill();
    }
}

/// Fails without the search by key before an uncertain create is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_create_whose_answer_a_crash_has_lost_is_found_and_not_made_again() {
    let stage = at_rest().await;
    for (made_in, owed_to) in both_ways(&stage) {
        let made = made_in.create(&[("email", "new@x.example"), ("last_name", "New")]).await;
        stage.die_at(Point::WriteAnswered).await;
        assert_eq!(owed_to.sent(Op::Create), 1, "it took effect in {}", owed_to.words.connection);
        let server = stage.serve().await;
        assert_eq!(server.agree().await.records.len(), 3);
        assert_eq!(owed_to.sent(Op::Create), 1, "creates in {}", owed_to.words.connection);
        server.stays_quiet().await;
        made_in.delete(&made).await;
        server.agree().await;
        server.kill();
    }
}

/// Fails without the second filter of `look_first`: a deleted record's uncertain create was never asked about, its delivery
/// was due for ever, and the object that had been made stayed.
#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_create_whose_answer_was_lost_is_taken_back_where_its_record_was_deleted_meanwhile() {
    let stage = at_rest().await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    // A platform's own default would count as an edit that the delete had not seen: this one has none.
    let made = salesforce.create(&[("email", "new@x.example"), ("last_name", "New")]).await;
    stage.die_at(Point::WriteAnswered).await;
    assert!(hubspot.by_email("new@x.example").await.is_some(), "it took effect");
    salesforce.delete(&made).await;
    let server = stage.serve().await;
    eventually("the object is taken back", async || match hubspot.by_email("new@x.example").await {
        Some(object) => Err(format!("{object:?}")),
        None => Ok(()),
    })
    .await;
    assert_eq!(server.agree().await.records.len(), 2);
    server.stays_quiet().await;
}

/// Fails without the reading after the deadline that settles an uncertain update: it would be sent a second time.
#[tokio::test(flavor = "multi_thread")]
async fn row_05_an_update_whose_answer_a_crash_has_lost_is_read_again_and_only_what_differs_is_sent() {
    let stage = at_rest().await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    for (round, users_go_on) in [false, true].into_iter().enumerate() {
        let title = format!("Title {round}");
        let (id, _) = salesforce.objects().await.pop_first().expect("an object");
        let before = hubspot.sent(Op::Update);
        salesforce.edit(&id, &[("title", &title)]).await;
        stage.die_at(Point::WriteAnswered).await;
        assert_eq!(hubspot.sent(Op::Update), before + 1, "it took effect");
        let email = salesforce.objects().await[&id].fields["email"].clone();
        let expected = if users_go_on { "Chief" } else { &title };
        if users_go_on {
            let object = hubspot.by_email(&email).await.expect("the copy");
            hubspot.edit(&object.id, &[("title", "Chief")]).await;
        }
        let server = stage.serve().await;
        server.agree().await;
        assert_eq!(hubspot.sent(Op::Update), before + 1, "it was sent again");
        assert_eq!(salesforce.objects().await[&id].fields["title"], expected);
        server.stays_quiet().await;
        server.kill();
    }
}

/// Fails without the names by which the inbox knows a hint that it has: each delivery would be worked off.
#[tokio::test(flavor = "multi_thread")]
async fn row_06_a_webhook_that_comes_again_after_a_crash_has_one_effect() {
    let stage = at_rest().await;
    let hubspot = stage.hubspot();
    // Only webhooks can bring what happens from now on.
    stage.amend("poll: 300ms", "poll: 3h");
    hubspot.set_fault("webhook_duplicated", 1.0);
    hubspot.push_to(&format!("{}/v1/webhooks/{}", stage.url(), hubspot.words.connection)).await;
    let (id, object) = hubspot.objects().await.pop_first().expect("an object");
    let server = stage.serve().await;
    let (_, end) = server.api.changes(0).await;
    server.kill();

    // Stored, and not acknowledged: the platform sends it again.
    let dying = stage.doomed(Point::HintsAfter);
    hubspot.edit(&id, &[("title", "Pushed")]).await;
    dying.gone().await;
    let server = stage.serve().await;
    eventually("the push arrives", async || {
        let records = server.api.records().await;
        let titled = records.iter().filter(|record| record["title"] == "Pushed").count();
        if titled == 1 { Ok(()) } else { Err(format!("{records:?}")) }
    })
    .await;
    server.agree().await;
    let (changes, _) = server.api.changes(end).await;
    let titled: Vec<&Json> = changes.iter().filter(|change| change["fields"]["title"] == "Pushed").collect();
    assert_eq!(titled.len(), 1, "{} was changed more than once: {titled:#?}", object.fields["email"]);
    assert!(hubspot.fired("webhook_duplicated") > 0, "no webhook came twice");
    server.writes_nothing_in_vain();
}

/// Fails where a baseline is not taken from the read-back: our own value would pass for an edit and make a version.
/// The second value comes back in another form.
#[tokio::test(flavor = "multi_thread")]
async fn row_09_and_row_10_an_echo_that_a_crash_kept_from_being_known_changes_nothing() {
    let stage = at_rest().await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let (id, _) = salesforce.objects().await.pop_first().expect("an object");
    for (field, value) in [("title", "Head"), ("email", "Ann.LEE@X.example")] {
        salesforce.edit(&id, &[(field, value)]).await;
        stage.die_at(Point::WriteAnswered).await;
        let (end, sent) = (last_change(&stage).await, hubspot.sent(Op::Update));
        let server = stage.serve().await;
        server.agree().await;
        assert_eq!(server.api.changes(end).await.0, Vec::<Json>::new(), "{value}: the echo made a change");
        assert_eq!(hubspot.sent(Op::Update), sent, "{value}: it was written again");
        server.stays_quiet().await;
        server.kill();
    }
}

/// The new tokens are gone, the old ones are dead: only a person can help. Fails where a refused refresh is tried again without
/// an end, as by `Remedy::Retry` in its place.
#[tokio::test(flavor = "multi_thread")]
async fn row_13_a_crash_between_refresh_and_save_asks_for_a_person_and_makes_no_storm() {
    let stage = at_rest().await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    salesforce.set_fault("refresh_rotation", 1.0);
    salesforce.expire_tokens().await;
    stage.die_at(Point::RefreshAnswered).await;
    let server = stage.serve().await;
    eventually("a person is asked for", async || {
        let sync = server.api.get("/v1/syncs/contacts").await;
        let asks = sync["sides"]
            .as_array()
            .expect("sides")
            .iter()
            .any(|side| side["connection"] == salesforce.words.connection && side["phase"] == "reauth_needed");
        if asks { Ok(()) } else { Err(sync.to_string()) }
    })
    .await;
    let before = salesforce.requests();
    let goal = hubspot.requests() + A_WHILE;
    until_reached("the other side goes on", goal, || hubspot.requests()).await;
    let tries = salesforce.requests() - before;
    assert!(tries <= TRIES_MAX, "{tries} requests that can come to nothing");
}

/// Two contacts that both accounts have, nothing owed, and no server.
async fn at_rest() -> Stage {
    let stage = Stage::set(2, 2).await;
    let server = stage.serve().await;
    server.agree().await;
    server.kill();
    stage
}

fn both_ways(stage: &Stage) -> [(Account<'_>, Account<'_>); 2] {
    [(stage.salesforce(), stage.hubspot()), (stage.hubspot(), stage.salesforce())]
}

/// The end of the feed, as a server without anything to read tells it.
async fn last_change(stage: &Stage) -> u64 {
    use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
    let options = SqliteConnectOptions::new().filename(stage.database()).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a database");
    let head: i64 = sqlx::query_scalar("SELECT max(feed_head) FROM tenants")
        .fetch_one(&mut connection)
        .await
        .expect("the end of the feed");
    connection.close().await.expect("a closed database");
    u64::try_from(head).expect("a cursor")
}
