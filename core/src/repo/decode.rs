//! Frames in.

use std::collections::BTreeMap;

use automerge::ChangeHash;
use bytes::Bytes;
use minicbor::{Decoder, data::Type, decode::Error as CborError};

use super::{
    cbor::{self, Entries, Fields},
    id::{DocumentId, DocumentIdError},
    message::{Ephemeral, HEADS_MAX, Message, PROSE_BYTES_MAX, PROTOCOL_VERSION, RemoteHeads, STORES_MAX, Sync},
    peer::{NAME_BYTES_MAX, NameTooLong, PeerId, PeerMetadata, SessionId, StorageId},
};

/// How many protocol versions a client may offer; there is one.
const VERSIONS_MAX: usize = 16;

/// The largest integer that a JavaScript number holds without loss.
const SAFE_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// Why a frame is no message. All but [`WireError::DocumentId`] mean that the peer does not speak this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame is larger than the receiver takes.
    #[error("the frame has {bytes} bytes and at most {max} are taken: send less at once")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is taken.
        max: usize,
    },
    /// The frame is not one whole CBOR map.
    #[error("the frame is no CBOR map (byte {at}: {what}): send one map in each binary frame, as protocol \"1\" says")]
    Damaged {
        /// Where, in bytes from the frame's beginning.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// Values nest deeper than any message needs.
    #[error("the frame's values nest deeper than {max} (byte {at}): put less into one message", max = cbor::DEPTH_MAX)]
    TooDeep {
        /// Where, in bytes from the frame's beginning.
        at: usize,
    },
    /// A key is absent that a message of this type must have.
    #[error("the message \"{kind}\" has no \"{key}\": send it as protocol \"1\" says")]
    Missing {
        /// The type.
        kind: String,
        /// The key.
        key: &'static str,
    },
    /// A value is of another kind than its key demands.
    #[error("the value of \"{key}\" is not {expected}: send it as protocol \"1\" says")]
    Wrong {
        /// The key.
        key: &'static str,
        /// What should be there.
        expected: &'static str,
    },
    /// A value is longer than taken.
    #[error("the value of \"{key}\" is longer than {max}: shorten it, or spread it over several messages")]
    TooLong {
        /// The key.
        key: &'static str,
        /// How many bytes of a text, or elements of a list, are taken.
        max: usize,
    },
    /// The message concerns a document whose id cannot exist here. The connection may well go on.
    #[error("the message \"{kind}\" concerns no document that can exist here: {reason}")]
    DocumentId {
        /// The type.
        kind: String,
        /// What is wrong with the id.
        reason: DocumentIdError,
    },
}

impl Message {
    /// Reads one frame of at most `bytes_max` bytes. What the message carries shares the frame's memory.
    ///
    /// # Errors
    ///
    /// A frame that is no message of the protocol, see [`WireError`]. A type that is not known is no error.
    pub fn decode(frame: &Bytes, bytes_max: usize) -> Result<Self, WireError> {
        if frame.len() > bytes_max {
            return Err(WireError::TooLarge { bytes: frame.len(), max: bytes_max });
        }
        let fields = Fields::read(frame)?;
        let kind = match fields.value("type") {
            Some(mut decoder) => text(&mut decoder, "type", NAME_BYTES_MAX)?,
            None => return Err(WireError::Missing { kind: String::new(), key: "type" }),
        };
        Frame { kind, fields }.message()
    }
}

/// A frame whose type is known.
struct Frame<'f> {
    kind: &'f str,
    fields: Fields<'f>,
}

impl<'f> Frame<'f> {
    fn message(&self) -> Result<Message, WireError> {
        Ok(match self.kind {
            "join" => Message::Join { sender: self.sender()?, metadata: self.metadata()?, versions: self.versions()? },
            "peer" => Message::Peer {
                sender: self.sender()?,
                target: self.target()?,
                metadata: self.metadata()?,
                version: self.text("selectedProtocolVersion", NAME_BYTES_MAX)?.to_owned(),
            },
            "error" => Message::Error {
                sender: self.name_if_any("senderId", PeerId::new)?,
                target: self.name_if_any("targetId", PeerId::new)?,
                message: self.text("message", PROSE_BYTES_MAX)?.to_owned(),
            },
            "leave" => Message::Leave { sender: self.sender()? },
            "request" => Message::Request(self.sync()?),
            "sync" => Message::Sync(self.sync()?),
            "doc-unavailable" => {
                Message::DocUnavailable { sender: self.sender()?, target: self.target()?, document: self.document()? }
            }
            "ephemeral" => Message::Ephemeral(self.ephemeral()?),
            "remote-subscription-change" => Message::RemoteSubscriptionChange {
                sender: self.sender()?,
                target: self.target()?,
                add: self.stores("add")?,
                remove: self.stores("remove")?,
            },
            "remote-heads-changed" => Message::RemoteHeadsChanged {
                sender: self.sender()?,
                target: self.target()?,
                document: self.document()?,
                heads: self.remote_heads()?,
            },
            other => Message::Unknown { kind: other.to_owned() },
        })
    }
    fn required(&self, key: &'static str) -> Result<Decoder<'f>, WireError> {
        self.fields.value(key).ok_or_else(|| WireError::Missing { kind: self.kind.to_owned(), key })
    }

    fn text(&self, key: &'static str, max: usize) -> Result<&'f str, WireError> {
        text(&mut self.required(key)?, key, max)
    }

    fn name<T>(&self, key: &'static str, new: fn(&str) -> Result<T, NameTooLong>) -> Result<T, WireError> {
        name(&mut self.required(key)?, key, new)
    }

    fn name_if_any<T>(
        &self,
        key: &'static str,
        new: fn(&str) -> Result<T, NameTooLong>,
    ) -> Result<Option<T>, WireError> {
        self.fields.value(key).map(|mut decoder| name(&mut decoder, key, new)).transpose()
    }

    fn sender(&self) -> Result<PeerId, WireError> {
        self.name("senderId", PeerId::new)
    }

    fn target(&self) -> Result<PeerId, WireError> {
        self.name("targetId", PeerId::new)
    }

    /// The document's id, as text or as its bare bytes.
    fn document(&self) -> Result<DocumentId, WireError> {
        let key = "documentId";
        let mut decoder = self.required(key)?;
        let read = if matches!(decoder.datatype(), Ok(Type::String)) {
            text(&mut decoder, key, NAME_BYTES_MAX)?.parse()
        } else {
            let bytes = self.fields.bytes(&mut decoder).map_err(wrong(key, "a document id"))?;
            let exact = bytes.as_ref().try_into().map(DocumentId::from_bytes);
            exact.map_err(|_| DocumentIdError::Length { bytes: bytes.len() })
        };
        read.map_err(|reason| WireError::DocumentId { kind: self.kind.to_owned(), reason })
    }

    fn data(&self) -> Result<Bytes, WireError> {
        self.fields.bytes(&mut self.required("data")?).map_err(wrong("data", "a byte string"))
    }

    fn sync(&self) -> Result<Sync, WireError> {
        Ok(Sync { sender: self.sender()?, target: self.target()?, document: self.document()?, data: self.data()? })
    }

    fn ephemeral(&self) -> Result<Ephemeral, WireError> {
        Ok(Ephemeral {
            sender: self.sender()?,
            target: self.target()?,
            document: self.document()?,
            session: self.name("sessionId", SessionId::new)?,
            count: count(&mut self.required("count")?, "count")?,
            data: self.data()?,
        })
    }

    fn metadata(&self) -> Result<PeerMetadata, WireError> {
        let key = "peerMetadata";
        let mut metadata = PeerMetadata::default();
        let Some(mut decoder) = self.fields.value(key) else { return Ok(metadata) };
        let mut entries = Entries::map(&mut decoder).map_err(wrong(key, "a map"))?;
        while let Some(entry) = entries.key(&mut decoder)? {
            match entry {
                _ if cbor::is_nothing(&decoder) => cbor::skip(&mut decoder)?,
                Some("storageId") => metadata.storage_id = Some(name(&mut decoder, "storageId", StorageId::new)?),
                Some("isEphemeral") => {
                    metadata.ephemeral = decoder.bool().map_err(wrong("isEphemeral", "true or false"))?;
                }
                _ => cbor::skip(&mut decoder)?,
            }
        }
        Ok(metadata)
    }

    fn versions(&self) -> Result<Vec<String>, WireError> {
        let key = "supportedProtocolVersions";
        match self.fields.value(key) {
            Some(mut decoder) => {
                list(&mut decoder, key, VERSIONS_MAX, |decoder| text(decoder, key, NAME_BYTES_MAX).map(str::to_owned))
            }
            None => Ok(vec![PROTOCOL_VERSION.to_owned()]),
        }
    }

    fn stores(&self, key: &'static str) -> Result<Vec<StorageId>, WireError> {
        match self.fields.value(key) {
            Some(mut decoder) => list(&mut decoder, key, STORES_MAX, |decoder| name(decoder, key, StorageId::new)),
            None => Ok(Vec::new()),
        }
    }

    fn remote_heads(&self) -> Result<BTreeMap<StorageId, RemoteHeads>, WireError> {
        let key = "newHeads";
        let mut decoder = self.required(key)?;
        let mut entries = Entries::map(&mut decoder).map_err(wrong(key, "a map"))?;
        let mut stores = BTreeMap::new();
        while let Some(store) = entries.key(&mut decoder)? {
            let store = store.ok_or(WireError::Wrong { key, expected: "a map by storage id" })?;
            if stores.len() == STORES_MAX {
                return Err(WireError::TooLong { key, max: STORES_MAX });
            }
            let store = StorageId::new(store).map_err(|_| WireError::TooLong { key, max: NAME_BYTES_MAX })?;
            stores.insert(store, heads_of_store(&mut decoder)?);
        }
        Ok(stores)
    }
}

fn heads_of_store(decoder: &mut Decoder<'_>) -> Result<RemoteHeads, WireError> {
    let mut read = RemoteHeads { heads: Vec::new(), at_ms: 0 };
    let mut entries = Entries::map(decoder).map_err(wrong("newHeads", "a map of maps"))?;
    while let Some(entry) = entries.key(decoder)? {
        match entry {
            Some("heads") => read.heads = list(decoder, "heads", HEADS_MAX, head)?,
            Some("timestamp") => read.at_ms = count(decoder, "timestamp")?,
            _ => cbor::skip(decoder)?,
        }
    }
    Ok(read)
}

/// One head, as base58check of its 32 bytes.
fn head(decoder: &mut Decoder<'_>) -> Result<ChangeHash, WireError> {
    /// Bytes of a hash and of the checksum behind it.
    const LEN: usize = 32 + 4;
    let mut bytes = [0; LEN];
    let text = text(decoder, "heads", NAME_BYTES_MAX)?;
    let read = bs58::decode(text).with_check(None).onto(&mut bytes[..]).unwrap_or_default();
    ChangeHash::try_from(&bytes[..read])
        .map_err(|_| WireError::Wrong { key: "heads", expected: "base58check of hashes" })
}

fn text<'f>(decoder: &mut Decoder<'f>, key: &'static str, max: usize) -> Result<&'f str, WireError> {
    cbor::skip_tags(decoder)
        .and_then(|()| decoder.str())
        .map_err(wrong(key, "a text"))
        .and_then(|text| if text.len() > max { Err(WireError::TooLong { key, max }) } else { Ok(text) })
}

fn name<T>(
    decoder: &mut Decoder<'_>,
    key: &'static str,
    new: fn(&str) -> Result<T, NameTooLong>,
) -> Result<T, WireError> {
    new(text(decoder, key, NAME_BYTES_MAX)?).map_err(|_| WireError::TooLong { key, max: NAME_BYTES_MAX })
}

fn list<'f, T>(
    decoder: &mut Decoder<'f>,
    key: &'static str,
    max: usize,
    mut element: impl FnMut(&mut Decoder<'f>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let mut entries = Entries::array(decoder).map_err(wrong(key, "a list"))?;
    let mut elements = Vec::new();
    while entries.more(decoder)? {
        if elements.len() == max {
            return Err(WireError::TooLong { key, max });
        }
        elements.push(element(decoder)?);
    }
    Ok(elements)
}

/// A whole number that is not negative. JavaScript writes those above 32 bits as floats.
fn count(decoder: &mut Decoder<'_>, key: &'static str) -> Result<u64, WireError> {
    let not_whole = WireError::Wrong { key, expected: "a whole number below 2^53" };
    match decoder.datatype() {
        Ok(Type::F32 | Type::F64) => match decoder.f64() {
            // Inside this range the conversion loses nothing.
            Ok(float) if (0.0..=SAFE_INTEGER_MAX).contains(&float) && float.fract() == 0.0 => Ok(float as u64),
            _ => Err(not_whole),
        },
        _ => decoder.u64().ok().filter(|whole| *whole <= SAFE_INTEGER_MAX as u64).ok_or(not_whole),
    }
}

fn wrong(key: &'static str, expected: &'static str) -> impl Fn(CborError) -> WireError {
    move |_| WireError::Wrong { key, expected }
}
