//! Many deletes at once: they wait, from whichever source they come, until a person approves or rejects them.

use std::{collections::BTreeSet, process::Output};

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    accounts::Account,
    api::{KEY, copy_of, id_of},
    patience::eventually,
    stage::{Server, Stage},
};

/// People in each account; of so many, more than five deletes at once are more than the 5 % that pass.
const PEOPLE: u64 = 24;
/// How many vanish at once: a third.
const VANISH: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_third_that_vanishes_waits_through_a_restart_and_is_deleted_once_approved() {
    let stage = Stage::set(PEOPLE, PEOPLE).await;
    let server = stage.serve().await;
    let (lost, other) = (stage.hubspot(), stage.salesforce());
    let gone = vanish(&server, lost).await;
    let held = waits(&server, lost.words.connection, VANISH).await;
    assert_eq!((&held["known"], &held["share_percent"]), (&json!(PEOPLE), &json!(33)), "{held}");
    let objects: BTreeSet<&str> = gone.iter().map(|(_, copy)| copy.as_str()).collect();
    for one in held["sample"].as_array().expect("a sample") {
        assert!(objects.contains(one["object"].as_str().expect("an object")), "{one} is in {gone:?}");
    }
    let shown = command(&stage, &["syncs", "status"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("8 of 24 (33 %)") && shown.contains("syncs reject contacts"), "{shown}");

    // Edits flow on, of those whose copy is gone as well.
    let (record, _) = &gone[0];
    server.api.patch(record, &json!({"title": "Still here"})).await;
    let copy = copy_of(&server.api.record(record).await, other.words.connection).expect("a copy");
    eventually("the edit reaches the other account", async || {
        let title = other.objects().await[&copy].fields["title"].clone();
        if title == "Still here" { Ok(()) } else { Err(title) }
    })
    .await;

    server.kill();
    let server = stage.serve().await;
    waits(&server, lost.words.connection, VANISH).await;
    // One more, which alone would pass, joins the question.
    let one_more = server
        .api
        .records()
        .await
        .into_iter()
        .find_map(|record| copy_of(&record, lost.words.connection).filter(|copy| !objects.contains(copy.as_str())));
    lost.delete(&one_more.expect("one that is left")).await;
    waits(&server, lost.words.connection, VANISH + 1).await;
    assert_eq!(other.objects().await.len(), PEOPLE as usize, "nobody was deleted in the other account");
    assert_eq!(server.api.records().await.len(), PEOPLE as usize, "nor here");

    let approved = command(&stage, &["syncs", "approve", "contacts"]);
    assert!(approved.status.success(), "{approved:?}");
    // The edited one comes back where it vanished: its deleter had not seen the edit, and the model says that edits win.
    eventually("the deletes are carried out", async || {
        let left = other.objects().await.len();
        if left == PEOPLE as usize - VANISH { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), PEOPLE as usize - VANISH, "all but the edited one are gone everywhere");
    assert_eq!(agreement.records[record]["title"], "Still here");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_that_vanishes_is_created_again_where_it_vanished_once_rejected() {
    let stage = Stage::set(PEOPLE, PEOPLE).await;
    let server = stage.serve().await;
    for lost in stage.accounts() {
        let nothing = server.api.call(Method::POST, "/v1/syncs/contacts/reject", None).await;
        nothing.refused(409, "no deletes of sync `contacts` wait");
        let gone = vanish(&server, lost).await;
        waits(&server, lost.words.connection, VANISH).await;
        server.api.steer("reject").await;
        eventually("the objects are there again", async || {
            let objects = lost.objects().await.len();
            if objects == PEOPLE as usize { Ok(()) } else { Err(objects.to_string()) }
        })
        .await;
        let agreement = server.agree().await;
        assert_eq!(agreement.records.len(), PEOPLE as usize, "nobody was lost");
        for (record, before) in &gone {
            assert_ne!(copy_of(&agreement.records[record], lost.words.connection).as_ref(), Some(before));
        }
    }
    server.stays_quiet().await;
}

/// Fails without the guard's part in the sweep: `Verdict::AwaitApproval` looked up like `Verdict::Confirm`.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_deletes_nobody_and_the_question_ends_when_the_list_is_whole_again() {
    for (account, fault) in [("salesforce", "empty_answer"), ("hubspot", "empty_list")] {
        let stage = Stage::set(PEOPLE, PEOPLE).await;
        stage.amend("poll: 300ms", "poll: 300ms\n        sweep: 1s");
        let server = stage.serve().await;
        let before = server.agree().await;
        let empty = if account == "hubspot" { stage.hubspot() } else { stage.salesforce() };
        empty.set_fault(fault, 1.0);
        let held = waits(&server, empty.words.connection, PEOPLE as usize).await;
        assert_eq!((&held["signal"], &held["share_percent"]), (&json!("missing"), &json!(100)));
        assert!(empty.fired(fault) > 0);
        empty.set_fault(fault, 0.0);
        let after = server.agree().await;
        assert_eq!(after.records.keys().collect::<Vec<_>>(), before.records.keys().collect::<Vec<_>>());
        assert_eq!(stage.accounts()[0].objects().await.len(), PEOPLE as usize);
        server.stays_quiet().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_delete_at_once_is_kept_in_the_accounts_until_a_person_answers() {
    for (verb, left) in [("approve", PEOPLE as usize - VANISH), ("reject", PEOPLE as usize - 5)] {
        let stage = Stage::set(PEOPLE, PEOPLE).await;
        let server = stage.serve().await;
        let records: Vec<String> = server.agree().await.records.into_keys().take(VANISH).collect();
        for record in &records {
            let path = format!("/v1/records/contact/{record}");
            assert_eq!(server.api.call(Method::DELETE, &path, None).await.status, 204);
        }
        // Five always pass; the others are deleted here, and wait there.
        let held = waits(&server, "", VANISH - 5).await;
        assert!(held["connection"].is_null() && held["signal"] == "clients", "{held}");
        assert_eq!(server.api.records().await.len(), PEOPLE as usize - VANISH);
        for account in stage.accounts() {
            eventually("what passed is deleted", async || {
                let objects = account.objects().await.len();
                if objects == PEOPLE as usize - 5 { Ok(()) } else { Err(objects.to_string()) }
            })
            .await;
        }
        server.api.steer(verb).await;
        eventually("the answer is carried out", async || {
            let found = (server.api.records().await.len(), stage.hubspot().objects().await.len());
            if found == (left, left) { Ok(()) } else { Err(format!("{found:?}, not {left}")) }
        })
        .await;
        assert_eq!(server.agree().await.records.len(), left, "after {verb}");
        server.stays_quiet().await;
    }
}

/// What a person types.
fn command(stage: &Stage, words: &[&str]) -> Output {
    let api = format!("http://127.0.0.1:{}", stage.port);
    stage.run(&[words, &["--api", &api, "--key", KEY]].concat())
}

/// A third of the people of an account vanish while it is not read; their records and the ids that they had.
async fn vanish(server: &Server<'_>, account: Account<'_>) -> Vec<(String, String)> {
    let records = server.agree().await.records;
    let copies =
        records.values().map(|record| (id_of(record), copy_of(record, account.words.connection).expect("a copy")));
    let gone: Vec<(String, String)> = copies.take(VANISH).collect();
    // A pause lets the step that is under way end, and that may be a reading which sees some of them gone.
    account.set_outage(true);
    for (_, copy) in &gone {
        account.delete(copy).await;
    }
    account.set_outage(false);
    gone
}

/// Waits until so many deletes of a source wait for a person, and shows the question, which is an issue as well; clients have no
/// connection.
async fn waits(server: &Server<'_>, connection: &str, number: usize) -> Json {
    eventually("the deletes are an issue", async || {
        let issues = server.api.all("/v1/issues?kind=deletes_held").await;
        let told = issues
            .iter()
            .any(|issue| issue["connection"].as_str().unwrap_or_default() == connection && issue["deletes"] == number);
        if told { Ok(()) } else { Err(format!("{issues:?}")) }
    })
    .await;
    eventually("the deletes wait", async || {
        let sync = server.api.get("/v1/syncs/contacts").await;
        let held = sync["held_deletes"].as_array().expect("a list");
        let own = held.iter().find(|held| held["connection"].as_str().unwrap_or_default() == connection);
        match own {
            Some(held) if held["waiting"] == number && sync["phase"] == "degraded" => Ok(held.clone()),
            _ => Err(sync.to_string()),
        }
    })
    .await
}
