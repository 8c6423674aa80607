//! Edits on all sides: different fields, the same field, and what a person then decides.

use serde_json::{Value as Json, json};

use crate::{
    api::{copy_of, id_of},
    patience::eventually,
    stage::Stage,
};

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_everybody_reach_everybody_with_their_origin() {
    let stage = Stage::set(10, 10).await;
    let server = stage.serve().await;
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let copy = |account: crate::accounts::Account<'_>| copy_of(&record, account.words.connection).expect("a copy");

    server.api.steer("pause").await;
    salesforce.edit(&copy(salesforce), &[("title", "Chief of Staff")]).await;
    hubspot.edit(&copy(hubspot), &[("phone", "+49 30 7654321"), ("email", "New.Address@X.example")]).await;
    server.api.patch(&id, &json!({"first_name": "Änne"})).await;
    server.api.steer("resume").await;

    let merged = json!({"title": "Chief of Staff", "email": "new.address@x.example", "first_name": "Änne"});
    eventually("all edits stand in the record", async || shows(&server.api.record(&id).await, &merged)).await;
    server.agree().await;
    let record = server.api.get(&format!("/v1/records/contact/{id}?origins=true")).await;
    let origins = &record["_meta"]["origins"];
    assert_eq!(origins["title"], json!({"kind": "connection", "id": salesforce.words.connection}));
    assert_eq!(origins["email"], json!({"kind": "connection", "id": hubspot.words.connection}));
    assert_eq!(origins["first_name"], json!({"kind": "client", "id": "backend"}));
    assert_eq!(server.api.conflicts().await, Vec::<Json>::new(), "edits of different fields are no conflict");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_one_field_leaves_a_conflict_that_can_be_overturned() {
    let stage = Stage::set(10, 10).await;
    let server = stage.serve().await;
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    server.api.steer("pause").await;
    for (account, title) in [(stage.salesforce(), "Chief"), (stage.hubspot(), "Head")] {
        account.edit(&copy_of(&record, account.words.connection).expect("a copy"), &[("title", title)]).await;
    }
    server.api.steer("resume").await;

    let conflict = eventually("the race is seen", async || {
        server.api.conflicts().await.pop().ok_or_else(|| "there is no conflict".to_owned())
    })
    .await;
    let settled = server.agree().await;
    assert_eq!(server.api.conflicts().await.len(), 1);
    assert_eq!((&conflict["record"], &conflict["field"]), (&json!(id), &json!("title")));
    let (winner, loser) = (&conflict["winner"]["value"], &conflict["loser"]["value"]);
    assert_eq!(settled.records[&id]["title"], *winner, "the winner stands everywhere");
    let mut met = [winner.as_str().expect("text"), loser.as_str().expect("text")];
    met.sort_unstable();
    assert_eq!(met, ["Chief", "Head"], "neither value is lost");

    let path = format!("/v1/conflicts/{}/resolve", conflict["id"]);
    server.api.post(&path, &json!({"choice": "loser"})).await;
    let overturned = server.agree().await;
    assert_eq!(overturned.records[&id]["title"], *loser, "the overturned value reaches both accounts");
    assert_eq!(server.api.conflicts().await, Vec::<Json>::new());
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_value_can_be_brought_back_and_new_people_appear_everywhere() {
    let stage = Stage::set(0, 0).await;
    let server = stage.serve().await;
    let emails = ["a@x.example", "b@x.example", "c@x.example"];
    stage.salesforce().create(&[("email", emails[0]), ("last_name", "Alpha")]).await;
    stage.hubspot().create(&[("email", emails[1]), ("last_name", "Beta")]).await;
    let made = server
        .api
        .post("/v1/records/contact", &json!({"email": emails[2], "last_name": "Gamma", "title": "CTO"}))
        .await;
    eventually("three people everywhere", async || {
        let found = server.api.records().await.len();
        if found == 3 { Ok(()) } else { Err(format!("{found} records")) }
    })
    .await;
    let agreement = server.agree().await;
    let mut known: Vec<_> = agreement.records.values().map(|record| record["email"].clone()).collect();
    known.sort_by_key(Json::to_string);
    assert_eq!(known, emails);

    let id = id_of(&made);
    server.api.patch(&id, &json!({"title": "CEO"})).await;
    let history = server.api.get(&format!("/v1/records/contact/{id}/history?field=title")).await;
    let first = history["items"].as_array().and_then(|items| items.last()).expect("a first value");
    assert_eq!(first["fields"]["title"]["value"], "CTO", "{history}");
    let restore = json!({"field": "title", "change": first["change"]});
    server.api.post(&format!("/v1/records/contact/{id}/restore"), &restore).await;
    assert_eq!(server.agree().await.records[&id]["title"], "CTO");
    server.stays_quiet().await;
}

/// Whether the record has these values.
fn shows(record: &Json, values: &Json) -> Result<(), String> {
    let values = values.as_object().expect("fields");
    match values.iter().find(|(field, value)| record[field.as_str()] != **value) {
        None => Ok(()),
        Some((field, value)) => Err(format!("{field} is {}, not {value}", record[field.as_str()])),
    }
}
