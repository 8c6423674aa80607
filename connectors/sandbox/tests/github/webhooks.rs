//! Webhooks: what is delivered, how it is signed, and how a lost delivery comes again.

use reqwest::Method;
use serde_json::{Value, json};

use crate::access::good_jwt;
use crate::lab::{Answer, As, Lab, SUPPORT, column};
use crate::receiver::Receiver;

async fn stage() -> (Lab, Receiver) {
    let (lab, receiver) = (Lab::start().await, Receiver::start().await);
    lab.post("/admin/webhooks", json!({"target_url": receiver.url})).await.expect(200);
    (lab, receiver)
}

/// A request of the app itself.
async fn as_app(lab: &Lab, method: Method, path: &str) -> Answer {
    let authorization = format!("Bearer {}", good_jwt(lab));
    lab.send(As::Nobody, method, path, &[("authorization", &authorization)], Value::Null).await.unwrap()
}

#[tokio::test]
async fn a_delivery_names_its_sender_and_is_signed() {
    let (lab, mut receiver) = stage().await;
    lab.ask(As::App, Method::POST, &format!("{SUPPORT}/issues"), json!({"title": "t"})).await.expect(201);
    lab.flush().await;
    let requests = receiver.received();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].is_signed(&lab.running().credentials.client_secret) && !requests[0].is_signed("another"));
    assert_eq!(requests[0].header("x-github-event"), "issues");
    assert_eq!(requests[0].header("x-github-hook-installation-target-type"), "integration");
    assert_eq!(requests[0].header("x-github-delivery").len(), 36);
    let body = requests[0].json();
    for (path, value) in [
        ("/action", json!("opened")),
        ("/sender/login", json!("sandbox-app[bot]")),
        ("/sender/type", json!("Bot")),
        ("/issue/body", json!(null)),
        ("/issue/performed_via_github_app/id", json!(54_321)),
        ("/repository/full_name", json!("acme/support")),
        ("/installation/id", json!(1_001)),
    ] {
        assert_eq!(body.pointer(path), Some(&value), "{path}");
    }
}

#[tokio::test]
async fn one_change_may_be_several_deliveries() {
    let (lab, mut receiver) = stage().await;
    let id = lab.issue(json!({"title": "t", "labels": ["bug"]})).await["id"].clone();
    let other = lab.issue(json!({"title": "u"})).await["id"].clone();
    lab.flush().await;
    receiver.received();
    let path = format!("{SUPPORT}/issues/1");
    let admin = format!("/admin/users/anna/issues/{id}");
    for (method, path, body, expected) in [
        (
            Method::PATCH,
            path.clone(),
            json!({"title": "u", "labels": ["a", "b"]}),
            vec!["issues.edited", "issues.labeled", "issues.labeled", "issues.unlabeled"],
        ),
        (Method::PATCH, path.clone(), json!({"title": "u"}), vec![]),
        (
            Method::PATCH,
            path.clone(),
            json!({"assignees": ["mona"], "milestone": 1}),
            vec!["issues.assigned", "issues.milestoned"],
        ),
        (
            Method::PATCH,
            path.clone(),
            json!({"state": "closed", "milestone": null}),
            vec!["issues.demilestoned", "issues.closed"],
        ),
        (Method::PATCH, path.clone(), json!({"state": "open"}), vec!["issues.reopened"]),
        (Method::PUT, format!("{path}/lock"), json!({}), vec!["issues.locked"]),
        (Method::POST, format!("{path}/comments"), json!({"body": "b"}), vec!["issue_comment.created"]),
        (
            Method::PATCH,
            admin.clone(),
            json!({"repository": "engineering"}),
            vec!["issues.transferred", "issues.opened"],
        ),
        (Method::DELETE, format!("/admin/users/anna/issues/{other}"), Value::Null, vec!["issues.deleted"]),
    ] {
        let answer = lab.ask(As::User, method, &path, body.clone()).await;
        assert!(answer.status.is_success(), "{path} {}", answer.text);
        lab.flush().await;
        let requests = receiver.received();
        let names: Vec<String> = requests.iter().map(crate::receiver::Received::name).collect();
        assert_eq!(names, expected, "{path} {body}");
        let stamps: Vec<Value> = requests.iter().map(|request| request.json()["issue"]["updated_at"].clone()).collect();
        assert!(body.get("repository").is_some() || stamps.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[tokio::test]
async fn an_edit_says_what_was_there_before_or_nothing() {
    let (lab, mut receiver) = stage().await;
    lab.issue(json!({"title": "t"})).await;
    let path = format!("{SUPPORT}/issues/1");
    lab.patch(&path, json!({"title": "u", "body": "new"})).await.expect(200);
    lab.flush().await;
    let edited = receiver.received().remove(1).json();
    assert_eq!(edited["changes"], json!({"title": {"from": "t"}, "body": {"from": ""}}));
    lab.fault("changes_empty", 1.0).await;
    lab.patch(&path, json!({"title": "v"})).await.expect(200);
    lab.flush().await;
    assert_eq!(receiver.received()[0].json()["changes"], json!({}));
}

#[tokio::test]
async fn a_refused_delivery_comes_again_only_when_asked_for() {
    let (lab, mut receiver) = stage().await;
    receiver.answer(500);
    lab.issue(json!({"title": "t"})).await;
    for _ in 0..3 {
        lab.flush().await;
        lab.seconds(600);
    }
    let first = receiver.received();
    assert_eq!(first.len(), 1, "there is no second attempt");
    let log = as_app(&lab, Method::GET, "/app/hook/deliveries").await.expect(200);
    assert_eq!((column(&log, "status_code"), &log[0]["redelivery"]), (vec!["500".to_owned()], &json!(false)));
    receiver.answer(200);
    let attempts = format!("/app/hook/deliveries/{}/attempts", log[0]["id"]);
    as_app(&lab, Method::POST, &attempts).await.expect(202);
    lab.flush().await;
    let second = receiver.received();
    assert_eq!(second[0].header("x-github-delivery"), first[0].header("x-github-delivery"), "the GUID is the same");
    let log = as_app(&lab, Method::GET, "/app/hook/deliveries?per_page=1").await;
    assert_eq!((column(&log.body, "status_code"), &log.body[0]["redelivery"]), (vec!["200".to_owned()], &json!(true)));
    let older = as_app(&lab, Method::GET, &log.link("next").unwrap()).await.expect(200);
    assert_eq!(column(&older, "status_code"), ["500"]);
    let whole = as_app(&lab, Method::GET, &format!("/app/hook/deliveries/{}", older[0]["id"])).await.expect(200);
    assert_eq!(whole["request"]["payload"]["action"], "opened");
    lab.seconds(3 * 86_400 + 1);
    assert_eq!(as_app(&lab, Method::GET, "/app/hook/deliveries").await.expect(200), json!([]));
}

#[tokio::test]
async fn a_lost_delivery_stands_in_the_log() {
    let (lab, mut receiver) = stage().await;
    lab.fault("webhook_lost", 1.0).await;
    lab.issue(json!({"title": "t"})).await;
    lab.flush().await;
    assert!(receiver.names().is_empty());
    let log = as_app(&lab, Method::GET, "/app/hook/deliveries").await.expect(200);
    assert_eq!(column(&log, "status_code"), ["0"]);
    lab.fault("webhook_lost", 0.0).await;
    as_app(&lab, Method::POST, &format!("/app/hook/deliveries/{}/attempts", log[0]["id"])).await.expect(202);
    lab.flush().await;
    assert_eq!(receiver.names(), ["issues.opened"]);
}

#[tokio::test]
async fn webhooks_of_a_repository_hear_of_it_alone() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    let hooks = format!("{SUPPORT}/hooks");
    let config = json!({"url": receiver.url, "content_type": "json", "secret": "s3cret"});
    let made = lab.post(&hooks, json!({"config": config, "events": ["issue_comment"]})).await.expect(201);
    lab.post(&hooks, json!({"config": {"url": "nowhere"}})).await.expect(422);
    lab.issue(json!({"title": "t"})).await;
    lab.post("/repos/acme/engineering/issues", json!({"title": "t"})).await.expect(201);
    for repository in [SUPPORT, "/repos/acme/engineering"] {
        lab.post(&format!("{repository}/issues/1/comments"), json!({"body": "b"})).await.expect(201);
    }
    lab.flush().await;
    let requests = receiver.received();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].is_signed("s3cret"));
    let one = format!("{hooks}/{}", made["id"]);
    assert_eq!(lab.get(&format!("{one}/deliveries")).await.expect(200)[0]["status_code"], 204);
    lab.patch(&one, json!({"active": false})).await.expect(200);
    lab.post(&format!("{SUPPORT}/issues/1/comments"), json!({"body": "c"})).await.expect(201);
    lab.flush().await;
    assert!(receiver.names().is_empty());
    lab.ask(As::User, Method::DELETE, &one, Value::Null).await.expect(204);
    lab.get(&one).await.expect(404);
}

#[tokio::test]
async fn deliveries_may_be_doubled_reordered_and_forged() {
    let (lab, mut receiver) = stage().await;
    lab.fault("webhook_duplicated", 1.0).await;
    lab.fault("webhook_forged", 1.0).await;
    lab.issue(json!({"title": "t"})).await;
    lab.flush().await;
    let twice = receiver.received();
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].header("x-github-delivery"), twice[1].header("x-github-delivery"));
    assert!(!twice[0].is_signed(&lab.running().credentials.client_secret));
    lab.fault("webhook_duplicated", 0.0).await;
    for fault in ["webhook_reordered", "webhook_delayed"] {
        lab.fault(fault, 0.5).await;
        for _ in 0..20 {
            lab.issue(json!({"title": "t"})).await;
        }
        lab.seconds(120);
        let mut order = Vec::new();
        while order.len() < 20 {
            order.push(receiver.requests.recv().await.unwrap().json()["issue"]["number"].as_u64().unwrap());
        }
        assert!(!order.is_sorted(), "{fault}: {order:?}");
        lab.fault(fault, 0.0).await;
    }
}
