//! Signatures of webhook requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The secret of test requests, which are sent before a webhook is saved.
pub(crate) const TEST_SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";

/// Base64 of HMAC-SHA-256 over the timestamp as it is sent and the body, which may be empty.
pub(crate) fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of any length, so this is never reached.
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors() {
        let signature = sign(TEST_SECRET, "2021-03-25T05:09:27Z", br#"{"a":1}"#);
        assert_eq!(signature, "/mXSigLOoEkcTQbsWqgaVKrxFhN+K298pf/niM2rAnI=");
        assert_ne!(sign(TEST_SECRET, "2021-03-25T05:09:27Z", b""), sign(TEST_SECRET, "2021-03-25T05:09:28Z", b""));
    }
}
