//! Which server the verbs that talk to one talk to.

use clap::Args;
use syncline_client::Api;

use super::failure::Failure;

/// The server's address and the key.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// The server's address.
    #[arg(long, global = true, env = "SYNCLINE_API", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    api: String,
    /// The API key; better given by environment than on the command line, where other users see it.
    #[arg(long, global = true, env = "SYNCLINE_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// The tenant, for a key that is not bound to one.
    #[arg(long, global = true, env = "SYNCLINE_TENANT", value_name = "NAME")]
    tenant: Option<String>,
}

impl Target {
    /// A client of that server.
    pub(crate) fn connect(&self) -> Result<Api, Failure> {
        let key = self.key.as_deref().filter(|key| !key.is_empty()).ok_or_else(|| {
            Failure::said("no API key is given: set SYNCLINE_KEY (or pass --key) to a key from `api_keys` of the server's configuration")
        })?;
        let api = Api::new(&self.api, key)?;
        Ok(match &self.tenant {
            Some(tenant) => api.for_tenant(tenant)?,
            None => api,
        })
    }
}
