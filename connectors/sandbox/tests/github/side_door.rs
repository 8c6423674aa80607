//! The side door: state, edits as a user, ledger.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, Lab, SUPPORT, column};

#[tokio::test]
async fn people_edit_in_the_browser() {
    let lab = Lab::start().await;
    let users = "/admin/users/anna/issues";
    let made = lab.post(users, json!({"title": "t", "body": "a\nb", "labels": ["BUG"]})).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{users}/{id}");
    let shown = lab.get(&format!("{SUPPORT}/issues/1")).await.expect(200);
    assert_eq!((&shown["body"], &shown["user"]["login"]), (&json!("a\r\nb"), &json!("anna")), "a browser writes CRLF");
    assert_eq!(shown["labels"][0]["name"], "bug");
    lab.patch(&path, json!({"state": "closed", "locked": true})).await.expect(200);
    lab.patch(&path, json!({"title": " "})).await.expect(422);
    lab.post("/admin/users/anna/comments", json!({"issue": id, "body": "said"})).await.expect(201);
    assert_eq!(lab.get("/admin/state?object=comments").await.expect(200)["rows"][0]["fields"]["body"], "said");
    lab.ask(As::Nobody, Method::DELETE, &path, Value::Null).await.expect(200);
    lab.patch(&path, json!({"title": "x"})).await.expect(404);
    lab.post(&format!("{path}/restore"), Value::Null).await.expect(501);
    lab.post("/admin/users/anna/unicorns", json!({})).await.expect(404);
    let ops = column(&Value::from(lab.log().await), "op");
    assert_eq!(ops, ["create", "update", "update", "update", "delete"]);
}

#[tokio::test]
async fn a_pull_request_can_be_opened_here() {
    let lab = Lab::start().await;
    lab.post("/admin/users/anna/issues", json!({"title": "t", "pull_request": true})).await.expect(201);
    let listed = lab.get(&format!("{SUPPORT}/issues")).await.expect(200);
    assert!(listed[0]["pull_request"]["url"].is_string());
}

#[tokio::test]
async fn the_state_is_paged_and_can_show_what_is_gone() {
    let lab = Lab::with(25).await;
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let page = lab.get(&format!("/admin/state?object=issues&limit=10{after}")).await.expect(200);
        rows.extend(page["rows"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(rows.len(), 25);
    let path = format!("/admin/users/anna/issues/{}", rows[3]["id"].as_str().unwrap());
    lab.ask(As::Nobody, Method::DELETE, &path, Value::Null).await.expect(200);
    for (deleted, count) in [(false, 24), (true, 25)] {
        let page = lab.get(&format!("/admin/state?object=issues&deleted={deleted}")).await.expect(200);
        assert_eq!(page["rows"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn the_ledger_tells_who_sent_what_and_what_became_of_it() {
    let lab = Lab::start().await;
    let id = lab.issue(json!({"title": " t "})).await["id"].clone();
    let path = format!("{SUPPORT}/issues/1");
    for _ in 0..2 {
        lab.seconds(1);
        lab.ask(As::App, Method::PATCH, &path, json!({"body": "b"})).await.expect(200);
    }
    lab.app(&path).await.expect(200);
    let transfer = json!({"repository": "engineering"});
    lab.patch(&format!("/admin/users/anna/issues/{id}"), transfer).await.expect(200);
    let log = lab.log().await;
    assert_eq!(log[0]["fields"]["title"], json!({"before": null, "sent": " t ", "after": "t"}));
    assert_eq!(log[1]["actor"], json!({"kind": "integration", "id": "sandbox-app[bot]"}));
    assert_eq!(log[1]["via"], "PATCH /repos/{owner}/{repo}/issues/{number}");
    assert_eq!((&log[1]["redundant"], &log[2]["redundant"]), (&json!(false), &json!(true)));
    assert_eq!((&log[3]["op"], &log[3]["stamp_after"]), (&json!("read"), &log[1]["stamp_after"]));
    assert_eq!((&log[4]["op"], &log[4]["fields"]["into"]["after"]), (&json!("merge"), &log[5]["id"]));
}

#[tokio::test]
async fn a_seed_gives_the_same_site_again() {
    let state = async || Lab::with(30).await.get("/admin/state?object=issues").await.expect(200);
    assert_eq!(state().await, state().await);
}
