//! The WebSocket to `/v1/repo`: made, kept alive, and made anew.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use syncline_core::repo::{Message, WireError};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message as Frame,
        client::IntoClientRequest as _,
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use super::{
    backoff::{Backoff, WAIT_MAX, named_wait},
    credentials::Credentials,
};
use crate::api::CONNECT_TIME_MAX;

/// The largest frame that is read: the largest document that a server keeps, several times over.
const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most messages that wait to be sent. The engine talks about few documents at once, so more means that the
/// connection does not move; it is then made anew.
const OUTBOX_MAX: usize = 1024;
/// How often the server is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A connection that is silent for so long is taken for lost.
const SILENCE_MAX: Duration = Duration::from_secs(75);

/// Close codes of the server.
const UNAUTHORISED: u16 = 4401;
const FORBIDDEN: u16 = 4403;
const OVERLOADED: u16 = 4429;

/// Where messages to the server go. Dropping it ends the connection.
pub(crate) type Outbox = mpsc::Sender<Message>;

/// What happens to the connection.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// It is being made.
    Connecting,
    /// It stands.
    Up(Outbox),
    /// The server said something.
    Frame(Message),
    /// It ended, or could not be made; it is made anew after the wait.
    Down {
        /// Why.
        why: Down,
        /// For how long the link rests.
        wait: Duration,
    },
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// It broke, or nobody answers.
    Lost(String),
    /// The server does not know who this is, or does not let them in.
    Unauthorised(String),
    /// The server asks for time.
    Overloaded(String),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Keeps a connection for as long as anybody listens to its events.
pub(crate) async fn keep_linked(credentials: Arc<Credentials>, events: mpsc::Sender<LinkEvent>) {
    let mut backoff = Backoff::default();
    while events.send(LinkEvent::Connecting).await.is_ok() {
        let why = match connect(&credentials).await {
            Ok(socket) => talk(socket, &events, &mut backoff).await,
            Err(why) => why,
        };
        if let Down::Unauthorised(_) = &why {
            credentials.renew().await;
        }
        let wait = wait_after(&why, &mut backoff);
        if events.send(LinkEvent::Down { why, wait }).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

fn wait_after(why: &Down, backoff: &mut Backoff) -> Duration {
    let mut rng = rand::rng();
    match why {
        Down::Lost(_) | Down::Unauthorised(_) => backoff.next(&mut rng),
        Down::Overloaded(reason) => backoff.overloaded(named_wait(reason), &mut rng),
    }
    .min(WAIT_MAX)
}

async fn connect(credentials: &Credentials) -> Result<Socket, Down> {
    let lost = |reason: String| Down::Lost(reason);
    let (url, headers) = credentials.repo().await.map_err(|error| lost(error.to_string()))?;
    let mut request = url.as_str().into_client_request().map_err(|error| lost(error.to_string()))?;
    request.headers_mut().extend(headers);
    let config =
        WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    let connected = tokio::time::timeout(CONNECT_TIME_MAX, connecting).await;
    match connected.map_err(|_| lost("no answer to the handshake".to_owned()))? {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => Err(match answer.status().as_u16() {
            401 | 403 => Down::Unauthorised(answer.status().to_string()),
            429 | 503 => Down::Overloaded(retry_after(&answer).unwrap_or_else(|| answer.status().to_string())),
            _ => lost(format!("the server answered {}", answer.status())),
        }),
        Err(error) => Err(lost(error.to_string())),
    }
}

fn retry_after<B>(answer: &tungstenite::http::Response<B>) -> Option<String> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?;
    Some(format!("retry in {seconds} s"))
}

/// Carries messages both ways until the connection ends.
async fn talk(mut socket: Socket, events: &mpsc::Sender<LinkEvent>, backoff: &mut Backoff) -> Down {
    let gone = || Down::Lost("the client was closed".to_owned());
    let (outbox, mut out) = mpsc::channel(OUTBOX_MAX);
    if events.send(LinkEvent::Up(outbox)).await.is_err() {
        return gone();
    }
    let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            frame = socket.next() => {
                heard = Instant::now();
                match read(frame) {
                    Ok(Some(message)) => {
                        backoff.reset();
                        if events.send(LinkEvent::Frame(message)).await.is_err() {
                            return gone();
                        }
                    }
                    Ok(None) => {}
                    Err(why) => return why,
                }
            }
            message = out.recv() => {
                let Some(message) = message else {
                    // Best effort: the other side notices the end of the connection either way.
                    let _ = socket.close(None).await;
                    return Down::Lost("this client ended the connection".to_owned());
                };
                if let Err(error) = socket.send(Frame::binary(message.encode())).await {
                    return Down::Lost(error.to_string());
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE_MAX {
                    return Down::Lost("the connection fell silent".to_owned());
                }
                if let Err(error) = socket.send(Frame::Ping(Default::default())).await {
                    return Down::Lost(error.to_string());
                }
            }
        }
    }
}

fn read(frame: Option<Result<Frame, tungstenite::Error>>) -> Result<Option<Message>, Down> {
    match frame {
        Some(Ok(Frame::Binary(bytes))) => match Message::decode(&bytes, FRAME_BYTES_MAX) {
            Ok(message) => Ok(Some(message)),
            // A document that cannot exist here is nobody's; the connection is sound.
            Err(WireError::DocumentId { .. }) => Ok(None),
            Err(error) => Err(Down::Lost(error.to_string())),
        },
        Some(Ok(Frame::Close(close))) => Err(closed(close)),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(Down::Lost(error.to_string())),
        None => Err(Down::Lost("the connection ended".to_owned())),
    }
}

fn closed(close: Option<CloseFrame>) -> Down {
    let Some(close) = close else { return Down::Lost("the server closed the connection".to_owned()) };
    let (code, reason) = (u16::from(close.code), close.reason.to_string());
    match code {
        UNAUTHORISED | FORBIDDEN => Down::Unauthorised(reason),
        OVERLOADED => Down::Overloaded(reason),
        _ => Down::Lost(format!("the server closed the connection: {code} {reason}")),
    }
}
