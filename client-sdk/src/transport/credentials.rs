//! Who the client is: an API key, or tokens that somebody provides.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use reqwest::header::HeaderMap;
use tokio::sync::Mutex;
use url::Url;

use crate::{api::Api, error::Error};

/// What a provider of tokens may fail with.
type TokenError = Box<dyn std::error::Error + Send + Sync>;

type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// How the client shows who it is.
#[derive(Clone)]
pub(crate) enum Auth {
    /// By a key that does not change.
    Key(String),
    /// By tokens, for each of which the provider is asked.
    Token(Arc<dyn Fn() -> TokenFuture + Send + Sync>),
}

/// One server, and who the client is to it.
pub(crate) struct Credentials {
    base: String,
    tenant: Option<String>,
    auth: Auth,
    /// The API under the present key or token.
    current: Mutex<Option<(Api, String)>>,
}

/// A key in a log is a key lost.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("base", &self.base).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Checks what can be checked without the network.
    pub(crate) fn new(base: String, tenant: Option<String>, auth: Auth) -> Result<Self, Error> {
        let key = if let Auth::Key(key) = &auth { key.as_str() } else { "" };
        api(&base, tenant.as_deref(), key)?;
        Ok(Self { base, tenant, auth, current: Mutex::new(None) })
    }

    /// The API under the present key or token.
    pub(crate) async fn api(&self) -> Result<Api, Error> {
        Ok(self.current().await?.0)
    }

    /// Forgets the present token: the server refused it.
    pub(crate) async fn renew(&self) {
        *self.current.lock().await = None;
    }

    /// Where documents are synced, and the headers of that request. A token goes into the URL, as it does for clients in
    /// JavaScript, which cannot set headers.
    pub(super) async fn repo(&self) -> Result<(Url, HeaderMap), Error> {
        let (api, secret) = self.current().await?;
        let mut url = api.socket_url(&["v1", "repo"]);
        match self.auth {
            Auth::Key(_) => Ok((url, api.headers())),
            Auth::Token(_) => {
                url.query_pairs_mut().append_pair("token", &secret);
                Ok((url, HeaderMap::new()))
            }
        }
    }

    async fn current(&self) -> Result<(Api, String), Error> {
        let mut current = self.current.lock().await;
        if let Some(current) = &*current {
            return Ok(current.clone());
        }
        let secret = match &self.auth {
            Auth::Key(key) => key.clone(),
            Auth::Token(provider) => provider().await.map_err(|error| Error::Token(error.to_string()))?,
        };
        let api = api(&self.base, self.tenant.as_deref(), &secret)?;
        Ok(current.insert((api, secret)).clone())
    }
}

fn api(base: &str, tenant: Option<&str>, secret: &str) -> Result<Api, Error> {
    let api = Api::new(base, secret)?;
    tenant.map_or(Ok(api.clone()), |tenant| api.for_tenant(tenant))
}
