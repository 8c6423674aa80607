//! The task that sends webhook requests, signed, one event each.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::caller::ACCOUNT_ID;
use super::hook::Hook;
use super::outbox::{Outbox, Outcome, Waiting};
use super::time::iso;
use super::{signature, switches};
use crate::faults::Faults;

/// Requests to receivers at a time.
const CONCURRENT_REQUESTS_MAX: usize = 10;
/// How long a receiver may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How old the timestamp of a stale request is.
const STALE: Duration = Duration::from_secs(360);

/// Sends requests until it is told to stop.
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
            (place, outbox.take_due(outbox.clock.peek()))
        };
        let (place, taken) = tokio::select! {
            step = step => step,
            () = stop.cancelled() => return,
        };
        if let Some((waiting, hook)) = taken {
            let sender = sender.clone();
            tokio::spawn(async move {
                sender.send(waiting, &hook).await;
                drop(place);
            });
        }
    }
}

/// Sends everything that waits now, whatever its time, and returns when each request was tried once.
pub(crate) async fn flush(outbox: &Arc<Outbox>, faults: &Arc<Faults>) -> usize {
    let Ok(sender) = Sender::new(outbox.clone(), faults.clone()) else { return 0 };
    let now = outbox.clock.now();
    outbox.hurry(now);
    let mut tried = 0;
    while let Some((waiting, hook)) = outbox.take_due(now) {
        tried += 1;
        sender.send(waiting, &hook).await;
    }
    outbox.settled().await;
    tried
}

/// Sends one request that no event caused, signed with the secret of tests, and says how it ended.
pub(crate) async fn test(outbox: &Arc<Outbox>, faults: &Arc<Faults>, hook: &Hook) -> Outcome {
    let Ok(sender) = Sender::new(outbox.clone(), faults.clone()) else {
        return Outcome { status: None, retry_after: None };
    };
    let body = r#"{"type":"zen:event-type:test"}"#;
    sender.post(hook, &outbox.fresh_id(), body, signature::TEST_SECRET).await
}

async fn wait_for_due(outbox: &Outbox) {
    loop {
        let changed = outbox.changed.notified();
        match outbox.next_due() {
            Some(due) => {
                tokio::select! {
                    () = outbox.clock.wait_until(due) => return,
                    () = changed => {}
                }
            }
            None => changed.await,
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

    async fn send(&self, waiting: Waiting, hook: &Hook) {
        let forged = self.faults.roll(switches::WEBHOOK_FORGED);
        let secret = if forged { "somebody else's secret" } else { &hook.secret };
        let outcome = self.post(hook, &waiting.invocation, &waiting.body, secret).await;
        self.outbox.settle(waiting, outcome);
    }

    async fn post(&self, hook: &Hook, invocation: &str, body: &str, secret: &str) -> Outcome {
        let now = self.outbox.clock.peek();
        let stale = self.faults.roll(switches::WEBHOOK_STALE);
        let timestamp = iso(if stale { now.minus(STALE) } else { now });
        // Requests without a body are signed over the timestamp alone.
        let body = if matches!(hook.method.as_str(), "GET" | "DELETE") { "" } else { body };
        let method = hook.method.parse().unwrap_or(reqwest::Method::POST);
        let request = self
            .client
            .request(method, &hook.endpoint)
            .header("Content-Type", hook.content_type())
            .header("User-Agent", "Zendesk Webhook")
            .header("X-Zendesk-Account-Id", ACCOUNT_ID.to_string())
            .header("X-Zendesk-Webhook-Id", &hook.id)
            .header("X-Zendesk-Webhook-Invocation-Id", invocation)
            .header("X-Zendesk-Webhook-Signature", signature::sign(secret, &timestamp, body.as_bytes()))
            .header("X-Zendesk-Webhook-Signature-Timestamp", timestamp)
            .body(body.to_owned());
        match request.send().await {
            Ok(response) => {
                let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                Outcome { status: Some(response.status().as_u16()), retry_after: wait.map(Duration::from_secs) }
            }
            Err(error) => {
                tracing::debug!(%error, "a webhook did not reach its receiver");
                Outcome { status: None, retry_after: None }
            }
        }
    }
}
