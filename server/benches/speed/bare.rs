//! The floor of a fan-out: a process that hands each frame of one socket to all others, and does nothing else.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::Result;

/// What this program is called with to become that process.
pub(crate) const FLAG: &str = "--bare-fan-out";
/// Frames that may wait for one socket.
const WAITING_MAX: usize = 1_024;

/// The process; it ends when this is dropped.
pub(crate) struct Bare {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Bare {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg(FLAG).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("a process has no output")?).read_line(&mut line)?;
        Ok(Self { child, address: format!("ws://{}", line.trim()) })
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process's work.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let frames = broadcast::Sender::new(WAITING_MAX);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(pass_on(stream, frames.clone(), frames.subscribe()));
    }
}

async fn pass_on(stream: TcpStream, said: broadcast::Sender<Bytes>, mut heard: broadcast::Receiver<Bytes>) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    loop {
        let sent = tokio::select! {
            frame = socket.next() => match frame {
                // What a client says back is as short as an acknowledgement, and goes nowhere.
                Some(Ok(Message::Binary(bytes))) if bytes.len() > ACKNOWLEDGEMENT_MAX => {
                    said.send(bytes).map(drop).is_ok()
                }
                Some(Ok(_)) => true,
                _ => false,
            },
            frame = heard.recv() => match frame {
                Ok(bytes) => socket.send(Message::Binary(bytes)).await.is_ok(),
                Err(_) => false,
            },
        };
        if !sent {
            return;
        }
    }
}

/// A longer frame is one to hand on.
const ACKNOWLEDGEMENT_MAX: usize = 16;
