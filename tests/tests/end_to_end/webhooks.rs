//! What a platform pushes: duplicated, out of order, forged, and not at all.

use reqwest::Method;
use serde_json::json;

use crate::{
    accounts::Account,
    patience::eventually,
    stage::{Server, Stage},
};

/// Polls so rarely that only webhooks can bring what a story waits for.
const HARDLY_EVER: &str = "poll: 3h";

#[tokio::test(flavor = "multi_thread")]
async fn pushes_bring_changes_without_polling_however_they_arrive() {
    let stage = Stage::set(10, 10).await;
    let hubspot = stage.hubspot();
    hubspot.set_fault("webhook_duplicated", 1.0);
    hubspot.set_fault("webhook_reordered", 0.5);
    stage.amend("poll: 300ms", HARDLY_EVER);
    let server = stage.serve().await;
    server.agree().await;
    push_to(&server, hubspot).await;

    let objects = hubspot.objects().await;
    for title in ["First", "Second", "Last"] {
        for id in objects.keys() {
            hubspot.edit(id, &[("title", title)]).await;
        }
    }
    titled(&server, "Last", 10).await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 10);
    assert!(hubspot.fired("webhook_duplicated") > 0, "no webhook came twice");
    server.writes_nothing_in_vain();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_push_is_refused_and_changes_nothing() {
    let stage = Stage::set(3, 3).await;
    let server = stage.serve().await;
    server.agree().await;
    let (_, before) = server.api.changes(0).await;
    let object = stage.hubspot().objects().await.into_keys().next().expect("an object");
    let events = json!([{
        "eventId": 1, "subscriptionId": 1, "portalId": 1, "appId": 54321, "occurredAt": 1_767_225_600_000_u64,
        "subscriptionType": "contact.deletion", "attemptNumber": 0, "objectId": object.parse::<u64>().expect("a number"),
    }]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let now = now.to_string();
    let path = "/v1/webhooks/acme-hubspot";
    for headers in [
        vec![],
        vec![("x-hubspot-signature-v3", "AAAA"), ("x-hubspot-request-timestamp", now.as_str())],
        vec![("x-hubspot-signature-v3", "not base64"), ("x-hubspot-request-timestamp", "yesterday")],
    ] {
        server.api.call_with(Method::POST, path, &headers, Some(&events)).await.refused(401, "signature");
    }
    let unknown = server.api.call_with(Method::POST, "/v1/webhooks/nobody", &[], Some(&events)).await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    server.stays_quiet().await;
    assert_eq!(server.api.changes(0).await.1, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_brings_what_pushes_lost() {
    let stage = Stage::set(5, 5).await;
    let hubspot = stage.hubspot();
    hubspot.set_fault("webhook_lost", 1.0);
    let server = stage.serve().await;
    server.agree().await;
    push_to(&server, hubspot).await;
    for id in hubspot.objects().await.keys() {
        hubspot.edit(id, &[("title", "Polled")]).await;
    }
    titled(&server, "Polled", 5).await;
    server.agree().await;
    assert!(hubspot.fired("webhook_lost") > 0, "no webhook was lost");
    server.stays_quiet().await;
}

async fn push_to(server: &Server<'_>, account: Account<'_>) {
    let connection = server.api.get(&format!("/v1/connections/{}", account.words.connection)).await;
    account.push_to(connection["webhook_url"].as_str().expect("an address")).await;
}

/// Waits until so many records have this title.
async fn titled(server: &Server<'_>, title: &str, number: usize) {
    eventually("the edits arrive", async || {
        let found = server.api.records().await.iter().filter(|record| record["title"] == title).count();
        if found == number { Ok(()) } else { Err(format!("{found} records have the title {title}")) }
    })
    .await;
}
