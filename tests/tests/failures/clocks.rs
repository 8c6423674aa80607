//! Row 17: clocks that are wrong by an hour, the service's own and a platform's.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use syncline_server::engine::clock;
use syncline_tests::{accounts::Account, api::id_of};

use crate::{
    patience::eventually,
    stage::{Setting, Stage},
};

/// How far a clock is off.
const HOUR_S: i64 = 3_600;
/// Edits that are so far apart can be told apart, although platforms stamp whole seconds and name the time in whole seconds.
const APART: Duration = Duration::from_secs(4);

/// Users of both platforms edit the same field while the service is away, once here first and once there first. The later edit
/// wins and the earlier one is kept, whether the service's clock is right, an hour ahead or an hour behind, or jumps from one to
/// the other between two runs, and whether the platforms' clocks agree or are an hour apart. What is edited later by somebody
/// who has seen what stands wins by that alone, although its time may be earlier.
///
/// There are no leases yet; a time that the service keeps for itself is a back-off or a schedule, and no rule reads it.
///
/// Fails without: `Session::correct` (a platform whose clock is ahead always wins), `Session::provider_now` in the reader's
/// windows (edits of a platform whose clock is ahead are not read) and in `engine::webhooks` (its webhooks are refused as stale).
#[tokio::test(flavor = "multi_thread")]
async fn row_17_clocks_off_by_an_hour() {
    join_all([0, HOUR_S, -HOUR_S].map(platforms_apart)).await;
}

async fn platforms_apart(hubspot_ahead_s: i64) {
    let stage = Stage::of(Setting { contacts: 3, shared: 3, hubspot_ahead_s, ..Setting::default() }).await;
    let [salesforce, hubspot] = stage.accounts();
    // What HubSpot's users do is told by webhooks alone, each signed with the time of HubSpot's clock.
    stage.amend("key: syncline_id\n        poll: 300ms", "key: syncline_id\n        poll: 3h");
    let server = stage.serve().await;
    server.agree().await;
    let connection = server.api.get("/v1/connections/acme-hubspot").await;
    hubspot.push_to(connection["webhook_url"].as_str().expect("an address")).await;
    server.end();
    let mut people = salesforce.objects().await.into_values().map(|object| object.fields["email"].clone());
    let [here_first, there_first, seen] = std::array::from_fn(|_| people.next().expect("three people"));
    for (round, off_s) in [HOUR_S, -HOUR_S, 0].into_iter().enumerate() {
        let case = format!("the platforms {hubspot_ahead_s} s apart, the service {off_s} s off, round {round}");
        let (older, newer) = (format!("Older {round}"), format!("Newer {round}"));
        retitle(salesforce, &here_first, &older).await;
        retitle(hubspot, &there_first, &older).await;
        pass(salesforce, APART).await;
        retitle(hubspot, &here_first, &newer).await;
        retitle(salesforce, &there_first, &newer).await;

        stage.set_variable(clock::SHIFT, &(off_s * 1_000).to_string());
        let server = stage.serve().await;
        server.api.steer("trigger").await;
        let agreement = server.agree().await;
        for email in [&here_first, &there_first] {
            let record = agreement.records.values().find(|record| record["email"] == **email).expect("a record");
            assert_eq!(record["title"], newer, "{case}");
        }
        let lost = server.api.all("/v1/conflicts?state=all").await;
        let lost = lost.iter().filter(|conflict| conflict["loser"]["value"] == older).count();
        assert_eq!(lost, 2, "{case}: the earlier edits are kept");

        // Each of these has seen the one before.
        let record = agreement.records.values().find(|record| record["email"] == seen).expect("a record");
        let (by_client, by_user) = (format!("Client {round}"), format!("User {round}"));
        server.api.patch(&id_of(record), &json!({ "title": by_client })).await;
        eventually("the client's edit arrives", async || {
            let titles = hubspot.stored("title").await;
            titles.values().any(|title| *title == by_client).then_some(()).ok_or_else(|| format!("{case}: {titles:?}"))
        })
        .await;
        retitle(hubspot, &seen, &by_user).await;
        let agreement = server.agree().await;
        let record = agreement.records.values().find(|record| record["email"] == seen).expect("a record");
        assert_eq!(record["title"], by_user, "{case}");
        server.writes_nothing_in_vain();
        server.end();
    }
}

/// A user gives a person another title.
async fn retitle(account: Account<'_>, email: &str, title: &str) {
    let object = account.by_email(email).await.expect("the person");
    account.edit(&object.id, &[("title", title)]).await;
}

/// Waits until a platform's clock has gone on.
async fn pass(account: Account<'_>, time: Duration) {
    let until = account.now().plus(time);
    eventually("time passes", async || if account.now() >= until { Ok(()) } else { Err("not yet".to_owned()) }).await;
}
