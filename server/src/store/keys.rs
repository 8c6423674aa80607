//! API keys: kept as hashes only.

use std::fmt;

use async_trait::async_trait;
use syncline_core::{ids::TenantId, time::Millis};

use super::StoreError;

/// Reads and writes API keys.
#[async_trait]
pub trait Keys {
    /// The key with this hash. Looking up by hash takes no time that depends on how much of a guess is right.
    async fn api_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError>;

    /// Stores a key under its name, in place of an earlier one of that name.
    async fn put_api_key(&self, hash: &KeyHash, key: &ApiKey) -> Result<(), StoreError>;

    /// All keys by name.
    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes the key of this name; says whether there was one.
    async fn revoke_api_key(&self, name: &str) -> Result<bool, StoreError>;

    /// Notes that a key was used; finer than a minute is not kept.
    async fn api_key_used(&self, hash: &KeyHash, at: Millis) -> Result<(), StoreError>;
}

/// The hash of an API key. A plain hash suffices: keys are long random texts, so there is nothing to guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub(crate) [u8; 32]);

impl KeyHash {
    /// Hashes a key as the client sent it.
    pub fn of(key: &str) -> Self {
        Self(blake3::derive_key("syncline 2026 api key", key.as_bytes()))
    }
}

impl KeyHash {
    /// The hash as hexadecimal digits.
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The hash from its hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Self> {
        blake3::Hash::from_hex(digits).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, shown as the origin of changes.
    pub name: String,
    /// The tenant that it is bound to; `None` for a key that names the tenant in each request.
    pub tenant: Option<TenantId>,
    /// When it was stored.
    pub created_at: Millis,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Millis>,
}
