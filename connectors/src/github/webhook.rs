//! Webhooks: one event each, signed. Their values are never used; each only says "look". GitHub does not send an event again by
//! itself: one that was lost is made up for by the next read of what changed.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::Sha256;
use syncline_core::ids::{ExternalId, ObjectName};

use super::GitHub;
use crate::connector::{Hint, VerifiedWebhook, WebhookDelivery, WebhookReceiver, WebhookRefused};

const SIGNATURE: &str = "x-hub-signature-256";
const EVENT: &str = "x-github-event";
const DELIVERY: &str = "x-github-delivery";

/// The length of a signature in hexadecimal digits.
const SIGNATURE_DIGITS: usize = 64;

impl WebhookReceiver for GitHub {
    /// Nothing that is signed names a time, so there is no window for replays: a delivery's number makes two of them one, and a
    /// hint that comes again costs a look.
    fn receive(&self, delivery: &WebhookDelivery<'_>, secrets: &[&str]) -> Result<VerifiedWebhook, WebhookRefused> {
        let secret = verify(secrets, delivery)?;
        Ok(VerifiedWebhook { hints: hints(delivery)?, secret })
    }
}

/// Checks the signature, and returns the place of the secret that verified it.
fn verify(secrets: &[&str], delivery: &WebhookDelivery<'_>) -> Result<usize, WebhookRefused> {
    if secrets.iter().all(|secret| secret.is_empty()) {
        return Err(WebhookRefused::NoSecret);
    }
    let header = delivery.headers.get(SIGNATURE).ok_or(WebhookRefused::Signature)?;
    let signature = header.trim().strip_prefix("sha256=").and_then(bytes).ok_or(WebhookRefused::Signature)?;
    let mut verified = None;
    // All are tried whichever fits, so that the time taken says nothing of it.
    for (place, secret) in secrets.iter().enumerate().filter(|(_, secret)| !secret.is_empty()) {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| WebhookRefused::Signature)?;
        mac.update(delivery.body);
        if mac.verify_slice(&signature).is_ok() {
            verified = verified.or(Some(place));
        }
    }
    verified.ok_or(WebhookRefused::Signature)
}

/// A signature's bytes, from its hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let is_signature = digits.len() == SIGNATURE_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    if is_signature { (0..digits.len()).step_by(2).map(byte).collect() } else { None }
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    issue: Option<Issue>,
    #[serde(default)]
    comment: Option<Comment>,
    #[serde(default)]
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    #[serde(default)]
    pull_request: Option<Value>,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

/// The hints of a delivery. Events of kinds that are not about issues say nothing to us.
fn hints(delivery: &WebhookDelivery<'_>) -> Result<Vec<Hint>, WebhookRefused> {
    let header = |name: &str| delivery.headers.get(name).map(|text| text.trim());
    let event: Event = read(delivery.body, header("content-type"))?;
    let (Some(kind), Some(issue)) = (header(EVENT), event.issue) else { return Ok(Vec::new()) };
    if issue.pull_request.is_some_and(|mark| !mark.is_null()) {
        return Ok(Vec::new());
    }
    // A comment moves its issue's stamp as well.
    let issue = (ObjectName::from("issues"), ExternalId::from(issue.number.to_string()));
    let comment = event.comment.map(|comment| (ObjectName::from("comments"), ExternalId::from(comment.id.to_string())));
    let objects: Vec<(ObjectName, ExternalId)> = match kind {
        "issues" => vec![issue],
        "issue_comment" => comment.into_iter().chain([issue]).collect(),
        _ => Vec::new(),
    };
    let delivered = header(DELIVERY).ok_or(WebhookRefused::Body)?;
    let account = event.repository.map(|repository| repository.full_name);
    let hint = |(object, id): (ObjectName, ExternalId)| Hint {
        dedupe: format!("{delivered}:{object}:{id}"),
        account: account.clone(),
        object,
        id,
    };
    Ok(objects.into_iter().map(hint).collect())
}

/// The event: the body itself, or the field of a form that holds it.
fn read(body: &[u8], media: Option<&str>) -> Result<Event, WebhookRefused> {
    let is_form = media.is_some_and(|media| media.starts_with("application/x-www-form-urlencoded"));
    let read = |bytes: &[u8]| {
        let event: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| WebhookRefused::Body)?;
        serde_json::from_value(Value::Object(event)).map_err(|_| WebhookRefused::Body)
    };
    if !is_form {
        return read(body);
    }
    let payload = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    read(payload.ok_or(WebhookRefused::Body)?.1.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    /// GitHub's own example.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(secrets: &[&str], body: &[u8], signature: &str) -> Result<usize, WebhookRefused> {
        let headers = BTreeMap::from([(SIGNATURE.to_owned(), signature.to_owned())]);
        let url = "https://example.com/hook";
        verify(secrets, &WebhookDelivery { method: "POST", url, headers: &headers, body, now: Millis(0) })
    }

    #[test]
    fn only_a_signed_delivery_is_genuine() {
        let forged = Err(WebhookRefused::Signature);
        let cases = [
            ("genuine", check(&[SECRET], BODY, SIGNED), Ok(0)),
            ("the older of two secrets", check(&["new", SECRET], BODY, SIGNED), Ok(1)),
            ("digits in capitals", check(&[SECRET], BODY, &SIGNED.to_uppercase().replace("SHA256", "sha256")), Ok(0)),
            ("no secret", check(&[], BODY, SIGNED), Err(WebhookRefused::NoSecret)),
            ("an empty secret", check(&[""], BODY, SIGNED), Err(WebhookRefused::NoSecret)),
            ("another secret", check(&["other"], BODY, SIGNED), forged),
            ("another body", check(&[SECRET], b"Hello, World", SIGNED), forged),
            ("another method of signing", check(&[SECRET], BODY, &SIGNED.replace("sha256", "sha1")), forged),
            ("half a signature", check(&[SECRET], BODY, &SIGNED[..40]), forged),
            ("no digits", check(&[SECRET], BODY, &format!("sha256={}", "é".repeat(32))), forged),
            ("nothing", check(&[SECRET], BODY, ""), forged),
        ];
        for (name, got, expected) in cases {
            assert_eq!(got, expected, "{name}");
        }
    }

    fn hinted(event: &str, media: &str, body: &[u8]) -> Result<Vec<String>, WebhookRefused> {
        let headers = [(EVENT, event), (DELIVERY, "72d3162e"), ("content-type", media)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let url = "https://example.com/hook";
        let delivery = WebhookDelivery { method: "POST", url, headers: &headers, body, now: Millis(0) };
        let hints = hints(&delivery)?;
        assert!(hints.iter().all(|hint| hint.account.as_deref() == Some("acme/app")), "{hints:?}");
        Ok(hints.into_iter().map(|hint| hint.dedupe).collect())
    }

    #[test]
    fn events_become_hints() {
        let event = |mut event: Value| {
            event["repository"] = json!({"id": 1, "full_name": "acme/app"});
            event.to_string()
        };
        let issue = event(json!({"action": "edited", "issue": {"id": 3001, "number": 7}, "changes": {}}));
        let comment = event(json!({"action": "created", "issue": {"number": 7}, "comment": {"id": 55}}));
        let review =
            event(json!({"action": "created", "issue": {"number": 8, "pull_request": {}}, "comment": {"id": 56}}));
        let ping = event(json!({"zen": "Keep it logically awesome.", "hook_id": 1}));
        let json = "application/json";
        let cases = [
            ("issues", &issue, &["72d3162e:issues:7"][..]),
            ("issue_comment", &comment, &["72d3162e:comments:55", "72d3162e:issues:7"]),
            ("issue_comment", &review, &[]),
            ("ping", &ping, &[]),
            ("milestone", &issue, &[]),
        ];
        for (kind, body, expected) in cases {
            assert_eq!(hinted(kind, json, body.as_bytes()).expect("hints"), expected, "{kind}");
        }
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &issue).finish();
        let media = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(hinted("issues", media, form.as_bytes()).expect("hints"), ["72d3162e:issues:7"]);
    }

    #[test]
    fn a_body_that_is_no_event_is_refused() {
        for (media, body) in [
            ("application/json", "[]"),
            ("application/json", ""),
            ("application/json", r#"{"issue": {}}"#),
            ("application/x-www-form-urlencoded", "other=1"),
        ] {
            assert_eq!(hinted("issues", media, body.as_bytes()), Err(WebhookRefused::Body), "{body}");
        }
    }
}
