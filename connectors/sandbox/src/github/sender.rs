//! The task that sends deliveries, signed, each once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::caller::APP_ID;
use super::outbox::{Delivery, Hook, Outbox};
use super::{signature, switches};
use crate::faults::Faults;

/// Deliveries at a time.
const CONCURRENT_MAX: usize = 10;
/// How long a receiver may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends deliveries until it is told to stop.
pub(crate) async fn run(outbox: Arc<Outbox>, faults: Arc<Faults>, stop: CancellationToken) {
    let Ok(sender) = Sender::new(outbox.clone(), faults) else {
        tracing::error!("the webhook sender has no HTTP client; no webhook will be sent");
        return;
    };
    let places = Arc::new(Semaphore::new(CONCURRENT_MAX));
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
        if let Some((delivery, hook)) = taken {
            let sender = sender.clone();
            tokio::spawn(async move {
                sender.send(&delivery, &hook).await;
                drop(place);
            });
        }
    }
}

/// Sends everything that waits now, whatever its time, and returns when each delivery has ended.
pub(crate) async fn flush(outbox: &Arc<Outbox>, faults: &Arc<Faults>) -> usize {
    let Ok(sender) = Sender::new(outbox.clone(), faults.clone()) else { return 0 };
    let taken = outbox.take_all();
    for (delivery, hook) in &taken {
        sender.send(delivery, hook).await;
    }
    outbox.settled().await;
    taken.len()
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

    async fn send(&self, delivery: &Delivery, hook: &Hook) {
        let forged = self.faults.roll(switches::WEBHOOK_FORGED);
        let secret = if forged { "somebody else's secret" } else { &hook.secret };
        let (target, id) = match hook.repository {
            Some(repository) => ("repository", repository),
            None => ("integration", APP_ID),
        };
        let request = self
            .client
            .post(&hook.url)
            .header("Content-Type", "application/json")
            .header("User-Agent", "GitHub-Hookshot/sandbox")
            .header("X-GitHub-Event", delivery.event)
            .header("X-GitHub-Delivery", &delivery.guid)
            .header("X-GitHub-Hook-ID", hook.id.to_string())
            .header("X-GitHub-Hook-Installation-Target-Type", target)
            .header("X-GitHub-Hook-Installation-Target-ID", id.to_string())
            .header("X-Hub-Signature-256", signature::sign(secret, delivery.body.as_bytes()))
            .body(delivery.body.to_string());
        let status = match request.send().await {
            Ok(response) => Some(response.status().as_u16()),
            Err(error) => {
                tracing::debug!(%error, "a webhook did not reach its receiver");
                None
            }
        };
        self.outbox.settle(delivery.id, status);
    }
}
