//! The `server` section: where to listen, what to keep data in, and the key that secrets are encrypted with.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use url::Url;

use super::{
    api_key,
    secret::{Resolver, Secret},
    spot::Spot,
};
use crate::secrets::SecretsKey;

/// The keys of the section.
pub(super) const KEYS: &[&str] =
    &["listen", "public_url", "database", "secrets_key", "request_deadline", "metrics_token"];

/// Where this server listens and keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address of the HTTP API. Port 0 takes a free port.
    pub listen: SocketAddr,
    /// The URL under which providers and apps reach this server from outside; webhook signatures cover it. `None`
    /// where nothing pushes.
    pub public_url: Option<Url>,
    /// The SQLite database file.
    pub database: PathBuf,
    /// The key that stored credentials are encrypted with: 32 bytes as base64 or hexadecimal text. `None` only where
    /// no connection is configured.
    pub secrets_key: Option<Secret>,
    /// How long after its answer was lost a request may still take effect at a provider. Only then it is asked what became
    /// of the write; too short a time can make a late write look like somebody's edit.
    pub request_deadline: Duration,
    /// What opens `/metrics`, which is about all tenants; `None`: nothing does.
    pub metrics_token: Option<Secret>,
}

impl Server {
    /// Where the server listens unless told otherwise: loopback, because no TLS is spoken here.
    pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
    /// The database file unless told otherwise.
    pub const DATABASE: &str = "syncline.db";

    /// How long a request may still take effect unless told otherwise.
    pub const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
    /// The shortest such time.
    pub const REQUEST_DEADLINE_MIN: Duration = Duration::from_millis(100);

    pub(super) fn read(spot: Option<&Spot<'_>>, resolver: Resolver<'_>) -> Self {
        let table = spot.and_then(|spot| spot.table(KEYS));
        let get = |key: &str| table.as_ref().and_then(|table| table.get(key));
        Self {
            listen: get("listen").and_then(|spot| address(&spot)).unwrap_or(Self::LISTEN),
            public_url: get("public_url").and_then(|spot| url(&spot)),
            database: resolver
                .path(&get("database").and_then(|spot| spot.text()).unwrap_or_else(|| Self::DATABASE.to_owned())),
            secrets_key: get("secrets_key").and_then(|spot| secrets_key(&spot, resolver)),
            request_deadline: get("request_deadline")
                .and_then(|spot| spot.duration(Self::REQUEST_DEADLINE_MIN))
                .unwrap_or(Self::REQUEST_DEADLINE),
            metrics_token: get("metrics_token").and_then(|spot| api_key::random_secret(&spot, resolver)),
        }
    }
}

/// Reads the key and makes sure that it is one, so that a wrong one is found now and not at the first stored token.
fn secrets_key(spot: &Spot<'_>, resolver: Resolver<'_>) -> Option<Secret> {
    let secret = resolver.secret(spot)?;
    match SecretsKey::parse(secret.expose()) {
        Ok(_) => Some(secret),
        Err(error) => {
            spot.problem(error.to_string(), "");
            None
        }
    }
}

fn address(spot: &Spot<'_>) -> Option<SocketAddr> {
    let text = spot.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        spot.problem(
            format!("`{text}` is not an address to listen on"),
            "write an IP address and a port, such as `127.0.0.1:8080`",
        );
    }
    address
}

/// An absolute `http` or `https` URL without credentials; it is printed in messages.
pub(super) fn url(spot: &Spot<'_>) -> Option<Url> {
    let text = spot.text()?;
    let remedy = "write it with its scheme and host, such as `https://sync.example.com`";
    match Url::parse(&text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            spot.problem("the URL holds credentials", "remove the part before `@`");
            None
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
        Ok(_) => {
            spot.problem("this is not an http or https URL", remedy);
            None
        }
        Err(error) => {
            spot.problem(format!("this is not a URL: {error}"), remedy);
            None
        }
    }
}
