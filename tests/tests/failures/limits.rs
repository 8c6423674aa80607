//! Row 14: a platform that answers 429 to everything for a while.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use syncline_sandbox::{FaultProfile, Population, Sandbox, SandboxConfig, people::Mess};
use syncline_tests::{
    accounts::{Account, HUBSPOT},
    api::{copy_of, id_of},
};

use crate::{patience::eventually, stage::Stage};

/// How many contacts the accounts share.
const CONTACTS: u64 = 40;
/// How often the other tenant's data moves both ways during the storm.
const ROUNDS: usize = 12;
/// What the emulator asks for, five minutes, at this sandbox's scale.
const RETRY_AFTER: Duration = Duration::from_secs(6);
/// The tasks of a connection that may be refused together by one limit: the looker and two lanes of the writer, or the reader.
const TASKS: u64 = 3;
/// The limits that everything meets, and the fault by which an answer names the time to wait.
const FAULTS: [&str; 3] = ["rate_limited", "search_rate_limited", "retry_after"];

/// Another tenant, with an account of its own.
const OTHERS: &str =
    "  globex-hubspot: {tenant: globex, integration: elsewhere, credentials: {refresh_token: {env: HUBSPOT_REFRESH}}}
syncs:
  others:
    tenant: globex
    model: contact
    approve: auto
    sides:
      globex-hubspot:
        object: contacts
        poll: 300ms
        mapping: {email: email, first_name: firstname, last_name: lastname, phone: phone, title: jobtitle}
  contacts:";

/// One account answers 429 with `Retry-After` to every call. Nobody calls it before that time has passed, whichever task was
/// refused; another tenant's data moves as before; nothing that is owed has failed, and each edit is written once afterwards.
///
/// Fails without: `Session::blocked` (the account is called all the time), `after_ms` in it (it is called several times as often
/// as it asks for), a `Session` for each connection (one budget for all of a provider's accounts holds up the other tenant).
#[tokio::test(flavor = "multi_thread")]
async fn row_14_too_many_requests() {
    let stage = Stage::set(CONTACTS, CONTACTS).await;
    let sandbox = Sandbox::start(SandboxConfig {
        contacts: Population { per_system: 2, shared: 2, mess: Mess { decomposed: 0.0, ..Mess::usual() } },
        faults: FaultProfile::Off,
        time_scale: 0.02,
        salesforce: None,
        ..SandboxConfig::default()
    })
    .await
    .expect("another portal");
    let elsewhere = Account::new(&HUBSPOT, sandbox.hubspot.as_ref().expect("it was started"));
    let integration = format!(
        "integrations:\n  elsewhere:\n    provider: hubspot\n    client_id: {{env: HUBSPOT_ID}}\n    \
         client_secret: {{env: HUBSPOT_SECRET}}\n    \
         settings: {{base_url: \"{}\", time_scale: 0.02, app_id: \"54321\"}}\n",
        elsewhere.url()
    );
    stage.amend("integrations:\n", &integration);
    stage.amend("syncs:\n  contacts:", OTHERS);
    stage.amend(
        "  - {name: backend,",
        "  - {name: others, tenant: globex, key: {env: STRANGERS_KEY}}\n  - {name: backend,",
    );
    let server = stage.serve().await;
    server.agree().await;
    let globex = server.api.of_strangers();
    let record = eventually("the other account is read", async || {
        globex.records().await.pop().ok_or_else(|| "no record".to_owned())
    })
    .await;
    let object = copy_of(&record, "globex-hubspot").expect("a copy");
    let [salesforce, hubspot] = stage.accounts();
    let written = hubspot.writes();

    FAULTS.iter().for_each(|fault| hubspot.set_fault(fault, 1.0));
    let begun = Instant::now();
    for id in salesforce.objects().await.keys() {
        salesforce.edit(id, &[("title", "Storm")]).await;
    }
    let mut round = 0;
    while round < ROUNDS || begun.elapsed() < 2 * RETRY_AFTER {
        let (there, here) = (format!("There {round}"), format!("Here {round}"));
        elsewhere.edit(&object, &[("title", &there)]).await;
        globex.patch(&id_of(&record), &json!({ "first_name": here })).await;
        eventually("the other tenant's edits arrive", async || {
            let record = globex.record(&id_of(&record)).await;
            let arrived = record["title"] == there && elsewhere.stored("first_name").await[&object] == here;
            arrived.then_some(()).ok_or_else(|| record.to_string())
        })
        .await;
        round += 1;
        for limit in &FAULTS[..2] {
            let (refusals, windows) = (hubspot.fired(limit), 1 + begun.elapsed().as_secs() / RETRY_AFTER.as_secs());
            assert!(refusals <= windows * TASKS, "{limit}: {refusals} times within {windows} waits of {RETRY_AFTER:?}");
        }
    }
    assert!(FAULTS.iter().all(|fault| hubspot.fired(fault) > 1), "nobody was refused");
    assert!(FAULTS.iter().all(|fault| elsewhere.fired(fault) == 0));
    assert_eq!(hubspot.writes(), written, "nothing was written during the storm");
    let owed = server.api.all("/v1/deliveries?state=dirty").await;
    assert_eq!(owed.len() as u64, CONTACTS, "what is owed is kept");
    assert!(owed.iter().all(|delivery| delivery["attempts"] == 0), "waiting is not failing: {owed:?}");

    FAULTS.iter().for_each(|fault| hubspot.set_fault(fault, 0.0));
    let agreement = server.agree().await;
    assert!(agreement.records.values().all(|record| record["title"] == "Storm"));
    assert_eq!(hubspot.writes(), written + CONTACTS, "each edit was written once");
    assert_eq!(server.api.all_issues().await, Vec::<Json>::new());
    server.stays_quiet().await;
}
