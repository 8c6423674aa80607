//! The live feed: a subscription that survives lost connections and goes on where it stopped.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use syncline_core::live::{Change, ClientMessage, Cursor, ServerMessage, SnapshotRow, Subscribe};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        http::{StatusCode, header::RETRY_AFTER},
        protocol::WebSocketConfig,
    },
};

use crate::{
    api::{Api, CONNECT_TIME_MAX, refused},
    error::{Error, FieldProblem, Problem},
    transport::backoff::{Backoff, named_wait},
};

/// What a connection sets aside for reading at once: most changes are shorter, and one process may hold many subscriptions.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// A connection that is silent for so long is taken for lost; the server pings more often.
const SILENCE_MAX: Duration = Duration::from_secs(90);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a subscription brings, in the feed's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The subscription stands; changes after the cursor follow.
    Subscribed(Cursor),
    /// Some of the records that exist now. After a lost connection a snapshot begins anew.
    Snapshot(Vec<SnapshotRow>),
    /// The snapshot is complete; changes after the cursor follow.
    SnapshotEnd(Cursor),
    /// A change.
    Change(Change),
    /// Changes were left out: read the records again, or subscribe with a snapshot. Changes go on after the cursor.
    Resync(Cursor),
    /// The connection was lost, for the reason given, and is being made anew; nothing is missed.
    Lost(String),
}

/// A subscription to the live feed.
#[derive(Debug)]
pub struct Live {
    api: Api,
    subscribe: Subscribe,
    socket: Option<Socket>,
    backoff: Backoff,
    /// The server said that it is full, and perhaps for how long it wants to be left alone.
    full: Option<Option<Duration>>,
    /// When a lost connection is made anew. Whoever cancels a wait and begins it again does not put it off.
    again_at: Option<Instant>,
}

impl Api {
    /// Subscribes to the live feed.
    ///
    /// # Errors
    /// Why the server cannot be reached or refuses the subscription. Later losses of the connection are mended by the
    /// subscription itself.
    pub async fn live(&self, subscribe: Subscribe) -> Result<Live, Error> {
        let api = self.clone();
        let mut live = Live { api, subscribe, socket: None, backoff: Backoff::default(), full: None, again_at: None };
        live.connect().await?;
        Ok(live)
    }

    fn live_url(&self) -> url::Url {
        self.socket_url(&["v1", "live"])
    }
}

impl Live {
    /// The next event; waits for it, and makes a lost connection anew meanwhile. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// What cannot be mended by trying again, such as a key that is no longer valid.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let Some(socket) = &mut self.socket else {
                self.reconnect().await?;
                continue;
            };
            let lost = match tokio::time::timeout(SILENCE_MAX, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => match self.understand(text.as_str())? {
                    Some(event) => return Ok(event),
                    None => continue,
                },
                Ok(Some(Ok(Message::Close(frame)))) => frame.map_or_else(
                    || "the server closed the connection".to_owned(),
                    |frame| format!("the server closed the connection: {} {}", frame.code, frame.reason),
                ),
                Ok(Some(Ok(_))) => continue,
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "the connection ended".to_owned(),
                Err(_) => "the connection fell silent".to_owned(),
            };
            self.socket = None;
            return Ok(Event::Lost(lost));
        }
    }

    /// The cursor from which a new subscription would miss nothing; `None` before the first event.
    pub fn cursor(&self) -> Option<Cursor> {
        self.subscribe.cursor
    }

    /// Turns a message into an event, and moves the place from which a new connection goes on.
    fn understand(&mut self, text: &str) -> Result<Option<Event>, Error> {
        let url = || self.api.live_url().to_string();
        let message: ServerMessage =
            serde_json::from_str(text).map_err(|error| Error::Unexpected { url: url(), reason: error.to_string() })?;
        self.backoff.reset();
        Ok(Some(match message {
            ServerMessage::Subscribed { cursor } => {
                if !self.subscribe.snapshot {
                    self.subscribe.cursor = Some(cursor);
                }
                Event::Subscribed(cursor)
            }
            ServerMessage::Snapshot { rows } => Event::Snapshot(rows),
            ServerMessage::SnapshotEnd { cursor } => {
                self.subscribe.snapshot = false;
                self.subscribe.cursor = Some(cursor);
                Event::SnapshotEnd(cursor)
            }
            ServerMessage::Change(change) => {
                self.subscribe.cursor = Some(change.cursor);
                Event::Change(change)
            }
            ServerMessage::Resync { cursor } => {
                self.subscribe.cursor = Some(cursor);
                Event::Resync(cursor)
            }
            ServerMessage::Error { code, message } => {
                return Err(Error::Refused(Problem {
                    kind: format!("live:{code:?}"),
                    title: "The subscription is refused".to_owned(),
                    status: 422,
                    detail: message.clone(),
                    errors: vec![FieldProblem { field: "subscribe".to_owned(), message }],
                }));
            }
            ServerMessage::Pong => return Ok(None),
        }))
    }

    /// Waits, then connects; after a passing failure it waits longer and tries again.
    async fn reconnect(&mut self) -> Result<(), Error> {
        loop {
            let at = match self.again_at {
                Some(at) => at,
                None => Instant::now() + self.next_wait(),
            };
            self.again_at = Some(at);
            tokio::time::sleep_until(at).await;
            self.again_at = None;
            match self.connect().await {
                Err(error) if error.is_passing() => {}
                result => return result,
            }
        }
    }

    fn next_wait(&mut self) -> Duration {
        let mut rng = rand::rng();
        match self.full.take() {
            Some(named) => self.backoff.overloaded(named, &mut rng),
            None => self.backoff.next(&mut rng),
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let url = self.api.live_url();
        let unreachable = |reason: String| Error::Unreachable { url: url.to_string(), reason };
        let mut request = url.as_str().into_client_request().map_err(|error| unreachable(error.to_string()))?;
        request.headers_mut().extend(self.api.headers());
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        let connecting = tokio::time::timeout(CONNECT_TIME_MAX, connecting);
        let connected = connecting.await.map_err(|_| unreachable("no answer to the handshake".to_owned()))?;
        let (mut socket, _) = connected.map_err(|error| match error {
            tungstenite::Error::Http(answer) => {
                self.full = full(&answer);
                refused(answer.status(), answer.body().as_deref().unwrap_or_default(), url.to_string())
            }
            error => unreachable(error.to_string()),
        })?;
        let message = serde_json::to_string(&ClientMessage::Subscribe(self.subscribe.clone()))
            .map_err(|error| Error::Unexpected { url: url.to_string(), reason: error.to_string() })?;
        socket.send(Message::text(message)).await.map_err(|error| unreachable(error.to_string()))?;
        self.socket = Some(socket);
        Ok(())
    }
}

/// Whether the server has no room, and the time that it names.
fn full<B>(answer: &tungstenite::http::Response<B>) -> Option<Option<Duration>> {
    let full = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    full.then(|| named_wait(answer.headers().get(RETRY_AFTER)?.to_str().ok()?))
}
