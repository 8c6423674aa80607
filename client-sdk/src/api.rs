//! One server's API: its address, the key, and how a call is made.

use std::{fmt, time::Duration};

use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{HeaderMap, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use crate::error::{Error, Problem};

/// How long a call may take, long-polls apart.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// How long connecting may take.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// A client of one server's `/v1` API. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Api {
    base: Url,
    key: HeaderValue,
    tenant: Option<HeaderValue>,
    http: reqwest::Client,
}

/// Shows the address only: a key in a log is a key lost.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Api {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080`, with an API key.
    ///
    /// # Errors
    /// [`Error::BadAddress`] or [`Error::BadKey`]; nothing is called yet.
    pub fn new(base: &str, key: &str) -> Result<Self, Error> {
        let mut base_url = Url::parse(base).map_err(|error| bad_address(base, error))?;
        if !matches!(base_url.scheme(), "http" | "https") || !base_url.has_host() {
            return Err(bad_address(base, "it needs http:// or https:// and a host"));
        }
        // A base without a final slash would lose its last segment when a path is joined to it.
        if !base_url.path().ends_with('/') {
            let path = format!("{}/", base_url.path());
            base_url.set_path(&path);
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| Error::BadKey)?;
        bearer.set_sensitive(true);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad_address(base, error))?;
        Ok(Self { base: base_url, key: bearer, tenant: None, http })
    }

    /// The same client acting for one tenant; needed only with a key that is not bound to a tenant.
    ///
    /// # Errors
    /// [`Error::BadKey`] where the name cannot be sent as a header.
    pub fn for_tenant(mut self, tenant: &str) -> Result<Self, Error> {
        self.tenant = Some(HeaderValue::from_str(tenant).map_err(|_| Error::BadKey)?);
        Ok(self)
    }

    /// The address of the server.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The headers that every call carries.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::AUTHORIZATION, self.key.clone());
        if let Some(tenant) = &self.tenant {
            headers.insert("syncline-tenant", tenant.clone());
        }
        headers
    }

    /// The URL of a path of segments under the base, each escaped.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // `path_segments_mut` fails only for URLs without a host, which `new` refuses.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL of a WebSocket under the base.
    pub(crate) fn socket_url(&self, segments: &[&str]) -> Url {
        let mut url = self.url(segments);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // Setting a scheme fails only between special and other schemes; all four are special.
        let _ = url.set_scheme(scheme);
        url
    }

    pub(crate) fn call(&self, method: Method, segments: &[&str]) -> Call {
        let url = self.url(segments);
        let repeatable = method == Method::GET;
        let request = self.http.request(method, url.clone()).headers(self.headers()).timeout(CALL_TIME_MAX);
        Call { request, url: url.to_string(), repeatable }
    }

    pub(crate) fn get(&self, segments: &[&str]) -> Call {
        self.call(Method::GET, segments)
    }

    pub(crate) fn post(&self, segments: &[&str]) -> Call {
        self.call(Method::POST, segments)
    }
}

fn bad_address(url: &str, reason: impl fmt::Display) -> Error {
    Error::BadAddress { url: url.to_owned(), reason: reason.to_string() }
}

/// A call that is being put together.
pub(crate) struct Call {
    request: RequestBuilder,
    url: String,
    /// Whether the call has the same effect when it is made twice.
    repeatable: bool,
}

impl Call {
    /// Adds query parameters; `None` values are left out.
    pub(crate) fn query(mut self, query: &impl Serialize) -> Self {
        self.request = self.request.query(query);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Marks a call as safe to make twice.
    pub(crate) fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// Allows the server to take its time, such as in a long-poll.
    pub(crate) fn patience(mut self, wait: Duration) -> Self {
        self.request = self.request.timeout(CALL_TIME_MAX + wait);
        self
    }

    /// Sends the call and reads its answer.
    pub(crate) async fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        let (url, body) = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| Error::Unexpected { url, reason: error.to_string() })
    }

    /// Sends the call; its answer says no more than that it was done.
    pub(crate) async fn done(self) -> Result<(), Error> {
        self.bytes().await.map(drop)
    }

    async fn bytes(self) -> Result<(String, Vec<u8>), Error> {
        let Self { request, url, repeatable } = self;
        let unreachable = |error: reqwest::Error| Error::Unreachable { url: url.clone(), reason: root_cause(&error) };
        let again = request.try_clone().filter(|_| repeatable);
        let answer = match (request.send().await, again) {
            // A pooled connection whose server was restarted meanwhile is noticed only when it is used.
            (Err(error), Some(again)) if error.is_request() && !error.is_timeout() => again.send().await,
            (answer, _) => answer,
        };
        let answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok((url, body.to_vec()));
        }
        Err(refused(status, &body, url))
    }
}

/// A refusal in the API's own words, or in general ones where a proxy answered instead.
pub(crate) fn refused(status: StatusCode, body: &[u8], url: String) -> Error {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Error::Refused(problem),
        Err(_) if status.is_client_error() || status.is_server_error() => Error::Refused(Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("refused").to_owned(),
            status: status.as_u16(),
            detail: format!("{url} answered without an explanation"),
            errors: Vec::new(),
        }),
        Err(_) => Error::Unexpected { url, reason: format!("HTTP {status}") },
    }
}

/// The innermost cause: `reqwest` says only "error sending request" itself.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_below_the_base_and_escaped() {
        for (base, expected) in [
            ("http://a", "http://a/v1/records/a%20b%2Fc"),
            ("http://a/", "http://a/v1/records/a%20b%2Fc"),
            ("https://a/sync", "https://a/sync/v1/records/a%20b%2Fc"),
        ] {
            let url = Api::new(base, "key").map(|api| api.url(&["v1", "records", "a b/c"]).to_string());
            assert_eq!(url.ok().as_deref(), Some(expected), "{base}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let shown = Api::new("http://a", "swordfish").map(|api| format!("{api:?}"));
        assert!(shown.is_ok_and(|text| !text.contains("swordfish")));
    }

    #[test]
    fn addresses_that_cannot_be_called_are_refused() {
        for base in ["", "localhost:8080", "ftp://a", "mailto:a@b"] {
            assert!(matches!(Api::new(base, "key"), Err(Error::BadAddress { .. })), "{base}");
        }
        assert!(matches!(Api::new("http://a", "a\nb"), Err(Error::BadKey)));
    }
}
