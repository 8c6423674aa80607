//! A receiver of webhooks that answers with a chosen status.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::mpsc;

/// A request as the receiver saw it.
pub(crate) struct Received {
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Event and action, such as `issues.opened`.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.header("x-github-event"), self.json()["action"].as_str().unwrap())
    }

    /// Whether the signature is that of the secret over the body.
    pub(crate) fn is_signed(&self, secret: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(&self.body);
        let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.header("x-hub-signature-256") == format!("sha256={digest}")
    }
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    status: Arc<AtomicU16>,
    pub(crate) requests: mpsc::UnboundedReceiver<Received>,
}

#[derive(Clone)]
struct Inbox(Arc<AtomicU16>, mpsc::UnboundedSender<Received>);

impl Receiver {
    pub(crate) async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(204));
        let (sender, requests) = mpsc::unbounded_channel();
        let router = Router::new().route("/hook", post(receive)).with_state(Inbox(status.clone(), sender));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, status, requests }
    }

    /// Answers with a status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// All requests so far.
    pub(crate) fn received(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    /// The names of all events so far.
    pub(crate) fn names(&mut self) -> Vec<String> {
        self.received().iter().map(Received::name).collect()
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.1.send(Received { headers, body }).unwrap();
    StatusCode::from_u16(inbox.0.load(Ordering::SeqCst)).unwrap()
}
