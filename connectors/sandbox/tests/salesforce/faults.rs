use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use syncline_sandbox::ledger::{ActorKind, Op};

use crate::org::{Who, empty};

const ALICE: &str = "/users/alice/Contact";

#[tokio::test]
async fn a_late_commit_appears_later_with_an_earlier_stamp() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Before" })).await;
    org.switch("late_commit", true);
    org.seconds(1);
    let edited = org.admin(Method::PATCH, &format!("{ALICE}/{id}"), Some(json!({ "LastName": "After" }))).await;
    assert_eq!(edited.status, 200);
    let created = org.admin(Method::POST, ALICE, Some(json!({ "LastName": "New" }))).await;
    assert_eq!(created.status, 201);
    org.switch("late_commit", false);
    // Somebody else's write commits at once, with a later stamp.
    org.seconds(1);
    org.contact(json!({ "LastName": "Later" })).await;
    let soql = "SELECT LastName, SystemModstamp FROM Contact ORDER BY SystemModstamp, Id";
    assert_eq!(org.query(soql).await.column("LastName"), ["Before", "Later"]);
    let entries = || org.running().parts.ledger.page(0, 100).entries;
    let writes = |op| entries().iter().filter(|entry| entry.event.op == op).count();
    assert_eq!((writes(Op::Create), writes(Op::Update)), (2, 0), "what is not committed has not happened");

    org.seconds(10);
    let got = org.query(soql).await;
    assert_eq!(got.column("LastName"), ["After", "New", "Later"]);
    assert_eq!(got.column("SystemModstamp")[0], "2026-05-05T10:00:01.000+0000");
    assert_eq!((writes(Op::Create), writes(Op::Update)), (3, 1));
    assert_eq!(org.fired("late_commit"), 2);
}

#[tokio::test]
async fn flush_commits_what_is_held_back() {
    let org = empty().await;
    org.switch("late_commit", true);
    org.admin(Method::POST, ALICE, Some(json!({ "LastName": "New" }))).await;
    assert_eq!(org.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 0);
    assert_eq!(org.admin(Method::POST, "/flush", None).await.body, json!({ "committed": 1 }));
    assert_eq!(org.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 1);
}

#[tokio::test]
async fn a_request_whose_commit_is_late_is_answered_late() {
    let org = empty().await;
    org.switch("late_commit", true);
    let request = org.send(Who::User, Method::POST, "/sobjects/Contact", &[], Some(json!({ "LastName": "New" })));
    let commit = async {
        // Each look lets the request come further; once it waits for its commit, the clock is moved past it.
        while org.fired("late_commit") == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(org.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 0);
        org.seconds(10);
    };
    let (answer, ()) = tokio::join!(request, commit);
    let id = answer.unwrap().body["id"].as_str().unwrap().to_owned();
    assert_eq!(org.field(&id, "SystemModstamp").await, "2026-05-05T10:00:00.000+0000");
}

#[tokio::test]
async fn a_second_writer_waits_for_the_first() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    org.switch("late_commit", true);
    org.admin(Method::PATCH, &format!("{ALICE}/{id}"), Some(json!({ "Title": "by Alice" }))).await;
    org.switch("late_commit", false);
    let path = format!("/sobjects/Contact/{id}");
    assert_eq!(org.field(&id, "Title").await, Value::Null);
    assert_eq!(org.patch(&path, json!({ "Department": "by us" })).await.status, 204);
    let got = org.get(&path).await.body;
    assert_eq!((&got["Title"], &got["Department"]), (&json!("by Alice"), &json!("by us")));
}

#[tokio::test]
async fn a_background_job_moves_only_the_stamp() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    org.seconds(5);
    org.switch("system_touch", true);
    org.contact(json!({ "LastName": "Other" })).await;
    org.contact(json!({ "LastName": "Third" })).await;
    org.contact(json!({ "LastName": "Fourth" })).await;
    let entries = org.running().parts.ledger.page(0, 100).entries;
    let touched: Vec<_> = entries.iter().filter(|entry| entry.event.actor.kind == ActorKind::System).collect();
    assert!(!touched.is_empty() && touched.iter().all(|entry| entry.event.redundant));
    assert_eq!(org.running().parts.ledger.counts().writes.accepted, 4, "a job is nobody's write");
    if org.field(&id, "SystemModstamp").await == "2026-05-05T10:00:05.000+0000" {
        assert_eq!(org.field(&id, "LastModifiedDate").await, "2026-05-05T10:00:00.000+0000");
    }
}

#[tokio::test]
async fn mishaps_befall_the_integration_only() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    let path = format!("/sobjects/Contact/{id}");
    for (name, status, code) in [
        ("request_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("server_unavailable", 503, "SERVER_UNAVAILABLE"),
        ("unknown_exception", 500, "UNKNOWN_EXCEPTION"),
        ("lock_row", 400, "UNABLE_TO_LOCK_ROW"),
    ] {
        org.switch(name, true);
        assert_eq!(org.patch(&path, json!({ "Title": name })).await.error(), (status, code), "{name}");
        assert_eq!(org.field_as_user(&id, "Title").await, Value::Null, "{name}: nothing is written");
        let user = org.send(Who::User, Method::PATCH, &path, &[], Some(json!({ "Title": null }))).await.unwrap();
        assert_eq!(user.status, 204, "{name}");
        org.switch(name, false);
        assert_eq!(org.fired(name), 1);
        assert_eq!(org.patch(&path, json!({ "Title": null })).await.status, 204, "{name} off");
    }
}

#[tokio::test]
async fn a_lost_answer_does_not_undo_the_write() {
    let org = empty().await;
    org.switch("response_lost", true);
    let sent = org.send(Who::Integration, Method::POST, "/sobjects/Contact", &[], Some(json!({ "LastName": "Lee" })));
    assert!(sent.await.is_err(), "the connection is cut before any answer");
    assert_eq!(org.query("SELECT LastName FROM Contact").await.column("LastName"), ["Lee"], "reads are answered");
    org.switch("response_lost", false);
    assert_eq!(org.post("/sobjects/Contact", json!({ "LastName": "Lee" })).await.status, 201);
}

#[tokio::test]
async fn automation_rewrites_what_was_sent() {
    let org = empty().await;
    org.switch("flow_rewrite", true);
    let id = org.contact(json!({ "LastName": "Lee", "Title": "head of éclairs" })).await;
    assert_eq!(org.field(&id, "Title").await, "Head Of Éclairs");
    let entry = org.running().parts.ledger.page(0, 1).entries[0].event.fields["Title"].clone();
    assert_eq!((entry.sent, entry.after), (json!("head of éclairs"), json!("Head Of Éclairs")));

    org.switch("duplicate_rule", true);
    let person = json!({ "LastName": "Lee", "Email": "lee@x.co" });
    assert_eq!(org.post("/sobjects/Contact", person.clone()).await.status, 201);
    assert_eq!(org.post("/sobjects/Contact", person.clone()).await.error(), (400, "DUPLICATES_DETECTED"));
    let allow = [("sforce-duplicate-rule-header", "allowSave=true")];
    let got = org.send(Who::Integration, Method::POST, "/sobjects/Contact", &allow, Some(person)).await.unwrap();
    assert_eq!(got.status, 201);

    org.switch("assignment_rule", true);
    let lead = json!({ "LastName": "Lee", "Company": "Acme" });
    let owner = |id: Value| {
        let org = &org;
        async move {
            org.get(&format!("/sobjects/Lead/{}?fields=OwnerId", id.as_str().unwrap())).await.body["OwnerId"].clone()
        }
    };
    let assigned = org.post("/sobjects/Lead", lead.clone()).await.body["id"].clone();
    let manual = org
        .send(Who::Integration, Method::POST, "/sobjects/Lead", &[("sforce-auto-assign", "FALSE")], Some(lead))
        .await
        .unwrap()
        .body["id"]
        .clone();
    assert_ne!(owner(assigned).await, owner(manual).await);
}

#[tokio::test]
async fn a_moved_org_has_another_address() {
    let org = empty().await;
    org.switch("instance_moved", true);
    let credentials = &org.running().credentials;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
        ("refresh_token", &credentials.refresh_token),
    ];
    let moved = org.form("/services/oauth2/token", &form).await.body["instance_url"].clone();
    assert!(moved.as_str().unwrap().starts_with("http://localhost:"));
}

#[tokio::test]
async fn every_switch_is_declared_once_and_explained() {
    let names: Vec<_> = syncline_sandbox::salesforce::FAULTS.iter().map(|spec| spec.name).collect();
    let unique: HashSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    assert!(syncline_sandbox::salesforce::FAULTS.iter().all(|spec| spec.doc.ends_with('.')));
}
