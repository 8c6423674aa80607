//! Refreshing tokens. Salesforce says nothing of a token's life: expiry shows as `INVALID_SESSION_ID`.

use async_trait::async_trait;
use serde::Deserialize;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};
use url::{Host, Url};

use super::Salesforce;
use crate::{
    connector::{Credentials, Refresher},
    http::{TransportError, is_loopback},
    rest::{Answer, BaseUrl, Call},
};

/// Salesforce's own domains: a token's `instance_url` must lie in one of them, since the token is sent there.
const DOMAINS: [&str; 6] =
    [".salesforce.com", ".force.com", ".cloudforce.com", ".database.com", ".salesforce.mil", ".sfcrmproducts.cn"];

/// The OAuth client of an integration.
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    instance_url: String,
    refresh_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenError {
    error: String,
    error_description: String,
}

#[async_trait]
impl Refresher for Salesforce {
    async fn refresh(&self, credentials: &Credentials, _now: Millis) -> Result<Credentials, ProviderError> {
        let call = request(&self.client, credentials)?;
        let retry = |error: TransportError| ProviderError { remedy: Remedy::Retry, message: error.message };
        let answer = self.rest.send(&self.login, None, &call).await.map_err(retry)?;
        read(&answer, &self.login, credentials)
    }
}

fn request(client: &Client, credentials: &Credentials) -> Result<Call, ProviderError> {
    let missing = |remedy, message: &str| ProviderError { remedy, message: message.to_owned() };
    let refresh_token = credentials.refresh_token.clone().ok_or_else(|| {
        missing(
            Remedy::Reauthorise,
            "the connection has no refresh token: authorise it again with the scope refresh_token",
        )
    })?;
    let id = client.id.clone().ok_or_else(|| {
        missing(Remedy::Configure, "the integration has no client_id, so tokens cannot be refreshed: set it")
    })?;
    let mut form =
        vec![("grant_type", "refresh_token".to_owned()), ("client_id", id), ("refresh_token", refresh_token)];
    form.extend(client.secret.clone().map(|secret| ("client_secret", secret)));
    Ok(Call::form("/services/oauth2/token", form))
}

/// Reads the token endpoint's answer. The refresh token stays unless rotation sent a new one; the instance may move.
fn read(answer: &Answer, login: &BaseUrl, old: &Credentials) -> Result<Credentials, ProviderError> {
    if !answer.is_success() {
        return Err(refused(answer));
    }
    let token: Token = answer.json().map_err(|_| ProviderError {
        remedy: Remedy::Retry,
        message: format!("HTTP {}: the token answer cannot be read", answer.status),
    })?;
    let base = BaseUrl::parse(&token.instance_url).ok().filter(|base| trusted(login.url(), base.url()));
    let base = base.ok_or_else(|| ProviderError {
        remedy: Remedy::Configure,
        message: format!("the token's instance `{}` is no Salesforce host: nothing is sent there", token.instance_url),
    })?;
    Ok(Credentials {
        access_token: token.access_token,
        refresh_token: token.refresh_token.or_else(|| old.refresh_token.clone()),
        expires_at: None,
        base_url: Some(base.as_str().to_owned()),
    })
}

fn refused(answer: &Answer) -> ProviderError {
    let error: TokenError = answer.json().unwrap_or_default();
    let remedy = match (answer.status, error.error.as_str()) {
        (429, _) => Remedy::Wait { after_ms: answer.retry_after_ms(), budget: "login rate".to_owned() },
        (500.., _) => Remedy::Retry,
        (_, "invalid_grant") => Remedy::Reauthorise,
        (_, "rate_limit_exceeded") => {
            Remedy::Wait { after_ms: answer.retry_after_ms(), budget: "login rate".to_owned() }
        }
        (_, "server_error" | "temporarily_unavailable" | "unknown_error") => Remedy::Retry,
        _ => Remedy::Configure,
    };
    let words =
        if error.error.is_empty() { answer.excerpt() } else { format!("{}: {}", error.error, error.error_description) };
    ProviderError { remedy, message: format!("HTTP {} from the token endpoint: {words}", answer.status) }
}

/// Whether a token may be sent to `instance`: to Salesforce's domains, or where the integration itself points.
fn trusted(login: &Url, instance: &Url) -> bool {
    if login.host() == instance.host() || (is_loopback(login) && is_loopback(instance)) {
        return true;
    }
    match instance.host() {
        Some(Host::Domain(name)) => DOMAINS.iter().any(|domain| name.ends_with(domain)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::Body;

    fn old() -> Credentials {
        Credentials {
            access_token: "old".into(),
            refresh_token: Some("refresh".into()),
            expires_at: None,
            base_url: Some("https://old.my.salesforce.com".into()),
        }
    }

    fn answer(status: u16, body: serde_json::Value) -> Answer {
        Answer { status, body: body.to_string().into(), ..Answer::default() }
    }

    fn login() -> BaseUrl {
        BaseUrl::parse("https://login.salesforce.com").expect("a base")
    }

    #[test]
    fn a_refresh_is_a_form() {
        let client = Client { id: Some("id".into()), secret: Some("hush".into()) };
        let call = request(&client, &old()).expect("a call");
        let expected = [
            ("grant_type", "refresh_token"),
            ("client_id", "id"),
            ("refresh_token", "refresh"),
            ("client_secret", "hush"),
        ];
        assert_eq!(call.path, "/services/oauth2/token");
        assert_eq!(call.body, Body::Form(expected.map(|(key, value)| (key.into(), value.to_owned())).to_vec()));

        let none = Credentials { refresh_token: None, ..old() };
        assert_eq!(request(&client, &none).expect_err("no token").remedy, Remedy::Reauthorise);
        let nobody = Client { id: None, secret: None };
        assert_eq!(request(&nobody, &old()).expect_err("no client").remedy, Remedy::Configure);
    }

    #[test]
    fn the_instance_moves_and_tokens_rotate() {
        let body =
            json!({"access_token": "new", "instance_url": "https://new.my.salesforce.com/", "token_type": "Bearer"});
        let new = read(&answer(200, body), &login(), &old()).expect("credentials");
        assert_eq!(new.access_token, "new");
        assert_eq!(new.refresh_token.as_deref(), Some("refresh"));
        assert_eq!(new.base_url.as_deref(), Some("https://new.my.salesforce.com"));

        let body =
            json!({"access_token": "new", "instance_url": "https://x.salesforce.com", "refresh_token": "rotated"});
        let new = read(&answer(200, body), &login(), &old()).expect("credentials");
        assert_eq!(new.refresh_token.as_deref(), Some("rotated"));
    }

    #[test]
    fn tokens_go_to_salesforce_only() {
        for instance in
            ["https://evil.com", "https://salesforce.com.evil.com", "http://127.0.0.1:1", "https://notsalesforce.com"]
        {
            let body = json!({"access_token": "new", "instance_url": instance});
            let error = read(&answer(200, body), &login(), &old()).expect_err(instance);
            assert_eq!(error.remedy, Remedy::Configure);
        }
        let local = BaseUrl::parse("http://127.0.0.1:1").expect("a base");
        let body = json!({"access_token": "new", "instance_url": "http://localhost:2"});
        assert!(read(&answer(200, body), &local, &old()).is_ok());
    }

    #[test]
    fn failures_have_remedies() {
        let cases = [
            (
                400,
                json!({"error": "invalid_grant", "error_description": "expired access/refresh token"}),
                Remedy::Reauthorise,
            ),
            (400, json!({"error": "invalid_grant", "error_description": "inactive_user"}), Remedy::Reauthorise),
            (400, json!({"error": "invalid_client_id"}), Remedy::Configure),
            (401, json!({"error": "invalid_client"}), Remedy::Configure),
            (503, json!({}), Remedy::Retry),
        ];
        for (status, body, remedy) in cases {
            let error = read(&answer(status, body.clone()), &login(), &old()).expect_err("a failure");
            assert_eq!(error.remedy, remedy, "{body}");
        }
    }
}
