//! One connection's host and token, for the length of a call.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;
use syncline_core::remote::{ProviderError, Remedy, WriteOutcome};

use super::{Zendesk, settings::Settings};
use crate::{
    connector::Credentials,
    http::{TransportError, is_loopback},
    registry::scaled,
    rest::{Answer, BaseUrl, Call, Rest},
};

/// What parts the address from the token in the credentials of an API token.
const API_TOKEN_MARK: &str = "/token:";

/// Where and as whom calls are made.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) base: BaseUrl,
    rest: &'a Rest,
    token: &'a str,
}

impl Zendesk {
    /// The session of a connection. Without an access token there is nothing to call with yet: a refresh brings one.
    pub(super) fn session<'a>(&'a self, credentials: &'a Credentials) -> Result<Session<'a>, ProviderError> {
        if credentials.access_token.is_empty() {
            return Err(ProviderError {
                remedy: Remedy::Refresh,
                message: "the connection holds no access token yet".to_owned(),
            });
        }
        let base = self.base_of(credentials)?;
        Ok(Session { settings: &self.settings, base, rest: &self.rest, token: &credentials.access_token })
    }

    /// The connection's account. Tokens go to Zendesk's own hosts only, or to the address that the integration names.
    pub(super) fn base_of(&self, credentials: &Credentials) -> Result<BaseUrl, ProviderError> {
        let configure = |message: String| ProviderError { remedy: Remedy::Configure, message };
        let Some(text) = &credentials.base_url else {
            return self.base.clone().ok_or_else(|| {
                configure(
                    "the connection names no account: set `base_url` to https://{subdomain}.zendesk.com".to_owned(),
                )
            });
        };
        let base = BaseUrl::parse(text).map_err(|error| configure(format!("base_url: {error}")))?;
        let zendesks = base.host().ends_with(".zendesk.com") || is_loopback(base.url());
        if zendesks || self.base.as_ref() == Some(&base) {
            return Ok(base);
        }
        Err(configure(format!(
            "base_url: {} is no host of Zendesk: name the account as https://{{subdomain}}.zendesk.com, also where it has a \
             domain of its own",
            base.host()
        )))
    }
}

impl Session<'_> {
    /// Sends a read and decodes its answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, ProviderError> {
        self.answer(call).await?.json()
    }

    /// Sends a read and hands back its successful answer.
    pub(super) async fn answer(&self, call: Call) -> Result<Answer, ProviderError> {
        let (token, call) = authorised(self.token, call);
        self.rest.answer(&self.base, token, &call).await.map_err(|error| self.scaled(error))
    }

    /// Sends a write and hands back its answer, whatever its status.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, TransportError> {
        let (token, call) = authorised(self.token, call);
        self.rest.send(&self.base, token, &call).await
    }

    /// The windows of limits are scaled with the sandbox, and so is the wait for their end.
    pub(super) fn scaled(&self, mut error: ProviderError) -> ProviderError {
        if let Remedy::Wait { after_ms: Some(after_ms), .. } | Remedy::Busy { after_ms } = &mut error.remedy {
            *after_ms = scaled(*after_ms, self.settings.time_scale);
        }
        error
    }

    /// The same, of a row that was not written.
    pub(super) fn scaled_outcome(&self, outcome: WriteOutcome) -> WriteOutcome {
        match outcome {
            WriteOutcome::NotApplied(error) => WriteOutcome::NotApplied(self.scaled(error)),
            other => other,
        }
    }
}

/// An OAuth token is the bearer's. An API token belongs to an agent, whose address stands before it:
/// `agent@example.com/token:…`; together they are a name and a password.
fn authorised(token: &str, call: Call) -> (Option<&str>, Call) {
    if !token.contains(API_TOKEN_MARK) {
        return (Some(token), call);
    }
    (None, call.header("authorization", format!("Basic {}", STANDARD.encode(token))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        http::{HttpClient, HttpRequest, HttpResponse},
        zendesk::{DIALECT, oauth},
    };

    #[derive(Debug)]
    struct Nobody;

    #[async_trait::async_trait]
    impl HttpClient for Nobody {
        async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
            Err(TransportError::unsent("nobody answers"))
        }
    }

    fn connector(base: Option<&str>) -> Zendesk {
        Zendesk {
            settings: Settings::default(),
            base: base.map(|base| BaseUrl::parse(base).expect("an address")),
            client: oauth::Client { id: None, secret: None },
            rest: Rest::new(Arc::new(Nobody), DIALECT),
        }
    }

    #[test]
    fn tokens_go_to_zendesk_only() {
        let named = "https://support.acme.com";
        let cases = [
            (None, Some("https://acme.zendesk.com/"), Ok("acme.zendesk.com")),
            (None, Some("http://127.0.0.1:9000"), Ok("127.0.0.1")),
            (None, Some(named), Err(Remedy::Configure)),
            (Some(named), Some(named), Ok("support.acme.com")),
            (Some(named), None, Ok("support.acme.com")),
            (Some(named), Some("https://zendesk.com.evil.com"), Err(Remedy::Configure)),
            (Some(named), Some("https://evilzendesk.com"), Err(Remedy::Configure)),
            (None, Some("http://acme.zendesk.com"), Err(Remedy::Configure)),
            (None, None, Err(Remedy::Configure)),
        ];
        for (setting, own, expected) in cases {
            let credentials = Credentials {
                access_token: "token".into(),
                refresh_token: None,
                expires_at: None,
                base_url: own.map(str::to_owned),
            };
            let base = connector(setting).base_of(&credentials);
            let host = base.as_ref().map(BaseUrl::host).map_err(|error| error.remedy.clone());
            assert_eq!(host, expected, "{setting:?} {own:?}");
        }
    }

    #[test]
    fn both_kinds_of_tokens_are_sent() {
        let (token, call) = authorised("abc", Call::get("/"));
        assert_eq!((token, call.headers.len()), (Some("abc"), 0));
        let (token, call) = authorised("ann@acme.com/token:abc", Call::get("/"));
        assert_eq!(token, None);
        assert_eq!(call.headers, [("authorization".into(), "Basic YW5uQGFjbWUuY29tL3Rva2VuOmFiYw==".to_owned())]);
    }
}
