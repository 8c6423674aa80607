//! What is pushed: verified, split into events, and each event into hints. Its values are never used.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{Engine, rows};
use crate::{
    connector::{Hint, VerifiedWebhook, WebhookDelivery, WebhookReceiver, WebhookRefused},
    manifest::{
        spec::{Algorithm, Encoding, Event, Received, Verify, Webhooks},
        words::Scope,
    },
};

/// The most events of one delivery.
const EVENTS_MAX: usize = 10_000;

impl WebhookReceiver for Engine {
    fn receive(&self, delivery: &WebhookDelivery<'_>, secrets: &[&str]) -> Result<VerifiedWebhook, WebhookRefused> {
        let Some(webhooks) = &self.spec().webhooks else { return Err(WebhookRefused::NoSecret) };
        let secret = verify(&webhooks.verify, delivery, secrets)?;
        Ok(VerifiedWebhook { hints: hints(self, webhooks, delivery.body)?, secret })
    }
}

/// Checks what proves the delivery, and returns the place of the secret that did. The time is judged only after the signature
/// that it is part of.
fn verify(verify: &Verify, delivery: &WebhookDelivery<'_>, secrets: &[&str]) -> Result<usize, WebhookRefused> {
    if secrets.iter().all(|secret| secret.is_empty()) {
        return Err(WebhookRefused::NoSecret);
    }
    let header = |name: &str| delivery.headers.get(&name.to_ascii_lowercase()).map(|text| text.trim());
    let proof = match (&verify.header, &verify.query) {
        (Some(name), _) => header(name).map(str::to_owned),
        (None, Some(name)) => parameter(delivery.url, name),
        (None, None) => None,
    };
    let proof = proof.ok_or(WebhookRefused::Signature)?;
    let timestamp = match &verify.timestamp {
        Some(timestamp) => Some(header(&timestamp.header).ok_or(WebhookRefused::Signature)?),
        None => None,
    };
    // Several signatures may stand in a header while a secret is replaced.
    let proofs = proof.split(',').map(str::trim).chain([proof.as_str()]);
    let proofs: Vec<Vec<u8>> =
        proofs.filter_map(|text| decoded(verify, text.strip_prefix(verify.prefix.as_str())?)).collect();
    let mut verified = None;
    // All are tried whichever fits, so that the time taken says nothing of it.
    for (place, secret) in secrets.iter().enumerate().filter(|(_, secret)| !secret.is_empty()) {
        let Some(expected) = expected(verify, delivery, secret, timestamp) else { continue };
        for proof in &proofs {
            if bool::from(expected.as_slice().ct_eq(proof.as_slice())) {
                verified = verified.or(Some(place));
            }
        }
    }
    let verified = verified.ok_or(WebhookRefused::Signature)?;
    if let (Some(rule), Some(text)) = (&verify.timestamp, timestamp) {
        let signed_at = rule.format.read(&Value::from(text)).ok_or(WebhookRefused::Signature)?;
        let max = i64::try_from(rule.max_age.ms()).unwrap_or(i64::MAX);
        if delivery.now.0.saturating_sub(signed_at.0).saturating_abs() > max {
            return Err(WebhookRefused::Stale);
        }
    }
    Ok(verified)
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1.split('#').next()?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The bytes of a signature as it came. A secret that comes along is compared by its digest, which has one length.
fn decoded(verify: &Verify, text: &str) -> Option<Vec<u8>> {
    if verify.algorithm == Algorithm::Secret {
        return Some(Sha256::digest(text).to_vec());
    }
    bytes(verify.encoding, text)
}

fn bytes(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Text => Some(text.as_bytes().to_vec()),
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::Hex => {
            let digits = text.as_bytes();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect()).flatten()
        }
    }
}

/// What a genuine delivery proves itself by.
fn expected(verify: &Verify, delivery: &WebhookDelivery<'_>, secret: &str, timestamp: Option<&str>) -> Option<Vec<u8>> {
    let secret = bytes(verify.secret, secret)?;
    if verify.algorithm == Algorithm::Secret {
        return Some(Sha256::digest(&secret).to_vec());
    }
    let payload = std::str::from_utf8(delivery.body).ok()?;
    let scope = Scope::default().with("payload", payload).with("method", delivery.method).with("url", delivery.url);
    let message = verify.message.text(&scope.with_some("timestamp", timestamp))?;
    match verify.algorithm {
        Algorithm::HmacSha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).ok()?;
            mac.update(message.as_bytes());
            Some(signature(verify, &mac.finalize().into_bytes()))
        }
        Algorithm::HmacSha512 => {
            let mut mac = Hmac::<Sha512>::new_from_slice(&secret).ok()?;
            mac.update(message.as_bytes());
            Some(signature(verify, &mac.finalize().into_bytes()))
        }
        Algorithm::Secret => None,
    }
}

/// A signature that is written as it is stands in hexadecimal digits.
fn signature(verify: &Verify, bytes: &[u8]) -> Vec<u8> {
    match verify.encoding {
        Encoding::Text => bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        Encoding::Hex | Encoding::Base64 => bytes.to_vec(),
    }
}

/// The hints of a delivery. Events that are none of the manifest's are passed over.
fn hints(engine: &Engine, webhooks: &Webhooks, body: &[u8]) -> Result<Vec<Hint>, WebhookRefused> {
    let value: Value = match webhooks.body {
        Received::Json => serde_json::from_slice(body).map_err(|_| WebhookRefused::Body)?,
        Received::Form => {
            let pairs = url::form_urlencoded::parse(body);
            Value::Object(pairs.map(|(key, value)| (key.into_owned(), Value::from(value))).collect::<Map<_, _>>())
        }
    };
    let events = match webhooks.events.find(&value) {
        Some(Value::Array(events)) => events.clone(),
        Some(event @ Value::Object(_)) => vec![event.clone()],
        _ => return Err(WebhookRefused::Body),
    };
    if events.len() > EVENTS_MAX {
        return Err(WebhookRefused::Body);
    }
    Ok(events.into_iter().flat_map(|event| hint(engine, webhooks, event)).collect())
}

fn hint(engine: &Engine, webhooks: &Webhooks, event: Value) -> Vec<Hint> {
    let fits = |rule: &&Event| rule.when.iter().all(|check| check.holds(&event));
    let Some(rule) = webhooks.event.iter().find(fits) else { return Vec::new() };
    let Some(object) = engine.spec().objects.get(&rule.object) else { return Vec::new() };
    let ids: Vec<&Value> = match rule.id.find(&event) {
        Some(Value::Array(ids)) => ids.iter().collect(),
        found => found.into_iter().collect(),
    };
    let ids: Vec<_> = ids.into_iter().filter_map(|id| rows::id_of(object.id.ty, id)).collect();
    let account = rule.account.as_ref().and_then(|path| path.find(&event)).and_then(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let named = rule.dedupe.as_ref().and_then(|template| template.text(&Scope::default().with("row", event.clone())));
    let dedupe = named.unwrap_or_else(|| {
        let digest = Sha256::digest(event.to_string());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    });
    let several = ids.len() > 1;
    let hint = |id: syncline_core::ids::ExternalId| Hint {
        object: rule.object.as_str().into(),
        dedupe: if several { format!("{dedupe}:{id}") } else { dedupe.clone() },
        account: account.clone(),
        id,
    };
    ids.into_iter().map(hint).collect()
}
