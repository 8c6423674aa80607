//! Which object is which record: decided by people, at the platforms and here, and taken back.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    accounts::{Account, FIELDS, Object},
    api::{copy_of, id_of},
    patience::eventually,
    stage::{Server, Stage},
};

const SALESFORCE: &str = "acme-salesforce";
const HUBSPOT: &str = "acme-hubspot";

/// A stage on which nothing is created by itself.
async fn without_creates(contacts: u64, shared: u64) -> Stage {
    let stage = Stage::set(contacts, shared).await;
    stage.amend("poll: 300ms", "creates: false\n        poll: 300ms");
    stage
}

/// The records, once so many have been read and nothing is owed.
async fn records(server: &Server<'_>, number: usize) -> BTreeMap<String, Json> {
    eventually("the records are there", async || {
        server.idle().await?;
        let records = server.api.records().await;
        match records.len() == number {
            true => Ok(records.into_iter().map(|record| (id_of(&record), record)).collect()),
            false => Err(format!("{} records", records.len())),
        }
    })
    .await
}

/// Waits until a record has these values, its copy shows the same, and nothing is owed.
async fn shows(server: &Server<'_>, id: &str, account: Account<'_>, values: &[(&str, &str)]) {
    eventually("the record and its copy agree", async || {
        server.idle().await?;
        let record = server.api.record(id).await;
        if let Some((field, value)) = values.iter().find(|(field, value)| record[*field] != *value) {
            return Err(format!("{field} is not {value} in {record}"));
        }
        let copy = copy_of(&record, account.words.connection).ok_or("it has no copy")?;
        let object = account.objects().await.remove(&copy).ok_or_else(|| format!("{copy} is not there"))?;
        let differs = |field: &&&str| {
            *field != &"phone" && record[**field].as_str().unwrap_or_default() != object.fields[**field]
        };
        match FIELDS.iter().find(differs) {
            Some(field) => Err(format!("{field} differs: {record} {object:?}")),
            None => Ok(()),
        }
    })
    .await;
}

async fn object(account: Account<'_>, id: &str) -> Object {
    account.objects().await.remove(id).expect("the object is there")
}

fn link_path(record: &str, connection: &str) -> String {
    format!("/v1/records/contact/{record}/links/{connection}")
}

/// Waits for polls to have seen whatever there was to see.
async fn polled(stage: &Stage) {
    for account in stage.accounts() {
        let goal = account.requests() + 8;
        crate::patience::until_reached("polls go on", goal, || account.requests()).await;
    }
}

async fn undo(server: &Server<'_>, operation: &Json) -> Json {
    server.api.post(&format!("/v1/identity/operations/{}/undo", operation["id"]), &Json::Null).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_let_go_of_lives_on_by_itself_until_that_is_taken_back() {
    let stage = Stage::set(2, 2).await;
    let server = stage.serve().await;
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let copy = copy_of(&record, HUBSPOT).expect("a copy");
    let path = link_path(&id, HUBSPOT);
    let cut = server.api.call(Method::DELETE, &path, None).await;
    assert_eq!((cut.status, &cut.body["operation"]["verb"]), (200, &json!("unlink")), "{}", cut.body);
    assert_eq!(server.api.call(Method::DELETE, &path, None).await.body["operation"], Json::Null, "it is so already");

    hubspot.edit(&copy, &[("title", "Theirs")]).await;
    server.api.patch(&id, &json!({"first_name": "Ours"})).await;
    shows(&server, &id, salesforce, &[("first_name", "Ours")]).await;
    polled(&stage).await;
    assert_ne!(server.api.record(&id).await["title"], "Theirs");
    assert_ne!(object(hubspot, &copy).await.fields["first_name"], "Ours");
    assert_eq!(server.api.records().await.len(), 2, "it is no record of its own either");

    let undone = undo(&server, &cut.body["operation"]).await;
    assert!(undone["undone"]["by"].is_string(), "{undone}");
    let agreed = server.agree().await;
    assert_eq!((&agreed.records[&id]["title"], &agreed.records[&id]["first_name"]), (&json!("Theirs"), &json!("Ours")));
    assert!(server.api.conflicts().await.is_empty(), "nobody contended");
    server.stays_quiet().await;
}

/// Fails without the constraint that makes an object one record's (`store/sqlite/commit/parts.rs`, `CLAIM`) and the look at it
/// before (`intake/decided.rs`, `refuse_held`): with both switched off, two records write into one object.
#[tokio::test(flavor = "multi_thread")]
async fn row_23_two_records_that_point_at_one_object_are_refused_with_the_holders_name() {
    let stage = Stage::set(2, 2).await;
    let server = stage.serve().await;
    let before = server.agree().await.records;
    let [(first, holder), (second, other)] = before.iter().collect::<Vec<_>>()[..] else { panic!("two records") };
    let (wanted, own) = (copy_of(holder, HUBSPOT).expect("a copy"), copy_of(other, HUBSPOT).expect("a copy"));
    let path = link_path(second, HUBSPOT);
    let link = async |object: &str| server.api.call(Method::PUT, &path, Some(&json!({"external_id": object}))).await;
    link(&wanted).await.refused(409, &format!("belongs to record {first}"));
    assert_eq!(server.api.call(Method::DELETE, &path, None).await.status, 200);
    let refused = link(&wanted).await;
    refused.refused(409, &format!("belongs to record {first}"));
    refused.refused(409, "merge the two records");
    link("424242").await.refused(409, "neither as live nor as deleted");
    assert_eq!(link(&own).await.status, 200);
    let after = server.agree().await.records;
    let values = |record: &Json| FIELDS.map(|field| record[field].clone());
    assert!(before.iter().all(|(id, record)| values(record) == values(&after[id])), "nothing has changed");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_merged_are_one_everywhere_and_two_again_when_that_is_taken_back() {
    let stage = without_creates(1, 0).await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let server = stage.serve().await;
    let found = records(&server, 2).await;
    let of = |connection: &str| {
        let linked = |record: &&Json| copy_of(record, connection).is_some();
        found.values().find(linked).map(id_of).expect("a record")
    };
    let (stays, goes) = (of(SALESFORCE), of(HUBSPOT));
    let email = |id: &str| found[id]["email"].as_str().expect("an address").to_owned();
    let merge = format!("/v1/records/contact/{stays}/merge");
    let merged = server.api.post(&merge, &json!({"record": goes})).await;
    assert_eq!(merged["operation"]["objects"][0]["fate"], "linked", "{merged}");
    let again = server.api.post(&merge, &json!({"record": goes})).await;
    assert_eq!(again["operation"], Json::Null, "it is so already");
    for account in [salesforce, hubspot] {
        shows(&server, &stays, account, &[]).await;
    }
    let tombstone = server.api.record(&goes).await;
    assert_eq!(tombstone["_meta"]["merged_into"], stays);
    let edited = json!({"title": "Late"});
    let late = server.api.call(Method::PATCH, &format!("/v1/records/contact/{goes}"), Some(&edited)).await;
    late.refused(409, &stays);
    let (changes, _) = server.api.changes(0).await;
    let told = changes.iter().rev().find(|change| change["record"] == goes).expect("it is told");
    assert_eq!((&told["action"], &told["merged_into"]), (&json!("deleted"), &json!(stays)));

    // What was edited since stays with whoever edited it.
    let copy = copy_of(&server.api.record(&stays).await, HUBSPOT).expect("a copy");
    hubspot.edit(&copy, &[("title", "Since")]).await;
    shows(&server, &stays, salesforce, &[("title", "Since")]).await;
    undo(&server, &merged["operation"]).await;
    shows(&server, &stays, salesforce, &[("email", &email(&stays)), ("title", "Since")]).await;
    shows(&server, &goes, hubspot, &[("email", &email(&goes)), ("title", "Since")]).await;
    assert_eq!(server.api.record(&goes).await["_meta"].get("merged_into"), None);
    assert_eq!(records(&server, 2).await.len(), 2);
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_split_off_is_a_record_until_that_is_taken_back() {
    let stage = without_creates(1, 1).await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let server = stage.serve().await;
    let (id, record) = records(&server, 1).await.pop_first().expect("a record");
    let copy = copy_of(&record, HUBSPOT).expect("a copy");
    let split = server.api.post(&format!("/v1/records/contact/{id}/split"), &json!({"connection": HUBSPOT})).await;
    let other = split["operation"]["other"].as_str().expect("a record").to_owned();
    assert_eq!(copy_of(&server.api.record(&other).await, HUBSPOT), Some(copy.clone()));
    hubspot.edit(&copy, &[("title", "Theirs")]).await;
    server.api.patch(&id, &json!({"first_name": "Ours"})).await;
    shows(&server, &other, hubspot, &[("title", "Theirs")]).await;
    shows(&server, &id, salesforce, &[("first_name", "Ours")]).await;
    assert_ne!(server.api.record(&id).await["title"], "Theirs");
    assert_ne!(server.api.record(&other).await["first_name"], "Ours");

    undo(&server, &split["operation"]).await;
    for account in [salesforce, hubspot] {
        shows(&server, &id, account, &[("title", "Theirs"), ("first_name", "Ours")]).await;
    }
    assert_eq!(server.api.record(&other).await["_meta"]["merged_into"], id);
    assert_eq!(records(&server, 1).await.len(), 1);
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_objects_of_one_person_are_told_and_may_be_merged_at_the_platform() {
    let stage = Stage::set(2, 2).await;
    let hubspot = stage.hubspot();
    let server = stage.serve().await;
    let found = server.agree().await.records;
    let [stays, goes] = found.keys().collect::<Vec<_>>()[..] else { panic!("two records") };
    let copies = [stays, goes].map(|id| copy_of(&found[id], HUBSPOT).expect("a copy"));
    // The later address stands after the merge, and HubSpot takes none that another of its contacts has.
    server.api.patch(stays, &json!({"email": "stays@x.example"})).await;
    server.agree().await;
    let merged = server.api.post(&format!("/v1/records/contact/{stays}/merge"), &json!({"record": goes})).await;
    let objects = merged["operation"]["objects"].as_array().expect("objects");
    assert!(objects.len() == 2 && objects.iter().all(|object| object["fate"] == "duplicate"), "{merged}");
    assert_eq!(records(&server, 1).await.len(), 1);
    assert_eq!(hubspot.objects().await.len(), 2, "nothing is deleted");
    assert_eq!(server.api.record(goes).await["_meta"]["external_ids"][HUBSPOT]["state"], "detached");

    hubspot.merge(&copies[1], &copies[0]).await;
    eventually("the survivor is known", async || {
        server.idle().await?;
        let copy = copy_of(&server.api.record(stays).await, HUBSPOT).ok_or("it has no copy")?;
        hubspot.objects().await.contains_key(&copy).then_some(()).ok_or_else(|| format!("{copy} is no more"))
    })
    .await;
    hubspot.edit(&copy_of(&server.api.record(stays).await, HUBSPOT).expect("a copy"), &[("title", "One")]).await;
    shows(&server, stays, stage.salesforce(), &[("title", "One")]).await;
    assert_eq!(records(&server, 1).await.len(), 1);
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_any_of_several_is_held_and_settled_by_a_person() {
    let stage = without_creates(0, 0).await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    for (first_name, email) in
        [("Ann", "one@x.example"), ("Anna", "one@x.example"), ("Bo", "two@x.example"), ("Bob", "two@x.example")]
    {
        salesforce.create(&[("email", email), ("first_name", first_name), ("last_name", "Twin")]).await;
    }
    let server = stage.serve().await;
    let found = records(&server, 4).await;
    let ann = found.values().find(|record| record["first_name"] == "Ann").map(id_of).expect("a record");
    for email in ["one@x.example", "two@x.example"] {
        hubspot.create(&[("email", email), ("last_name", "Twin")]).await;
    }
    let held = eventually("both are held", async || {
        let rows = server.api.quarantine().await;
        if rows.len() == 2 { Ok(rows) } else { Err(format!("{rows:?}")) }
    })
    .await;
    let of = |email: &str| held.iter().find(|row| row["raw"].to_string().contains(email)).expect("a row");
    let (one, two) = (of("one@x.example"), of("two@x.example"));
    for says in [ann.as_str(), "syncline records link", "separate"] {
        assert!(one["reason"].as_str().is_some_and(|reason| reason.contains(says)), "no {says} in {one}");
    }
    let object = json!({"external_id": one["external_id"]});
    let linked = server.api.call(Method::PUT, &link_path(&ann, HUBSPOT), Some(&object)).await;
    assert_eq!(linked.status, 200, "{}", linked.body);
    shows(&server, &ann, hubspot, &[("first_name", "Ann")]).await;
    let made = server.api.post(&format!("/v1/quarantine/{}/separate", two["id"]), &Json::Null).await;
    let made = made["record"].as_str().expect("a record");
    shows(&server, made, hubspot, &[("email", "two@x.example")]).await;
    assert!(server.api.quarantine().await.is_empty(), "both are settled");
    assert_eq!(records(&server, 5).await.len(), 5);

    // A link that is taken back is not made again by matching: the object is then like no other and a record of its own.
    undo(&server, &linked.body["operation"]).await;
    let copy = one["external_id"].as_str().expect("an id");
    hubspot.edit(copy, &[("title", "Seen again")]).await;
    eventually("it goes elsewhere", async || {
        let records = server.api.records().await;
        let holder = records.iter().find(|record| copy_of(record, HUBSPOT).as_deref() == Some(copy));
        let elsewhere = holder.is_some_and(|record| id_of(record) != ann) || !server.api.quarantine().await.is_empty();
        if elsewhere { Ok(()) } else { Err(format!("{holder:?}")) }
    })
    .await;
    assert_ne!(copy_of(&server.api.record(&ann).await, HUBSPOT).as_deref(), Some(copy));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_made_anew_is_the_same_record_as_the_delete_rule_says() {
    for (effect, by_itself) in [("ignore", true), ("detach", false)] {
        let stage = without_creates(1, 1).await;
        stage.amend("effect: propagate", &format!("effect: {effect}"));
        let hubspot = stage.hubspot();
        let server = stage.serve().await;
        let (id, record) = records(&server, 1).await.pop_first().expect("a record");
        let copy = copy_of(&record, HUBSPOT).expect("a copy");
        hubspot.delete(&copy).await;
        eventually("the delete is seen", async || {
            let state = &server.api.record(&id).await["_meta"]["external_ids"][HUBSPOT]["state"];
            if state == "linked" { Err(state.to_string()) } else { Ok(()) }
        })
        .await;
        let email = record["email"].as_str().expect("an address");
        let anew = hubspot.create(&[("email", email), ("last_name", "Anew")]).await;
        if !by_itself {
            eventually("it is held", async || {
                let rows = server.api.quarantine().await;
                if rows.len() == 1 { Ok(()) } else { Err(format!("{effect}: {rows:?}")) }
            })
            .await;
            let body = json!({"external_id": anew});
            let linked = server.api.call(Method::PUT, &link_path(&id, HUBSPOT), Some(&body)).await;
            assert_eq!(linked.status, 200, "{}", linked.body);
        }
        shows(&server, &id, hubspot, &[("email", email)]).await;
        assert_eq!(copy_of(&server.api.record(&id).await, HUBSPOT), Some(anew), "{effect}");
        assert_eq!(records(&server, 1).await.len(), 1, "{effect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_match_key_moves_no_link_and_matches_what_comes_later() {
    let stage = without_creates(1, 1).await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let server = stage.serve().await;
    let (id, record) = records(&server, 1).await.pop_first().expect("a record");
    let copies = [SALESFORCE, HUBSPOT].map(|connection| copy_of(&record, connection));
    let old = record["email"].as_str().expect("an address").to_owned();
    salesforce.create(&[("email", "new@x.example"), ("last_name", "Other")]).await;
    let other = records(&server, 2).await.into_keys().find(|found| *found != id).expect("another record");
    // Now both have the same key, and one of them no more the old one.
    salesforce.edit(copies[0].as_deref().expect("a copy"), &[("email", "new@x.example")]).await;
    shows(&server, &id, hubspot, &[("email", "new@x.example")]).await;
    let record = server.api.record(&id).await;
    assert_eq!([SALESFORCE, HUBSPOT].map(|connection| copy_of(&record, connection)), copies, "links stay");
    assert_eq!(copy_of(&server.api.record(&other).await, HUBSPOT), None);
    let late = hubspot.create(&[("email", &old), ("last_name", "Late")]).await;
    let found = records(&server, 3).await;
    let holder = found.values().find(|record| copy_of(record, HUBSPOT).as_deref() == Some(late.as_str()));
    assert!(holder.map(id_of).is_some_and(|holder| holder != id && holder != other), "nobody has the old key any more");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_links_merges_splits_and_takes_back() {
    let stage = without_creates(2, 2).await;
    let server = stage.serve().await;
    let found = server.agree().await.records;
    let [first, second] = found.keys().collect::<Vec<_>>()[..] else { panic!("two records") };
    let base = format!("http://127.0.0.1:{}", stage.port);
    let run = |arguments: &[&str]| {
        let call = ["--api", &base, "--key", crate::api::KEY];
        let (verb, rest) = arguments.split_first().expect("a verb");
        let output = stage.run(&[&["--json", "records"], &call[..], &[*verb], rest].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        serde_json::from_slice::<Json>(&output.stdout).expect("JSON")
    };
    let copy = copy_of(&found[first], HUBSPOT).expect("a copy");
    let undo = |changed: &Json| {
        let undone = run(&["undo", &changed["operation"]["id"].to_string()]);
        assert!(undone["undone"]["by"].is_string(), "{undone}");
    };
    assert_eq!(run(&["links", "contact", first])[0]["state"], "linked");
    assert_eq!(run(&["unlink", "contact", first, HUBSPOT])["operation"]["verb"], "unlink");
    assert_eq!(run(&["link", "contact", first, HUBSPOT, &copy])["operation"]["verb"], "link");
    undo(&run(&["merge", "contact", first, second]));
    undo(&run(&["split", "contact", first, HUBSPOT]));
    let listed = run(&["operations", "--record", first]);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(4), "{listed}");
    server.agree().await;
    server.stays_quiet().await;
}
