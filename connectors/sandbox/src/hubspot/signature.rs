//! Signatures of webhook requests, versions 1 and 3 (version 2 is for cards, not for webhooks).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Version 1: hex of SHA-256 over secret and body.
pub(crate) fn v1(secret: &str, body: &[u8]) -> String {
    hex(Sha256::new().chain_update(secret).chain_update(body).finalize().as_slice())
}

/// Version 3: Base64 of HMAC-SHA-256 over method, decoded URI, body and timestamp in milliseconds.
pub(crate) fn v3(secret: &str, method: &str, uri: &str, body: &[u8], timestamp_ms: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of any length, so this is never reached.
        return String::new();
    };
    mac.update(method.as_bytes());
    mac.update(decode_uri(uri).as_bytes());
    mac.update(body);
    mac.update(timestamp_ms.to_string().as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The percent-encoded characters that HubSpot decodes before it hashes a URI.
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

/// Decodes what the platform decodes, and nothing else.
pub(crate) fn decode_uri(uri: &str) -> String {
    let mut decoded = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).unwrap_or_default();
        match DECODED.iter().find(|(code, _)| code.eq_ignore_ascii_case(escape)) {
            Some((code, letter)) => {
                decoded.push(*letter);
                rest = &rest[at + code.len()..];
            }
            None => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const URI: &str = "https://www.example.com/webhook_uri";
    const BODY: &[u8] = br#"{"example_field":"example_value"}"#;

    #[test]
    fn published_vectors() {
        let event = br#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;
        assert_eq!(v1(SECRET, event), "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de");
        assert_eq!(v3(SECRET, "POST", URI, BODY, 1_700_000_000_000), "rQEKkaNUiu+1qGF//O/pw4BCzstSqO1PyUnGICmf+7o=");
    }

    #[test]
    fn only_the_listed_escapes_are_decoded() {
        for (encoded, decoded) in [
            ("https://a.b/c?d=%3A%2f%40", "https://a.b/c?d=:/@"),
            ("https://a.b/c?d=%20%26%C3%BC", "https://a.b/c?d=%20%26%C3%BC"),
            ("https://a.b/%", "https://a.b/%"),
            ("https://a.b/%4", "https://a.b/%4"),
            ("https://a.b/%ü", "https://a.b/%ü"),
            ("%253A", "%253A"),
        ] {
            assert_eq!(decode_uri(encoded), decoded);
        }
        assert_eq!(v3(SECRET, "POST", "https://a.b/?q=%3A", b"", 1), v3(SECRET, "POST", "https://a.b/?q=:", b"", 1));
    }
}
