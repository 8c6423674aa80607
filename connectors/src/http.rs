//! The HTTP client that connectors are given: one request in, one bounded answer out. It neither retries nor follows
//! redirects, so a request is sent at most once and only to the host that the connector named.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use url::{Host, Url};

/// The largest answer that is read, after decompression. A provider's largest page (2,000 wide rows) stays far below.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(180);

/// A request, ready to be sent. Its `Debug` shows no header, query or body, since those hold secrets and people's data.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty where there is none.
    pub body: Bytes,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.method, self.url.host_str().unwrap_or_default(), self.url.path())
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A request that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// `false` only when certainly nothing reached the provider: then a write had no effect.
    pub sent: bool,
    /// What happened, without the address's query.
    pub message: String,
}

impl TransportError {
    /// A failure before anything was sent.
    pub fn unsent(message: impl Into<String>) -> Self {
        Self { sent: false, message: message.into() }
    }

    /// A failure after which nobody knows whether the provider acted.
    pub fn sent(message: impl Into<String>) -> Self {
        Self { sent: true, message: message.into() }
    }
}

/// Sends requests. Implemented over reqwest here, and by tables of canned answers in tests.
#[async_trait]
pub trait HttpClient: Send + Sync + std::fmt::Debug {
    /// Sends the request once and reads the whole answer, whatever its status.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// The [`HttpClient`] of production. The environment's proxy serves all hosts but loopback ones, which no proxy reaches.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    outward: reqwest::Client,
    loopback: reqwest::Client,
}

impl ReqwestClient {
    /// Builds the client with its connection pools.
    pub fn new() -> Result<Self, TransportError> {
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .timeout(TOTAL_TIMEOUT)
                .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| {
                    TransportError::unsent(format!("the HTTP client could not be set up: {}", causes(&error)))
                })
        };
        Ok(Self {
            outward: build(reqwest::Client::builder())?,
            loopback: build(reqwest::Client::builder().no_proxy())?,
        })
    }
}

#[async_trait]
impl HttpClient for ReqwestClient {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let client = if is_loopback(&request.url) { &self.loopback } else { &self.outward };
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let mut response = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await
            .map_err(|error| lost(&host, error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&host, error))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(TransportError::sent(format!(
                    "{host} sent more than {BODY_BYTES_MAX} bytes in one answer"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body: body.freeze() })
    }
}

/// Whether the address is this machine, where plain HTTP is safe and proxies are not wanted.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Only a failure to connect or to build the request proves that nothing was sent.
fn lost(host: &str, error: reqwest::Error) -> TransportError {
    let sent = !(error.is_connect() || error.is_builder());
    let error = error.without_url();
    TransportError { sent, message: format!("no answer from {host}: {}", causes(&error)) }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn get(url: String) -> HttpRequest {
        HttpRequest {
            method: Method::GET,
            url: Url::parse(&url).expect("a valid address"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    async fn answer_once(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await;
            let _ = socket.write_all(answer).await;
        });
        format!("http://{address}/path?secret=1")
    }

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let client = ReqwestClient::new().expect("a client");
        let error = client.send(get(format!("http://{address}/"))).await.expect_err("nobody listens");
        assert!(!error.sent, "{error}");
    }

    #[tokio::test]
    async fn a_connection_cut_before_the_answer_may_have_had_an_effect() {
        let url = answer_once(b"").await;
        let error = ReqwestClient::new().expect("a client").send(get(url)).await.expect_err("no answer");
        assert!(error.sent, "{error}");
        assert!(!error.message.contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn a_connection_cut_inside_the_answer_may_have_had_an_effect() {
        let url = answer_once(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab").await;
        let error = ReqwestClient::new().expect("a client").send(get(url)).await.expect_err("half an answer");
        assert!(error.sent, "{error}");
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let url =
            answer_once(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        let response = ReqwestClient::new().expect("a client").send(get(url)).await.expect("an answer");
        assert_eq!(response.status, 302);
    }

    #[test]
    fn debug_shows_no_query() {
        let request = get("https://example.com/path?q=secret".to_owned());
        assert_eq!(format!("{request:?}"), "GET example.com/path");
    }
}
