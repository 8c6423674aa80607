//! Secrets at rest: sealed with XChaCha20-Poly1305 and bound to the place they are stored at, so that a ciphertext
//! moved to another row does not open.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use syncline_core::ids::{ConnectionId, TenantId};

/// The layout of a sealed secret: one byte of version, 24 bytes of nonce, ciphertext with its 16-byte tag.
const SEAL_VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const KEY_LEN: usize = 32;

/// Why a secret could not be sealed or opened, or a key not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key's text is not a key.
    #[error(
        "the secrets key is {0}, but must be 32 random bytes in base64 or hexadecimal: make one with `openssl rand -base64 32` and put it into the variable or file that `server.secrets_key` names"
    )]
    BadKey(String),
    /// The ciphertext does not open with this key at this place.
    #[error(
        "a stored secret of {0} does not open: the secrets key is not the one it was sealed with, or the row was tampered with; restore the key, or authorise the connection again"
    )]
    DoesNotOpen(String),
    /// The secret could not be sealed.
    #[error("a secret of {0} is too long to be sealed")]
    DoesNotSeal(String),
}

/// The key that seals secrets. It never shows itself.
#[derive(Clone)]
pub struct SecretsKey {
    cipher: XChaCha20Poly1305,
    /// The key itself, from which keys for other purposes are derived.
    bytes: [u8; KEY_LEN],
}

impl SecretsKey {
    /// The key from its text: 32 bytes in base64 or hexadecimal, with white space around it ignored.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretError::BadKey("empty".into()));
        }
        let bytes = hexadecimal(text)
            .or_else(|| BASE64.decode(text).ok())
            .ok_or_else(|| SecretError::BadKey("neither base64 nor hexadecimal".into()))?;
        let key: [u8; KEY_LEN] =
            bytes.try_into().map_err(|bytes: Vec<u8>| SecretError::BadKey(format!("{} bytes long", bytes.len())))?;
        Ok(Self { cipher: XChaCha20Poly1305::new(&key.into()), bytes: key })
    }

    /// A new random key as base64 text, for a person to keep.
    pub fn generate() -> String {
        BASE64.encode(rand::random::<[u8; KEY_LEN]>())
    }

    /// A key for another purpose, from which this one cannot be found.
    pub fn derived(&self, purpose: &str) -> [u8; KEY_LEN] {
        blake3::derive_key(purpose, &self.bytes)
    }

    /// Seals a secret for its place.
    pub fn seal(&self, place: &Place<'_>, secret: &[u8]) -> Result<Sealed, SecretError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let aad = place.associated_data();
        let ciphertext = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &aad })
            .map_err(|_| SecretError::DoesNotSeal(place.to_string()))?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + ciphertext.len());
        sealed.push(SEAL_VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(Sealed(sealed))
    }

    /// Opens a secret that was sealed for this place.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, SecretError> {
        let refused = || SecretError::DoesNotOpen(place.to_string());
        let (&version, rest) = sealed.0.split_first().ok_or_else(refused)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        if version != SEAL_VERSION {
            return Err(refused());
        }
        let aad = place.associated_data();
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &aad }).map_err(|_| refused())
    }
}

impl fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretsKey(..)")
    }
}

/// Where a secret is stored; part of what its seal proves.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The connection.
    pub connection: &'a ConnectionId,
    /// What the secret is for, such as `credentials`.
    pub purpose: &'a str,
}

impl Place<'_> {
    /// The parts with their lengths, so that no two places share a text.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = b"syncline secret".to_vec();
        for part in [self.tenant.as_str(), self.connection.as_str(), self.purpose] {
            data.extend_from_slice(&(part.len() as u64).to_le_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection `{}` of tenant `{}` ({})", self.connection, self.tenant, self.purpose)
    }
}

/// A sealed secret, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// A sealed secret from the store.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_LEN {
        return None;
    }
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretsKey {
        SecretsKey::parse(&SecretsKey::generate()).expect("a generated key is a key")
    }

    #[test]
    fn keys_are_read_from_base64_and_hexadecimal_and_nothing_else() {
        let hex = "00".repeat(KEY_LEN);
        let base64 = BASE64.encode([0; KEY_LEN]);
        for (text, problem) in [
            (hex.as_str(), None),
            (&format!("  {base64}\n"), None),
            ("", Some("empty")),
            ("0011", Some("3 bytes long")),
            (&BASE64.encode([0; 16]), Some("16 bytes long")),
            ("not a key!", Some("neither base64 nor hexadecimal")),
        ] {
            let found = SecretsKey::parse(text).err();
            assert_eq!(found, problem.map(|problem| SecretError::BadKey(problem.into())), "for {text:?}");
        }
        let secret = b"token";
        let (tenant, connection) = ("acme".into(), "crm".into());
        let place = Place { tenant: &tenant, connection: &connection, purpose: "credentials" };
        let sealed = SecretsKey::parse(&hex).unwrap().seal(&place, secret).unwrap();
        assert_eq!(
            SecretsKey::parse(&base64).unwrap().open(&place, &sealed).unwrap(),
            secret,
            "one key, two spellings"
        );
    }

    #[test]
    fn a_secret_opens_only_at_its_place_with_its_key_and_unchanged() {
        let key = key();
        let (acme, other): (TenantId, TenantId) = ("acme".into(), "other".into());
        let (crm, desk): (ConnectionId, ConnectionId) = ("crm".into(), "desk".into());
        let place = Place { tenant: &acme, connection: &crm, purpose: "credentials" };
        let sealed = key.seal(&place, b"refresh-token").unwrap();
        assert_eq!(key.open(&place, &sealed).unwrap(), b"refresh-token");
        assert_ne!(key.seal(&place, b"refresh-token").unwrap(), sealed, "each seal has its own nonce");

        for swapped in [
            Place { tenant: &other, ..place },
            Place { connection: &desk, ..place },
            Place { purpose: "webhook", ..place },
        ] {
            assert!(key.open(&swapped, &sealed).is_err(), "opened at {swapped}");
        }
        assert!(self::key().open(&place, &sealed).is_err(), "opened with another key");
        for at in 0..sealed.0.len() {
            let mut bent = sealed.clone();
            bent.0[at] ^= 1;
            assert!(key.open(&place, &bent).is_err(), "opened with byte {at} changed");
        }
        for len in 0..sealed.0.len() {
            assert!(key.open(&place, &Sealed(sealed.0[..len].to_vec())).is_err(), "opened when cut to {len} bytes");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = key();
        let (tenant, connection) = ("acme".into(), "crm".into());
        let place = Place { tenant: &tenant, connection: &connection, purpose: "credentials" };
        let sealed = key.seal(&place, b"refresh-token").unwrap();
        let shown = format!("{key:?} {sealed:?} {:?}", SecretsKey::parse("c2VjcmV0").unwrap_err());
        assert!(!shown.contains("c2VjcmV0") && !shown.contains("refresh"), "{shown}");
    }
}
