//! Webhooks and history: what only some providers have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{OriginalUri, State},
    http::{HeaderMap, Method},
    routing::post,
};
use serde_json::json;
use syncline_connectors::connector::{WebhookDelivery, WebhookRefused};
use syncline_core::{ids::ExternalId, time::Millis};
use tokio::net::TcpListener;

use crate::subject::Subject;

/// A delivery as it came in.
#[derive(Clone)]
pub(crate) struct Received {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Received {
    /// The delivery with another body, or its own.
    pub(crate) fn given<'a>(&'a self, url: &'a str, body: &'a [u8], now: Millis) -> WebhookDelivery<'a> {
        WebhookDelivery { method: &self.method, url, headers: &self.headers, body, now }
    }
}

pub(crate) type Inbox = Arc<Mutex<Vec<Received>>>;

pub(crate) async fn listen() -> (String, Inbox) {
    let inbox = Inbox::default();
    let router = Router::new().route("/hook", post(receive)).with_state(inbox.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), inbox)
}

async fn receive(
    State(inbox): State<Inbox>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let received = Received { method: method.to_string(), path: uri.to_string(), headers: headers.collect(), body };
    inbox.lock().expect("no test panics while it receives").push(received);
}

#[tokio::test]
async fn signed_events_become_hints_and_forged_ones_are_refused() {
    signed(Subject::hubspot().await).await;
}

#[tokio::test]
async fn signed_events_are_understood_by_manifest() {
    signed(Subject::hubspot_by_manifest().await).await;
}

async fn signed(subject: Subject) {
    let (host, inbox) = listen().await;
    let url = format!("{host}/hook?tenant=a%40b%3Ac%20d");
    subject.users.push_to(&url).await;
    let ann = subject.users.create(subject.person("Ann")).await;
    subject.users.edit(&ann, json!({ "jobtitle": "Director" })).await;
    let ben = subject.users.create(subject.person("Ben")).await;
    subject.users.delete(&ben).await;
    subject.users.flush().await;
    let received = inbox.lock().expect("no test panics while it receives").clone();
    assert!(!received.is_empty(), "events were pushed");

    let secret = subject.integration.client_secret.clone().expect("the app's secret");
    let receiver = subject.connector.webhooks().expect("HubSpot pushes");
    let now = subject.now();
    let mut hinted = BTreeSet::new();
    let mut dedupes = BTreeSet::new();
    for delivery in &received {
        let given = |url: &str, body: &[u8], now: Millis| {
            let Received { method, headers, .. } = delivery;
            let given = WebhookDelivery { method, url, headers, body, now };
            receiver.receive(&given, &["retired", &secret]).map(|verified| (verified.hints, verified.secret))
        };
        let url = format!("{host}{}", delivery.path);
        let (hints, verified_by) = given(&url, &delivery.body, now).expect("a genuine delivery");
        assert_eq!(verified_by, 1, "the secret that signed it");
        for hint in hints {
            assert_eq!(hint.object.as_str(), "contacts");
            assert!(hint.account.is_some());
            assert!(dedupes.insert(hint.dedupe), "each event is its own");
            hinted.insert(hint.id);
        }
        let mut forged = delivery.body.to_vec();
        forged.push(b' ');
        assert_eq!(given(&url, &forged, now), Err(WebhookRefused::Signature));
        assert_eq!(given("https://elsewhere.example/hook", &delivery.body, now), Err(WebhookRefused::Signature));
        assert_eq!(given(&url, &delivery.body, now.plus(600_000)), Err(WebhookRefused::Stale));
    }
    assert_eq!(hinted, [ann, ben].map(ExternalId::from).into());
}

#[tokio::test]
async fn history_tells_our_writes_from_others() {
    let mut subject = Subject::hubspot().await;
    let id = subject.users.create(subject.person("Ann")).await;
    subject.step();
    subject.users.edit(&id, json!({ "jobtitle": "By a user" })).await;
    subject.step();
    subject.write_one(subject.update(&id, None), json!({ "jobtitle": "By us" })).await;
    let ids = [ExternalId::from(id.as_str())];
    let read = async |subject: &Subject| {
        let reader = subject.connector.reader();
        assert!(reader.keeps_history());
        let objects = reader.by_id(&subject.credentials, &subject.object(), &ids, &subject.fields(), true).await;
        objects.expect("the object").remove(0).history.remove("jobtitle").expect("its history")
    };
    let history = read(&subject).await;
    let values: Vec<&str> = history.iter().filter_map(|past| past.value.as_str()).collect();
    assert_eq!(values, ["By us", "By a user", "Engineer"]);
    assert!(history.windows(2).all(|pair| pair[0].at > pair[1].at), "newest first");
    assert!(history.iter().all(|past| !past.by_us), "without an app id nothing is ours");

    subject = subject.knowing_its_app("54321");
    let history = read(&subject).await;
    assert_eq!(history.iter().map(|past| past.by_us).collect::<Vec<_>>(), [true, false, false]);
}
