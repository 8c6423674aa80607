//! Limits, outages and lost answers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, Lab, SUPPORT};

async fn open(lab: &Lab) -> crate::lab::Answer {
    lab.ask(As::App, Method::POST, &format!("{SUPPORT}/issues"), json!({"title": "t"})).await
}

#[tokio::test]
async fn an_hour_has_5_000_requests() {
    let lab = Lab::start().await;
    let first = lab.app(SUPPORT).await;
    for (name, value) in [
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4999"),
        ("x-ratelimit-used", "1"),
        ("x-ratelimit-resource", "core"),
        ("x-ratelimit-reset", "1778003601"),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    let free = lab.app("/rate_limit").await.expect(200);
    assert_eq!(free["resources"]["core"]["used"], 1, "asking for it costs nothing");
    lab.fault("rate_limited", 1.0).await;
    let refused = lab.app(SUPPORT).await;
    assert!([403, 429].contains(&refused.status.as_u16()));
    assert_eq!((refused.header("x-ratelimit-remaining"), refused.header("retry-after")), ("0", ""));
    assert!(refused.body["message"].as_str().unwrap().starts_with("API rate limit exceeded"));
    lab.fault("rate_limited", 0.0).await;
    assert_eq!(lab.app(SUPPORT).await.header("x-ratelimit-remaining"), "0");
    lab.get(SUPPORT).await.expect(200);
    lab.seconds(61);
    lab.app(SUPPORT).await.expect(200);
}

#[tokio::test]
async fn writes_lie_a_second_apart() {
    let lab = Lab::start().await;
    open(&lab).await.expect(201);
    let refused = open(&lab).await;
    assert!([403, 429].contains(&refused.status.as_u16()), "{}", refused.text);
    assert_eq!(refused.header("retry-after"), "60");
    assert!(refused.body["message"].as_str().unwrap().contains("secondary rate limit"));
    lab.app(SUPPORT).await.expect(200);
    lab.seconds(1);
    open(&lab).await.expect(201);
    lab.fault("write_interval", 0.0).await;
    open(&lab).await.expect(201);
}

#[tokio::test]
async fn creations_and_points_are_limited_by_the_minute() {
    let lab = Lab::start().await;
    lab.fault("write_interval", 0.0).await;
    for _ in 0..80 {
        open(&lab).await.expect(201);
    }
    assert!([403, 429].contains(&open(&lab).await.status.as_u16()));
    // Eighty creations have cost four hundred points.
    for _ in 0..500 {
        lab.app(SUPPORT).await.expect(200);
    }
    assert!([403, 429].contains(&lab.app(SUPPORT).await.status.as_u16()));
    lab.seconds(61);
    open(&lab).await.expect(201);
}

#[tokio::test]
async fn a_secondary_limit_may_strike_and_may_not_say_how_long() {
    let lab = Lab::start().await;
    lab.fault("secondary_limited", 1.0).await;
    assert_eq!(lab.app(SUPPORT).await.header("retry-after"), "60");
    lab.fault("secondary_limited", 0.0).await;
    lab.fault("no_retry_after", 1.0).await;
    let still = lab.app(SUPPORT).await;
    assert!([403, 429].contains(&still.status.as_u16()) && still.header("retry-after").is_empty());
    lab.get(SUPPORT).await.expect(200);
    lab.seconds(61);
    lab.app(SUPPORT).await.expect(200);
}

#[tokio::test]
async fn an_outage_is_a_page_or_json() {
    let lab = Lab::start().await;
    lab.fault("unavailable", 1.0).await;
    let mut pages = 0;
    for _ in 0..20 {
        let answer = lab.app(SUPPORT).await;
        assert!([502, 503].contains(&answer.status.as_u16()));
        pages += u32::from(answer.text.starts_with("<!DOCTYPE html>"));
    }
    assert!(pages > 0 && pages < 20);
    lab.get(SUPPORT).await.expect(200);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done() {
    let lab = Lab::start().await;
    lab.fault("response_lost", 1.0).await;
    let (mut cut, mut timed_out) = (0, 0);
    for number in 0..20 {
        lab.seconds(1);
        let body = json!({"title": number.to_string()});
        match lab.send(As::App, Method::POST, &format!("{SUPPORT}/issues"), &[], body).await {
            Err(_) => cut += 1,
            Ok(answer) => {
                answer.expect(502);
                timed_out += 1;
            }
        }
    }
    assert!(cut > 0 && timed_out > 0, "{cut} cut, {timed_out} timed out");
    assert_eq!(lab.get(&format!("{SUPPORT}/issues")).await.body.as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn in_a_storm_every_write_is_done_whole_or_not_at_all() {
    let lab = Lab::start().await;
    lab.ask(As::Nobody, Method::POST, "/admin/profile", json!({"profile": "storm"})).await.expect(200);
    lab.fault("early_token_expiry", 0.0).await;
    let mut answered = Vec::new();
    for number in 0..150 {
        lab.seconds(20);
        let body = json!({"title": number.to_string()});
        if let Ok(answer) = lab.send(As::Machine, Method::POST, &format!("{SUPPORT}/issues"), &[], body).await
            && answer.status == 201
        {
            answered.push(answer.body["id"].to_string());
        }
    }
    let rows = lab.get("/admin/state?object=issues").await.expect(200)["rows"].as_array().unwrap().clone();
    let stored: Vec<String> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stored.len(), lab.log().await.iter().filter(|entry: &&Value| entry["op"] == "create").count());
    assert!(answered.iter().all(|id| stored.contains(id)));
    assert!(answered.len() < stored.len() && stored.len() < 150, "a storm loses answers and refuses requests");
    for fault in ["secondary_limited", "rate_limited", "unavailable", "response_lost"] {
        assert!(lab.fired(fault).await > 0, "{fault}");
    }
}
