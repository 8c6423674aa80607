//! A client of the automerge-repo protocol that costs next to nothing itself: it answers as clients do, and holds no document.

use automerge::{
    ChangeHash,
    sync::{BloomFilter, ChunkList, Have, Message as SyncMessage, MessageFlags, MessageVersion},
};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use syncline_core::repo::{DocumentId, Message, PROTOCOL_VERSION, PeerId, PeerMetadata, message::Sync};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config, tungstenite};

use crate::Result;

/// The longest frame that comes here.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A connected peer.
pub(crate) struct Peer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    name: PeerId,
    server: PeerId,
}

impl Peer {
    /// Connects and introduces itself.
    pub(crate) async fn connect(address: &str, name: &str) -> Result<Self> {
        let (mut socket, _) = connect_async_with_config(address, None, true).await?;
        let name = PeerId::new(name)?;
        let metadata = PeerMetadata { storage_id: None, ephemeral: true };
        let join = Message::Join { sender: name.clone(), metadata, versions: vec![PROTOCOL_VERSION.to_owned()] };
        socket.send(tungstenite::Message::binary(join.encode())).await?;
        loop {
            match read(socket.next().await)? {
                Some(Message::Peer { sender, .. }) => return Ok(Self { socket, name, server: sender }),
                Some(other) => return Err(format!("no introduction: {other:?}").into()),
                None => {}
            }
        }
    }

    /// Asks for a document and takes it; returns its heads.
    pub(crate) async fn open(&mut self, document: DocumentId) -> Result<Vec<ChangeHash>> {
        self.say(document, &told(Vec::new()), true).await?;
        let message = self.hear().await?;
        self.say(document, &told(message.heads.clone()), false).await?;
        Ok(message.heads)
    }

    /// Says of documents where it stands, all at once, as a client does that comes back.
    pub(crate) async fn greet(&mut self, standing: &[(DocumentId, Vec<ChangeHash>)]) -> Result<()> {
        for (document, heads) in standing {
            let frame = self.frame(*document, &told(heads.clone()), false);
            self.socket.feed(frame).await?;
        }
        Ok(self.socket.flush().await?)
    }

    /// The next sync message.
    pub(crate) async fn hear(&mut self) -> Result<SyncMessage> {
        loop {
            match read(self.socket.next().await)? {
                Some(Message::Sync(sync)) => return Ok(SyncMessage::decode(&sync.data)?),
                Some(Message::DocUnavailable { document, .. }) => {
                    return Err(format!("{document} is unavailable").into());
                }
                _ => {}
            }
        }
    }

    /// Says that it has all that a message told.
    pub(crate) async fn acknowledge(&mut self, document: DocumentId, message: &SyncMessage) -> Result<()> {
        self.say(document, &told(message.heads.clone()), false).await
    }

    /// Says something about a document.
    pub(crate) async fn say(&mut self, document: DocumentId, message: &SyncMessage, request: bool) -> Result<()> {
        let frame = self.frame(document, message, request);
        Ok(self.socket.send(frame).await?)
    }

    fn frame(&self, document: DocumentId, message: &SyncMessage, request: bool) -> tungstenite::Message {
        let data = Bytes::from(message.clone().encode());
        let sync = Sync { sender: self.name.clone(), target: self.server.clone(), document, data };
        let message = if request { Message::Request(sync) } else { Message::Sync(sync) };
        tungstenite::Message::binary(message.encode())
    }
}

/// Where a client stands that has everything under these heads.
fn told(heads: Vec<ChangeHash>) -> SyncMessage {
    let mut flags = MessageFlags::new();
    flags.set(MessageFlags::SUPPORTS_SYNC_RESET);
    let nothing: [ChangeHash; 0] = [];
    let have = Have { last_sync: heads.clone(), bloom: BloomFilter::from_hashes(nothing.iter()) };
    SyncMessage {
        heads,
        need: Vec::new(),
        have: vec![have],
        changes: ChunkList::empty(),
        flags: Some(flags),
        version: MessageVersion::V1,
    }
}

fn read(frame: Option<std::result::Result<tungstenite::Message, tungstenite::Error>>) -> Result<Option<Message>> {
    match frame {
        Some(Ok(tungstenite::Message::Binary(bytes))) => Ok(Some(Message::decode(&bytes, FRAME_BYTES_MAX)?)),
        Some(Ok(tungstenite::Message::Close(reason))) => Err(format!("the server closed: {reason:?}").into()),
        Some(Ok(_)) => Ok(None),
        end => Err(format!("the socket ended: {end:?}").into()),
    }
}
