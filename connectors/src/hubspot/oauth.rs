//! Refreshing tokens. They say how long they live; the refresh token stays the same until the app is uninstalled.

use async_trait::async_trait;
use serde::Deserialize;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::HubSpot;
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

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenError {
    error: String,
    status: String,
    message: String,
    error_description: String,
}

#[async_trait]
impl Refresher for HubSpot {
    async fn refresh(&self, credentials: &Credentials, now: Millis) -> Result<Credentials, ProviderError> {
        let call = request(&self.client, credentials)?;
        let retry = |error: TransportError| ProviderError { remedy: Remedy::Retry, message: error.message };
        let answer = self.rest.send(&self.base, None, &call).await.map_err(retry)?;
        read(&answer, credentials, now)
    }
}

fn request(client: &Client, credentials: &Credentials) -> Result<Call, ProviderError> {
    let refresh_token = credentials.refresh_token.clone().ok_or_else(|| ProviderError {
        remedy: Remedy::Reauthorise,
        message: "the connection has no refresh token: authorise it again, or store a private app's token".to_owned(),
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
    Ok(Call::form("/oauth/v3/token", form))
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
    let error: TokenError = answer.json().unwrap_or_default();
    let codes = [error.error.as_str(), error.status.as_str()];
    let is = |code: &str| codes.contains(&code);
    let remedy = match answer.status {
        429 => Remedy::Wait { after_ms: answer.retry_after_ms(), budget: "login rate".to_owned() },
        500.. => Remedy::Retry,
        _ if is("BAD_REFRESH_TOKEN") || is("invalid_grant") => Remedy::Reauthorise,
        _ => Remedy::Configure,
    };
    let code = codes.into_iter().find(|code| !code.is_empty()).unwrap_or("refused");
    let words = if error.message.is_empty() { &error.error_description } else { &error.message };
    ProviderError { remedy, message: format!("HTTP {} from the token endpoint: {code}: {words}", answer.status) }
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
            base_url: None,
        }
    }

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into(), ..Answer::default() }
    }

    #[test]
    fn parameters_travel_in_the_body_only() {
        let client = Client { id: Some("id".into()), secret: Some("hush".into()) };
        let call = request(&client, &old()).expect("a call");
        assert_eq!(call.target(), "/oauth/v3/token");
        let Body::Form(form) = call.body else { panic!("a form is expected") };
        let keys: Vec<&str> = form.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["grant_type", "client_id", "client_secret", "refresh_token"]);
        let no_secret = Client { id: Some("id".into()), secret: None };
        assert_eq!(request(&no_secret, &old()).expect_err("no secret").remedy, Remedy::Configure);
        let no_token = Credentials { refresh_token: None, ..old() };
        assert_eq!(request(&client, &no_token).expect_err("no token").remedy, Remedy::Reauthorise);
    }

    #[test]
    fn tokens_say_when_they_expire() {
        let body =
            json!({"access_token": "new", "refresh_token": "refresh", "expires_in": 1800, "token_type": "bearer"});
        let new = read(&answer(200, &body), &old(), Millis(1_000)).expect("credentials");
        assert_eq!((new.access_token.as_str(), new.expires_at), ("new", Some(Millis(1_801_000))));
        let new = read(&answer(200, &json!({"access_token": "new"})), &old(), Millis(0)).expect("credentials");
        assert_eq!((new.refresh_token.as_deref(), new.expires_at), (Some("refresh"), None));
    }

    #[test]
    fn failures_have_remedies_and_tokens_are_not_quoted() {
        let cases = [
            (
                400,
                json!({"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}),
                Remedy::Reauthorise,
            ),
            (400, json!({"error": "invalid_grant", "error_description": "gone"}), Remedy::Reauthorise),
            (400, json!({"status": "BAD_CLIENT_SECRET"}), Remedy::Configure),
            (502, json!("gateway"), Remedy::Retry),
            (200, json!({"access": "hush"}), Remedy::Retry),
        ];
        for (status, body, remedy) in cases {
            let error = read(&answer(status, &body), &old(), Millis(0)).expect_err("a failure");
            assert_eq!(error.remedy, remedy, "{body}");
            assert!(!error.message.contains("hush"), "{error}");
        }
    }
}
