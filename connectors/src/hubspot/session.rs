//! One connection's host and token, for the length of a call.

use serde::de::DeserializeOwned;
use syncline_core::remote::{ProviderError, Remedy};

use super::{HubSpot, settings::Settings};
use crate::{
    connector::Credentials,
    http::TransportError,
    registry::scaled,
    rest::{Answer, BaseUrl, Call, Rest},
};

/// Where and as whom calls are made.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    base: &'a BaseUrl,
    rest: &'a Rest,
    token: &'a str,
}

impl HubSpot {
    /// The session of a connection. Without an access token there is nothing to call with yet: a refresh brings one.
    pub(super) fn session<'a>(&'a self, credentials: &'a Credentials) -> Result<Session<'a>, ProviderError> {
        if credentials.access_token.is_empty() {
            return Err(ProviderError {
                remedy: Remedy::Refresh,
                message: "the connection holds no access token yet".to_owned(),
            });
        }
        Ok(Session { settings: &self.settings, base: &self.base, rest: &self.rest, token: &credentials.access_token })
    }
}

impl Session<'_> {
    /// Sends a read and decodes its answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, ProviderError> {
        self.rest.read(self.base, Some(self.token), &call).await.map_err(|error| self.scaled(error))
    }

    /// Sends a read and hands back its successful answer.
    pub(super) async fn answer(&self, call: Call) -> Result<Answer, ProviderError> {
        self.rest.answer(self.base, Some(self.token), &call).await.map_err(|error| self.scaled(error))
    }

    /// Sends a write and hands back its answer, whatever its status.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, TransportError> {
        self.rest.send(self.base, Some(self.token), &call).await
    }

    /// The windows of limits are scaled with the sandbox, and so is the wait for their end.
    pub(super) fn scaled(&self, mut error: ProviderError) -> ProviderError {
        if let Remedy::Wait { after_ms: Some(after_ms), .. } | Remedy::Busy { after_ms } = &mut error.remedy {
            *after_ms = scaled(*after_ms, self.settings.time_scale);
        }
        error
    }
}
