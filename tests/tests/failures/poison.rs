//! Row 16: one record that cannot be processed, among others that can.

use serde_json::Value as Json;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    patience::eventually,
    stage::{Server, Stage},
};

/// How many contacts the accounts share.
const CONTACTS: u64 = 12;
/// A write that fails for a passing reason each time is given up after so many attempts, in about eight hours.
const ATTEMPTS_MAX: i64 = 20;

/// The platform refuses every batch that holds one certain object. The others get through all the same; the one is shown as it
/// fails, given up after its last attempt, and kept; and it goes through once it is tried again after its cause was mended.
///
/// Fails without `Remedy::Busy` counting as a failure (the object holds up every write to its account, as a used-up quota would),
/// without the halves of `hubspot::write_batch` where an object is in use (others fail with it for as long as they meet it in a
/// batch), and without `Delivery::ATTEMPTS_MAX` (it is never given up).
#[tokio::test(flavor = "multi_thread")]
async fn row_16_poison_record() {
    let stage = Stage::set(CONTACTS, CONTACTS).await;
    let [salesforce, hubspot] = stage.accounts();
    let server = stage.serve().await;
    server.agree().await;
    let objects = salesforce.objects().await;
    let (poison, object) = objects.first_key_value().expect("an object");
    let held = hubspot.by_email(&object.fields["email"]).await.expect("the same person").id;
    hubspot.set_locked(&held, true).await;
    for id in objects.keys() {
        salesforce.edit(id, &[("title", "Captain")]).await;
    }
    eventually("the others flow past it, and it has failed", async || {
        let failed = failing(&server).await;
        let captains = hubspot.stored("title").await.values().filter(|title| *title == "Captain").count() as u64;
        (failed == 1 && captains == CONTACTS - 1).then_some(()).ok_or_else(|| format!("{captains}, failing: {failed}"))
    })
    .await;
    server.end();
    let failures: Vec<String> =
        stage.logged().lines().filter(|line| line.contains("outcome=\"busy\"")).map(str::to_owned).collect();
    assert!(!failures.is_empty(), "{}", stage.log_tail());
    assert!(failures.iter().all(|line| line.contains("writes=1 ")), "others have failed with it: {failures:?}");
    // Hours later.
    age(&stage, ATTEMPTS_MAX - 1).await;
    let server = stage.serve().await;
    let id = eventually("the write is given up", async || {
        let issues = server.api.issues("delivery_parked").await;
        let id = issues.first().and_then(|issue| issue["id"].as_str()).map(str::to_owned);
        let owed = server.api.all("/v1/deliveries?state=dirty").await;
        id.ok_or_else(|| format!("no issue, but {owed:?}\n{}", stage.log_tail()))
    })
    .await;
    let issue = server.api.get(&format!("/v1/issues/{id}?details=true")).await;
    assert!(issue["error"].as_str().is_some_and(|error| error.contains("gave up after 20 attempts")), "{issue}");
    assert_eq!((&issue["connection"], &issue["replayable"]), (&Json::from("acme-hubspot"), &Json::from(true)));

    hubspot.set_locked(&held, false).await;
    let (later, _) = objects.last_key_value().expect("an object");
    salesforce.edit(later, &[("title", "Later")]).await;
    eventually("a later edit flows past it", async || {
        let titles = hubspot.stored("title").await;
        titles.values().any(|title| title == "Later").then_some(()).ok_or_else(|| format!("{titles:?}"))
    })
    .await;
    assert_ne!(hubspot.stored("title").await[&held], "Captain", "nobody has asked for another try");

    for (arguments, says) in [
        (&["issues", "list"][..], "delivery_parked"),
        (&["issues", "explain", &id], "was given up"),
        (&["issues", "replay", &id], "tried again"),
    ] {
        let said = stage.ask(&server, arguments);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    server.agree().await;
    assert_eq!(salesforce.objects().await[poison].fields["title"], "Captain");
    assert_eq!(hubspot.stored("title").await[&held], "Captain");
    assert_eq!(server.api.all_issues().await, Vec::<Json>::new());
    server.stays_quiet().await;
}

/// How many deliveries are owed and have failed.
async fn failing(server: &Server<'_>) -> usize {
    let dirty = server.api.all("/v1/deliveries?state=dirty").await;
    dirty.iter().filter(|delivery| delivery["attempts"].as_u64() > Some(0)).count()
}

/// Lets the failing delivery have failed so many times by now.
async fn age(stage: &Stage, attempts: i64) {
    let options = SqliteConnectOptions::new().filename(stage.database());
    let mut database = SqliteConnection::connect_with(&options).await.expect("the database opens");
    let aged = sqlx::query(
        "UPDATE replicas SET due = 0, replica = json_set(replica, '$.delivery.attempts', ?, '$.delivery.due', 0) \
         WHERE delivery = 1 AND replica ->> '$.delivery.attempts' > 0",
    );
    let done = aged.bind(attempts).execute(&mut database).await.expect("the statement is carried out");
    assert_eq!(done.rows_affected(), 1, "one delivery fails");
    database.close().await.expect("closed");
}
