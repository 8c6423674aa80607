//! The WebSocket beneath a peer. samod's own would need OpenSSL.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
};

use ::samod::{DialError, Dialer, Transport, Url};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, future::BoxFuture};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message},
};

/// The words of the protocol that samod knows; at any other it hangs up, and at `error` too.
const KNOWN: [&str; 6] = ["peer", "request", "sync", "doc-unavailable", "ephemeral", "leave"];

/// Where a peer dials, and what it heard there.
#[derive(Debug)]
pub(super) struct Line {
    url: Mutex<Url>,
    is_cut: watch::Sender<bool>,
    pub(super) heard: Arc<Heard>,
}

/// Why a peer cannot dial.
#[derive(Debug, thiserror::Error)]
#[error("the line is cut")]
struct Cut;

/// What came over all the sockets of a peer.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Record>);

#[derive(Clone, Debug, Default)]
struct Record {
    sockets: usize,
    words: BTreeSet<String>,
    closes: Vec<(u16, String)>,
}

/// As much of a message as says what it is.
#[derive(Deserialize)]
struct Envelope {
    r#type: String,
}

impl Line {
    pub(super) fn to(url: &str) -> Self {
        Self { url: Mutex::new(parsed(url)), is_cut: watch::Sender::new(false), heard: Arc::default() }
    }

    /// Ends the present socket and lets no other be made, or lets the peer dial again.
    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }

    pub(super) fn redirect(&self, url: &str) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = parsed(url);
    }
}

impl Dialer for Line {
    type Error = Infallible;

    fn url(&self) -> Url {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<Infallible>>> {
        let (url, heard, mut is_cut) = (self.url(), self.heard.clone(), self.is_cut.subscribe());
        async move {
            if *is_cut.borrow() {
                return Err(DialError::transient(Cut));
            }
            let (socket, _) = connect_async(url.as_str()).await.map_err(DialError::transient)?;
            heard.write(|record| record.sockets += 1);
            let (sink, stream) = socket.split();
            let cut = async move { drop(is_cut.wait_for(|is_cut| *is_cut).await) };
            let stream = stream.filter_map(move |message| ready(heard.take(message))).take_until(cut.boxed());
            let sink = sink.with(|bytes: Vec<u8>| ready(Ok::<_, Error>(Message::binary(bytes))));
            Ok(Transport::new(stream.boxed(), Box::pin(sink)))
        }
        .boxed()
    }
}

impl Heard {
    /// How many sockets there were.
    pub(crate) fn sockets(&self) -> usize {
        self.read().sockets
    }

    /// The codes with which the server closed them.
    pub(crate) fn codes(&self) -> Vec<u16> {
        self.read().closes.into_iter().map(|(code, _)| code).collect()
    }

    /// Asserts that the server never used a word at which samod hangs up.
    pub(crate) fn only_known_words(&self) {
        let words = self.read().words;
        assert!(words.iter().all(|word| KNOWN.contains(&word.as_str())), "the server said {words:?}");
    }

    fn take(&self, message: Result<Message, Error>) -> Option<Result<Vec<u8>, Error>> {
        match message {
            Ok(Message::Binary(bytes)) => {
                let word =
                    minicbor_serde::from_slice(&bytes).map_or("no message".to_owned(), |Envelope { r#type }| r#type);
                self.write(|record| record.words.extend([word]));
                Some(Ok(bytes.to_vec()))
            }
            Ok(Message::Close(frame)) => {
                let (code, reason) = frame.map_or((1005, String::new()), |it| (it.code.into(), it.reason.to_string()));
                self.write(|record| record.closes.push((code, reason)));
                None
            }
            Ok(Message::Text(_)) => {
                self.write(|record| record.words.extend(["text".to_owned()]));
                None
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn read(&self) -> Record {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn parsed(url: &str) -> Url {
    Url::parse(url).expect("an address")
}
