//! One connection's host and token, for the length of a call.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use syncline_core::remote::{ProviderError, Remedy};

use super::{Engine, budgets, verdict};
use crate::{
    connector::Credentials,
    http::{TransportError, is_loopback},
    manifest::{
        spec::{Carrier, Request, Verb},
        words::{Scope, Template, Tree},
    },
    rest::{Answer, BaseUrl, Body, Call},
    usage,
};

/// Where and as whom calls are made.
pub(super) struct Session<'a> {
    pub(super) engine: &'a Engine,
    pub(super) base: BaseUrl,
    /// The path below which all calls go, without a slash at its end.
    pub(super) prefix: String,
    token: &'a str,
}

/// A mistake of configuration.
pub(super) fn configure(message: impl Into<String>) -> ProviderError {
    ProviderError { remedy: Remedy::Configure, message: message.into() }
}

/// A passing fault.
pub(super) fn retry(message: impl Into<String>) -> ProviderError {
    ProviderError { remedy: Remedy::Retry, message: message.into() }
}

impl Engine {
    /// The session of a connection. Without an access token there is nothing to call with yet: a refresh brings one.
    pub(super) fn session<'a>(&'a self, credentials: &'a Credentials) -> Result<Session<'a>, ProviderError> {
        let needs_token = self.spec().auth.send != Carrier::None;
        if needs_token && credentials.access_token.is_empty() {
            return Err(ProviderError {
                remedy: if self.spec().auth.refresh.is_some() { Remedy::Refresh } else { Remedy::Reauthorise },
                message: "the connection holds no access token yet".to_owned(),
            });
        }
        if let Some(name) = self.settings.missing(self.spec()) {
            return Err(configure(format!("the integration's setting `{name}` is missing: add it to its `settings`")));
        }
        let (base, prefix) = self.base_of(credentials)?;
        Ok(Session { engine: self, base, prefix, token: &credentials.access_token })
    }

    /// Where the connection's calls go. Tokens go to the hosts that the manifest or the integration names only.
    pub(super) fn base_of(&self, credentials: &Credentials) -> Result<(BaseUrl, String), ProviderError> {
        let connection = &self.spec().connection;
        let example = connection.example.as_deref().unwrap_or("https://api.example.com");
        let own = self.settings.base_url.as_deref();
        let Some(text) = credentials.base_url.as_deref().or(own) else {
            return Err(configure(format!("the connection names no address: set `base_url`, such as {example}")));
        };
        let wrong = |error: crate::rest::BaseUrlError| configure(format!("base_url: {error}"));
        let base = BaseUrl::parse(text).map_err(wrong)?;
        let named = own.map(BaseUrl::parse).transpose().map_err(wrong)?;
        let allowed = connection.hosts.is_empty()
            || connection.hosts.iter().any(|host| fits(host, base.host()))
            || is_loopback(base.url());
        if !allowed && named.as_ref() != Some(&base) {
            return Err(configure(format!(
                "base_url: {} is no host of {}: use one like {example}",
                base.host(),
                self.spec().title
            )));
        }
        let path = url::Url::parse(text.trim()).map(|url| url.path().trim_end_matches('/').to_owned());
        Ok((base, path.unwrap_or_default()))
    }

    /// What every call may look up.
    pub(super) fn scope(&self) -> Scope {
        Scope::default().with("settings", self.settings.own.clone()).with_some("client_id", self.client.id.clone())
    }
}

/// Whether a host is the one that is meant, or below it.
fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.to_ascii_lowercase().ends_with(&suffix.to_ascii_lowercase()),
        None => host.eq_ignore_ascii_case(pattern),
    }
}

/// A call as a manifest describes it, without the token.
pub(super) fn call(request: &Request, scope: &Scope, prefix: &str) -> Result<Call, ProviderError> {
    let Some((method, path)) = request.line() else { return Err(configure("the manifest's call has no method")) };
    let path =
        path.path(scope).ok_or_else(|| configure("a part of the call's path is missing or would lead elsewhere"))?;
    let mut call = Call::new(method, format!("{prefix}{path}"));
    for (name, tree) in &request.query {
        let Some(name) = parameter_name(name, scope) else { continue };
        for text in parameter(tree, scope) {
            call = call.query(name.clone(), text);
        }
    }
    for (name, template) in &request.headers {
        if let Some(text) = template.text(scope) {
            call = call.header(name.clone(), text);
        }
    }
    if let Some(tree) = &request.json {
        call.body = Body::Json(tree.value(scope).unwrap_or_else(|| Value::Object(serde_json::Map::new())));
    }
    if let Some(form) = &request.form {
        let pairs = form.iter().flat_map(|(name, tree)| {
            parameter(tree, scope).into_iter().map(|text| (Cow::Owned(name.clone()), text)).collect::<Vec<_>>()
        });
        call.body = Body::Form(form_pairs(pairs.collect()));
    }
    Ok(call)
}

/// A form whose only entry spreads an object's fields holds each of them.
fn form_pairs(pairs: Vec<(Cow<'static, str>, String)>) -> Vec<(Cow<'static, str>, String)> {
    let mut all = Vec::new();
    for (name, text) in pairs {
        match serde_json::from_str::<serde_json::Map<String, Value>>(&text) {
            Ok(object) if name == "..." => {
                all.extend(object.into_iter().map(|(name, value)| (Cow::Owned(name), plain(&value))));
            }
            _ => all.push((name, text)),
        }
    }
    all
}

/// A parameter's name, which may be looked up as well.
fn parameter_name(name: &str, scope: &Scope) -> Option<String> {
    if name.contains('{') { Template::parse(name).ok()?.text(scope) } else { Some(name.to_owned()) }
}

/// A parameter's texts: a list is given once for each entry, a map as JSON.
fn parameter(tree: &Tree, scope: &Scope) -> Vec<String> {
    match tree.value(scope) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(plain).collect(),
        Some(value) => vec![plain(&value)],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Session<'_> {
    /// The call that a request describes.
    pub(super) fn call(&self, request: &Request, scope: &Scope) -> Result<Call, ProviderError> {
        call(request, scope, &self.prefix)
    }

    /// Sends a call, with the token and the headers of every call, and hands back its answer, whatever its status.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, TransportError> {
        let scope = self.engine.scope();
        let mut call = call;
        for (name, template) in &self.engine.spec().headers {
            if !call.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
                && let Some(text) = template.text(&scope)
            {
                call = call.header(name.clone(), text);
            }
        }
        let (token, call) = self.authorised(call)?;
        let answer = self.engine.rest.send(&self.base, token, &call).await?;
        usage::tell(&answer.headers, |_| budgets::told(self.engine, &answer));
        Ok(answer)
    }

    /// Sends a call that changes nothing, and hands back its successful answer with its body.
    pub(super) async fn read(&self, call: Call) -> Result<(Answer, Value), ProviderError> {
        let answer = self.send(call).await.map_err(|error| retry(error.message))?;
        let body = match answer.body.is_empty() {
            true => Value::Null,
            false => answer.json().unwrap_or(Value::Null),
        };
        if verdict::fails(self.engine, &answer, &body) {
            return Err(verdict::of(self.engine, &answer, &body, Verb::Read).error());
        }
        if body.is_null() && !answer.body.is_empty() {
            return Err(retry(format!("HTTP {}: the answer is no JSON: {}", answer.status, answer.excerpt())));
        }
        Ok((answer, body))
    }

    fn carrier(&self) -> &Carrier {
        let auth = &self.engine.spec().auth;
        let other = auth.or.iter().find(|other| self.token.contains(&other.contains));
        other.map_or(&auth.send, |other| &other.send)
    }

    /// The call with its token: the bearer's is left to the driver.
    fn authorised(&self, call: Call) -> Result<(Option<&str>, Call), TransportError> {
        let scope = || self.engine.scope().with("token", self.token);
        let missing = || TransportError::unsent("the call's authorisation cannot be made of the token");
        Ok(match self.carrier() {
            Carrier::None => (None, call),
            Carrier::Bearer => (Some(self.token), call),
            Carrier::Basic(basic) => {
                let credentials = basic.credentials.text(&scope()).ok_or_else(missing)?;
                (None, call.header("authorization", format!("Basic {}", STANDARD.encode(credentials))))
            }
            Carrier::Header(header) => {
                let value = match &header.value {
                    Some(template) => template.text(&scope()).ok_or_else(missing)?,
                    None => self.token.to_owned(),
                };
                (None, call.header(header.name.clone(), value))
            }
            Carrier::Query(query) => (None, call.query(query.name.clone(), self.token)),
        })
    }
}
