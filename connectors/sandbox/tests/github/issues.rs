//! Issues one at a time: opened, changed, closed, labelled, assigned, commented, gone.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, Lab, SUPPORT, column};

#[tokio::test]
async fn an_issue_is_opened_with_what_the_platform_adds() {
    let lab = Lab::start().await;
    let body =
        json!({"title": " Printer\n", "body": "", "labels": ["BUG", "fresh"], "assignees": ["MONA"], "milestone": 1});
    let issue = lab.ask(As::App, Method::POST, &format!("{SUPPORT}/issues"), body).await.expect(201);
    for (path, value) in [
        ("/number", json!(1)),
        ("/title", json!("Printer")),
        ("/body", json!(null)),
        ("/state", json!("open")),
        ("/state_reason", json!(null)),
        ("/user/login", json!("sandbox-app[bot]")),
        ("/user/type", json!("Bot")),
        ("/performed_via_github_app/id", json!(54_321)),
        ("/labels/0/name", json!("bug")),
        ("/labels/1/name", json!("fresh")),
        ("/assignees/0/login", json!("mona")),
        ("/assignee/login", json!("mona")),
        ("/milestone/title", json!("v1.0")),
        ("/comments", json!(0)),
        ("/created_at", json!("2026-05-05T16:53:20Z")),
        ("/updated_at", json!("2026-05-05T16:53:20Z")),
    ] {
        assert_eq!(issue.pointer(path), Some(&value), "{path}");
    }
    assert!(issue.get("pull_request").is_none());
    let path = format!("{SUPPORT}/issues/1");
    let newer = [("x-github-api-version", "2026-03-10")];
    let plural = lab.send(As::User, Method::GET, &path, &newer, Value::Null).await.unwrap().expect(200);
    assert!(plural.get("assignee").is_none() && plural["assignees"][0]["login"] == "mona");
    let machine = lab.ask(As::Machine, Method::POST, &format!("{SUPPORT}/issues"), json!({"title": "t"})).await;
    assert_eq!(machine.status, 403, "the writes of one integration lie a second apart");
}

#[tokio::test]
async fn values_that_break_a_rule_are_named() {
    let lab = Lab::start().await;
    for (body, field, code) in [
        (json!({}), "title", "missing_field"),
        (json!({"title": "  "}), "title", "missing_field"),
        (json!({"title": "x".repeat(257)}), "title", "custom"),
        (json!({"title": "t", "body": "x".repeat(65_537)}), "body", "custom"),
        (json!({"title": "t", "assignees": ["nobody"]}), "assignees", "invalid"),
        (json!({"title": "t", "milestone": 9}), "milestone", "invalid"),
        (json!({"title": "t", "labels": ["x".repeat(51)]}), "name", "invalid"),
    ] {
        let refused = lab.post(&format!("{SUPPORT}/issues"), body.clone()).await.expect(422);
        assert_eq!(refused["message"], "Validation Failed");
        assert_eq!(
            (&refused["errors"][0]["field"], &refused["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{body}"
        );
    }
    lab.issue(json!({"title": "t".repeat(256), "body": "ü".repeat(65_536)})).await;
    for (body, field) in
        [(json!({"state": "ajar"}), "state"), (json!({"state": "closed", "state_reason": "bored"}), "state_reason")]
    {
        let refused = lab.patch(&format!("{SUPPORT}/issues/1"), body).await.expect(422);
        assert_eq!(refused["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn an_issue_closes_and_reopens_with_a_reason() {
    let lab = Lab::start().await;
    lab.issue(json!({"title": "t"})).await;
    let path = format!("{SUPPORT}/issues/1");
    for (sent, state, reason) in [
        (json!({"state": "closed"}), "closed", json!("completed")),
        (json!({"state": "closed", "state_reason": "not_planned"}), "closed", json!("not_planned")),
        (json!({"title": "u"}), "closed", json!("not_planned")),
        (json!({"state": "open"}), "open", json!("reopened")),
        (json!({"state": "closed", "state_reason": "duplicate"}), "closed", json!("duplicate")),
    ] {
        lab.seconds(1);
        let issue = lab.patch(&path, sent.clone()).await.expect(200);
        assert_eq!((&issue["state"], &issue["state_reason"]), (&json!(state), &reason), "{sent}");
        assert_eq!(issue["closed_at"].is_string(), state == "closed");
    }
    let before = lab.get(&path).await.expect(200)["updated_at"].clone();
    lab.seconds(5);
    assert_eq!(lab.patch(&path, json!({"title": "u"})).await.expect(200)["updated_at"], before, "nothing changed");
    lab.patch(&path, json!({"state": "open"})).await.expect(200);
    lab.fault("reopened_null", 1.0).await;
    assert_eq!(lab.app(&path).await.expect(200)["state_reason"], Value::Null);
    lab.fault("empty_body_text", 1.0).await;
    assert_eq!(lab.app(&path).await.expect(200)["body"], "");
}

#[tokio::test]
async fn labels_are_added_replaced_and_removed() {
    let lab = Lab::start().await;
    lab.issue(json!({"title": "t", "labels": ["bug"]})).await;
    let path = format!("{SUPPORT}/issues/1/labels");
    for (method, suffix, body, expected) in [
        (Method::POST, "", json!({"labels": ["a", "BUG"]}), vec!["a", "bug"]),
        (Method::POST, "", json!(["b"]), vec!["a", "b", "bug"]),
        (Method::DELETE, "/A", Value::Null, vec!["b", "bug"]),
        (Method::PUT, "", json!({"labels": ["z"]}), vec!["z"]),
    ] {
        let answer = lab.ask(As::User, method, &format!("{path}{suffix}"), body.clone()).await.expect(200);
        assert_eq!(column(&answer, "name"), expected, "{body}");
    }
    lab.ask(As::User, Method::DELETE, &format!("{path}/none"), Value::Null).await.expect(404);
    lab.ask(As::User, Method::DELETE, &path, Value::Null).await.expect(204);
    assert_eq!(lab.get(&path).await.expect(200), json!([]));

    let labels = format!("{SUPPORT}/labels");
    lab.post(&labels, json!({"name": "Bug"})).await.expect(422);
    lab.post(&labels, json!({"name": "new", "color": "ffffff"})).await.expect(201);
    lab.post(&path, json!(["new"])).await.expect(200);
    lab.patch(&format!("{labels}/new"), json!({"new_name": "renamed"})).await.expect(200);
    assert_eq!(column(&lab.get(&path).await.expect(200), "name"), ["renamed"]);
    lab.ask(As::User, Method::DELETE, &format!("{labels}/renamed"), Value::Null).await.expect(204);
    assert_eq!(lab.get(&path).await.expect(200), json!([]));
}

#[tokio::test]
async fn assignees_and_milestones_come_and_go() {
    let lab = Lab::start().await;
    lab.issue(json!({"title": "t"})).await;
    let path = format!("{SUPPORT}/issues/1/assignees");
    let added = lab.post(&path, json!({"assignees": ["hubot", "nobody", "ann-lee"]})).await.expect(201);
    assert_eq!(column(&added["assignees"], "login"), ["hubot", "Ann-Lee"], "who cannot be assigned is left out");
    let removed = lab.ask(As::User, Method::DELETE, &path, json!({"assignees": ["HUBOT"]})).await.expect(200);
    assert_eq!(column(&removed["assignees"], "login"), ["Ann-Lee"]);
    lab.get(&format!("{SUPPORT}/assignees/mona")).await.expect(204);
    lab.get(&format!("{SUPPORT}/assignees/nobody")).await.expect(404);

    let milestones = format!("{SUPPORT}/milestones");
    let made = lab.post(&milestones, json!({"title": "v2", "due_on": "2026-06-01T00:00:00Z"})).await.expect(201);
    assert_eq!((&made["number"], &made["due_on"]), (&json!(2), &json!("2026-06-01T00:00:00Z")));
    lab.post(&milestones, json!({"title": "v2"})).await.expect(422);
    let issue = lab.patch(&format!("{SUPPORT}/issues/1"), json!({"milestone": 2})).await.expect(200);
    assert_eq!(issue["milestone"]["open_issues"], 1);
    lab.patch(&format!("{milestones}/2"), json!({"state": "closed"})).await.expect(200);
    assert_eq!(column(&lab.get(&milestones).await.expect(200), "title"), ["v1.0"]);
    lab.ask(As::User, Method::DELETE, &format!("{milestones}/2"), Value::Null).await.expect(204);
    assert_eq!(lab.get(&format!("{SUPPORT}/issues/1")).await.expect(200)["milestone"], Value::Null);
}

#[tokio::test]
async fn comments_move_their_issue() {
    let lab = Lab::start().await;
    lab.issue(json!({"title": "t"})).await;
    let path = format!("{SUPPORT}/issues/1/comments");
    lab.seconds(5);
    let made = lab.post(&path, json!({"body": "first"})).await.expect(201);
    lab.post(&path, json!({"body": ""})).await.expect(422);
    let issue = lab.get(&format!("{SUPPORT}/issues/1")).await.expect(200);
    assert_eq!((&issue["comments"], &issue["updated_at"]), (&json!(1), &json!("2026-05-05T16:53:25Z")));
    let one = format!("{SUPPORT}/issues/comments/{}", made["id"]);
    lab.seconds(5);
    assert_eq!(lab.patch(&one, json!({"body": "second"})).await.expect(200)["updated_at"], "2026-05-05T16:53:30Z");
    let since = format!("{SUPPORT}/issues/comments?sort=updated&direction=asc&since=2026-05-05T16:53:30Z");
    assert_eq!(column(&lab.get(&since).await.expect(200), "body"), ["second"]);
    let later = since.replace("53:30", "53:31");
    assert_eq!(lab.get(&later).await.expect(200), json!([]));
    lab.ask(As::User, Method::DELETE, &one, Value::Null).await.expect(204);
    lab.get(&one).await.expect(404);
    lab.get(&format!("{SUPPORT}/issues/9/comments")).await.expect(404);
}

#[tokio::test]
async fn what_needs_the_right_to_push_is_dropped_without_a_word() {
    let lab = Lab::start().await;
    let body = json!({"title": "t", "labels": ["bug"], "assignees": ["mona"], "milestone": 1});
    lab.fault("push_access", 0.0).await;
    let made = lab.ask(As::App, Method::POST, &format!("{SUPPORT}/issues"), body.clone()).await.expect(201);
    assert_eq!((&made["labels"], &made["assignees"], &made["milestone"]), (&json!([]), &json!([]), &Value::Null));
    let path = format!("{SUPPORT}/issues/1");
    lab.seconds(1);
    let own = lab.ask(As::App, Method::PATCH, &path, json!({"title": "u", "labels": ["bug"]})).await.expect(200);
    assert_eq!((&own["title"], &own["labels"]), (&json!("u"), &json!([])), "one's own issue may be edited");
    lab.issue(json!({"title": "hers"})).await;
    for (method, path, body) in [
        (Method::PATCH, format!("{SUPPORT}/issues/2"), json!({"title": "mine"})),
        (Method::POST, format!("{path}/labels"), json!(["bug"])),
        (Method::PUT, format!("{path}/lock"), json!({})),
    ] {
        lab.seconds(1);
        lab.ask(As::App, method, &path, body).await.expect(403);
    }
    lab.seconds(1);
    assert_eq!(lab.app(SUPPORT).await.expect(200)["permissions"]["push"], false);
    lab.fault("push_access", 1.0).await;
    lab.fault("silent_drop", 1.0).await;
    lab.seconds(1);
    let dropped = lab.ask(As::App, Method::POST, &format!("{SUPPORT}/issues"), body).await.expect(201);
    assert_eq!(dropped["labels"], json!([]));
}

#[tokio::test]
async fn a_locked_issue_refuses_strangers() {
    let lab = Lab::start().await;
    lab.issue(json!({"title": "t"})).await;
    let path = format!("{SUPPORT}/issues/1");
    let lock = json!({"lock_reason": "resolved"});
    lab.ask(As::User, Method::PUT, &format!("{path}/lock"), lock).await.expect(204);
    let issue = lab.get(&path).await.expect(200);
    assert_eq!((&issue["locked"], &issue["active_lock_reason"]), (&json!(true), &json!("resolved")));
    lab.fault("push_access", 0.0).await;
    lab.ask(As::App, Method::POST, &format!("{path}/comments"), json!({"body": "b"})).await.expect(403);
    lab.ask(As::User, Method::PUT, &format!("{path}/lock"), json!({"lock_reason": "tired"})).await.expect(422);
    lab.ask(As::User, Method::DELETE, &format!("{path}/lock"), Value::Null).await.expect(204);
    lab.seconds(1);
    lab.ask(As::App, Method::POST, &format!("{path}/comments"), json!({"body": "b"})).await.expect(201);
}

#[tokio::test]
async fn deleted_transferred_hidden_and_absent_are_told_apart() {
    let lab = Lab::start().await;
    let ids: Vec<Value> = {
        let mut ids = Vec::new();
        for title in ["deleted", "moved", "hidden"] {
            ids.push(lab.issue(json!({"title": title})).await["id"].clone());
        }
        ids
    };
    let admin = |id: &Value| format!("/admin/users/anna/issues/{id}");
    lab.ask(As::Nobody, Method::DELETE, &admin(&ids[0]), Value::Null).await.expect(200);
    for (id, repository) in [(&ids[1], "engineering"), (&ids[2], "secret")] {
        lab.ask(As::Nobody, Method::PATCH, &admin(id), json!({ "repository": repository })).await.expect(200);
    }
    lab.app(&format!("{SUPPORT}/issues/1")).await.expect(410);
    let moved = lab.app(&format!("{SUPPORT}/issues/2")).await;
    assert_eq!(moved.status, 301);
    let arrived = lab.app(moved.header("location")).await.expect(200);
    assert_eq!((&arrived["title"], &arrived["number"]), (&json!("moved"), &json!(1)));
    assert_ne!(arrived["id"], ids[1], "it has a new id there");
    let write = lab.ask(As::App, Method::PATCH, &format!("{SUPPORT}/issues/2"), json!({"title": "x"})).await;
    assert_eq!(write.status, 307, "a write keeps its method");
    lab.app(&format!("{SUPPORT}/issues/3")).await.expect(404);
    lab.get(&format!("{SUPPORT}/issues/3")).await.expect(301);
    lab.app(&format!("{SUPPORT}/issues/9")).await.expect(404);
    lab.app("/repos/acme/secret/issues").await.expect(404);
    lab.get("/repos/acme/secret/issues").await.expect(200);
    for method in [Method::GET, Method::POST] {
        lab.ask(As::User, method, "/repos/acme/archive/issues", json!({"title": "t"})).await.expect(410);
    }
    let renamed = lab.app("/repos/acme/desk/issues?state=all").await;
    assert_eq!(renamed.status, 301);
    assert!(
        renamed.header("location").contains("/repositories/")
            && renamed.header("location").ends_with("/issues?state=all")
    );
    lab.app(renamed.header("location")).await.expect(200);
    lab.app("/repos/other/support/issues").await.expect(404);
}
