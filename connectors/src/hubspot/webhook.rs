//! Webhooks: arrays of events, signed (version 3). Their values are never used; each event only says "look".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    time::Millis,
};

use super::{HubSpot, rows::id_of};
use crate::connector::{Hint, VerifiedWebhook, WebhookDelivery, WebhookReceiver, WebhookRefused};

const SIGNATURE: &str = "x-hubspot-signature-v3";
const TIMESTAMP: &str = "x-hubspot-request-timestamp";

/// Deliveries signed longer ago may be replays.
const REPLAY_WINDOW_MS: i64 = 300_000;

/// HubSpot sends up to 100 events; a signed delivery of more is understood as well, within reason.
const EVENTS_MAX: usize = 10_000;

/// HubSpot signs the address with these decoded, and everything else as it stands in the request.
const DECODED: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];

impl WebhookReceiver for HubSpot {
    fn receive(&self, delivery: &WebhookDelivery<'_>, secrets: &[&str]) -> Result<VerifiedWebhook, WebhookRefused> {
        let secret = verify(secrets, delivery)?;
        Ok(VerifiedWebhook { hints: hints(delivery.body)?, secret })
    }
}

/// Checks signature and time, and returns the place of the secret that verified it. The time is part of what is signed, so it
/// is judged only after the signature.
fn verify(secrets: &[&str], delivery: &WebhookDelivery<'_>) -> Result<usize, WebhookRefused> {
    if secrets.iter().all(|secret| secret.is_empty()) {
        return Err(WebhookRefused::NoSecret);
    }
    let header = |name: &str| delivery.headers.get(name).map(String::as_str).ok_or(WebhookRefused::Signature);
    let timestamp = header(TIMESTAMP)?.trim();
    // Some HTTP layers turn the `+` of base64 into a space.
    let signature = header(SIGNATURE)?.trim().replace(' ', "+");
    let signature = STANDARD.decode(signature).map_err(|_| WebhookRefused::Signature)?;
    let uri = signed_uri(delivery.url);
    let mut verified = None;
    // All are tried whichever fits, so that the time taken says nothing of it.
    for (place, secret) in secrets.iter().enumerate().filter(|(_, secret)| !secret.is_empty()) {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| WebhookRefused::Signature)?;
        mac.update(delivery.method.as_bytes());
        mac.update(uri.as_bytes());
        mac.update(delivery.body);
        mac.update(timestamp.as_bytes());
        if mac.verify_slice(&signature).is_ok() {
            verified = verified.or(Some(place));
        }
    }
    let verified = verified.ok_or(WebhookRefused::Signature)?;
    let signed_at = timestamp.parse().map(Millis).map_err(|_| WebhookRefused::Signature)?;
    if delivery.now.0.saturating_sub(signed_at.0).saturating_abs() > REPLAY_WINDOW_MS {
        return Err(WebhookRefused::Stale);
    }
    Ok(verified)
}

/// The address as HubSpot signs it.
fn signed_uri(url: &str) -> String {
    let mut signed = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        signed.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = rest.get(..3);
        let decoded = DECODED.iter().find(|(code, _)| escape.is_some_and(|escape| escape.eq_ignore_ascii_case(code)));
        match (decoded, escape) {
            (Some((_, plain)), Some(escape)) => {
                signed.push(*plain);
                rest = &rest[escape.len()..];
            }
            _ => {
                signed.push('%');
                rest = &rest[1..];
            }
        }
    }
    signed.push_str(rest);
    signed
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    subscription_type: String,
    #[serde(default)]
    event_id: Value,
    #[serde(default)]
    subscription_id: Value,
    #[serde(default)]
    portal_id: Value,
    #[serde(default)]
    occurred_at: Value,
    #[serde(default)]
    object_id: Value,
    #[serde(default)]
    object_type_id: Option<String>,
    #[serde(default)]
    property_name: Option<String>,
    #[serde(default)]
    primary_object_id: Value,
    #[serde(default)]
    merged_object_ids: Vec<Value>,
    #[serde(default)]
    new_object_id: Value,
}

/// Splits a delivery into hints. Events of kinds that we do not know are passed over; a body that is no list of events is
/// refused.
fn hints(body: &[u8]) -> Result<Vec<Hint>, WebhookRefused> {
    let events: Vec<Event> = serde_json::from_slice(body).map_err(|_| WebhookRefused::Body)?;
    if events.len() > EVENTS_MAX {
        return Err(WebhookRefused::Body);
    }
    Ok(events.iter().flat_map(Event::hints).collect())
}

impl Event {
    /// The hints of an event: a merge speaks of all objects that took part.
    fn hints(&self) -> Vec<Hint> {
        let Some(object) = self.object() else { return Vec::new() };
        let single = [&self.object_id, &self.primary_object_id, &self.new_object_id];
        let mut ids: Vec<ExternalId> = single.into_iter().chain(&self.merged_object_ids).filter_map(id_of).collect();
        ids.sort();
        ids.dedup();
        let account = id_of(&self.portal_id).map(|id| id.to_string());
        let hint =
            |id: ExternalId| Hint { object: object.clone(), dedupe: self.dedupe(&id), account: account.clone(), id };
        ids.into_iter().map(hint).collect()
    }

    /// Two deliveries of one event agree in all of this. The event's id alone is not guaranteed to be unique, and the
    /// attempt's number is what differs.
    fn dedupe(&self, id: &ExternalId) -> String {
        let property = self.property_name.as_deref().unwrap_or_default();
        format!(
            "{}:{}:{}:{}:{id}:{}:{property}",
            self.portal_id, self.subscription_id, self.event_id, self.subscription_type, self.occurred_at
        )
    }

    fn object(&self) -> Option<ObjectName> {
        let (kind, _) = self.subscription_type.split_once('.')?;
        let name = match kind {
            "contact" => "contacts",
            "company" => "companies",
            "deal" => "deals",
            "ticket" => "tickets",
            "product" => "products",
            "line_item" => "line_items",
            "object" => match self.object_type_id.as_deref()? {
                "0-1" => "contacts",
                "0-2" => "companies",
                "0-3" => "deals",
                "0-5" => "tickets",
                custom => custom,
            },
            _ => return None,
        };
        Some(name.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const URL: &str = "https://www.example.com/webhook_uri";
    const BODY: &[u8] = br#"{"example_field":"example_value"}"#;
    const AT: i64 = 1_700_000_000_000;
    const SIGNED: &str = "rQEKkaNUiu+1qGF//O/pw4BCzstSqO1PyUnGICmf+7o=";

    fn check(
        secrets: &[&str],
        url: &str,
        body: &[u8],
        signature: &str,
        timestamp: &str,
        now: i64,
    ) -> Result<usize, WebhookRefused> {
        let headers = BTreeMap::from([
            (SIGNATURE.to_owned(), signature.to_owned()),
            (TIMESTAMP.to_owned(), timestamp.to_owned()),
        ]);
        verify(secrets, &WebhookDelivery { method: "POST", url, headers: &headers, body, now: Millis(now) })
    }

    #[test]
    fn only_a_fresh_and_whole_signature_is_accepted() {
        let at = AT.to_string();
        let spaced = SIGNED.replace('+', " ");
        let forged = Err(WebhookRefused::Signature);
        let cases = [
            ("the published example", check(&[SECRET], URL, BODY, SIGNED, &at, AT), Ok(0)),
            ("with spaces for plus", check(&[SECRET], URL, BODY, &spaced, &at, AT), Ok(0)),
            ("at the end of the window", check(&[SECRET], URL, BODY, SIGNED, &at, AT + 300_000), Ok(0)),
            ("after it", check(&[SECRET], URL, BODY, SIGNED, &at, AT + 300_001), Err(WebhookRefused::Stale)),
            ("long before it", check(&[SECRET], URL, BODY, SIGNED, &at, AT - 300_001), Err(WebhookRefused::Stale)),
            ("another secret", check(&["z"], URL, BODY, SIGNED, &at, AT), forged),
            ("the older of two secrets", check(&["z", SECRET], URL, BODY, SIGNED, &at, AT), Ok(1)),
            ("the newer of two secrets", check(&[SECRET, "z"], URL, BODY, SIGNED, &at, AT), Ok(0)),
            ("no secret", check(&[], URL, BODY, SIGNED, &at, AT), Err(WebhookRefused::NoSecret)),
            ("an empty secret", check(&[""], URL, BODY, SIGNED, &at, AT), Err(WebhookRefused::NoSecret)),
            ("another address", check(&[SECRET], "https://evil.com/webhook_uri", BODY, SIGNED, &at, AT), forged),
            ("another body", check(&[SECRET], URL, b"{}", SIGNED, &at, AT), forged),
            ("another time", check(&[SECRET], URL, BODY, SIGNED, "1700000000001", AT), forged),
            ("no base64", check(&[SECRET], URL, BODY, "?", &at, AT), forged),
            ("an empty signature", check(&[SECRET], URL, BODY, "", &at, AT), forged),
            ("half a signature", check(&[SECRET], URL, BODY, &SIGNED[..20], &at, AT), forged),
        ];
        for (name, got, expected) in cases {
            assert_eq!(got, expected, "{name}");
        }
        let headers = BTreeMap::new();
        let bare = WebhookDelivery { method: "POST", url: URL, headers: &headers, body: BODY, now: Millis(AT) };
        assert_eq!(verify(&[SECRET], &bare), forged);
    }

    #[test]
    fn addresses_are_decoded_as_hubspot_does() {
        let cases = [
            ("https://a.com/x?y=%3A%2f%3F%40%21%24%27%28%29%2A%2C%3B", "https://a.com/x?y=:/?@!$'()*,;"),
            ("https://a.com/%20%25%zz%3D%", "https://a.com/%20%25%zz%3D%"),
            ("https://a.com/%C3%A9", "https://a.com/%C3%A9"),
            ("https://a.com/é%é", "https://a.com/é%é"),
        ];
        for (url, expected) in cases {
            assert_eq!(signed_uri(url), expected);
        }
    }

    #[test]
    fn events_become_hints() {
        let change = json!({
            "appId": 54321, "eventId": 1001, "subscriptionId": 12345, "portalId": 62515, "occurredAt": 1_778_192_987_123_i64,
            "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": 123,
            "propertyName": "email", "propertyValue": "never used",
        });
        let merge = json!({
            "eventId": 7, "subscriptionId": 2, "portalId": 62515, "occurredAt": 5, "subscriptionType": "company.merge",
            "objectId": 1, "primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 3,
        });
        let generic =
            json!({"subscriptionType": "object.deletion", "objectTypeId": "0-2", "objectId": "9", "portalId": 1});
        let strange = json!({"subscriptionType": "conversation.creation", "objectId": 1});
        let body = json!([change, merge, generic, strange]).to_string();
        let hints = hints(body.as_bytes()).expect("hints");
        let shown: Vec<String> = hints.iter().map(|hint| format!("{} {}", hint.object, hint.id)).collect();
        assert_eq!(shown, ["contacts 123", "companies 1", "companies 2", "companies 3", "companies 9"]);
        assert_eq!(hints[0].account.as_deref(), Some("62515"));
    }

    #[test]
    fn a_repeat_is_known_and_a_sibling_is_not() {
        let dedupe = |property: &str, attempt: u32| {
            let event = json!([{
                "eventId": 1, "subscriptionId": 2, "portalId": 3, "occurredAt": 4, "subscriptionType": "contact.propertyChange",
                "attemptNumber": attempt, "objectId": 5, "propertyName": property,
            }]);
            hints(event.to_string().as_bytes()).expect("hints").remove(0).dedupe
        };
        assert_eq!(dedupe("email", 0), dedupe("email", 3));
        assert_ne!(dedupe("email", 0), dedupe("phone", 0));
    }

    #[test]
    fn a_body_that_is_no_list_is_refused() {
        for body in ["", "{}", "[1]", "[{}]", "null", "[{\"subscriptionType\": 1}]"] {
            assert_eq!(hints(body.as_bytes()), Err(WebhookRefused::Body), "{body}");
        }
        assert_eq!(hints(b"[]"), Ok(Vec::new()));
    }
}
