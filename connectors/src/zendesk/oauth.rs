//! Refreshing tokens. Each refresh replaces both tokens at once and ends the old ones, so the new pair must be kept before it is
//! used.

use async_trait::async_trait;
use serde::Deserialize;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::{Zendesk, errors};
use crate::{
    connector::{Credentials, Refresher},
    http::TransportError,
    rest::{Answer, Call},
};

/// The OAuth client of an integration.
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<i64>,
}

#[async_trait]
impl Refresher for Zendesk {
    async fn refresh(&self, credentials: &Credentials, now: Millis) -> Result<Credentials, ProviderError> {
        let call = request(&self.client, credentials)?;
        let base = self.base_of(credentials)?;
        // Whether a lost answer had an effect nobody knows: if it had, the next attempt says that the grant is gone.
        let retry = |error: TransportError| ProviderError { remedy: Remedy::Retry, message: error.message };
        let answer = self.rest.send(&base, None, &call).await.map_err(retry)?;
        read(&answer, credentials, now)
    }
}

fn request(client: &Client, credentials: &Credentials) -> Result<Call, ProviderError> {
    let refresh_token = credentials.refresh_token.clone().ok_or_else(|| ProviderError {
        remedy: Remedy::Reauthorise,
        message: "the connection has no refresh token: authorise it again, or store a token that is still valid"
            .to_owned(),
    })?;
    let missing = |what: &str| ProviderError {
        remedy: Remedy::Configure,
        message: format!("the integration has no {what}, so tokens cannot be refreshed: set it"),
    };
    let id = client.id.clone().ok_or_else(|| missing("client_id"))?;
    let secret = client.secret.clone().ok_or_else(|| missing("client_secret"))?;
    let form = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", id),
        ("client_secret", secret),
        ("refresh_token", refresh_token),
    ];
    Ok(Call::form("/oauth/tokens", form))
}

fn read(answer: &Answer, old: &Credentials, now: Millis) -> Result<Credentials, ProviderError> {
    if !answer.is_success() {
        return Err(refused(answer));
    }
    // The body holds tokens: an answer that cannot be read is not quoted.
    let token: Token = answer.json().map_err(|_| ProviderError {
        remedy: Remedy::Retry,
        message: format!("HTTP {}: the token answer cannot be read", answer.status),
    })?;
    Ok(Credentials {
        access_token: token.access_token,
        refresh_token: token.refresh_token.or_else(|| old.refresh_token.clone()),
        expires_at: token.expires_in.map(|seconds| now.plus(seconds.saturating_mul(1_000))),
        base_url: old.base_url.clone(),
    })
}

fn refused(answer: &Answer) -> ProviderError {
    let fault = errors::fault(answer);
    let remedy = match answer.status {
        429 => Remedy::Wait { after_ms: answer.retry_after_ms(), budget: "token requests".to_owned() },
        408 | 500.. => Remedy::Retry,
        _ if fault.code() == "invalid_grant" => Remedy::Reauthorise,
        _ => Remedy::Configure,
    };
    ProviderError { remedy, message: format!("HTTP {} from the token endpoint: {}", answer.status, fault.words()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rest::Body;

    fn old() -> Credentials {
        Credentials {
            access_token: "old".into(),
            refresh_token: Some("refresh".into()),
            expires_at: None,
            base_url: Some("https://acme.zendesk.com".into()),
        }
    }

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into(), ..Answer::default() }
    }

    #[test]
    fn secrets_travel_in_the_body_only() {
        let client = Client { id: Some("id".into()), secret: Some("hush".into()) };
        let call = request(&client, &old()).expect("a call");
        assert_eq!(call.target(), "/oauth/tokens");
        let Body::Form(form) = call.body else { panic!("a form is expected") };
        let keys: Vec<&str> = form.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["grant_type", "client_id", "client_secret", "refresh_token"]);
        let no_secret = Client { id: Some("id".into()), secret: None };
        assert_eq!(request(&no_secret, &old()).expect_err("no secret").remedy, Remedy::Configure);
        let no_token = Credentials { refresh_token: None, ..old() };
        assert_eq!(request(&client, &no_token).expect_err("no token").remedy, Remedy::Reauthorise);
    }

    #[test]
    fn both_tokens_are_replaced() {
        let body = json!({"access_token": "new", "refresh_token": "next", "expires_in": 3600, "token_type": "bearer"});
        let new = read(&answer(200, &body), &old(), Millis(1_000)).expect("credentials");
        assert_eq!((new.access_token.as_str(), new.refresh_token.as_deref()), ("new", Some("next")));
        assert_eq!((new.expires_at, new.base_url), (Some(Millis(3_601_000)), old().base_url));
    }

    #[test]
    fn failures_have_remedies_and_tokens_are_not_quoted() {
        let cases = [
            (400, json!({"error": "invalid_grant", "error_description": "expired"}), Remedy::Reauthorise),
            (401, json!({"error": "invalid_client", "error_description": "unknown"}), Remedy::Configure),
            (502, json!("gateway"), Remedy::Retry),
            (429, json!({}), Remedy::Wait { after_ms: None, budget: "token requests".into() }),
            (200, json!({"access": "hush"}), Remedy::Retry),
        ];
        for (status, body, remedy) in cases {
            let error = read(&answer(status, &body), &old(), Millis(0)).expect_err("a failure");
            assert_eq!(error.remedy, remedy, "{body}");
            assert!(!error.message.contains("hush"), "{error}");
        }
    }
}
