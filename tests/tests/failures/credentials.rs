//! Rows 11 and 12: grants that are taken back, and tokens that rotate.

use std::time::Duration;

use serde_json::Value as Json;
use syncline_tests::{
    accounts::Account,
    proxy::{Proxy, Weather},
};

use crate::{
    patience::{eventually, until_reached},
    stage::{Server, Stage},
};

/// How many contacts the accounts share.
const CONTACTS: u64 = 150;
/// How long each half of a refresh waits: several polls.
const REFRESH_LATENCY: Duration = Duration::from_secs(1);

/// A grant is taken back in the middle of a batch of writes: the connection waits, what it is owed is kept and nothing of it
/// counts as failed, the loss is told once, also across restarts, and work goes on where it stopped.
///
/// Fails without: `Session::heed` storing the loss before it tells (two events), `Remedy::Reauthorise` leaving the delivery
/// as it is (attempts count), `write_once` keeping what was applied before the token went (writes in vain).
#[tokio::test(flavor = "multi_thread")]
async fn row_11_token_revoked_in_mid_batch() {
    let stage = Stage::set(CONTACTS, CONTACTS).await;
    let server = stage.serve().await;
    server.agree().await;
    let [salesforce, hubspot] = stage.accounts();
    let objects = hubspot.objects().await;
    let begun = salesforce.writes();
    // All edits are found at once, so that they are one batch.
    server.api.steer("pause").await;
    for id in objects.keys() {
        hubspot.edit(id, &[("title", "Chief Listener")]).await;
    }
    server.api.steer("resume").await;
    until_reached("writes are under way", begun + 3, || salesforce.writes()).await;
    salesforce.revoke(salesforce.refresh_token()).await;

    waits_for_a_grant(&server, salesforce).await;
    let written = salesforce.writes();
    assert!(written < begun + CONTACTS, "the grant was taken back after the last write");
    // What the pause came too late for was written before the rest was read.
    let owed = eventually("what is owed is kept", async || {
        let owed = server.api.all("/v1/deliveries?state=dirty").await;
        if owed.is_empty() { Err("nothing is owed".to_owned()) } else { Ok(owed) }
    })
    .await;
    assert!(owed.iter().all(|delivery| delivery["attempts"] == 0), "waiting is not failing: {owed:?}");
    // The other account is read as before.
    let polls = hubspot.requests() + 8;
    until_reached("the other account is read", polls, || hubspot.requests()).await;
    assert_eq!(server.api.issues("delivery_parked").await, Vec::<Json>::new());

    // A restart with the dead token finds the loss known.
    server.end();
    let server = stage.serve().await;
    waits_for_a_grant(&server, salesforce).await;
    assert_eq!(times_told(&stage, "authorization_revoked"), 1, "the loss is told once");
    server.end();

    stage.authorised(salesforce, &salesforce.authorise().await);
    let server = stage.serve().await;
    let agreement = server.agree().await;
    let listeners = agreement.records.values().filter(|record| record["title"] == "Chief Listener").count() as u64;
    assert_eq!((listeners, salesforce.writes()), (CONTACTS, begun + CONTACTS), "each edit was written once");
    assert_eq!(server.api.all_issues().await, Vec::<Json>::new(), "nothing waits any more");
    server.stays_quiet().await;
}

/// A grant that is given back at the provider needs no restart: probes find it.
///
/// Fails without `Session::reinstate`.
#[tokio::test(flavor = "multi_thread")]
async fn row_11_a_grant_that_comes_back_is_noticed() {
    let stage = Stage::set(3, 3).await;
    let server = stage.serve().await;
    server.agree().await;
    let [salesforce, hubspot] = stage.accounts();
    hubspot.revoke(hubspot.refresh_token()).await;
    waits_for_a_grant(&server, hubspot).await;
    let id = salesforce.objects().await.into_keys().next().expect("an object");
    salesforce.edit(&id, &[("title", "Patient")]).await;
    // This platform gives the same token out again.
    assert_eq!(hubspot.authorise().await, hubspot.refresh_token());
    let agreement = server.agree().await;
    assert!(agreement.records.values().any(|record| record["title"] == "Patient"));
    assert_eq!(times_told(&stage, "authorization_restored"), 1);
    server.stays_quiet().await;
}

/// Readers, lookers and both lanes of a writer meet an expired token at once, and the refresh token dies when it is used:
/// one of them refreshes, the others take what it got, and the new pair is stored before it is used, so that a power cut
/// right after its first use loses nothing.
///
/// Fails without: the lock `refreshing` of `Session` and the comparison behind it (a dead refresh token is used again, which
/// takes the grant back), `keep` before the pair is used (the next start knows only the dead token).
#[tokio::test(flavor = "multi_thread")]
async fn row_12_two_workers_refresh_one_rotating_token() {
    let stage = Stage::set(20, 20).await;
    let [salesforce, hubspot] = stage.accounts();
    // A refresh takes long enough for everybody to come to the same end.
    let line = Proxy::to(salesforce.url()).await;
    let login = |url: &str| format!("login_url: \"{url}\"");
    stage.amend(&login(salesforce.url()), &login(line.url()));
    line.strike(Weather::Slow { latency: REFRESH_LATENCY, bytes_per_second: 10_000_000 }, "/services/oauth2/token");
    salesforce.set_fault("refresh_rotation", 1.0);
    let mut server = stage.serve().await;
    server.agree().await;
    let (there, here) = (salesforce.objects().await, hubspot.objects().await);
    for round in ["First", "Second", "Third"] {
        let refreshed = salesforce.fired("refresh_rotation");
        salesforce.expire_tokens().await;
        for (ours, theirs) in there.keys().zip(here.keys()) {
            salesforce.edit(ours, &[("first_name", round)]).await;
            hubspot.edit(theirs, &[("title", round)]).await;
        }
        eventually("an edit went through with the new token", async || {
            let shown = salesforce.stored("title").await;
            shown.values().any(|title| title == round).then_some(()).ok_or_else(|| format!("nobody is {round}"))
        })
        .await;
        assert_eq!(salesforce.fired("refresh_rotation"), refreshed + 1, "one worker refreshes in round {round}");
        server.kill();
        server = stage.serve().await;
    }
    let agreement = server.agree().await;
    assert!(agreement.records.values().all(|record| record["title"] == "Third" && record["first_name"] == "Third"));
    assert_eq!(server.api.issues("authorization_revoked").await, Vec::<Json>::new());
    server.writes_nothing_in_vain();
}

/// Waits until exactly the account's connection waits to be authorised again, and says so in one issue.
async fn waits_for_a_grant(server: &Server<'_>, account: Account<'_>) {
    let issues = eventually("the connection waits to be authorised again", async || {
        let issues = server.api.issues("authorization_revoked").await;
        if issues.is_empty() { Err("no issue".to_owned()) } else { Ok(issues) }
    })
    .await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!(issues[0]["connection"], account.words.connection);
}

/// How often the servers of this stage have told an event.
fn times_told(stage: &Stage, event: &str) -> usize {
    let told = format!("event=\"{event}\"");
    stage.logged().lines().filter(|line| line.contains(&told)).count()
}
