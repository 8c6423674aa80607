//! One connection's host and token, for the length of a call.

use serde::de::DeserializeOwned;
use syncline_core::remote::{ProviderError, Remedy};

use super::{Salesforce, settings::Settings};
use crate::{
    connector::Credentials,
    http::TransportError,
    rest::{Answer, BaseUrl, Call, Rest},
};

/// Where and as whom calls are made.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) base: BaseUrl,
    rest: &'a Rest,
    token: &'a str,
}

impl Salesforce {
    /// The session of a connection. Without a token or host there is nothing to call yet: a refresh brings both.
    pub(super) fn session<'a>(&'a self, credentials: &'a Credentials) -> Result<Session<'a>, ProviderError> {
        let refresh = |message: &str| ProviderError { remedy: Remedy::Refresh, message: message.to_owned() };
        if credentials.access_token.is_empty() {
            return Err(refresh("the connection holds no access token yet"));
        }
        let Some(base) = &credentials.base_url else {
            return Err(refresh("the connection does not know its instance yet"));
        };
        let base = BaseUrl::parse(base)
            .map_err(|error| ProviderError { remedy: Remedy::Configure, message: format!("base_url: {error}") })?;
        Ok(Session { settings: &self.settings, base, rest: &self.rest, token: &credentials.access_token })
    }
}

impl Session<'_> {
    fn named(&self, call: Call) -> Call {
        call.header("sforce-call-options", format!("client={}", self.settings.client_name))
    }

    /// Sends a read and decodes its answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, ProviderError> {
        self.rest.read(&self.base, Some(self.token), &self.named(call)).await
    }

    /// Sends a read and hands back its successful answer.
    pub(super) async fn answer(&self, call: Call) -> Result<Answer, ProviderError> {
        self.rest.answer(&self.base, Some(self.token), &self.named(call)).await
    }

    /// Sends a write and hands back its answer, whatever its status.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, TransportError> {
        self.rest.send(&self.base, Some(self.token), &self.named(call)).await
    }
}
