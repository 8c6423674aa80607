//! Two tenants that connected the same account of a platform.

use serde_json::{Value as Json, json};

use crate::{
    api::{Api, copy_of, id_of},
    patience::eventually,
    stage::Stage,
};

/// What only one tenant knows: it goes to an account that the other has not connected.
const CANARY: &str = "Canary of acme";

/// Another tenant with the same account of HubSpot, and nothing else.
const STRANGERS: &str =
    "  globex-hubspot: {tenant: globex, integration: hubspot, credentials: {refresh_token: {env: HUBSPOT_REFRESH}}}
syncs:
  strangers:
    tenant: globex
    model: contact
    approve: auto
    sides:
      globex-hubspot:
        object: contacts
        poll: 3h
        mapping: {email: email, first_name: firstname, last_name: lastname, phone: phone}
  contacts:";

/// Fails where `Engine::by_account` keeps hints with the connection that was called (one tenant hears nothing), and where the
/// store's queries lack their tenant (both tenants have one record).
#[tokio::test(flavor = "multi_thread")]
async fn row_22_two_tenants_on_one_account_hear_of_it_both_and_share_nothing() {
    let stage = Stage::set(3, 3).await;
    stage.amend("syncs:\n  contacts:", STRANGERS);
    stage.amend(
        "  - {name: backend,",
        "  - {name: strangers, tenant: globex, key: {env: STRANGERS_KEY}}\n  - {name: backend,",
    );
    stage.amend("poll: 300ms", "poll: 3h");
    stage.amend("phone: phone, title: jobtitle}", "phone: phone}");
    let server = stage.serve().await;
    let (acme, globex) = (server.api.clone(), server.api.of_strangers());
    let hubspot = stage.hubspot();
    for (api, connection) in [(&acme, "acme-hubspot"), (&globex, "globex-hubspot")] {
        eventually("everybody is read", async || {
            let linked = api.records().await.iter().filter(|record| copy_of(record, connection).is_some()).count();
            if linked == 3 { Ok(()) } else { Err(format!("{connection}: {linked}")) }
        })
        .await;
    }
    let connection = acme.get("/v1/connections/acme-hubspot").await;
    hubspot.push_to(connection["webhook_url"].as_str().expect("an address")).await;

    // One push reaches both, though only one is called.
    let object = hubspot.objects().await.into_keys().next().expect("an object");
    hubspot.edit(&object, &[("first_name", "Pushed")]).await;
    let mut held = Vec::new();
    for (api, connection) in [(&acme, "acme-hubspot"), (&globex, "globex-hubspot")] {
        held.push(pushed(api, connection, &object).await);
    }
    assert_ne!(held[0], held[1], "each has a record of its own");

    // What one tenant knows, the other does not.
    acme.patch(&held[0], &json!({"title": CANARY})).await;
    eventually("it is where it belongs", async || {
        let written = stage.salesforce().objects().await.values().any(|object| object.fields["title"] == CANARY);
        if written { Ok(()) } else { Err("it is not there yet".to_owned()) }
    })
    .await;
    let ours: Vec<String> = acme.records().await.iter().map(id_of).collect();
    for path in [
        "/v1/records/contact",
        "/v1/changes",
        "/v1/conflicts",
        "/v1/quarantine",
        "/v1/connections",
        "/v1/syncs",
        "/v1/deliveries",
        "/v1/identity/operations",
    ] {
        let told = globex.get(path).await.to_string();
        for secret in ours.iter().map(String::as_str).chain([CANARY, "acme-hubspot", "acme-salesforce"]) {
            assert!(!told.contains(secret), "{path} tells {secret}: {told}");
        }
    }
    for id in &ours {
        let asked = globex.call(reqwest::Method::GET, &format!("/v1/records/contact/{id}"), None).await;
        asked.refused(404, "record");
        let merge = format!("/v1/records/contact/{}/merge", held[1]);
        globex.call(reqwest::Method::POST, &merge, Some(&json!({"record": id}))).await.refused(404, "record");
    }
    server.writes_nothing_in_vain();
}

/// The tenant's record of the object, once it shows what was pushed.
async fn pushed(api: &Api, connection: &str, object: &str) -> String {
    eventually("the push arrives", async || {
        let records = api.records().await;
        let of = |record: &&Json| copy_of(record, connection).as_deref() == Some(object);
        let record = records.iter().find(of).ok_or("nobody has it")?;
        if record["first_name"] == "Pushed" { Ok(id_of(record)) } else { Err(record.to_string()) }
    })
    .await
}
