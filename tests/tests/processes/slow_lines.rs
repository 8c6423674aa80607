//! The lines to a provider and from a client fail: slowly, silently, in the middle of a request, in the middle of an answer.

use std::time::Duration;

use serde_json::json;
use syncline_client::{Error, JsonFields};
use syncline_sandbox::ledger::Op;

use crate::{
    accounts::Account,
    api::{KEY, id_of},
    patience::until_reached,
    proxy::{Proxy, Weather},
    stage::Stage,
};

/// What the platform's requests that update objects contain.
const UPDATES: &str = "/batch/update";
/// What a client's requests for records contain.
const RECORDS: &str = "/v1/records/";
/// Bytes of an answer that are not yet all of it, and of a request.
const A_PART: usize = 40;

/// Fails without the intent that stays open until a reading after the deadline: the update would be sent a second time, or
/// the edit that its user made meanwhile be overwritten.
#[tokio::test(flavor = "multi_thread")]
async fn row_05_an_update_timed_out_and_is_read_before_anything_is_sent_again() {
    for (weather, takes_effect) in [
        (Weather::SilentAnswers, true),
        (Weather::CutAnswer { after: A_PART }, true),
        (Weather::CutRequest { after: A_PART }, false),
        (Weather::BlackHole, false),
        (Weather::Reset, false),
    ] {
        for users_go_on in [false, true] {
            let (stage, line) = behind_a_line().await;
            let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
            let server = stage.serve().await;
            server.agree().await;
            let before = updates(hubspot);
            line.strike(weather, UPDATES);
            let (id, object) = salesforce.objects().await.pop_first().expect("an object");
            salesforce.edit(&id, &[("title", "Chief")]).await;
            until_reached("the update is struck", 1, || line.struck()).await;
            if takes_effect {
                until_reached("it takes effect", before + 1, || updates(hubspot)).await;
            }
            let copy = hubspot.by_email(&object.fields["email"]).await.expect("the copy");
            if users_go_on {
                hubspot.edit(&copy.id, &[("title", "Head"), ("first_name", "Ann")]).await;
            }
            line.set(Weather::Clear);
            line.hang_up();

            server.agree().await;
            let shown = hubspot.objects().await[&copy.id].fields.clone();
            let titles = [shown["title"].as_str(), shown["first_name"].as_str()];
            match (users_go_on, takes_effect) {
                // Their edit came after they had seen ours.
                (true, true) => assert_eq!(titles, ["Head", "Ann"], "{weather:?}"),
                // Neither had seen the other: one stands, one is kept.
                (true, false) => {
                    assert_eq!(titles[1], "Ann", "{weather:?}");
                    let conflicts = server.api.conflicts().await;
                    assert_eq!(conflicts.len(), 1, "{weather:?}: {conflicts:#?}");
                }
                (false, _) => {
                    assert_eq!(titles[0], "Chief", "{weather:?}");
                    assert_eq!(updates(hubspot), before + 1, "{weather:?}: updates that took effect");
                }
            }
            server.stays_quiet().await;
        }
    }
}

/// Fails where a slow answer is given up and sent for again without an end, as with a deadline of a second for each call.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_is_waited_for() {
    let (stage, line) = behind_a_line().await;
    line.set(Weather::Slow { latency: Duration::from_millis(40), bytes_per_second: 40_000 });
    let server = stage.serve().await;
    let (id, _) = stage.salesforce().objects().await.pop_first().expect("an object");
    stage.salesforce().edit(&id, &[("title", "Patient")]).await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.values().filter(|record| record["title"] == "Patient").count(), 1);
    assert!(line.struck() > 0, "nothing was slow");
    line.set(Weather::Clear);
    server.stays_quiet().await;
}

/// Fails where the service waits for every call to end before it stops: it would wait for as long as it waits for answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_provider_never_answers_ends_and_looks_later_what_became_of_it() {
    let (stage, line) = behind_a_line().await;
    let server = stage.serve().await;
    server.agree().await;
    let before = updates(stage.hubspot());
    line.strike(Weather::SilentAnswers, UPDATES);
    let (id, _) = stage.salesforce().objects().await.pop_first().expect("an object");
    stage.salesforce().edit(&id, &[("title", "Chief")]).await;
    until_reached("it takes effect", before + 1, || updates(stage.hubspot())).await;
    server.end();
    assert!(stage.logged().contains("steps did not end in time"), "{}", stage.log_tail());
    line.set(Weather::Clear);

    let server = stage.serve().await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.values().filter(|record| record["title"] == "Chief").count(), 1);
    assert_eq!(updates(stage.hubspot()), before + 1, "it is not sent again");
    server.stays_quiet().await;
}

/// What the client was told holds; what it was not told may be, and is made once when the call is repeated. Fails without the
/// idempotency key in the record's id.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_line_is_cut_makes_nothing_twice() {
    let stage = Stage::set(0, 0).await;
    let server = stage.serve().await;
    let line = Proxy::to(&stage.url()).await;
    let api = syncline_client::Api::new(line.url(), KEY).expect("an address");
    let weathers = [
        Weather::CutAnswer { after: A_PART },
        Weather::CutRequest { after: A_PART },
        Weather::Reset,
        Weather::CutAnswer { after: 0 },
    ];
    for (number, weather) in weathers.into_iter().enumerate() {
        let contact = json!({"email": format!("c{number}@x.example"), "last_name": "Cut"});
        let contact: JsonFields = contact.as_object().cloned().expect("fields");
        let key = format!("key-{number}");
        line.strike(weather, RECORDS);
        let cut = api.create_record("contact", &contact, Some(&key)).await;
        assert!(matches!(cut, Err(Error::Unreachable { .. })), "{weather:?}: {cut:?}");
        line.set(Weather::Clear);
        let made = api.create_record("contact", &contact, Some(&key)).await.expect("an answer");
        let again = api.create_record("contact", &contact, Some(&key)).await.expect("an answer");
        assert_eq!(made.meta.id, again.meta.id, "{weather:?}");
        assert_eq!(server.api.records().await.len(), number + 1, "{weather:?}");
    }
    for record in server.agree().await.records.values() {
        assert_eq!(record["last_name"], "Cut", "{}", id_of(record));
    }
    server.stays_quiet().await;
}

/// Two contacts that both accounts have; one account is called over a line.
async fn behind_a_line() -> (Stage, Proxy) {
    let stage = Stage::set(2, 2).await;
    let line = Proxy::to(stage.hubspot().url()).await;
    stage.amend(stage.hubspot().url(), line.url());
    (stage, line)
}

/// The service's updates that took effect.
fn updates(account: Account<'_>) -> u64 {
    account.sent(Op::Update) as u64
}
