//! Webhooks: signed events of a subscription, one in a request, and signed bodies that an administrator's trigger makes. Their
//! values are never used; each only says "look".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use syncline_core::ids::{ExternalId, ObjectName};

use super::{
    Zendesk,
    kind::Kind,
    rows::{self, id_of},
};
use crate::{
    connector::{Hint, VerifiedWebhook, WebhookDelivery, WebhookReceiver, WebhookRefused},
    rest::stamp,
};

const SIGNATURE: &str = "x-zendesk-webhook-signature";
const TIMESTAMP: &str = "x-zendesk-webhook-signature-timestamp";
const INVOCATION: &str = "x-zendesk-webhook-invocation-id";

/// Deliveries signed longer ago may be replays. Zendesk tries a delivery again within minutes or not at all.
const REPLAY_WINDOW_MS: i64 = 300_000;

impl WebhookReceiver for Zendesk {
    fn receive(&self, delivery: &WebhookDelivery<'_>, secrets: &[&str]) -> Result<VerifiedWebhook, WebhookRefused> {
        let secret = verify(secrets, delivery)?;
        let invocation = delivery.headers.get(INVOCATION).map(String::as_str);
        Ok(VerifiedWebhook { hints: hints(delivery.body, invocation)?, secret })
    }
}

/// Checks signature and time, and returns the place of the secret that verified it. The time is part of what is signed, so it
/// is judged only after the signature.
fn verify(secrets: &[&str], delivery: &WebhookDelivery<'_>) -> Result<usize, WebhookRefused> {
    if secrets.iter().all(|secret| secret.is_empty()) {
        return Err(WebhookRefused::NoSecret);
    }
    let header = |name: &str| delivery.headers.get(name).map(String::as_str).ok_or(WebhookRefused::Signature);
    let timestamp = header(TIMESTAMP)?;
    let signature = STANDARD.decode(header(SIGNATURE)?.trim()).map_err(|_| WebhookRefused::Signature)?;
    let mut verified = None;
    // All are tried whichever fits, so that the time taken says nothing of it.
    for (place, secret) in secrets.iter().enumerate().filter(|(_, secret)| !secret.is_empty()) {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| WebhookRefused::Signature)?;
        mac.update(timestamp.as_bytes());
        mac.update(delivery.body);
        if mac.verify_slice(&signature).is_ok() {
            verified = verified.or(Some(place));
        }
    }
    let verified = verified.ok_or(WebhookRefused::Signature)?;
    let signed_at = stamp::parse(timestamp.trim()).ok_or(WebhookRefused::Signature)?;
    if delivery.now.0.saturating_sub(signed_at.0).saturating_abs() > REPLAY_WINDOW_MS {
        return Err(WebhookRefused::Stale);
    }
    Ok(verified)
}

/// What both kinds of bodies may hold.
#[derive(Deserialize)]
struct Body {
    /// Of an event: what happened, such as `zen:event-type:ticket.status_changed`.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// Of an event: its id. Of a trigger's body: the object's.
    #[serde(default)]
    id: Value,
    /// Of an event: what it happened to, such as `zen:ticket:35436`.
    subject: Option<String>,
    #[serde(default)]
    detail: Value,
    /// Of a trigger's body: `tickets`, `users` or `organizations`.
    object: Option<String>,
}

/// The hints of a delivery. Events of other objects are passed over; a body that says of no object is refused.
fn hints(body: &[u8], invocation: Option<&str>) -> Result<Vec<Hint>, WebhookRefused> {
    let body: Body = serde_json::from_slice(body).map_err(|_| WebhookRefused::Body)?;
    match (&body.ty, &body.object) {
        (Some(ty), _) => Ok(event(&body, ty)),
        (None, Some(object)) => triggered(&body, object, invocation).map(|hint| vec![hint]).ok_or(WebhookRefused::Body),
        (None, None) => Err(WebhookRefused::Body),
    }
}

/// Two deliveries of one event have its id in common. Several events of one action stand for one change each.
fn event(body: &Body, ty: &str) -> Vec<Hint> {
    let Some(kind) = kind_of(ty) else { return Vec::new() };
    let subject = body.subject.as_deref().and_then(|subject| subject.rsplit(':').next()).filter(|id| rows::is_id(id));
    let Some(id) = id_of(&body.detail["id"]).or_else(|| subject.map(ExternalId::from)) else { return Vec::new() };
    let event = body.id.as_str().map_or_else(|| body.id.to_string(), str::to_owned);
    vec![hint(kind, id, format!("{event}:{ty}"))]
}

/// A trigger's body is what the administrator wrote: `{"object": "tickets", "id": "{{ticket.id}}"}`.
fn triggered(body: &Body, object: &str, invocation: Option<&str>) -> Option<Hint> {
    let kind = Kind::of(&ObjectName::from(object)).ok()?;
    let id = id_of(&body.id)?;
    let dedupe = format!("{}:{object}:{id}", invocation?);
    Some(hint(kind, id, dedupe))
}

/// A webhook and its secret belong to one account, so that none has to be named.
fn hint(kind: Kind, id: ExternalId, dedupe: String) -> Hint {
    Hint { object: kind.plural().into(), id, account: None, dedupe }
}

/// The kind of object that an event speaks of. Zendesk writes some types with a slash.
fn kind_of(ty: &str) -> Option<Kind> {
    let event = ty.strip_prefix("zen:event-type:").or_else(|| ty.strip_prefix("zen:event-type/"))?;
    match event.split_once('.')?.0 {
        "ticket" => Some(Kind::Tickets),
        "user" => Some(Kind::Users),
        "organization" => Some(Kind::Organizations),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    // Zendesk signs test requests of webhooks that are not saved yet with this secret.
    const SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
    const SIGNED_AT: &str = "2021-03-25T05:09:27Z";
    const AT: i64 = 1_616_648_967_000;
    const BODY: &[u8] = br#"{"a":1}"#;
    const SIGNED: &str = "/mXSigLOoEkcTQbsWqgaVKrxFhN+K298pf/niM2rAnI=";

    fn check(
        secrets: &[&str],
        body: &[u8],
        signature: &str,
        timestamp: &str,
        now: i64,
    ) -> Result<usize, WebhookRefused> {
        let headers = BTreeMap::from([
            (SIGNATURE.to_owned(), signature.to_owned()),
            (TIMESTAMP.to_owned(), timestamp.to_owned()),
        ]);
        let url = "https://www.example.com/hook";
        verify(secrets, &WebhookDelivery { method: "POST", url, headers: &headers, body, now: Millis(now) })
    }

    #[test]
    fn only_a_fresh_and_whole_signature_is_accepted() {
        let forged = Err(WebhookRefused::Signature);
        let cases = [
            ("genuine", check(&[SECRET], BODY, SIGNED, SIGNED_AT, AT), Ok(0)),
            ("the older of two secrets", check(&["z", SECRET], BODY, SIGNED, SIGNED_AT, AT), Ok(1)),
            ("at the end of the window", check(&[SECRET], BODY, SIGNED, SIGNED_AT, AT + 300_000), Ok(0)),
            ("after it", check(&[SECRET], BODY, SIGNED, SIGNED_AT, AT + 300_001), Err(WebhookRefused::Stale)),
            ("long before it", check(&[SECRET], BODY, SIGNED, SIGNED_AT, AT - 300_001), Err(WebhookRefused::Stale)),
            ("another secret", check(&["z"], BODY, SIGNED, SIGNED_AT, AT), forged),
            ("another body", check(&[SECRET], br#"{"a":2}"#, SIGNED, SIGNED_AT, AT), forged),
            ("another time", check(&[SECRET], BODY, SIGNED, "2021-03-25T05:09:28Z", AT), forged),
            ("another spelling of the time", check(&[SECRET], BODY, SIGNED, "2021-03-25T05:09:27.0Z", AT), forged),
            ("no base64", check(&[SECRET], BODY, "%%%", SIGNED_AT, AT), forged),
            ("an empty secret", check(&["", SECRET], BODY, SIGNED, SIGNED_AT, AT), Ok(1)),
            ("no secret", check(&[], BODY, SIGNED, SIGNED_AT, AT), Err(WebhookRefused::NoSecret)),
            ("only empty ones", check(&[""], BODY, SIGNED, SIGNED_AT, AT), Err(WebhookRefused::NoSecret)),
        ];
        for (name, got, expected) in cases {
            assert_eq!(got, expected, "{name}");
        }
        let headers = BTreeMap::new();
        let bare = WebhookDelivery { method: "POST", url: "", headers: &headers, body: BODY, now: Millis(AT) };
        assert_eq!(verify(&[SECRET], &bare), forged);
    }

    fn told(body: &Value, invocation: Option<&str>) -> Result<Vec<String>, WebhookRefused> {
        let hints = hints(body.to_string().as_bytes(), invocation)?;
        Ok(hints.into_iter().map(|hint| format!("{} {} by {}", hint.object, hint.id, hint.dedupe)).collect())
    }

    #[test]
    fn events_and_triggers_become_hints() {
        let event = |ty: &str, detail: Value, subject: &str| {
            json!({"type": ty, "account_id": 7, "id": "01HK", "time": "2026-05-05T10:04:12Z",
                   "subject": subject, "detail": detail, "event": {"current": "OPEN"}})
        };
        let status = "zen:event-type:ticket.status_changed";
        let merged = "zen:event-type/user.merged";
        let said = |text: &str| Ok(vec![text.to_owned()]);
        let cases = [
            (
                event(status, json!({"id": "35436"}), "zen:ticket:35436"),
                said(&format!("tickets 35436 by 01HK:{status}")),
            ),
            (event(merged, json!({"id": "9"}), "zen:user:9"), said(&format!("users 9 by 01HK:{merged}"))),
            (event(status, json!({}), "zen:ticket:35436"), said(&format!("tickets 35436 by 01HK:{status}"))),
            (event("zen:event-type:article.published", json!({"id": "1"}), "zen:article:1"), Ok(vec![])),
            (event(status, json!({}), "zen:ticket:"), Ok(vec![])),
            (json!({"object": "tickets", "id": "35436"}), said("tickets 35436 by 01INV:tickets:35436")),
            (json!({"object": "organizations", "id": 5}), said("organizations 5 by 01INV:organizations:5")),
            (json!({"object": "articles", "id": 5}), Err(WebhookRefused::Body)),
            (json!({"object": "tickets", "id": "{{ticket.id}}"}), Err(WebhookRefused::Body)),
            (json!({"ticket": 5}), Err(WebhookRefused::Body)),
            (json!([]), Err(WebhookRefused::Body)),
        ];
        for (body, expected) in cases {
            assert_eq!(told(&body, Some("01INV")), expected, "{body}");
        }
        assert_eq!(told(&json!({"object": "tickets", "id": "1"}), None), Err(WebhookRefused::Body));
        assert_eq!(hints(b"", None), Err(WebhookRefused::Body));
    }
}
