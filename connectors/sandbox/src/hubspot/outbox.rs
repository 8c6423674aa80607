//! Webhook events on their way to the receiver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::caller::{APP_ID, Caller, PORTAL_ID};
use super::events::{EventKind, Happening};
use super::schema::ObjectKind;
use super::subscriptions::{Subscription, Subscriptions};
use super::switches;
use crate::clock::{Micros, SandboxClock};
use crate::faults::Faults;
use crate::sandbox::Parts;

/// The most events of one request.
pub(crate) const BATCH_EVENTS_MAX: usize = 100;

/// Attempts after the first one.
const RETRIES_MAX: u32 = 10;

/// How long the platform gathers events before it sends them.
const GATHERING_MAX: Duration = Duration::from_millis(1_500);

/// How much later a delayed event may come.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// The wait before the first retry; it doubles from there, to about a day in all.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// The most events that wait; beyond it the oldest are dropped and counted, as if lost.
const WAITING_MAX: usize = 1_000_000;

/// One event that waits to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Not before.
    pub(crate) due: Micros,
    /// How often it was tried.
    pub(crate) attempt: u32,
    /// The event without its attempt number.
    body: Value,
}

impl Waiting {
    /// The event as it is sent now.
    pub(crate) fn to_json(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("attemptNumber".into(), self.attempt.into());
        }
        body
    }
}

/// Where events go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The receiver's full URL.
    pub(crate) url: String,
    /// The key of the signatures.
    pub(crate) secret: String,
}

/// Counts of what became of events.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    delivered: u64,
    retried: u64,
    given_up: u64,
    overflowed: u64,
}

#[derive(Debug, Default)]
struct Inner {
    target: Option<Target>,
    subscriptions: Subscriptions,
    /// By time of sending, and by order of arrival within one time.
    waiting: BTreeMap<(Micros, u64), Waiting>,
    arrivals: u64,
    in_flight: usize,
    next_event_id: u64,
    sent: Sent,
}

/// The events on their way.
#[derive(Debug)]
pub(crate) struct Outbox {
    faults: Arc<Faults>,
    pub(crate) clock: Arc<SandboxClock>,
    inner: Mutex<Inner>,
    /// Rung when something is put in or comes back.
    pub(crate) changed: Notify,
    /// Rung when a request to the receiver has ended.
    settled: Notify,
}

impl Outbox {
    /// An outbox without a target: nothing is kept until there is one.
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            faults: parts.faults.clone(),
            clock: parts.clock.clone(),
            inner: Mutex::new(Inner { next_event_id: 1, ..Inner::default() }),
            changed: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// Sets or removes the receiver.
    pub(crate) fn set_target(&self, target: Option<Target>) {
        self.inner.lock().target = target;
        self.changed.notify_one();
    }

    /// The receiver.
    pub(crate) fn target(&self) -> Option<Target> {
        self.inner.lock().target.clone()
    }

    /// Reads or changes the subscriptions.
    pub(crate) fn subscriptions<T>(&self, change: impl FnOnce(&mut Subscriptions) -> T) -> T {
        change(&mut self.inner.lock().subscriptions)
    }

    /// Puts in what subscribers want to hear of.
    pub(crate) fn publish(&self, happenings: Vec<Happening>, caller: &Caller, at: Micros) {
        let mut inner = self.inner.lock();
        if inner.target.is_none() {
            return;
        }
        for happening in happenings {
            for subscription in inner.subscriptions.wanting(&happening) {
                self.put(&mut inner, &subscription, &happening, caller, at);
            }
        }
        drop(inner);
        self.changed.notify_one();
    }

    fn put(&self, inner: &mut Inner, subscription: &Subscription, happening: &Happening, caller: &Caller, at: Micros) {
        let event_id = inner.next_event_id;
        inner.next_event_id += 1;
        if self.faults.roll(switches::WEBHOOK_LOST) {
            return;
        }
        let waiting =
            Waiting { due: self.due(at), attempt: 0, body: body(event_id, subscription, happening, caller, at) };
        if self.faults.roll(switches::WEBHOOK_DUPLICATED) {
            inner.wait(Waiting { due: self.due(at), ..waiting.clone() });
        }
        inner.wait(waiting);
    }

    /// When an event is sent: soon, or out of turn, or much later.
    fn due(&self, at: Micros) -> Micros {
        let mut wait = GATHERING_MAX / 3;
        if self.faults.roll(switches::WEBHOOK_REORDERED) {
            wait += GATHERING_MAX.mul_f64(self.faults.draw(switches::WEBHOOK_REORDERED));
        }
        if self.faults.roll(switches::WEBHOOK_DELAYED) {
            wait += DELAY_MAX.mul_f64(self.faults.draw(switches::WEBHOOK_DELAYED));
        }
        at.plus(self.clock.scaled(wait))
    }

    /// Takes the next batch of events that are due at `now`; those of one batch count as in flight
    /// until [`Outbox::settle`].
    pub(crate) fn take_due(&self, now: Micros) -> Vec<Waiting> {
        let mut inner = self.inner.lock();
        let mut batch = Vec::new();
        while batch.len() < BATCH_EVENTS_MAX
            && let Some(first) = inner.waiting.first_entry()
            && first.key().0 <= now
        {
            batch.push(first.remove());
        }
        inner.in_flight += batch.len();
        batch
    }

    /// When the next event is due.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.inner.lock().waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Makes every waiting event due now.
    pub(crate) fn hurry(&self, now: Micros) -> usize {
        let mut inner = self.inner.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        inner.waiting =
            waiting.into_iter().map(|((due, arrival), waiting)| ((due.min(now), arrival), waiting)).collect();
        inner.waiting.len()
    }

    /// Notes how a batch ended: delivered, or to be tried again later until the attempts are used up.
    pub(crate) fn settle(&self, batch: Vec<Waiting>, delivered: bool) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.in_flight = inner.in_flight.saturating_sub(batch.len());
        let count = batch.len() as u64;
        if delivered {
            inner.sent.delivered += count;
        } else {
            for event in batch {
                inner.retry(event, now, &self.clock);
            }
        }
        drop(inner);
        self.changed.notify_one();
        self.settled.notify_waiters();
    }

    /// Returns when no request to the receiver is under way.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.inner.lock().in_flight == 0 {
                return;
            }
            settled.await;
        }
    }

    /// The counters, for the side door.
    pub(crate) fn report(&self) -> Value {
        let inner = self.inner.lock();
        let Sent { delivered, retried, given_up, overflowed } = inner.sent;
        json!({
            "waiting": inner.waiting.len(), "in_flight": inner.in_flight, "delivered": delivered,
            "retried": retried, "given_up": given_up, "overflowed": overflowed,
        })
    }
}

impl Inner {
    fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() >= WAITING_MAX && self.waiting.pop_first().is_some() {
            self.sent.overflowed += 1;
        }
        self.arrivals += 1;
        self.waiting.insert((waiting.due, self.arrivals), waiting);
    }

    fn retry(&mut self, event: Waiting, now: Micros, clock: &SandboxClock) {
        if event.attempt >= RETRIES_MAX {
            self.sent.given_up += 1;
            return;
        }
        self.sent.retried += 1;
        let wait = clock.scaled(FIRST_RETRY * 2_u32.pow(event.attempt));
        self.wait(Waiting { due: now.plus(wait), attempt: event.attempt + 1, ..event });
    }
}

/// An event as the receiver sees it, but for the attempt number.
fn body(event_id: u64, subscription: &Subscription, happening: &Happening, caller: &Caller, at: Micros) -> Value {
    let mut event = json!({
        "appId": APP_ID, "eventId": event_id, "subscriptionId": subscription.id, "portalId": PORTAL_ID,
        "occurredAt": at.millis(), "subscriptionType": subscription.event_type(happening),
        "objectId": happening.id, "changeSource": caller.author.source_type(),
        "sourceId": caller.author.source_id(),
    });
    if let Some(fields) = event.as_object_mut() {
        fields.extend(happening.details.clone());
        if subscription.is_generic() {
            fields.insert("objectTypeId".into(), happening.object.type_id().into());
        }
    }
    event
}

/// Every subscription type that this emulator can serve.
pub(crate) fn all_types() -> Vec<String> {
    let kinds = [ObjectKind::Contacts, ObjectKind::Companies];
    kinds
        .into_iter()
        .flat_map(|object| EventKind::ALL.map(|kind| (object, kind)))
        .filter(|(object, kind)| *object == ObjectKind::Contacts || *kind != EventKind::PrivacyDeletion)
        .map(|(object, kind)| format!("{}.{}", object.singular(), kind.as_str()))
        .collect()
}
