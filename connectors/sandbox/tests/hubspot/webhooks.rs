//! Webhooks: what is sent, how it is signed, and how it goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::lab::{CONTACTS, Lab};

/// A request as the receiver saw it.
struct Received {
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn events(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the signature is that of the secret over this URL.
    fn is_signed(&self, secret: &str, url: &str) -> bool {
        let text = |name: &str| self.headers[name].to_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("POST{url}").as_bytes());
        mac.update(&self.body);
        mac.update(text("x-hubspot-request-timestamp").as_bytes());
        let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        expected == text("x-hubspot-signature-v3")
    }

    fn timestamp_ms(&self) -> i64 {
        self.headers["x-hubspot-request-timestamp"].to_str().unwrap().parse().unwrap()
    }
}

/// A receiver that answers with a chosen status.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    requests: mpsc::UnboundedReceiver<Received>,
}

#[derive(Clone)]
struct Inbox(Arc<AtomicU16>, mpsc::UnboundedSender<Received>);

impl Receiver {
    async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(204));
        let (sender, requests) = mpsc::unbounded_channel();
        let router = Router::new().route("/hook", post(receive)).with_state(Inbox(status.clone(), sender));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, status, requests }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// All requests so far.
    fn received(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    /// All events so far.
    fn events(&mut self) -> Vec<Value> {
        self.received().iter().flat_map(Received::events).collect()
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.1.send(Received { headers, body }).unwrap();
    StatusCode::from_u16(inbox.0.load(Ordering::SeqCst)).unwrap()
}

async fn subscribe(lab: &Lab, receiver: &Receiver, subscriptions: Value) {
    let body = json!({"target_url": receiver.url, "subscriptions": subscriptions});
    lab.post("/admin/webhooks", body).await.expect(200);
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["subscriptionType"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_change_is_told_and_signed() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, Value::Null).await;
    let id = lab.contact(json!({"email": "Ann@Example.com"})).await;
    lab.flush().await;
    let requests = receiver.received();
    assert_eq!(requests.len(), 1);
    let secret = &lab.running().credentials.client_secret;
    assert!(requests[0].is_signed(secret, &receiver.url));
    assert!(!requests[0].is_signed("another", &receiver.url));
    let events = requests[0].events();
    assert_eq!(types(&events), ["contact.creation", "contact.propertyChange", "contact.propertyChange"]);
    let email = events.iter().find(|event| event["propertyName"] == "email").unwrap();
    for (name, value) in [
        ("propertyValue", json!("ann@example.com")),
        ("objectId", json!(id.parse::<u64>().unwrap())),
        ("portalId", json!(62_515)),
        ("appId", json!(54_321)),
        ("attemptNumber", json!(0)),
        ("changeSource", json!("CRM_UI")),
        ("sourceId", json!("userId:77")),
    ] {
        assert_eq!(email[name], value, "{name}");
    }
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event["eventId"].as_u64()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn every_kind_of_change_has_its_event() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    let ann = lab.contact(json!({"email": "ann@example.com"})).await;
    let bob = lab.contact(json!({"email": "bob@example.com"})).await;
    subscribe(&lab, &receiver, Value::Null).await;
    let mut told = async |act: Value| {
        assert!(!act.is_number(), "{act}");
        lab.flush().await;
        receiver.events()
    };
    let path = format!("{CONTACTS}/{ann}");
    let events =
        told(lab.patch(&path, json!({"properties": {"city": "Bonn", "email": "ann@example.com"}})).await.expect(200))
            .await;
    assert_eq!(types(&events), ["contact.propertyChange"], "an unchanged property is not told");
    let events = told(lab.delete(&path).await.expect(204)).await;
    assert_eq!(types(&events), ["contact.deletion"]);
    let events = told(lab.post(&format!("/admin/users/5/contacts/{ann}/restore"), Value::Null).await.expect(200)).await;
    assert_eq!(types(&events), ["contact.restore"]);
    assert_eq!(events[0]["sourceId"], "userId:5");
    let merge = json!({"primaryObjectId": ann, "objectIdToMerge": bob});
    let merged = lab.post(&format!("{CONTACTS}/merge"), merge).await.expect(200);
    let events = told(merged.clone()).await;
    assert_eq!(types(&events)[0], "contact.merge");
    assert_eq!(events[0]["primaryObjectId"].to_string(), ann);
    assert_eq!(events[0]["mergedObjectIds"][0].to_string(), bob);
    assert_eq!(events[0]["newObjectId"].to_string(), merged["id"].as_str().unwrap());
    let erase = lab.post(&format!("{CONTACTS}/gdpr-delete"), json!({"objectId": ann})).await.expect(204);
    let events = told(erase).await;
    assert!(types(&events).contains(&"contact.privacyDeletion"));
}

#[tokio::test]
async fn subscriptions_choose() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, json!(["contact.propertyChange:city", "object.creation"])).await;
    lab.contact(json!({"city": "Bonn", "firstname": "Ann"})).await;
    lab.flush().await;
    let events = receiver.events();
    assert_eq!(types(&events), ["object.creation", "contact.propertyChange"]);
    assert_eq!(events[0]["objectTypeId"], "0-1");
    assert_eq!(events[1]["propertyName"], "city");
    let refused = json!({"target_url": receiver.url, "subscriptions": ["contact.nonsense"]});
    lab.post("/admin/webhooks", refused).await.expect(422);
    lab.post("/admin/webhooks", json!({"target_url": "nowhere"})).await.expect(422);
}

#[tokio::test]
async fn the_webhooks_api_changes_target_and_subscriptions() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    let settings = "/webhooks/v3/54321/settings";
    lab.get(settings).await.expect(404);
    let put = json!({"targetUrl": receiver.url});
    lab.ask(crate::lab::As::User, reqwest::Method::PUT, settings, put).await.expect(200);
    assert_eq!(lab.get(settings).await.expect(200)["targetUrl"], receiver.url);
    let subscriptions = "/webhooks/v3/54321/subscriptions";
    let body = json!({"eventType": "contact.propertyChange", "propertyName": "city", "active": false});
    let id = lab.post(subscriptions, body).await.expect(201)["id"].as_str().unwrap().to_owned();
    lab.contact(json!({"city": "Bonn"})).await;
    lab.patch(&format!("{subscriptions}/{id}"), json!({"active": true})).await.expect(200);
    lab.contact(json!({"city": "Bern"})).await;
    lab.flush().await;
    let events = receiver.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["propertyValue"], "Bern");
    lab.delete(&format!("{subscriptions}/{id}")).await.expect(204);
    assert_eq!(lab.get(subscriptions).await.expect(200)["results"], json!([]));
    lab.get("/webhooks/v3/1/subscriptions").await.expect(404);
}

#[tokio::test]
async fn a_request_carries_at_most_a_hundred_events() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, json!(["contact.creation"])).await;
    let inputs: Vec<Value> = (0..100).map(|n| json!({"properties": {"email": format!("{n}@example.com")}})).collect();
    for shift in 0..2 {
        let inputs: Vec<Value> = inputs
            .iter()
            .map(|input| {
                let email = format!("{shift}{}", input["properties"]["email"].as_str().unwrap());
                json!({"properties": {"email": format!("x{email}")}})
            })
            .collect();
        lab.post(&format!("{CONTACTS}/batch/create"), json!({ "inputs": inputs })).await.expect(201);
    }
    lab.contact(json!({})).await;
    lab.flush().await;
    let sizes: Vec<usize> = receiver.received().iter().map(|request| request.events().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 201);
    assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
}

#[tokio::test]
async fn a_refused_event_comes_again_until_it_is_taken() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, json!(["contact.creation"])).await;
    lab.contact(json!({})).await;
    for (status, attempt) in [(500, 0), (404, 1), (204, 2)] {
        receiver.answer(status);
        lab.flush().await;
        let events = receiver.events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["attemptNumber"], attempt);
    }
    lab.flush().await;
    assert!(receiver.events().is_empty(), "a taken event does not come again");
}

#[tokio::test]
async fn attempts_end_after_ten_retries() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, json!(["contact.creation"])).await;
    lab.contact(json!({})).await;
    receiver.answer(500);
    for _ in 0..15 {
        lab.flush().await;
    }
    assert_eq!(receiver.events().len(), 11);
    assert_eq!(lab.flush().await["webhooks"]["given_up"], 1);
}

#[tokio::test]
async fn events_go_out_by_themselves_when_their_time_comes() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, json!(["contact.creation"])).await;
    receiver.answer(503);
    lab.contact(json!({})).await;
    lab.advance_ms(2_000);
    assert_eq!(receiver.requests.recv().await.unwrap().events()[0]["attemptNumber"], 0);
    receiver.answer(204);
    // The first refusal is settled by the sender's own task, so the clock is moved until the retry comes.
    loop {
        lab.advance_ms(60_000);
        tokio::task::yield_now().await;
        if let Ok(request) = receiver.requests.try_recv() {
            assert_eq!(request.events()[0]["attemptNumber"], 1);
            return;
        }
    }
}

#[tokio::test]
async fn events_may_be_lost_or_doubled() {
    for (fault, expected) in [("webhook_lost", 0), ("webhook_duplicated", 2)] {
        let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
        lab.fault(fault, 1.0).await;
        subscribe(&lab, &receiver, json!(["contact.creation"])).await;
        lab.contact(json!({})).await;
        lab.flush().await;
        let events = receiver.events();
        assert_eq!(events.len(), expected, "{fault}");
        assert!(events.windows(2).all(|pair| pair[0]["eventId"] == pair[1]["eventId"]));
    }
}

#[tokio::test]
async fn events_may_overtake_each_other() {
    let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
    subscribe(&lab, &receiver, json!(["contact.creation"])).await;
    let mut order = async |fault: Option<&str>| {
        if let Some(fault) = fault {
            lab.fault(fault, 0.5).await;
        }
        for _ in 0..20 {
            lab.contact(json!({})).await;
        }
        lab.advance_ms(120_000);
        lab.flush().await;
        let mut seen: Vec<u64> = Vec::new();
        while seen.len() < 20 {
            let request = receiver.requests.recv().await.unwrap();
            seen.extend(request.events().iter().map(|event| event["eventId"].as_u64().unwrap()));
        }
        seen
    };
    assert!(!order(Some("webhook_reordered")).await.is_sorted());
    assert!(!order(Some("webhook_delayed")).await.is_sorted());
}

#[tokio::test]
async fn bad_signatures_and_old_timestamps_can_be_sent() {
    for (fault, signed, stale) in [("webhook_wrong_host", false, false), ("webhook_stale", true, true)] {
        let (lab, mut receiver) = (Lab::start().await, Receiver::start().await);
        lab.fault(fault, 1.0).await;
        subscribe(&lab, &receiver, json!(["contact.creation"])).await;
        lab.contact(json!({})).await;
        lab.flush().await;
        let request = receiver.received().remove(0);
        assert_eq!(request.is_signed(&lab.running().credentials.client_secret, &receiver.url), signed, "{fault}");
        let age = lab.clock.peek().millis() - request.timestamp_ms();
        assert_eq!(age > 300_000, stale, "{fault}");
    }
}
