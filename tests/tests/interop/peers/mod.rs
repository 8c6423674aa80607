//! Unmodified samod peers.
//!
//! * `line`: the WebSocket beneath one, and what came over it. `document`: what a document shows, and edits of it.

mod document;
mod line;

mod access;
mod concurrency;
mod free_documents;
mod presence;
mod records;
mod resilience;

use std::{convert::Infallible, sync::Arc, time::Duration};

use ::samod::{AutomergeUrl, BackoffConfig, DialerHandle, DocHandle, PeerId, Repo};
use automerge::Automerge;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value as Json, json};
use syncline_tests::{
    api::Api,
    patience::{PATIENCE, eventually},
};

use self::line::{Heard, Line};
use crate::stage::{differs, token};

/// How soon a peer comes back. Its own ceiling of 30 s would only make stories long.
const BACKOFF: BackoffConfig =
    BackoffConfig { initial_delay: Duration::from_millis(100), max_delay: Duration::from_secs(1), max_retries: None };

/// A peer that dials the server.
pub(crate) struct Peer {
    pub(crate) repo: Repo,
    line: Arc<Line>,
    dialer: DialerHandle<Infallible>,
}

impl Peer {
    /// A connected peer with a token in this name that may do everything.
    pub(crate) async fn named(api: &Api, name: &str) -> Self {
        Self::with(api, json!({ "name": name })).await
    }

    /// A connected peer with such a token.
    pub(crate) async fn with(api: &Api, wanted: Json) -> Self {
        let peer = Self::at(&address(api, wanted).await).await;
        peer.connected().await;
        peer
    }

    /// A peer that dials an address, whether or not it is let in.
    pub(crate) async fn at(url: &str) -> Self {
        Self::of(Repo::build_tokio().load().await, url)
    }

    /// A connected peer that calls itself so in the protocol, where it is otherwise a random name.
    pub(crate) async fn calling_itself(api: &Api, peer: &str) -> Self {
        let repo = Repo::build_tokio().with_peer_id(PeerId::from(peer)).load().await;
        let peer = Self::of(repo, &address(api, json!({})).await);
        peer.connected().await;
        peer
    }

    fn of(repo: Repo, url: &str) -> Self {
        let line = Arc::new(Line::to(url));
        let dialer = repo.dial(BACKOFF, line.clone()).expect("a running repo");
        Self { repo, line, dialer }
    }

    /// What came over the peer's sockets, the first and those after it.
    pub(crate) fn heard(&self) -> &Heard {
        &self.line.heard
    }

    /// Waits until it is connected.
    pub(crate) async fn connected(&self) {
        let established = in_time("a connection", self.dialer.established()).await;
        established.expect("a dialer that tries for ever");
    }

    /// Goes offline.
    pub(crate) async fn part(&self) {
        self.line.cut(true);
        eventually("the peer is offline", async || {
            if self.dialer.is_connected() { Err("it is connected".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Comes back by itself, once it can.
    pub(crate) async fn rejoin(&self) {
        self.line.cut(false);
        self.connected().await;
    }

    /// Dials another address the next time.
    pub(crate) fn redirect(&self, url: &str) {
        self.line.redirect(url);
    }

    /// Makes a document and waits until the server has it.
    pub(crate) async fn create(&self, content: Automerge) -> DocHandle {
        let made = self.repo.create(content).await.expect("a running repo");
        self.acknowledged(&made).await;
        made
    }

    /// A document by its address; `None` where the server says that there is none.
    pub(crate) async fn find(&self, url: &str) -> Option<DocHandle> {
        let url: AutomergeUrl = url.parse().expect("an address");
        in_time("an answer", self.repo.find(url.document_id().clone())).await.expect("a running repo")
    }

    /// A document that is there.
    pub(crate) async fn found(&self, url: &str) -> DocHandle {
        self.find(url).await.unwrap_or_else(|| panic!("{url} is unavailable"))
    }

    /// Waits until the server has said that it holds everything the peer has of a document.
    pub(crate) async fn acknowledged(&self, document: &DocHandle) {
        let connection = self.dialer.connection_id().expect("a connection");
        in_time("an acknowledgement", document.they_have_our_changes(connection)).await;
    }

    /// Asserts that nothing the server ever sent made the peer hang up: it has had one socket, and has it still.
    pub(crate) fn never_left(&self) {
        assert!(self.dialer.is_connected(), "the peer is gone: {:?}", self.heard());
        assert_eq!(self.heard().sockets(), 1, "the peer had to come back: {:?}", self.heard());
        self.heard().only_known_words();
    }
}

/// The address that a token gives.
pub(crate) async fn address(api: &Api, wanted: Json) -> String {
    token(api, wanted).await["url"].as_str().expect("an address").to_owned()
}

/// The id of the record that a document is.
pub(crate) fn record_of(document: &DocHandle) -> String {
    uuid::Uuid::from_slice(document.document_id().as_bytes()).expect("sixteen bytes").to_string()
}

/// Waits until a document's fields have these values.
pub(crate) async fn until_fields(handle: &DocHandle, wanted: Json) {
    eventually(&format!("{} shows {wanted}", handle.url()), async || {
        differs(&document::fields(handle), &wanted).map_or(Ok(()), Err)
    })
    .await;
}

/// The next thing that a stream gives.
pub(crate) async fn next<T>(what: &str, stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    in_time(what, stream.next()).await.expect("a stream that goes on")
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}
