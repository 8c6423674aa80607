//! Frames out: definite lengths, texts and byte strings only, which every peer reads.

use std::{collections::BTreeMap, convert::Infallible};

use automerge::ChangeHash;
use minicbor::{Encoder, encode::Error as CborError};

use super::{
    id::DocumentId,
    message::{Ephemeral, Message, PROSE_BYTES_MAX, RemoteHeads, Sync},
    peer::{PeerId, PeerMetadata, StorageId},
};

type Written = Result<(), CborError<Infallible>>;

/// Bytes that a message takes at most besides its names and data; only a first guess of the buffer's size.
const FRAME_BYTES: usize = 256;

impl Message {
    /// The message as one frame.
    pub fn encode(&self) -> Vec<u8> {
        written(FRAME_BYTES + self.data_len(), |writer| writer.message(self))
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Request(sync) | Self::Sync(sync) => sync.data.len(),
            Self::Ephemeral(ephemeral) => ephemeral.data.len(),
            _ => 0,
        }
    }
}

/// What `write` writes, into a buffer that has room for `capacity` bytes at first.
fn written(capacity: usize, write: impl FnOnce(&mut Writer) -> Written) -> Vec<u8> {
    let mut writer = Writer(Encoder::new(Vec::with_capacity(capacity)));
    // Writing to memory does not fail, and lengths are known before they are written.
    write(&mut writer).expect("a message can be written to memory");
    writer.0.into_writer()
}

/// A [`Message::Sync`] up to the receiver's name and without it.
pub(super) fn before_target(sender: &PeerId, document: &DocumentId) -> Vec<u8> {
    written(FRAME_BYTES, |writer| {
        writer.begin(5, "sync")?;
        writer.text("senderId", sender.as_str())?;
        writer.document(document)
    })
}

/// A whole [`Message::Sync`]: what [`before_target`] wrote, the receiver, the payload.
pub(super) fn with_target(before: &[u8], target: &PeerId, data: &[u8]) -> Vec<u8> {
    let capacity = before.len() + target.as_str().len() + data.len() + TARGET_AND_DATA_BYTES;
    let mut frame = Vec::with_capacity(capacity);
    frame.extend_from_slice(before);
    let mut writer = Writer(Encoder::new(frame));
    let written = writer.text("targetId", target.as_str()).and_then(|()| writer.data(data));
    // Writing to memory does not fail, and lengths are known before they are written.
    written.expect("a frame can be written to memory");
    writer.0.into_writer()
}

/// Bytes that the keys `targetId` and `data` take, with the heads of their values.
const TARGET_AND_DATA_BYTES: usize = 9 + 9 + 5 + 9;

struct Writer(Encoder<Vec<u8>>);

impl Writer {
    fn message(&mut self, message: &Message) -> Written {
        match message {
            Message::Join { sender, metadata, versions } => self.join(sender, metadata, versions),
            Message::Peer { sender, target, metadata, version } => {
                self.begin(5, "peer")?;
                self.route(sender, target)?;
                self.metadata(metadata)?;
                self.text("selectedProtocolVersion", version)
            }
            Message::Error { sender, target, message } => self.error(sender.as_ref(), target.as_ref(), message),
            Message::Leave { sender } => {
                self.begin(2, "leave")?;
                self.text("senderId", sender.as_str())
            }
            Message::Request(sync) => self.sync("request", sync),
            Message::Sync(sync) => self.sync("sync", sync),
            Message::DocUnavailable { sender, target, document } => {
                self.begin(4, "doc-unavailable")?;
                self.route(sender, target)?;
                self.document(document)
            }
            Message::Ephemeral(ephemeral) => self.ephemeral(ephemeral),
            Message::RemoteSubscriptionChange { sender, target, add, remove } => {
                self.begin(5, "remote-subscription-change")?;
                self.route(sender, target)?;
                self.stores("add", add)?;
                self.stores("remove", remove)
            }
            Message::RemoteHeadsChanged { sender, target, document, heads } => {
                self.begin(5, "remote-heads-changed")?;
                self.route(sender, target)?;
                self.document(document)?;
                self.remote_heads(heads)
            }
            Message::Unknown { kind } => self.begin(1, kind),
        }
    }

    fn begin(&mut self, entries: u64, kind: &str) -> Written {
        self.0.map(entries)?;
        self.text("type", kind)
    }

    fn text(&mut self, key: &str, text: &str) -> Written {
        self.0.str(key)?.str(text)?;
        Ok(())
    }

    /// A number as JavaScript writes it: above 32 bits as a float, since it would read a 64-bit integer as a `BigInt`.
    fn number(&mut self, number: u64) -> Written {
        match u32::try_from(number) {
            Ok(small) => self.0.u32(small)?,
            Err(_) => self.0.f64(number as f64)?,
        };
        Ok(())
    }

    fn route(&mut self, sender: &PeerId, target: &PeerId) -> Written {
        self.text("senderId", sender.as_str())?;
        self.text("targetId", target.as_str())
    }

    fn document(&mut self, document: &DocumentId) -> Written {
        self.text("documentId", &document.to_string())
    }

    fn data(&mut self, data: &[u8]) -> Written {
        self.0.str("data")?.bytes(data)?;
        Ok(())
    }

    fn join(&mut self, sender: &PeerId, metadata: &PeerMetadata, versions: &[String]) -> Written {
        self.begin(4, "join")?;
        self.text("senderId", sender.as_str())?;
        self.metadata(metadata)?;
        self.0.str("supportedProtocolVersions")?;
        self.0.array(versions.len() as u64)?;
        versions.iter().try_for_each(|version| self.0.str(version).map(drop))
    }

    fn metadata(&mut self, metadata: &PeerMetadata) -> Written {
        self.0.str("peerMetadata")?;
        self.0.map(1 + u64::from(metadata.storage_id.is_some()))?;
        if let Some(storage) = &metadata.storage_id {
            self.text("storageId", storage.as_str())?;
        }
        self.0.str("isEphemeral")?.bool(metadata.ephemeral)?;
        Ok(())
    }

    fn error(&mut self, sender: Option<&PeerId>, target: Option<&PeerId>, message: &str) -> Written {
        self.begin(2 + u64::from(sender.is_some()) + u64::from(target.is_some()), "error")?;
        if let Some(sender) = sender {
            self.text("senderId", sender.as_str())?;
        }
        if let Some(target) = target {
            self.text("targetId", target.as_str())?;
        }
        self.text("message", cut(message, PROSE_BYTES_MAX))
    }

    fn sync(&mut self, kind: &str, sync: &Sync) -> Written {
        self.begin(5, kind)?;
        self.route(&sync.sender, &sync.target)?;
        self.document(&sync.document)?;
        self.data(&sync.data)
    }

    fn ephemeral(&mut self, ephemeral: &Ephemeral) -> Written {
        self.begin(7, "ephemeral")?;
        self.route(&ephemeral.sender, &ephemeral.target)?;
        self.document(&ephemeral.document)?;
        self.text("sessionId", ephemeral.session.as_str())?;
        self.0.str("count")?;
        self.number(ephemeral.count)?;
        self.data(&ephemeral.data)
    }

    fn stores(&mut self, key: &str, stores: &[StorageId]) -> Written {
        self.0.str(key)?;
        self.0.array(stores.len() as u64)?;
        stores.iter().try_for_each(|store| self.0.str(store.as_str()).map(drop))
    }

    fn remote_heads(&mut self, stores: &BTreeMap<StorageId, RemoteHeads>) -> Written {
        self.0.str("newHeads")?;
        self.0.map(stores.len() as u64)?;
        for (store, RemoteHeads { heads, at_ms }) in stores {
            self.0.str(store.as_str())?;
            self.0.map(2)?;
            self.0.str("heads")?;
            self.0.array(heads.len() as u64)?;
            heads.iter().try_for_each(|head| self.0.str(&head_text(head)).map(drop))?;
            self.0.str("timestamp")?;
            self.number(*at_ms)?;
        }
        Ok(())
    }
}

/// A head as peers write it: base58check of its bytes.
fn head_text(head: &ChangeHash) -> String {
    bs58::encode(head.as_ref()).with_check().into_string()
}

/// The beginning of a text that has at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
