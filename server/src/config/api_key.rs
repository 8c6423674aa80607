//! The `api_keys` section: who may call the API.

use syncline_core::ids::TenantId;

use super::{
    connection, name,
    secret::{Resolver, Secret},
    spot::{Named, Spot},
};

/// The keys of an API key.
pub(super) const KEYS: &[&str] = &["name", "tenant", "key"];
/// The shortest key: fewer characters than a random 96-bit text needs can be guessed.
const LENGTH_MIN: usize = 16;

/// A key of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// The name that changes made with this key are shown under.
    pub name: String,
    /// The tenant that the key is bound to; `None` where each request names its tenant in a header.
    pub tenant: Option<TenantId>,
    /// The key itself; the store keeps only its hash.
    pub key: Secret,
}

impl ApiKey {
    pub(super) fn read(spot: &Spot<'_>, resolver: Resolver<'_>) -> Option<Self> {
        let table = spot.table(KEYS)?;
        let name = table
            .need("name", "name the key's user, such as `name: backend`")
            .and_then(|spot| name::identifier(&spot, &Named { text: spot.text()?, at: spot.at() }, "an API key"));
        let tenant = table.get("tenant").map(|spot| connection::tenant(&spot));
        let key = table.need("key", "write `key: {env: NAME}`").and_then(|spot| random_secret(&spot, resolver));
        match tenant {
            Some(None) => None,
            tenant => Some(Self { name: name?, tenant: tenant.flatten(), key: key? }),
        }
    }
}

/// A secret that is long enough not to be guessed, and fits a header.
pub(super) fn random_secret(spot: &Spot<'_>, resolver: Resolver<'_>) -> Option<Secret> {
    let secret = resolver.secret(spot)?;
    if secret.expose().len() < LENGTH_MIN || !secret.expose().chars().all(|c| c.is_ascii_graphic()) {
        spot.problem("the key is not fit for use", format!(
            "use at least {LENGTH_MIN} random printable characters without spaces, such as the output of `openssl rand -hex 32`"
        ));
        return None;
    }
    Some(secret)
}
