//! The task that posts webhook events to the receiver, signed and in batches.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::outbox::{Outbox, Target, Waiting};
use super::{signature, switches};
use crate::clock::Micros;
use crate::faults::Faults;

/// Requests to the receiver at a time, the platform's default.
const CONCURRENT_REQUESTS_MAX: usize = 10;

/// How long the receiver may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How old the timestamp of a stale request is; receivers refuse what is older than five minutes.
const STALE: Duration = Duration::from_secs(360);

/// Sends events until it is told to stop.
pub(crate) async fn run(outbox: Arc<Outbox>, faults: Arc<Faults>, stop: CancellationToken) {
    let Ok(sender) = Sender::new(outbox.clone(), faults) else {
        tracing::error!("the webhook sender has no HTTP client; no webhook will be sent");
        return;
    };
    let places = Arc::new(Semaphore::new(CONCURRENT_REQUESTS_MAX));
    loop {
        let step = async {
            wait_for_due(&outbox).await;
            let place = places.clone().acquire_owned().await;
            let batch = outbox.take_due(outbox.clock.peek());
            (place, batch)
        };
        let (place, batch) = tokio::select! {
            step = step => step,
            () = stop.cancelled() => return,
        };
        if !batch.is_empty() {
            let sender = sender.clone();
            tokio::spawn(async move {
                sender.send(batch).await;
                drop(place);
            });
        }
    }
}

/// Sends everything that waits now, whatever its time, and returns when each event was tried once.
pub(crate) async fn flush(outbox: &Arc<Outbox>, faults: &Arc<Faults>) -> usize {
    let Ok(sender) = Sender::new(outbox.clone(), faults.clone()) else { return 0 };
    let now = outbox.clock.now();
    outbox.hurry(now);
    let mut tried = 0;
    loop {
        let batch = outbox.take_due(now);
        if batch.is_empty() {
            outbox.settled().await;
            return tried;
        }
        tried += batch.len();
        sender.send(batch).await;
    }
}

async fn wait_for_due(outbox: &Outbox) {
    loop {
        let changed = outbox.changed.notified();
        match (outbox.target(), outbox.next_due()) {
            (Some(_), Some(due)) => {
                tokio::select! {
                    () = outbox.clock.wait_until(due) => return,
                    () = changed => {}
                }
            }
            _ => changed.await,
        }
    }
}

/// What a delivery needs.
#[derive(Debug, Clone)]
struct Sender {
    outbox: Arc<Outbox>,
    faults: Arc<Faults>,
    client: reqwest::Client,
}

impl Sender {
    fn new(outbox: Arc<Outbox>, faults: Arc<Faults>) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { outbox, faults, client })
    }

    /// Posts one batch and notes how it ended. Each attempt goes out on its own, because the
    /// attempt number of the events differs.
    async fn send(&self, batch: Vec<Waiting>) {
        let delivered = match self.outbox.target() {
            Some(target) => self.post(&target, &batch).await,
            None => false,
        };
        self.outbox.settle(batch, delivered);
    }

    async fn post(&self, target: &Target, batch: &[Waiting]) -> bool {
        let events: Vec<Value> = batch.iter().map(Waiting::to_json).collect();
        let body = Value::from(events).to_string();
        let timestamp_ms = self.timestamp().millis();
        let uri = self.signed_uri(target);
        let request = self
            .client
            .post(&target.url)
            .header("Content-Type", "application/json")
            .header("User-Agent", "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)")
            .header("X-HubSpot-Signature", signature::v1(&target.secret, body.as_bytes()))
            .header("X-HubSpot-Signature-Version", "v1")
            .header(
                "X-HubSpot-Signature-v3",
                signature::v3(&target.secret, "POST", &uri, body.as_bytes(), timestamp_ms),
            )
            .header("X-HubSpot-Request-Timestamp", timestamp_ms.to_string())
            .body(body);
        match request.send().await {
            Ok(response) => response.status().is_success(),
            Err(error) => {
                tracing::debug!(%error, "a webhook did not reach its receiver");
                false
            }
        }
    }

    fn timestamp(&self) -> Micros {
        let now = self.outbox.clock.peek();
        if self.faults.roll(switches::WEBHOOK_STALE) { now.minus(STALE) } else { now }
    }

    /// The URL that is signed: the target's, or that of a proxy which rewrote the host.
    fn signed_uri(&self, target: &Target) -> String {
        if !self.faults.roll(switches::WEBHOOK_WRONG_HOST) {
            return target.url.clone();
        }
        let Ok(mut url) = url::Url::parse(&target.url) else { return target.url.clone() };
        match url.set_host(Some("internal.example")) {
            Ok(()) => url.into(),
            Err(_) => target.url.clone(),
        }
    }
}
