//! The side door: state, edits as a user, ledger.

use reqwest::Method;
use serde_json::{Value, json};
use syncline_sandbox::Population;

use crate::lab::{As, Lab, column};

#[tokio::test]
async fn people_edit_through_the_same_rules() {
    let lab = Lab::start().await;
    let users = "/admin/users/anna/tickets";
    let made = lab.post(users, json!({"subject": "s", "description": "d", "tags": ["B A"]})).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{users}/{id}");
    lab.ask(As::Nobody, Method::PATCH, &path, json!({"custom_fields.360000000180": "tier_gold"})).await.expect(200);
    let refused = lab.ask(As::Nobody, Method::PATCH, &path, json!({"priority": "huge"})).await.expect(422);
    assert!(refused["error"].as_str().unwrap().contains("Priority"));
    let comment = json!({"ticket_id": id.parse::<u64>().unwrap(), "body": "said", "public": false});
    lab.post("/admin/users/anna/comments", comment).await.expect(201);
    lab.delete(&path).await.expect(200);
    lab.ask(As::Nobody, Method::PATCH, &path, json!({"subject": "x"})).await.expect(404);
    lab.post(&format!("{path}/restore"), Value::Null).await.expect(200);
    assert_eq!(lab.show(1).await["tags"], json!(["a", "b", "tier_gold"]));
    lab.post("/admin/users/anna/unicorns", json!({})).await.expect(404);

    let said = lab.get("/admin/state?object=comments").await.expect(200)["rows"].clone();
    assert_eq!((&said[0]["fields"]["body"], &said[1]["fields"]["body"]), (&json!("d"), &json!("said")));
    let ops = column(&Value::from(lab.log().await), "op");
    assert_eq!(ops, ["create", "update", "update", "delete", "restore"]);
    let log = lab.log().await;
    assert_eq!(log[0]["actor"], json!({"kind": "user", "id": "anna"}));
    assert_eq!(log[2]["fields"]["comment"]["after"], "said");
}

#[tokio::test]
async fn people_merge() {
    let lab = Lab::start().await;
    let (one, two) = (lab.user(json!({"name": "A"})).await, lab.user(json!({"name": "B"})).await);
    let path = format!("/admin/users/anna/users/{one}/merge");
    assert_eq!(lab.post(&path, json!({"into": two.to_string()})).await.expect(200)["id"], two.to_string());
    let (one, two) = (lab.ticket(json!({})).await, lab.ticket(json!({})).await);
    lab.post(&format!("/admin/users/anna/tickets/{one}/merge"), json!({"into": two.to_string()})).await.expect(200);
    assert_eq!(lab.show(one).await["status"], "closed");
}

#[tokio::test]
async fn the_state_is_paged_and_can_show_what_is_gone() {
    let lab = Lab::with(Population::demo().sized(25, 0), 12).await;
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let page = lab.get(&format!("/admin/state?object=users&limit=10{after}")).await.expect(200);
        rows.extend(page["rows"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(rows.len(), 27);
    assert!(rows[5]["fields"]["email"].is_string() && rows[5]["stamp"].is_string());
    lab.delete("tickets/3").await.expect(204);
    for (deleted, count) in [(false, 11), (true, 12)] {
        let page = lab.get(&format!("/admin/state?object=tickets&deleted={deleted}")).await.expect(200);
        assert_eq!(page["rows"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn an_administrator_hides_and_changes_fields() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"custom_fields": [{"id": 360_000_000_020_u64, "value": "A"}]})).await;
    let path = "/admin/fields/tickets/360000000020";
    let fields = async || lab.show(id).await["custom_fields"].to_string();
    lab.ask(As::Nobody, Method::PATCH, path, json!({"visible": false})).await.expect(200);
    assert!(!fields().await.contains("360000000020"));
    lab.ask(As::Nobody, Method::PATCH, path, json!({"visible": true, "type": "integer"})).await.expect(200);
    assert!(fields().await.contains("360000000020"));
    let body = json!({"ticket": {"custom_fields": [{"id": 360_000_000_020_u64, "value": "B"}]}});
    lab.put(&format!("tickets/{id}"), body).await.expect(422);
    lab.ask(As::Nobody, Method::PATCH, path, json!({"type": "unicorn"})).await.expect(422);
    lab.ask(As::Nobody, Method::PATCH, "/admin/fields/tickets/1", json!({})).await.expect(404);
}

#[tokio::test]
async fn the_ledger_tells_who_sent_what_and_what_became_of_it() {
    let lab = Lab::start().await;
    let id = lab.user(json!({"name": " Ann ", "email": "Ann@Example.com"})).await;
    lab.seconds(1);
    let path = format!("users/{id}");
    for _ in 0..2 {
        lab.ask(As::App, Method::PUT, &path, json!({"user": {"name": "Ann Lee"}})).await.expect(200);
    }
    lab.app(&path).await.expect(200);
    let log = lab.log().await;
    assert_eq!(
        log[0]["fields"]["email"],
        json!({"before": null, "sent": "Ann@Example.com", "after": "ann@example.com"})
    );
    assert_eq!(log[1]["actor"], json!({"kind": "integration", "id": "900000000001"}));
    assert_eq!(log[1]["via"], "PUT /api/v2/users/{id}");
    assert_eq!(
        (&log[1]["stamp_before"], &log[1]["stamp_after"]),
        (&json!("2026-05-05T16:53:20Z"), &json!("2026-05-05T16:53:21Z"))
    );
    assert_eq!((&log[1]["redundant"], &log[2]["redundant"]), (&json!(false), &json!(true)));
    assert_eq!((&log[3]["op"], &log[3]["stamp_after"]), (&json!("read"), &log[1]["stamp_after"]));
    let counts = lab.counts().await;
    assert_eq!(counts["writes"]["redundant_by_integration"], 1);
    assert_eq!(counts["requests"]["PUT /api/v2/users/{id}"], 2);
}

#[tokio::test]
async fn a_seed_gives_the_same_account_again() {
    let state = async || {
        let lab = Lab::with(Population::messy().sized(50, 20), 30).await;
        let users = lab.get("/admin/state?object=users").await.expect(200);
        (users, lab.get("/admin/state?object=tickets").await.expect(200))
    };
    assert_eq!(state().await, state().await);
}
