//! The live feed: a subscription that survives lost connections and goes on where it stopped.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rand::RngExt as _;
use syncline_core::live::{Change, ClientMessage, Cursor, ServerMessage, SnapshotRow, Subscribe};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use crate::{
    api::{Api, CONNECT_TIME_MAX, refused},
    error::{Error, FieldProblem, Problem},
};

/// The first wait before a lost connection is made anew; doubles up to [`WAIT_MAX`], with jitter.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait before a lost connection is made anew.
const WAIT_MAX: Duration = Duration::from_secs(10);
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
    wait: Duration,
}

impl Api {
    /// Subscribes to the live feed.
    ///
    /// # Errors
    /// Why the server cannot be reached or refuses the subscription. Later losses of the connection are mended by the
    /// subscription itself.
    pub async fn live(&self, subscribe: Subscribe) -> Result<Live, Error> {
        let mut live = Live { api: self.clone(), subscribe, socket: None, wait: WAIT_MIN };
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
        self.wait = WAIT_MIN;
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

    /// Waits, then connects; a passing failure doubles the wait and is tried again.
    async fn reconnect(&mut self) -> Result<(), Error> {
        loop {
            // Half of the wait is random, so that the clients of a restarted server do not return in one instant.
            let wait = self.wait.mul_f64(rand::rng().random_range(0.5..1.0));
            tokio::time::sleep(wait).await;
            self.wait = (self.wait * 2).min(WAIT_MAX);
            match self.connect().await {
                Err(error) if error.is_passing() => {}
                result => return result,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let url = self.api.live_url();
        let unreachable = |reason: String| Error::Unreachable { url: url.to_string(), reason };
        let mut request = url.as_str().into_client_request().map_err(|error| unreachable(error.to_string()))?;
        request.headers_mut().extend(self.api.headers());
        let connecting = tokio_tungstenite::connect_async_with_config(request, None, true);
        let connecting = tokio::time::timeout(CONNECT_TIME_MAX, connecting);
        let connected = connecting.await.map_err(|_| unreachable("no answer to the handshake".to_owned()))?;
        let (mut socket, _) = connected.map_err(|error| match error {
            tungstenite::Error::Http(answer) => {
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
