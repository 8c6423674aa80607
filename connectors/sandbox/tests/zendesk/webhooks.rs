//! Webhooks: what is sent, how it is signed, and how it goes wrong.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{AGENT, As, Lab, column};
use crate::receiver::Receiver;

async fn subscribe(lab: &Lab, receiver: &Receiver, subscriptions: Value) {
    let body = json!({"target_url": receiver.url, "subscriptions": subscriptions});
    lab.post("/admin/webhooks", body).await.expect(200);
}

async fn stage(subscriptions: Value) -> (Lab, Receiver) {
    let (lab, receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, subscriptions).await;
    (lab, receiver)
}

/// Event types without their common beginning.
fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("zen:event-type:")).collect()
}

#[tokio::test]
async fn each_change_is_told_and_signed() {
    let (lab, mut receiver) = stage(Value::Null).await;
    let id = lab.ticket(json!({"subject": "Printer", "priority": "high"})).await;
    lab.flush().await;
    let requests = receiver.received();
    let events: Vec<Value> = requests.iter().map(crate::receiver::Received::json).collect();
    assert_eq!(types(&events), ["ticket.created", "ticket.comment_added"]);
    assert!(requests[0].is_signed(&lab.running().credentials.client_secret));
    assert!(!requests[0].is_signed("another"));
    assert_eq!(requests[0].header("x-zendesk-account-id"), "22129848");
    let event = &events[0];
    for (path, value) in [
        ("/account_id", json!(22_129_848)),
        ("/subject", json!(format!("zen:ticket:{id}"))),
        ("/time", json!("2026-05-05T16:53:20Z")),
        ("/zendesk_event_version", json!("2022-11-06")),
        ("/detail/id", json!(id.to_string())),
        ("/detail/actor_id", json!(AGENT.to_string())),
        ("/detail/status", json!("NEW")),
        ("/detail/priority", json!("HIGH")),
        ("/detail/via/channel", json!("web_service")),
        ("/event/meta/sequence/position", json!(1)),
    ] {
        assert_eq!(event.pointer(path), Some(&value), "{path}");
    }
    assert_eq!(event["event"]["meta"]["sequence"]["id"], events[1]["event"]["meta"]["sequence"]["id"]);
    assert_ne!(events[0]["id"], events[1]["id"]);
}

#[tokio::test]
async fn every_kind_of_change_has_its_event() {
    let (lab, mut receiver) = stage(Value::Null).await;
    let (ticket, user) = (lab.ticket(json!({})).await, lab.user(json!({"name": "Ann"})).await);
    lab.flush().await;
    receiver.received();
    let gold = json!([{"id": 360_000_000_180_u64, "value": "tier_gold"}]);
    let path = format!("tickets/{ticket}");
    for (method, path, body, expected) in [
        (
            Method::PUT,
            path.clone(),
            json!({"ticket": {"status": "open", "subject": "s"}}),
            vec!["ticket.status_changed"],
        ),
        (
            Method::PUT,
            path.clone(),
            json!({"ticket": {"custom_fields": gold}}),
            vec!["ticket.custom_field_changed", "ticket.tags_changed"],
        ),
        (Method::PUT, path.clone(), json!({"ticket": {"assignee_id": AGENT}}), vec!["ticket.agent_assignment_changed"]),
        (Method::PUT, path.clone(), json!({"ticket": {"subject": "s"}}), vec![]),
        (Method::DELETE, path.clone(), Value::Null, vec!["ticket.soft_deleted"]),
        (Method::PUT, format!("deleted_{path}/restore"), Value::Null, vec!["ticket.undeleted"]),
        (
            Method::PUT,
            format!("users/{user}"),
            json!({"user": {"name": "Ann Lee", "notes": "n", "phone": "1"}}),
            vec!["user.name_changed", "user.notes_changed"],
        ),
        (Method::DELETE, format!("users/{user}"), Value::Null, vec!["user.deleted"]),
        (Method::POST, "organizations".into(), json!({"organization": {"name": "Acme"}}), vec!["organization.created"]),
    ] {
        let answer = lab.ask(As::Agent, method, &path, body.clone()).await;
        assert!(answer.status.is_success(), "{path} {}", answer.text);
        lab.flush().await;
        assert_eq!(types(&receiver.events()), expected, "{path} {body}");
    }
}

#[tokio::test]
async fn webhooks_are_managed_and_choose() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    let body = |subscriptions: Value| {
        json!({"webhook": {"name": "w", "endpoint": receiver.url, "http_method": "POST", "request_format": "json",
                           "status": "active", "subscriptions": subscriptions}})
    };
    for subscriptions in [
        json!(["zen:event-type:ticket.nonsense"]),
        json!(["conditional_ticket_events", "zen:event-type:ticket.created"]),
    ] {
        lab.post("webhooks", body(subscriptions)).await.expect(422);
    }
    let made = lab.post("webhooks", body(json!(["zen:event-type:ticket.created"]))).await.expect(201);
    let id = made["webhook"]["id"].as_str().unwrap().to_owned();
    let secret = lab.get(&format!("webhooks/{id}/signing_secret")).await.expect(200);
    let secret = secret["signing_secret"]["secret"].as_str().unwrap().to_owned();
    lab.ticket(json!({})).await;
    lab.flush().await;
    let requests = receiver.received();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].is_signed(&secret));
    assert_eq!(requests[0].header("x-zendesk-webhook-id"), id);
    let invocations = lab.get(&format!("webhooks/{id}/invocations")).await.expect(200);
    assert_eq!(column(&invocations["invocations"], "status"), ["success"]);
    let off = json!({"webhook": {"status": "inactive"}});
    lab.ask(As::Agent, Method::PATCH, &format!("webhooks/{id}"), off).await.expect(204);
    lab.ticket(json!({})).await;
    lab.flush().await;
    assert!(receiver.events().is_empty());
    assert_eq!(lab.get("webhooks").await.expect(200)["webhooks"].as_array().unwrap().len(), 1);
    lab.delete(&format!("webhooks/{id}")).await.expect(204);
    lab.get(&format!("webhooks/{id}")).await.expect(404);
}

#[tokio::test]
async fn a_test_is_signed_with_the_published_secret() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    let body = json!({"request": {"endpoint": receiver.url}});
    assert_eq!(lab.post("webhooks/test", body).await.expect(200)["response"]["status"], 204);
    assert!(receiver.received()[0].is_signed("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="));
}

#[tokio::test]
async fn a_trigger_sends_what_its_administrator_wrote() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    let hook = json!({"webhook": {"name": "t", "endpoint": receiver.url, "http_method": "POST", "request_format": "json",
                                  "subscriptions": ["conditional_ticket_events"]}});
    let hook = lab.post("webhooks", hook).await.expect(201)["webhook"]["id"].clone();
    let trigger = json!({"trigger": {
        "title": "Tell them",
        "conditions": {"all": [{"field": "update_type", "value": "Change"}, {"field": "status", "operator": "is_not", "value": "solved"}]},
        "actions": [{"field": "notification_webhook", "value": [hook, "{\"id\": {{ticket.id}}, \"status\": \"{{ticket.status}}\"}"]}],
    }});
    let made = lab.post("triggers", trigger).await.expect(201);
    let id = lab.ticket(json!({})).await;
    lab.change(id, json!({"priority": "low"})).await;
    lab.change(id, json!({"status": "solved"})).await;
    lab.flush().await;
    assert_eq!(receiver.events(), [json!({"id": id, "status": "New"})]);
    lab.delete(&format!("triggers/{}", made["trigger"]["id"])).await.expect(204);
    lab.post("triggers", json!({"trigger": {"title": "x", "actions": []}})).await.expect(422);
}

#[tokio::test]
async fn only_some_refusals_are_tried_again() {
    for (status, attempts) in [(204, 1), (409, 4), (503, 4), (429, 1), (500, 1), (404, 1)] {
        let (lab, mut receiver) = stage(json!(["zen:event-type:ticket.created"])).await;
        receiver.answer(status);
        lab.ticket(json!({})).await;
        for _ in 0..6 {
            lab.flush().await;
        }
        let requests = receiver.received();
        assert_eq!(requests.len(), attempts, "{status}");
        let invocation = requests[0].header("x-zendesk-webhook-invocation-id");
        assert!(requests.iter().all(|request| request.header("x-zendesk-webhook-invocation-id") == invocation));
    }
}

#[tokio::test]
async fn an_open_circuit_loses_what_comes_meanwhile() {
    let (lab, mut receiver) = stage(json!(["zen:event-type:ticket.created"])).await;
    receiver.answer(500);
    for _ in 0..10 {
        lab.ticket(json!({})).await;
    }
    lab.flush().await;
    assert_eq!(receiver.received().len(), 10);
    receiver.answer(204);
    lab.ticket(json!({})).await;
    assert_eq!(lab.flush().await["webhooks"]["circuit_open"], 1);
    lab.seconds(6);
    lab.ticket(json!({})).await;
    lab.flush().await;
    assert_eq!(receiver.events().len(), 1, "what came while it was open is lost");
}

#[tokio::test]
async fn requests_go_out_by_themselves_when_their_time_comes() {
    let (lab, mut receiver) = stage(json!(["zen:event-type:ticket.created"])).await;
    receiver.answer(503);
    lab.ticket(json!({})).await;
    lab.seconds(1);
    let first = receiver.requests.recv().await.unwrap();
    receiver.answer(204);
    // The refusal is settled by the sender's own task, so the clock is moved until the retry comes.
    loop {
        lab.seconds(30);
        tokio::task::yield_now().await;
        if let Ok(second) = receiver.requests.try_recv() {
            assert_eq!(second.json()["id"], first.json()["id"]);
            return;
        }
    }
}

#[tokio::test]
async fn requests_may_be_lost_or_doubled() {
    for (fault, expected) in [("webhook_lost", 0), ("webhook_duplicated", 2)] {
        let (lab, mut receiver) = stage(json!(["zen:event-type:ticket.created"])).await;
        lab.fault(fault, 1.0).await;
        lab.ticket(json!({})).await;
        lab.flush().await;
        let events = receiver.events();
        assert_eq!(events.len(), expected, "{fault}");
        assert!(events.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[tokio::test]
async fn requests_may_overtake_each_other() {
    for fault in ["webhook_reordered", "webhook_delayed"] {
        let (lab, mut receiver) = stage(json!(["zen:event-type:ticket.created"])).await;
        lab.fault(fault, 0.5).await;
        for _ in 0..20 {
            lab.ticket(json!({})).await;
        }
        lab.seconds(120);
        let mut order: Vec<u64> = Vec::new();
        while order.len() < 20 {
            let event = receiver.requests.recv().await.unwrap().json();
            order.push(event["detail"]["id"].as_str().unwrap().parse().unwrap());
        }
        assert!(!order.is_sorted(), "{fault}: {order:?}");
    }
}

#[tokio::test]
async fn forged_and_old_requests_can_be_sent() {
    for (fault, signed, stamp) in
        [("webhook_forged", false, "2026-05-05T16:53:20Z"), ("webhook_stale", true, "2026-05-05T16:47:20Z")]
    {
        let (lab, mut receiver) = stage(json!(["zen:event-type:ticket.created"])).await;
        lab.fault(fault, 1.0).await;
        lab.ticket(json!({})).await;
        lab.flush().await;
        let request = receiver.received().remove(0);
        assert_eq!(request.is_signed(&lab.running().credentials.client_secret), signed, "{fault}");
        assert_eq!(request.header("x-zendesk-webhook-signature-timestamp"), stamp, "{fault}");
    }
}
