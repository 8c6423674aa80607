//! Webhooks under load: from a signed delivery until it is stored durably and answered, while what they ask for is looked at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use serde_json::json;
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::{
    Result,
    floor::Floor,
    report,
    stage::{Sides, Stage},
};

/// Callers at once, each of which sends the next delivery when its last one is answered.
const CALLERS: usize = 32;
/// Deliveries in all, and events in each.
const DELIVERIES: usize = 4_000;
const EVENTS: usize = 10;
/// Objects that the events speak of in turn.
const OBJECTS: usize = 500;
/// The first deliveries warm the server up.
const WARM_UP: usize = 200;
/// Commits that the floor is measured with.
const COMMITS: usize = 500;
/// What a provider waits for at p99 of deliveries under load.
const P99_MS_MAX: f64 = 50.0;
/// Where the provider pushes.
const PATH: &str = "/v1/webhooks/acme-hubspot";

/// How long answers take, against one bare commit.
pub(crate) async fn measure() -> Result<()> {
    let commit = bare_commit().await?;
    report::floor("webhooks", commit);
    let stage = Stage::set(0, Sides::Both)?;
    let pusher = Arc::new(Pusher {
        http: Client::new(),
        url: format!("{}{PATH}", stage.address()?),
        secret: stage.webhook_secret()?,
    });
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(pusher.clone(), next.clone()));
    }
    let mut times = Vec::with_capacity(DELIVERIES);
    while let Some(called) = callers.join_next().await {
        times.extend(called??);
    }
    let per_second = (DELIVERIES + WARM_UP) as f64 / begun.elapsed().as_secs_f64();
    let p99 = report::quantile(&mut times, 0.99);
    report::measure("webhooks/p50", report::quantile(&mut times, 0.5), "ms", None);
    report::measure("webhooks/p99", p99, "ms", Some(P99_MS_MAX));
    report::measure("webhooks/ratio", p99 / (commit.as_secs_f64() * 1e3), "× a bare commit, p99", None);
    report::measure("webhooks/rate", per_second, "deliveries per second", None);
    Ok(())
}

/// The median time of one row, committed by itself.
async fn bare_commit() -> Result<Duration> {
    let mut floor = Floor::new().await?;
    let mut times = Vec::with_capacity(COMMITS);
    for row in 0..COMMITS {
        let started = Instant::now();
        floor.append(row as u64, b"an event").await?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(report::quantile(&mut times, 0.5)))
}

/// Sends deliveries until all are sent; the times of answers in milliseconds, without those of the warm-up.
async fn call(pusher: Arc<Pusher>, next: Arc<AtomicUsize>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= DELIVERIES + WARM_UP {
            return Ok(times);
        }
        let started = Instant::now();
        pusher.push(number).await?;
        if number >= WARM_UP {
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
}

/// The provider's part.
struct Pusher {
    http: Client,
    url: String,
    secret: String,
}

impl Pusher {
    async fn push(&self, number: usize) -> Result<()> {
        let event = |place: usize| {
            let event = number * EVENTS + place;
            json!({
                "eventId": event, "subscriptionId": 1, "portalId": 1, "appId": 54321, "occurredAt": 1_767_225_600_000_u64,
                "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": event % OBJECTS + 1,
                "propertyName": "jobtitle", "propertyValue": "Director",
            })
        };
        let body = json!((0..EVENTS).map(event).collect::<Vec<_>>()).to_string();
        let signed_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        ["POST", &self.url, &body, &signed_at].iter().for_each(|part| mac.update(part.as_bytes()));
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-hubspot-signature-v3", STANDARD.encode(mac.finalize().into_bytes()))
            .header("x-hubspot-request-timestamp", signed_at);
        let status = request.body(body).send().await?.status();
        if status == reqwest::StatusCode::ACCEPTED {
            return Ok(());
        }
        Err(format!("delivery {number} was answered with {status}").into())
    }
}
