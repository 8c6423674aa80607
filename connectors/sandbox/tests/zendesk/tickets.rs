//! Tickets one at a time: created, changed, guarded, commented, tagged.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{AGENT, As, INTEGRATION, Lab, codes, column};

#[tokio::test]
async fn a_ticket_is_made_with_what_the_platform_adds() {
    let lab = Lab::start().await;
    let body = json!({"ticket": {"subject": "Printer", "comment": {"body": "It is offline."}, "unknown": 1}});
    let made = lab.ask(As::App, Method::POST, "tickets.json", body).await.expect(201);
    let ticket = &made["ticket"];
    for (name, value) in [
        ("id", json!(1)),
        ("status", json!("new")),
        ("subject", json!("Printer")),
        ("raw_subject", json!("Printer")),
        ("description", json!("It is offline.")),
        ("requester_id", json!(INTEGRATION)),
        ("submitter_id", json!(INTEGRATION)),
        ("assignee_id", json!(null)),
        ("created_at", json!("2026-05-05T16:53:20Z")),
        ("updated_at", json!("2026-05-05T16:53:20Z")),
        ("generated_timestamp", json!(1_778_000_000)),
        ("tags", json!([])),
        ("is_public", json!(true)),
    ] {
        assert_eq!(ticket[name], value, "{name}");
    }
    assert_eq!(ticket["via"]["channel"], "api");
    assert_eq!(ticket["custom_fields"], ticket["fields"]);
    assert!(ticket.get("unknown").is_none());
    let events = column(&made["audit"]["events"], "type");
    assert!(events.contains(&"Comment".to_owned()) && events.contains(&"Create".to_owned()));

    let refused = lab.post("tickets", json!({"ticket": {"subject": "No comment"}})).await.expect(422);
    assert_eq!(codes(&refused, "base"), ["BlankValue"]);
    lab.post("tickets", json!({"subject": "not wrapped"})).await.expect(400);
    let not_json = lab
        .http
        .post(format!("{}/api/v2/tickets", lab.running().base_url))
        .body("{")
        .bearer_auth(&lab.running().credentials.user_token);
    assert_eq!(not_json.send().await.unwrap().status(), 422);
}

#[tokio::test]
async fn an_update_moves_what_it_changes() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    lab.seconds(5);
    let path = format!("tickets/{id}.json");
    let answer = lab.put(&path, json!({"ticket": {"subject": "t", "description": "ignored"}})).await.expect(200);
    let (ticket, audit) = (&answer["ticket"], &answer["audit"]);
    assert_eq!((&ticket["subject"], &ticket["description"]), (&json!("t"), &json!("b")));
    assert_eq!(ticket["updated_at"], "2026-05-05T16:53:25Z");
    assert_eq!(audit["author_id"], AGENT);
    assert_eq!(audit["events"][0]["field_name"], "subject");
    assert_eq!((&audit["events"][0]["value"], &audit["events"][0]["previous_value"]), (&json!("t"), &json!("s")));
    lab.seconds(5);
    let again = lab.put(&path, json!({"ticket": {"subject": "t"}})).await.expect(200);
    assert_eq!(again["ticket"]["updated_at"], ticket["updated_at"], "an update that changes nothing moves nothing");
    assert_eq!(again["audit"]["events"], json!([]));
    assert_eq!(lab.get(&format!("tickets/{id}/audits")).await.expect(200)["audits"].as_array().unwrap().len(), 2);
    lab.put("tickets/99", json!({"ticket": {"subject": "t"}})).await.expect(404);
    let marked = json!({"ticket": {"priority": "low", "metadata": {"custom": {"origin": "x"}}}});
    assert_eq!(lab.put(&path, marked).await.expect(200)["audit"]["metadata"]["custom"]["origin"], "x");
}

#[tokio::test]
async fn a_safe_update_meets_a_newer_ticket() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    let stamp = lab.show(id).await["updated_at"].as_str().unwrap().to_owned();
    lab.seconds(2);
    lab.change(id, json!({"subject": "theirs"})).await;
    let update =
        |stamp: &str, safe: Value| json!({"ticket": {"subject": "ours", "safe_update": safe, "updated_stamp": stamp}});
    let path = format!("tickets/{id}");
    for safe in [json!(true), json!("true")] {
        let refused = lab.put(&path, update(&stamp, safe)).await.expect(409);
        assert_eq!(refused["error"], "UpdateConflict");
    }
    assert_eq!(lab.show(id).await["subject"], "theirs");
    let tags = json!({"tags": ["x"], "safe_update": true, "updated_stamp": stamp});
    assert_eq!(lab.put(&format!("{path}/tags"), tags).await.expect(409)["error"], "UpdateConflict");
    lab.put(&path, json!({"ticket": {"safe_update": true}})).await.expect(400);
    let fresh = lab.show(id).await["updated_at"].as_str().unwrap().to_owned();
    lab.put(&path, update(&fresh, json!(true))).await.expect(200);
    // The stamp has no fractions: what changes within its second is not seen.
    lab.change(id, json!({"subject": "again theirs"})).await;
    lab.put(&path, update(&fresh, json!(true))).await.expect(200);
    assert_eq!(lab.show(id).await["subject"], "ours");
    lab.put(&path, update(&stamp, json!(false))).await.expect(200);
}

#[tokio::test]
async fn the_platform_may_move_the_export_stamp_alone() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    let before = lab.show(id).await;
    lab.seconds(9);
    lab.fault("system_update", 1.0).await;
    lab.user(json!({"name": "Ann"})).await;
    let after = lab.show(id).await;
    assert_eq!(after["updated_at"], before["updated_at"]);
    assert_eq!(after["generated_timestamp"], 1_778_000_009);
    let guarded = json!({"ticket": {"subject": "x", "safe_update": true, "updated_stamp": before["updated_at"]}});
    lab.put(&format!("tickets/{id}"), guarded).await.expect(200);
}

#[tokio::test]
async fn a_key_makes_a_creation_safe_to_repeat() {
    let lab = Lab::start().await;
    let post = async |key: &str, subject: &str| {
        let body = json!({"ticket": {"subject": subject, "comment": {"body": "b"}}});
        lab.send(As::App, Method::POST, "tickets", &[("idempotency-key", key)], body).await.unwrap()
    };
    let first = post("k1", "a").await;
    assert_eq!((first.status.as_u16(), first.header("x-idempotency-lookup")), (201, "miss"));
    lab.change(1, json!({"subject": "changed since"})).await;
    let second = post("k1", "a").await;
    assert_eq!((second.status.as_u16(), second.header("x-idempotency-lookup")), (201, "hit"));
    assert_eq!(first.body, second.body, "the first answer comes again, whatever happened since");
    assert_eq!(post("k1", "b").await.expect(400)["error"], "IdempotentRequestError");
    post(&"k".repeat(256), "a").await.expect(400);
    assert_eq!(post("k2", "a").await.expect(201)["ticket"]["id"], 2);
    lab.seconds(2 * 3_600 + 1);
    lab.ask(As::Nobody, Method::POST, "/admin/tokens/expire", Value::Null).await.expect(200);
    let body = json!({"ticket": {"subject": "b", "comment": {"body": "b"}}});
    let late = lab.send(As::ApiToken, Method::POST, "tickets", &[("idempotency-key", "k1")], body).await.unwrap();
    assert_eq!(
        (late.status.as_u16(), late.header("x-idempotency-lookup")),
        (201, "miss"),
        "after two hours it is forgotten"
    );
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_its_key() {
    let lab = Lab::start().await;
    lab.fault("response_lost", 1.0).await;
    let body = json!({"ticket": {"subject": "a", "comment": {"body": "b"}}});
    let lost = lab.send(As::App, Method::POST, "tickets", &[("idempotency-key", "k")], body.clone()).await;
    assert!(lost.is_err() || lost.is_ok_and(|answer| answer.status == 504));
    lab.fault("response_lost", 0.0).await;
    let found = lab.send(As::App, Method::POST, "tickets", &[("idempotency-key", "k")], body).await.unwrap();
    assert_eq!(found.header("x-idempotency-lookup"), "hit");
    assert_eq!(found.expect(201)["ticket"]["id"], 1);
    assert_eq!(lab.get("tickets").await.expect(200)["count"], 1);
}

#[tokio::test]
async fn tags_are_replaced_added_and_removed() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"tags": ["B", "a"]})).await;
    let path = format!("tickets/{id}/tags.json");
    for (method, sent, status, expected) in [
        (Method::PUT, json!(["c", "a"]), 200, json!(["a", "b", "c"])),
        (Method::DELETE, json!(["b", "x"]), 200, json!(["a", "c"])),
        (Method::POST, json!(["z"]), 201, json!(["z"])),
    ] {
        let answer = lab.ask(As::Agent, method.clone(), &path, json!({"tags": sent})).await.expect(status);
        assert_eq!(answer["tags"], expected, "{method}");
    }
    assert_eq!(lab.change(id, json!({"tags": ["n"]})).await["tags"], json!(["n"]), "an array replaces");
    assert_eq!(lab.get(&path).await.expect(200)["tags"], json!(["n"]));
    lab.ask(As::Agent, Method::PUT, &path, json!({})).await.expect(400);
}

#[tokio::test]
async fn comments_have_two_forms() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"comment": {"body": "first & last"}})).await;
    lab.change(id, json!({"comment": {"html_body": "<p>two<script>x()</script></p>", "public": false}})).await;
    let comments = lab.get(&format!("tickets/{id}/comments")).await.expect(200)["comments"].clone();
    assert_eq!(column(&comments, "body"), ["first & last", "two"]);
    assert_eq!(column(&comments, "public"), ["true", "false"]);
    assert!(comments[0]["html_body"].as_str().unwrap().contains("first &amp; last"));
    assert!(!comments[1]["html_body"].as_str().unwrap().contains("script"));
    assert_eq!(comments[1]["author_id"], AGENT);
    let page = lab.get(&format!("tickets/{id}/comments?page[size]=1")).await.expect(200);
    assert_eq!((page["comments"].as_array().unwrap().len(), &page["meta"]["has_more"]), (1, &json!(true)));
    lab.get("tickets/99/comments").await.expect(404);
}

#[tokio::test]
async fn a_requester_is_named_by_address() {
    let lab = Lab::start().await;
    let requester = json!({"name": "Ann", "email": "Ann@Example.com"});
    let first = lab.ticket(json!({"requester": requester})).await;
    let second = lab.ticket(json!({"requester": requester})).await;
    let (first, second) = (lab.show(first).await, lab.show(second).await);
    assert_eq!(first["requester_id"], second["requester_id"]);
    let user = lab.get(&format!("users/{}", first["requester_id"])).await.expect(200);
    assert_eq!(user["user"]["email"], "ann@example.com");
}

#[tokio::test]
async fn a_solved_ticket_closes_and_stays_as_it_is() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"assignee_id": AGENT, "status": "solved"})).await;
    lab.seconds(28 * 86_400 - 1);
    assert_eq!(lab.show(id).await["status"], "solved");
    lab.seconds(2);
    assert_eq!(lab.show(id).await["status"], "closed");
    let refused = lab.put(&format!("tickets/{id}"), json!({"ticket": {"subject": "x"}})).await.expect(422);
    assert_eq!(codes(&refused, "status"), ["InvalidValue"]);
    assert_eq!(lab.log().await.last().unwrap()["actor"]["kind"], "system");
    let reopened = lab.ticket(json!({"status": "solved"})).await;
    lab.change(reopened, json!({"status": "open"})).await;
    lab.seconds(29 * 86_400);
    assert_eq!(lab.show(reopened).await["status"], "open");
}

#[tokio::test]
async fn an_integration_meets_locks_and_collisions() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    let path = format!("tickets/{id}");
    let update = || lab.ask(As::App, Method::PUT, &path, json!({"ticket": {"subject": "x"}}));
    lab.ask(As::Nobody, Method::PUT, &format!("/admin/locks/tickets/{id}"), json!({"locked": true})).await.expect(200);
    assert_eq!(update().await.expect(409)["error"], "DatabaseConflict");
    lab.change(id, json!({"subject": "the agent is free"})).await;
    lab.ask(As::Nobody, Method::PUT, &format!("/admin/locks/tickets/{id}"), json!({"locked": false})).await.expect(200);
    update().await.expect(200);
    lab.fault("conflict", 1.0).await;
    assert_eq!(update().await.expect(409)["error"], "DatabaseConflict");
}
