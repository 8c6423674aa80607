//! Webhooks, triggers, and requests on their way to the receivers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::account::Change;
use super::caller::{ACCOUNT_ID, Caller};
use super::events::Happening;
use super::hook::Hook;
use super::kind::Id;
use super::switches;
use super::time::iso;
use super::triggers::Trigger;
use crate::clock::{Micros, SandboxClock};
use crate::faults::Faults;
use crate::sandbox::Parts;

/// Attempts after the first one, where the answer allows any.
const RETRIES_MAX: u32 = 3;
/// The longest wait that a receiver may ask for and get.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// How long the platform takes to send.
const SENDING: Duration = Duration::from_secs(1);
/// How much later a delayed request may come.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// The most requests that wait; beyond it the oldest are dropped and counted, as if lost.
const WAITING_MAX: usize = 100_000;
/// The most webhooks, and the most triggers, of the account.
const HOOKS_MAX: usize = 100;

/// One request that waits to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    due: Micros,
    /// How often it was tried.
    pub(crate) attempt: u32,
    /// The webhook.
    pub(crate) hook: String,
    /// One id for all attempts.
    pub(crate) invocation: String,
    /// What it says.
    pub(crate) body: String,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The receiver's status, if it answered in time.
    pub(crate) status: Option<u16>,
    /// The wait that the receiver asked for.
    pub(crate) retry_after: Option<Duration>,
}

impl Outcome {
    fn is_success(self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// How long to wait before the next attempt, if there is one.
    fn retry_in(self) -> Option<Duration> {
        match self.status {
            Some(409) => Some(SENDING),
            Some(429 | 503) => self.retry_after.filter(|wait| *wait < RETRY_AFTER_MAX),
            _ => None,
        }
    }
}

/// Counts of what became of requests.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    delivered: u64,
    retried: u64,
    given_up: u64,
    circuit_open: u64,
    overflowed: u64,
}

#[derive(Debug, Default)]
struct Inner {
    hooks: BTreeMap<String, Hook>,
    triggers: BTreeMap<Id, Trigger>,
    /// By time of sending, and by order of arrival within one time.
    waiting: BTreeMap<(Micros, u64), Waiting>,
    arrivals: u64,
    in_flight: usize,
    last_id: u64,
    sent: Sent,
}

/// The requests on their way.
#[derive(Debug)]
pub(crate) struct Outbox {
    faults: Arc<Faults>,
    pub(crate) clock: Arc<SandboxClock>,
    inner: Mutex<Inner>,
    /// Rung when something is put in or comes back.
    pub(crate) changed: Notify,
    /// Rung when a request to a receiver has ended.
    settled: Notify,
}

impl Outbox {
    /// An outbox without webhooks: nothing is kept until there is one.
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            faults: parts.faults.clone(),
            clock: parts.clock.clone(),
            inner: Mutex::default(),
            changed: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// An id in the form of a ULID: time and a count, in Crockford's letters.
    pub(crate) fn fresh_id(&self) -> String {
        let mut inner = self.inner.lock();
        inner.fresh_id(self.clock.peek())
    }

    /// Puts a webhook in its place.
    pub(crate) fn save_hook(&self, hook: Hook) -> Result<(), String> {
        let mut inner = self.inner.lock();
        if inner.hooks.len() >= HOOKS_MAX && !inner.hooks.contains_key(&hook.id) {
            return Err(format!("an account has at most {HOOKS_MAX} webhooks"));
        }
        inner.hooks.insert(hook.id.clone(), hook);
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// A webhook.
    pub(crate) fn hook(&self, id: &str) -> Option<Hook> {
        self.inner.lock().hooks.get(id).cloned()
    }

    /// Every webhook.
    pub(crate) fn hooks(&self) -> Vec<Hook> {
        self.inner.lock().hooks.values().cloned().collect()
    }

    /// Removes a webhook, or all of them.
    pub(crate) fn remove_hooks(&self, id: Option<&str>) -> usize {
        let mut inner = self.inner.lock();
        let before = inner.hooks.len();
        inner.hooks.retain(|held, _| id.is_some_and(|id| id != held));
        before - inner.hooks.len()
    }

    /// Saves a trigger, if its webhook can be notified.
    pub(crate) fn save_trigger(&self, trigger: Trigger) -> Result<(), String> {
        let mut inner = self.inner.lock();
        if !inner.hooks.get(&trigger.hook).is_some_and(Hook::is_conditional) {
            return Err(format!("{} is no webhook that a trigger can notify", trigger.hook));
        }
        if inner.triggers.len() >= HOOKS_MAX {
            return Err(format!("an account has at most {HOOKS_MAX} triggers"));
        }
        inner.triggers.insert(trigger.id, trigger);
        Ok(())
    }

    /// Every trigger.
    pub(crate) fn triggers(&self) -> Vec<Trigger> {
        self.inner.lock().triggers.values().cloned().collect()
    }

    /// Removes a trigger.
    pub(crate) fn remove_trigger(&self, id: Id) -> bool {
        self.inner.lock().triggers.remove(&id).is_some()
    }

    /// Puts in what subscribers want to hear of, and what triggers send.
    pub(crate) fn publish(&self, happenings: &[Happening], change: &Change, caller: &Caller, at: Micros) {
        let mut inner = self.inner.lock();
        if inner.hooks.is_empty() {
            return;
        }
        let sequence = inner.fresh_id(at);
        for (position, happening) in (1_u64..).zip(happenings) {
            let event_id = inner.fresh_id(at);
            let body = envelope(happening, &event_id, &sequence, position, at).to_string();
            let wanting: Vec<String> =
                inner.hooks.values().filter(|hook| hook.wants(&happening.ty)).map(|hook| hook.id.clone()).collect();
            for hook in wanting {
                self.put(&mut inner, hook, body.clone(), at);
            }
        }
        let told: Vec<(String, String)> = inner
            .triggers
            .values()
            .filter(|trigger| inner.hooks.get(&trigger.hook).is_some_and(|hook| hook.active))
            .filter_map(|trigger| Some((trigger.hook.clone(), trigger.body(change, caller)?)))
            .collect();
        for (hook, body) in told {
            self.put(&mut inner, hook, body, at);
        }
        drop(inner);
        self.changed.notify_one();
    }

    fn put(&self, inner: &mut Inner, hook: String, body: String, at: Micros) {
        let invocation = inner.fresh_id(at);
        if self.faults.roll(switches::WEBHOOK_LOST) {
            return;
        }
        let waiting = Waiting { due: self.due(at), attempt: 0, hook, invocation, body };
        if self.faults.roll(switches::WEBHOOK_DUPLICATED) {
            inner.wait(Waiting { due: self.due(at), ..waiting.clone() });
        }
        inner.wait(waiting);
    }

    /// When a request is sent: soon, or out of turn, or much later.
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

    /// Takes the next request that is due at `now` and whose circuit is closed; it counts as in flight until
    /// [`Outbox::settle`].
    pub(crate) fn take_due(&self, now: Micros) -> Option<(Waiting, Hook)> {
        let mut inner = self.inner.lock();
        while let Some(first) = inner.waiting.first_entry()
            && first.key().0 <= now
        {
            let waiting = first.remove();
            match inner.hooks.get(&waiting.hook).cloned() {
                Some(hook) if hook.circuit.is_open(now) => inner.sent.circuit_open += 1,
                Some(hook) => {
                    inner.in_flight += 1;
                    return Some((waiting, hook));
                }
                None => inner.sent.given_up += 1,
            }
        }
        None
    }

    /// When the next request is due.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.inner.lock().waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Makes every waiting request due now.
    pub(crate) fn hurry(&self, now: Micros) {
        let mut inner = self.inner.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        inner.waiting =
            waiting.into_iter().map(|((due, arrival), waiting)| ((due.min(now), arrival), waiting)).collect();
    }

    /// Notes how a request ended: delivered, to be tried again, or given up.
    pub(crate) fn settle(&self, waiting: Waiting, outcome: Outcome) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        if let Some(hook) = inner.hooks.get_mut(&waiting.hook) {
            hook.circuit.note(!outcome.is_success(), now, &self.clock);
            hook.note(&waiting.invocation, waiting.attempt, outcome.status, now);
        }
        match outcome.retry_in() {
            _ if outcome.is_success() => inner.sent.delivered += 1,
            Some(wait) if waiting.attempt < RETRIES_MAX => {
                inner.sent.retried += 1;
                let due = now.plus(self.clock.scaled(wait));
                inner.wait(Waiting { due, attempt: waiting.attempt + 1, ..waiting });
            }
            _ => inner.sent.given_up += 1,
        }
        drop(inner);
        self.changed.notify_one();
        self.settled.notify_waiters();
    }

    /// Returns when no request to a receiver is under way.
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
        let Sent { delivered, retried, given_up, circuit_open, overflowed } = inner.sent;
        json!({
            "waiting": inner.waiting.len(), "in_flight": inner.in_flight, "delivered": delivered, "retried": retried,
            "given_up": given_up, "circuit_open": circuit_open, "overflowed": overflowed,
        })
    }
}

impl Inner {
    fn fresh_id(&mut self, at: Micros) -> String {
        const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        self.last_id += 1;
        let millis = u128::try_from(at.millis()).unwrap_or(0);
        let number = (millis << 80) | u128::from(self.last_id);
        (0..26).rev().map(|place| char::from(LETTERS[(number >> (place * 5) & 31) as usize])).collect()
    }

    fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() >= WAITING_MAX && self.waiting.pop_first().is_some() {
            self.sent.overflowed += 1;
        }
        self.arrivals += 1;
        self.waiting.insert((waiting.due, self.arrivals), waiting);
    }
}

/// An event as the receiver sees it.
fn envelope(happening: &Happening, event_id: &str, sequence: &str, position: u64, at: Micros) -> Value {
    let mut event = happening.event.clone();
    event["meta"] = json!({"sequence": {"id": sequence, "position": position}});
    json!({
        "type": happening.ty, "account_id": ACCOUNT_ID, "id": event_id, "time": iso(at),
        "zendesk_event_version": "2022-11-06", "subject": happening.subject, "detail": happening.detail,
        "event": event,
    })
}
