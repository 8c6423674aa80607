//! Budgets, 429s, outages and lost answers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{Answer, As, CONTACTS, Lab, ids};

async fn list(lab: &Lab) -> Answer {
    lab.ask(As::App, Method::GET, CONTACTS, Value::Null).await
}

async fn search(lab: &Lab) -> Answer {
    lab.ask(As::App, Method::POST, &format!("{CONTACTS}/search"), json!({})).await
}

#[tokio::test]
async fn the_app_has_110_requests_in_ten_seconds() {
    let lab = Lab::start().await;
    for left in (0..110).rev() {
        let answer = list(&lab).await;
        assert_eq!(answer.headers["x-hubspot-ratelimit-max"], "110");
        assert_eq!(answer.headers["x-hubspot-ratelimit-remaining"], left.to_string().as_str());
        assert_eq!(answer.headers["x-hubspot-ratelimit-interval-milliseconds"], "10000");
        answer.expect(200);
    }
    let body = list(&lab).await.expect(429);
    assert_eq!(body["errorType"], "RATE_LIMIT");
    assert_eq!(body["policyName"], "TEN_SECONDLY_ROLLING");
    lab.get(CONTACTS).await.expect(200);
    lab.advance_ms(10_001);
    list(&lab).await.expect(200);

    lab.fault("rate_limits", 0.0).await;
    for _ in 0..120 {
        list(&lab).await.expect(200);
    }
}

#[tokio::test]
async fn searches_have_a_budget_of_their_own_and_no_rate_headers() {
    let lab = Lab::start().await;
    for _ in 0..5 {
        let answer = search(&lab).await;
        assert!(answer.headers.get("x-hubspot-ratelimit-max").is_none());
        answer.expect(200);
    }
    assert_eq!(search(&lab).await.expect(429)["policyName"], "SECONDLY");
    list(&lab).await.expect(200);
    lab.advance_ms(1_001);
    search(&lab).await.expect(200);
}

#[tokio::test]
async fn faults_of_requests_strike_the_app_alone() {
    for (fault, statuses, policy) in [
        ("rate_limited", vec![429], "TEN_SECONDLY_ROLLING"),
        ("daily_limited", vec![429], "DAILY"),
        ("unavailable", vec![502, 503, 504], ""),
    ] {
        let lab = Lab::start().await;
        lab.fault(fault, 1.0).await;
        let answer = list(&lab).await;
        assert!(statuses.contains(&answer.status.as_u16()), "{fault} {}", answer.status);
        assert_eq!(answer.body["policyName"].as_str().unwrap_or_default(), policy);
        assert_eq!(answer.body["status"], "error");
        lab.get(CONTACTS).await.expect(200);
        assert_eq!(lab.fired(fault).await, 1);
    }
    let lab = Lab::start().await;
    lab.fault("search_rate_limited", 1.0).await;
    assert_eq!(search(&lab).await.expect(429)["policyName"], "SECONDLY");
    list(&lab).await.expect(200);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done() {
    let lab = Lab::start().await;
    lab.fault("response_lost", 1.0).await;
    let (mut cut, mut timed_out) = (0, 0);
    for number in 0..20 {
        let body = json!({"properties": {"email": format!("{number}@example.com")}});
        match lab.try_ask(As::App, Method::POST, CONTACTS, body).await {
            Err(_) => cut += 1,
            Ok(answer) => {
                answer.expect(504);
                timed_out += 1;
            }
        }
    }
    assert!(cut > 0 && timed_out > 0, "{cut} cut, {timed_out} timed out");
    assert_eq!(ids(&lab.get(&format!("{CONTACTS}?limit=100")).await.body).len(), 20);
    list(&lab).await.expect(200);
}

#[tokio::test]
async fn in_a_storm_every_write_is_done_whole_or_not_at_all() {
    let lab = Lab::start().await;
    lab.ask(As::Nobody, Method::POST, "/admin/profile", json!({"profile": "storm"})).await.expect(200);
    lab.fault("early_token_expiry", 0.0).await;
    let mut answered = Vec::new();
    for number in 0..150 {
        lab.advance_ms(200);
        let body = json!({"properties": {"email": format!("{number}@example.com")}});
        if let Ok(answer) = lab.try_ask(As::App, Method::POST, CONTACTS, body).await
            && answer.status == 201
        {
            answered.push(answer.body["id"].as_str().unwrap().to_owned());
        }
    }
    let rows = lab.get("/admin/state?object=contacts").await.expect(200)["rows"].as_array().unwrap().clone();
    let stored: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let created = lab.log().await.iter().filter(|entry| entry["op"] == "create").count();
    assert_eq!(stored.len(), created);
    assert!(answered.iter().all(|id| stored.contains(id)));
    assert!(answered.len() < stored.len() && stored.len() < 150, "a storm loses answers and refuses requests");
    for fault in ["rate_limited", "unavailable", "response_lost", "index_lag", "stamp_bump"] {
        assert!(lab.fired(fault).await > 0, "{fault}");
    }
}
