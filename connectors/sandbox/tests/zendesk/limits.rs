//! Budgets, 429s, outages and lost answers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{Answer, As, Lab};

async fn list(lab: &Lab) -> Answer {
    lab.app("users").await
}

#[tokio::test]
async fn the_account_has_700_requests_in_a_minute() {
    let lab = Lab::start().await;
    let first = list(&lab).await;
    for (name, value) in [
        ("x-rate-limit", "700"),
        ("x-rate-limit-remaining", "699"),
        ("ratelimit-limit", "700"),
        ("ratelimit-remaining", "699"),
        ("ratelimit-reset", "60"),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    for _ in 1..700 {
        list(&lab).await.expect(200);
    }
    // The window began a few microseconds after the whole second, and what is left is rounded up.
    lab.seconds(21);
    let refused = list(&lab).await;
    assert_eq!((refused.header("retry-after"), refused.header("x-rate-limit-remaining")), ("40", "0"));
    assert_eq!(refused.expect(429)["error"], "APIRateLimitExceeded");
    lab.get("users").await.expect(200);
    lab.seconds(40);
    list(&lab).await.expect(200);
}

#[tokio::test]
async fn some_calls_have_budgets_of_their_own() {
    let lab = Lab::start().await;
    let (ticket, user) = (lab.ticket(json!({})).await, lab.user(json!({"name": "Ann"})).await);
    let organization = lab.post("organizations", json!({"organization": {"name": "Acme"}})).await.expect(201);
    let organization = organization["organization"]["id"].clone();
    for (method, path, body, budget, window_s) in [
        (Method::GET, "incremental/tickets/cursor.json?start_time=0".to_owned(), Value::Null, 10, 60),
        (Method::GET, "deleted_tickets".to_owned(), Value::Null, 10, 60),
        (Method::PUT, format!("users/{user}"), json!({"user": {"notes": "n"}}), 5, 60),
        (Method::PUT, format!("organizations/{organization}.json"), json!({"organization": {"notes": "n"}}), 5, 60),
        (Method::PUT, format!("tickets/{ticket}"), json!({"ticket": {"subject": "s"}}), 30, 600),
    ] {
        for _ in 0..budget {
            lab.ask(As::App, method.clone(), &path, body.clone()).await.expect(200);
        }
        let refused = lab.ask(As::App, method.clone(), &path, body.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.header("retry-after")),
            (429, window_s.to_string().as_str()),
            "{path}"
        );
        lab.seconds(window_s + 1);
        lab.ask(As::App, method, &path, body).await.expect(200);
    }
    let other = lab.ticket(json!({})).await;
    lab.ask(As::App, Method::PUT, &format!("tickets/{other}"), json!({"ticket": {"subject": "s"}})).await.expect(200);
    let headers = lab.app("tickets").await;
    assert_eq!(headers.header("zendesk-ratelimit-tickets-index"), "total=100; remaining=99; resets=60");
    lab.fault("rate_limits", 0.0).await;
    for _ in 0..20 {
        lab.app("deleted_tickets").await.expect(200);
    }
}

#[tokio::test]
async fn faults_of_requests_strike_the_integration_alone() {
    for (fault, statuses) in [
        ("rate_limited", vec![429]),
        ("endpoint_limited", vec![429]),
        ("unavailable", vec![500, 503]),
        ("html_error", vec![502, 503]),
    ] {
        let lab = Lab::start().await;
        lab.fault(fault, 1.0).await;
        let answer = lab.app("tickets").await;
        assert!(statuses.contains(&answer.status.as_u16()), "{fault} {}", answer.status);
        assert_eq!(answer.text.starts_with("<!DOCTYPE html>"), fault == "html_error");
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            [429, 503].contains(&answer.status.as_u16()) && fault != "html_error"
        );
        lab.get("tickets").await.expect(200);
        assert_eq!(lab.fired(fault).await, 1);
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done() {
    let lab = Lab::start().await;
    lab.fault("response_lost", 1.0).await;
    let (mut cut, mut timed_out) = (0, 0);
    for number in 0..20 {
        let body = json!({"user": {"name": number.to_string()}});
        match lab.send(As::App, Method::POST, "users", &[], body).await {
            Err(_) => cut += 1,
            Ok(answer) => {
                answer.expect(504);
                timed_out += 1;
            }
        }
    }
    assert!(cut > 0 && timed_out > 0, "{cut} cut, {timed_out} timed out");
    assert_eq!(lab.get("users").await.expect(200)["count"], 22);
    list(&lab).await.expect(200);
}

#[tokio::test]
async fn in_a_storm_every_write_is_done_whole_or_not_at_all() {
    let lab = Lab::start().await;
    lab.ask(As::Nobody, Method::POST, "/admin/profile", json!({"profile": "storm"})).await.expect(200);
    lab.fault("early_token_expiry", 0.0).await;
    let mut answered = Vec::new();
    for number in 0..150 {
        lab.seconds(1);
        let body = json!({"ticket": {"subject": number.to_string(), "comment": {"body": "b"}}});
        if let Ok(answer) = lab.send(As::App, Method::POST, "tickets", &[], body).await
            && answer.status == 201
        {
            answered.push(answer.body["ticket"]["id"].to_string());
        }
    }
    let rows = lab.get("/admin/state?object=tickets").await.expect(200)["rows"].as_array().unwrap().clone();
    let stored: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let created = lab.log().await.iter().filter(|entry| entry["op"] == "create").count();
    assert_eq!(stored.len(), created);
    assert!(answered.iter().all(|id| stored.contains(id)));
    assert!(answered.len() < stored.len() && stored.len() < 150, "a storm loses answers and refuses requests");
    for fault in ["rate_limited", "unavailable", "html_error", "response_lost", "index_lag", "system_update"] {
        assert!(lab.fired(fault).await > 0, "{fault}");
    }
}
