//! The `connections` section: the tenants' authorised accounts.

use syncline_core::ids::TenantId;
use url::Url;

use super::{
    name,
    secret::{Resolver, Secret},
    server,
    spot::{Named, Spot},
    webhook,
};

/// The keys of a connection.
pub(super) const KEYS: &[&str] = &["tenant", "integration", "credentials", "webhook_secrets"];
/// The keys of a connection's credentials.
pub(super) const CREDENTIAL_KEYS: &[&str] = &["access_token", "refresh_token", "base_url"];

/// One tenant's authorised account of an integration.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Whose account it is.
    pub tenant: TenantId,
    /// The integration's name.
    pub integration: String,
    /// What the connection starts with. Once tokens have been refreshed, the newer ones are kept in the database.
    pub credentials: InitialCredentials,
    /// What the connection's webhooks are verified with, the newest first; empty: what the integration's are.
    pub webhook_secrets: Vec<Secret>,
}

/// The credentials that a connection starts with; at least one token is there.
#[derive(Clone, Debug, PartialEq)]
pub struct InitialCredentials {
    /// A token that calls can be made with at once.
    pub access_token: Option<Secret>,
    /// A token that access tokens are got with.
    pub refresh_token: Option<Secret>,
    /// The account's own API host, where the provider has one per account.
    pub base_url: Option<Url>,
}

impl Connection {
    /// Reads one connection; `integrations` are the names that exist.
    pub(super) fn read(
        name: &Named,
        spot: &Spot<'_>,
        integrations: &[&str],
        resolver: Resolver<'_>,
    ) -> Option<(String, Self)> {
        let id = name::identifier(spot, name, "a connection");
        let table = spot.table(KEYS)?;
        let tenant = table
            .need("tenant", "name the customer whose account this is, such as `tenant: acme`")
            .and_then(|spot| tenant(&spot));
        let integration = table
            .need("integration", "name one of the entries under `integrations`")
            .and_then(|spot| spot.reference("integration", "integrations", integrations));
        let credentials = table
            .need("credentials", "write `credentials: {refresh_token: {env: NAME}}`")
            .and_then(|spot| InitialCredentials::read(&spot, resolver));
        let webhook_secrets = match table.get("webhook_secrets") {
            Some(spot) => webhook::secrets(&spot, resolver),
            None => Some(Vec::new()),
        };
        Some((
            id?,
            Self {
                tenant: tenant?,
                integration: integration?,
                credentials: credentials?,
                webhook_secrets: webhook_secrets?,
            },
        ))
    }
}

impl InitialCredentials {
    fn read(spot: &Spot<'_>, resolver: Resolver<'_>) -> Option<Self> {
        let table = spot.table(CREDENTIAL_KEYS)?;
        let secret = |key: &str| table.get(key).map(|spot| resolver.secret(&spot));
        let (access, refresh) = (secret("access_token"), secret("refresh_token"));
        if access.is_none() && refresh.is_none() {
            spot.problem(
                "there is no token",
                "give `refresh_token`, `access_token` or both, each as `{env: NAME}` or `{file: PATH}`",
            );
        }
        let base_url = table.get("base_url").map(|spot| address(&spot));
        // A value that was given and could not be read has been reported: the connection is not built from the rest.
        let whole = [&access, &refresh].into_iter().all(|secret| !matches!(secret, Some(None)));
        (whole && (access.is_some() || refresh.is_some()) && !matches!(base_url, Some(None))).then(|| Self {
            access_token: access.flatten(),
            refresh_token: refresh.flatten(),
            base_url: base_url.flatten(),
        })
    }
}

/// The address of an account: a URL of HTTP, or one in a provider's own scheme, which may name a user and never a password.
fn address(spot: &Spot<'_>) -> Option<Url> {
    let own = spot.text().and_then(|text| Url::parse(&text).ok());
    match own.filter(|url| !matches!(url.scheme(), "http" | "https") && url.has_host()) {
        None => server::url(spot),
        Some(url) if url.password().is_some() => {
            spot.problem(
                "the address holds a password",
                "give it as `access_token`, as `{env: NAME}` or `{file: PATH}`",
            );
            None
        }
        Some(url) => Some(url),
    }
}

/// A tenant's name, as used in connections, syncs and keys.
pub(super) fn tenant(spot: &Spot<'_>) -> Option<TenantId> {
    let named = Named { text: spot.text()?, at: spot.at() };
    name::identifier(spot, &named, "a tenant").map(TenantId::from)
}
