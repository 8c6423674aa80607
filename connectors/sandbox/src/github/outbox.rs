//! Webhooks and their deliveries: each is sent once, and kept for a while so that it can be asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::caller::{Caller, INSTALLATION_ID, OWNER, user};
use super::events::Happening;
use super::render::{Shape, iso};
use super::switches;
use super::world::Repository;
use crate::clock::{Micros, SandboxClock};
use crate::faults::Faults;
use crate::sandbox::Parts;

/// How long the site takes to send.
const SENDING: Duration = Duration::from_secs(1);
/// How much later a delayed delivery may come.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// How long deliveries are kept.
const KEPT: Duration = Duration::from_secs(3 * 86_400);
/// The most deliveries that are kept; beyond it the oldest go, as if they were older.
const DELIVERIES_MAX: usize = 20_000;
/// The most webhooks of the site.
const HOOKS_MAX: usize = 100;

/// A webhook: of a repository, or of the app.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hook {
    /// Its id.
    pub(crate) id: u64,
    /// The repository; absent for the app's.
    pub(crate) repository: Option<u64>,
    /// The receiver's full address.
    pub(crate) url: String,
    /// The key of the signatures.
    pub(crate) secret: String,
    /// The events that it wants; `*` is all of them.
    pub(crate) events: Vec<String>,
    /// Whether deliveries are sent.
    pub(crate) active: bool,
    /// When it was made.
    pub(crate) created: Micros,
}

impl Hook {
    fn wants(&self, event: &str, repository: u64) -> bool {
        let subscribed = self.events.iter().any(|name| name == "*" || name == event);
        self.active && subscribed && self.repository.is_none_or(|own| own == repository)
    }
}

/// One delivery.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    /// Its id, which a repetition does not share.
    pub(crate) id: u64,
    /// What all repetitions share.
    pub(crate) guid: String,
    /// The webhook.
    pub(crate) hook: u64,
    /// `X-GitHub-Event`.
    pub(crate) event: &'static str,
    action: &'static str,
    repository: u64,
    /// What it says.
    pub(crate) body: Arc<str>,
    at: Micros,
    redelivery: bool,
    /// How it ended: 0 where nobody answered.
    status: Option<u16>,
}

impl Delivery {
    /// On the wire: in a list, or whole.
    pub(crate) fn render(&self, whole: bool) -> Value {
        let code = self.status.unwrap_or(0);
        let text = if (200..300).contains(&code) { "OK" } else { "failed to connect to host" };
        let mut shown = json!({
            "id": self.id, "guid": self.guid, "delivered_at": iso(self.at), "redelivery": self.redelivery,
            "duration": 0.1, "status": text, "status_code": code, "event": self.event, "action": self.action,
            "installation_id": INSTALLATION_ID, "repository_id": self.repository, "throttled_at": null,
        });
        if whole {
            let payload: Value = serde_json::from_str(&self.body).unwrap_or_default();
            shown["request"] = json!({"headers": {"X-GitHub-Delivery": self.guid}, "payload": payload});
            shown["response"] = json!({"headers": {}, "payload": ""});
        }
        shown
    }
}

/// Counts of what became of deliveries.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    delivered: u64,
    failed: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Inner {
    hooks: BTreeMap<u64, Hook>,
    deliveries: BTreeMap<u64, Delivery>,
    /// By time of sending, and by id within one time.
    waiting: BTreeSet<(Micros, u64)>,
    in_flight: usize,
    last_id: u64,
    sent: Sent,
    rng: ChaCha8Rng,
}

/// The deliveries on their way and those that were sent.
#[derive(Debug)]
pub(crate) struct Outbox {
    faults: Arc<Faults>,
    pub(crate) clock: Arc<SandboxClock>,
    inner: Mutex<Inner>,
    /// Rung when something is put in.
    pub(crate) changed: Notify,
    /// Rung when a delivery has ended.
    settled: Notify,
}

impl Outbox {
    /// An outbox without webhooks: nothing is kept until there is one.
    pub(crate) fn new(parts: &Parts) -> Self {
        let inner = Inner {
            hooks: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            in_flight: 0,
            last_id: 12_000,
            sent: Sent::default(),
            rng: ChaCha8Rng::seed_from_u64(7),
        };
        Self {
            faults: parts.faults.clone(),
            clock: parts.clock.clone(),
            inner: Mutex::new(inner),
            changed: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// A fresh id of a webhook.
    pub(crate) fn fresh_id(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.last_id += 1;
        inner.last_id
    }

    /// Puts a webhook in its place, if there is room.
    pub(crate) fn save(&self, hook: Hook) -> bool {
        let mut inner = self.inner.lock();
        let room = inner.hooks.len() < HOOKS_MAX || inner.hooks.contains_key(&hook.id);
        if room {
            inner.hooks.insert(hook.id, hook);
        }
        room
    }

    /// The webhooks of a repository, or of the app.
    pub(crate) fn hooks(&self, repository: Option<u64>) -> Vec<Hook> {
        self.inner.lock().hooks.values().filter(|hook| hook.repository == repository).cloned().collect()
    }

    /// Removes a webhook.
    pub(crate) fn remove(&self, id: u64) {
        self.inner.lock().hooks.remove(&id);
    }

    /// Puts in a delivery for every webhook that wants it.
    pub(crate) fn publish(
        &self,
        happening: Happening,
        home: &Repository,
        shape: Shape<'_>,
        caller: &Caller,
        at: Micros,
    ) {
        let Happening { event, action, members } = happening;
        let mut inner = self.inner.lock();
        let wanting: Vec<u64> =
            inner.hooks.values().filter(|hook| hook.wants(event, home.id)).map(|hook| hook.id).collect();
        if wanting.is_empty() {
            return;
        }
        let mut body = json!({
            "action": action, "repository": shape.repository(home), "organization": {"login": OWNER, "id": 1},
            "sender": user(&caller.login, shape.base_url), "installation": {"id": INSTALLATION_ID},
        });
        if let Some(own) = body.as_object_mut() {
            own.extend(members);
        }
        let body: Arc<str> = body.to_string().into();
        for hook in wanting {
            let guid = inner.guid();
            inner.last_id += 1;
            let (id, repository, body) = (inner.last_id, home.id, body.clone());
            let delivery =
                Delivery { id, guid, hook, event, action, repository, body, at, redelivery: false, status: None };
            self.put(&mut inner, delivery, at);
        }
        drop(inner);
        self.changed.notify_one();
    }

    fn put(&self, inner: &mut Inner, delivery: Delivery, at: Micros) {
        let kept = at.minus(self.clock.scaled_life(KEPT));
        while let Some(first) = inner.deliveries.first_entry()
            && (first.get().at <= kept || inner.deliveries.len() >= DELIVERIES_MAX)
        {
            inner.deliveries.pop_first();
            inner.sent.dropped += 1;
        }
        let lost = self.faults.roll(switches::WEBHOOK_LOST);
        let times = if self.faults.roll(switches::WEBHOOK_DUPLICATED) { 2 } else { 1 };
        for _ in 0..times {
            let due = self.due(at);
            // A lost delivery stands in the log as one that nobody answered.
            if !lost {
                let again = inner.waiting.iter().any(|(_, id)| *id == delivery.id);
                inner.waiting.insert((if again { due.plus(Duration::from_micros(1)) } else { due }, delivery.id));
            }
        }
        inner.deliveries.insert(delivery.id, delivery);
    }

    /// When a delivery is sent: soon, or out of turn, or much later.
    fn due(&self, at: Micros) -> Micros {
        let mut wait = SENDING / 2;
        if self.faults.roll(switches::WEBHOOK_REORDERED) {
            wait += (SENDING * 2).mul_f64(self.faults.draw(switches::WEBHOOK_REORDERED));
        }
        if self.faults.roll(switches::WEBHOOK_DELAYED) {
            wait += DELAY_MAX.mul_f64(self.faults.draw(switches::WEBHOOK_DELAYED));
        }
        at.plus(self.clock.scaled(wait))
    }

    /// Sends a delivery again, under the same GUID. Returns false where it is not known any more.
    pub(crate) fn redeliver(&self, hook: impl Fn(&Hook) -> bool, id: u64) -> bool {
        let mut inner = self.inner.lock();
        let known = inner.deliveries.get(&id).cloned();
        let Some(known) = known.filter(|known| inner.hooks.get(&known.hook).is_some_and(hook)) else { return false };
        inner.last_id += 1;
        let at = self.clock.now();
        let again = Delivery { id: inner.last_id, at, redelivery: true, status: None, ..known };
        self.put(&mut inner, again, at);
        drop(inner);
        self.changed.notify_one();
        true
    }

    /// The deliveries of webhooks, newest first.
    pub(crate) fn deliveries(&self, hook: impl Fn(&Hook) -> bool) -> Vec<Delivery> {
        let inner = self.inner.lock();
        let kept = self.clock.peek().minus(self.clock.scaled_life(KEPT));
        let own = |delivery: &&Delivery| delivery.at > kept && inner.hooks.get(&delivery.hook).is_some_and(&hook);
        inner.deliveries.values().rev().filter(own).cloned().collect()
    }

    /// Takes the next delivery that is due at `now`; it counts as in flight until [`Outbox::settle`].
    pub(crate) fn take_due(&self, now: Micros) -> Option<(Delivery, Hook)> {
        let mut inner = self.inner.lock();
        while let Some((due, id)) = inner.waiting.first().copied().filter(|(due, _)| *due <= now) {
            inner.waiting.remove(&(due, id));
            let found = inner.deliveries.get(&id).cloned();
            let found = found.and_then(|delivery| Some((inner.hooks.get(&delivery.hook).cloned()?, delivery)));
            if let Some((hook, delivery)) = found {
                inner.in_flight += 1;
                return Some((delivery, hook));
            }
        }
        None
    }

    /// When the next delivery is due.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.inner.lock().waiting.first().map(|(due, _)| *due)
    }

    /// Takes every waiting delivery, whatever its time, in the order in which they would have gone.
    pub(crate) fn take_all(&self) -> Vec<(Delivery, Hook)> {
        std::iter::from_fn(|| self.take_due(Micros(i64::MAX))).collect()
    }

    /// Notes how a delivery ended. There is no second attempt.
    pub(crate) fn settle(&self, id: u64, status: Option<u16>) {
        let mut inner = self.inner.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        if status.is_some_and(|status| (200..300).contains(&status)) {
            inner.sent.delivered += 1;
        } else {
            inner.sent.failed += 1;
        }
        if let Some(delivery) = inner.deliveries.get_mut(&id) {
            delivery.status = Some(status.unwrap_or(0));
        }
        drop(inner);
        self.settled.notify_waiters();
    }

    /// Returns when no delivery is under way.
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
        let Sent { delivered, failed, dropped } = inner.sent;
        json!({
            "waiting": inner.waiting.len(), "in_flight": inner.in_flight, "delivered": delivered, "failed": failed,
            "dropped": dropped,
        })
    }
}

impl Inner {
    fn guid(&mut self) -> String {
        let bits = self.rng.random::<u128>();
        format!(
            "{:08x}-{:04x}-11ef-8{:03x}-{:012x}",
            (bits >> 96) as u32,
            (bits >> 80) as u16,
            (bits >> 64) as u16 & 0xfff,
            bits & 0xffff_ffff_ffff
        )
    }
}
