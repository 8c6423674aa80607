//! A webhook: where it goes, what for, and how its requests ended.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::circuit::Circuit;
use super::events::all_types;
use super::time::iso;
use crate::clock::Micros;

/// What a webhook that triggers notify is subscribed to, and to nothing else.
const CONDITIONAL: &str = "conditional_ticket_events";
/// The invocations that are kept of a webhook.
const INVOCATIONS_MAX: usize = 100;

/// A webhook.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// Its id.
    pub(crate) id: String,
    name: String,
    /// The receiver's full address.
    pub(crate) endpoint: String,
    /// Whether requests are sent.
    pub(crate) active: bool,
    /// The method of its requests.
    pub(crate) method: String,
    format: String,
    subscriptions: Vec<String>,
    /// The key of its signatures.
    pub(crate) secret: String,
    created: Micros,
    /// The breaker between the account and the receiver.
    pub(crate) circuit: Circuit,
    invocations: VecDeque<Value>,
}

impl Hook {
    /// Reads a `webhook` member over what a webhook was before.
    pub(crate) fn read(
        raw: &Value,
        before: Option<&Self>,
        id: String,
        secret: String,
        at: Micros,
    ) -> Result<Self, String> {
        let text = |name: &str, held: Option<&String>| match raw.get(name) {
            Some(Value::String(text)) => text.clone(),
            _ => held.cloned().unwrap_or_default(),
        };
        let endpoint = text("endpoint", before.map(|hook| &hook.endpoint));
        let status = text("status", None);
        let active = if status.is_empty() { before.is_none_or(|hook| hook.active) } else { status == "active" };
        let subscriptions = match raw.get("subscriptions").and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => before.map(|hook| hook.subscriptions.clone()).unwrap_or_default(),
        };
        let hook = Self {
            id,
            name: text("name", before.map(|hook| &hook.name)),
            endpoint,
            active,
            method: text("http_method", before.map(|hook| &hook.method)),
            format: text("request_format", before.map(|hook| &hook.format)),
            subscriptions,
            secret,
            created: before.map_or(at, |hook| hook.created),
            circuit: Circuit::default(),
            invocations: VecDeque::new(),
        };
        hook.check().map(|()| hook)
    }

    fn check(&self) -> Result<(), String> {
        let url = url::Url::parse(&self.endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none_or(|url| !url.has_host()) {
            return Err(format!("endpoint: {} is not an http or https URL", self.endpoint));
        }
        if self.name.is_empty() {
            return Err("name: cannot be blank".to_owned());
        }
        if !matches!(self.method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
            return Err(format!("http_method: {} is not allowed", self.method));
        }
        let events = self.subscriptions.iter().filter(|name| *name != CONDITIONAL).count();
        if events > 0 && events < self.subscriptions.len() {
            return Err(format!("subscriptions: {CONDITIONAL} stands alone"));
        }
        let known = all_types();
        let is_known = |name: &String| name == CONDITIONAL || known.contains(name);
        if let Some(unknown) = self.subscriptions.iter().find(|name| !is_known(name)) {
            return Err(format!("subscriptions: {unknown} is no event type"));
        }
        if events > 0 && (self.method != "POST" || self.format != "json") {
            return Err("http_method: events are sent by POST as json".to_owned());
        }
        Ok(())
    }

    /// Whether it wants an event type.
    pub(crate) fn wants(&self, ty: &str) -> bool {
        self.active && self.subscriptions.iter().any(|name| name == ty)
    }

    /// Whether triggers may notify it.
    pub(crate) fn is_conditional(&self) -> bool {
        self.subscriptions.is_empty() || self.subscriptions.iter().any(|name| name == CONDITIONAL)
    }

    /// The content type of its bodies.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.format.as_str() {
            "xml" => "application/xml",
            "form_encoded" => "application/x-www-form-urlencoded",
            _ => "application/json",
        }
    }

    /// Keeps how a request ended.
    pub(crate) fn note(&mut self, invocation: &str, attempt: u32, status: Option<u16>, at: Micros) {
        let ended = status.is_some_and(|status| (200..300).contains(&status));
        self.invocations.push_front(json!({
            "id": invocation, "webhook_id": self.id, "status": if ended { "success" } else { "failed" },
            // A receiver that does not answer stands as 504 in the platform's log.
            "status_code": status.unwrap_or(504), "attempt": attempt, "latest_completed_at": iso(at),
        }));
        self.invocations.truncate(INVOCATIONS_MAX);
    }

    /// How its requests ended, newest first.
    pub(crate) fn invocations(&self) -> Vec<Value> {
        self.invocations.iter().cloned().collect()
    }

    /// On the wire.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "endpoint": self.endpoint, "http_method": self.method,
            "request_format": self.format, "status": if self.active { "active" } else { "inactive" },
            "subscriptions": self.subscriptions, "description": null, "created_by": "-1", "updated_by": "-1",
            "created_at": iso(self.created), "updated_at": iso(self.created),
            "signing_secret": {"algorithm": "SHA256"},
        })
    }
}
