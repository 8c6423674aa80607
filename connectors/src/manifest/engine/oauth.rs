//! New tokens: by a refresh token, by the client's credentials, or by logging in.

use async_trait::async_trait;
use serde_json::Value;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::{
    Engine,
    session::{call, configure, retry},
    verdict,
};
use crate::{
    connector::{Credentials, Refresher},
    manifest::spec::{Refresh, Rotation, Verb, When},
    rest::{Answer, BaseUrl},
};

#[async_trait]
impl Refresher for Engine {
    async fn refresh(&self, credentials: &Credentials, now: Millis) -> Result<Credentials, ProviderError> {
        let Some(refresh) = &self.spec().auth.refresh else {
            return Err(configure("the manifest does not say how tokens are renewed"));
        };
        let scope = self.ready(refresh, credentials, now)?;
        let (base, prefix) = match &refresh.base_url {
            Some(text) => (BaseUrl::parse(text).map_err(|error| configure(error.to_string()))?, String::new()),
            None => self.base_of(credentials)?,
        };
        let call = call(&refresh.request, &scope, &prefix)?;
        // Whether a lost answer had an effect nobody knows: if it had, the next attempt says that the grant is gone.
        let answer = self.rest.send(&base, None, &call).await.map_err(|error| retry(error.message))?;
        read(self, refresh, &answer, credentials, now)
    }
}

impl Engine {
    /// Everything that the call looks up is there.
    fn ready(
        &self,
        refresh: &Refresh,
        credentials: &Credentials,
        now: Millis,
    ) -> Result<crate::manifest::words::Scope, ProviderError> {
        let missing =
            |what: &str| configure(format!("the integration has no {what}, so tokens cannot be fetched: set it"));
        let uses = |name| refresh.request.uses(name);
        if uses("refresh_token") && credentials.refresh_token.as_deref().unwrap_or_default().is_empty() {
            return Err(ProviderError {
                remedy: Remedy::Reauthorise,
                message:
                    "the connection has no refresh token: authorise it again, or store a token that is still valid"
                        .to_owned(),
            });
        }
        if uses("client_id") && self.client.id.is_none() {
            return Err(missing("client_id"));
        }
        if uses("client_secret") && self.client.secret.is_none() {
            return Err(missing("client_secret"));
        }
        let scope = self.scope().with_some("client_secret", self.client.secret.clone());
        let scope = scope.with_some("refresh_token", credentials.refresh_token.clone()).with_time("now", Some(now));
        Ok(scope.with("token", credentials.access_token.as_str()))
    }
}

fn read(
    engine: &Engine,
    refresh: &Refresh,
    answer: &Answer,
    old: &Credentials,
    now: Millis,
) -> Result<Credentials, ProviderError> {
    let body: Value = answer.json().unwrap_or(Value::Null);
    // Some answer 200 with an error.
    let token = refresh.access_token.find(&body).and_then(Value::as_str).filter(|token| !token.is_empty());
    let Some(token) = token.filter(|_| answer.is_success()) else {
        return Err(refused(engine, refresh, answer, &body));
    };
    let brought = refresh.refresh_token.find(&body).and_then(Value::as_str).map(str::to_owned);
    let refresh_token = match (refresh.rotation, brought) {
        (Rotation::Never, _) | (Rotation::Optional, None) => old.refresh_token.clone(),
        (Rotation::Always, None) => {
            return Err(ProviderError {
                remedy: Remedy::Reauthorise,
                message:
                    "the token endpoint took the refresh token and brought no new one: authorise the connection again"
                        .to_owned(),
            });
        }
        (_, brought) => brought,
    };
    let seconds = refresh.expires_in.find(&body).and_then(|value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    let told = seconds.map(|seconds| now.plus((seconds * 1_000.0) as i64));
    let until =
        refresh.expires_at.as_ref().and_then(|path| path.find(&body)).and_then(|value| refresh.format.read(value));
    let lasts = refresh.lasts.map(|span| now.plus(i64::try_from(span.ms()).unwrap_or(i64::MAX)));
    let address = refresh.address.as_ref().and_then(|path| path.find(&body)).and_then(Value::as_str);
    let renewed = Credentials {
        access_token: token.to_owned(),
        refresh_token,
        expires_at: told.or(until).or(lasts),
        base_url: address.map(str::to_owned).or_else(|| old.base_url.clone()),
    };
    // An address that tokens may not go to is not kept.
    engine.base_of(&renewed).map(|_| renewed)
}

/// The body may hold tokens: an answer that cannot be read is not quoted.
fn refused(engine: &Engine, refresh: &Refresh, answer: &Answer, body: &Value) -> ProviderError {
    let code = body["error"].as_str().unwrap_or_default();
    let words = body["error_description"].as_str().unwrap_or_default();
    let verdict = verdict::of(engine, answer, body, Verb::Read);
    let fits = |when: &When| {
        when.has_status(answer.status)
            && (when.code.all().is_empty()
                || when.code.all().iter().any(|wanted| wanted == code || verdict.has_code(wanted)))
            && when.body.iter().all(|check| check.holds(body))
    };
    let dead = code == "invalid_grant" || refresh.dead.iter().any(fits);
    let remedy = match answer.status {
        _ if dead => Remedy::Reauthorise,
        429 => Remedy::Wait { after_ms: answer.retry_after_ms(), budget: "token requests".to_owned() },
        408 | 500.. => Remedy::Retry,
        200..300 if code.is_empty() => Remedy::Retry,
        _ => Remedy::Configure,
    };
    let words = match (code, words) {
        ("", "") if answer.is_success() => "the answer holds no access token".to_owned(),
        ("", "") => "refused".to_owned(),
        (code, "") => code.to_owned(),
        (code, words) => format!("{code}: {words}"),
    };
    ProviderError { remedy, message: format!("HTTP {} from the token endpoint: {words}", answer.status) }
}
