//! Reading one CBOR map from a peer that may be hostile: no recursion, no allocation by a claimed length.

use bytes::Bytes;
use minicbor::{Decoder, data::Type, decode::Error as CborError};

use super::decode::WireError;

/// How deep values may nest. The protocol's own messages have three levels; what lies in unknown keys is skipped.
pub(super) const DEPTH_MAX: usize = 16;

/// The keys that the protocol knows. Every other key is skipped.
pub(super) const KEYS: [&str; 14] = [
    "type",
    "senderId",
    "targetId",
    "peerMetadata",
    "supportedProtocolVersions",
    "selectedProtocolVersion",
    "message",
    "documentId",
    "data",
    "sessionId",
    "count",
    "add",
    "remove",
    "newHeads",
];

/// A frame's values by key, found in one pass and not yet interpreted, because a value's meaning depends on the type,
/// which may stand last. Of a repeated key the last value counts, as in JavaScript.
pub(super) struct Fields<'f> {
    frame: &'f Bytes,
    at: [Option<usize>; KEYS.len()],
}

impl<'f> Fields<'f> {
    /// Reads the one map that a frame is.
    pub(super) fn read(frame: &'f Bytes) -> Result<Self, WireError> {
        let mut fields = Self { frame, at: [None; KEYS.len()] };
        let mut decoder = Decoder::new(frame);
        let mut entries = Entries::map(&mut decoder).map_err(|error| damaged(&error, 0))?;
        while let Some(key) = entries.key(&mut decoder)? {
            if let Some(known) = key.and_then(|key| KEYS.iter().position(|known| *known == key)) {
                fields.at[known] = Some(decoder.position());
            }
            skip(&mut decoder)?;
        }
        if decoder.position() < frame.len() {
            return Err(WireError::Damaged { at: decoder.position(), what: "there are bytes behind the map".into() });
        }
        Ok(fields)
    }

    /// A decoder at the key's value; `None` where it is absent, null or undefined.
    pub(super) fn value(&self, key: &'static str) -> Option<Decoder<'f>> {
        let index = KEYS.iter().position(|known| *known == key)?;
        let mut decoder = Decoder::new(self.frame);
        decoder.set_position(self.at[index]?);
        (!is_nothing(&decoder)).then_some(decoder)
    }

    /// The bytes at the decoder, as a part of the frame that shares its memory.
    pub(super) fn bytes(&self, decoder: &mut Decoder<'f>) -> Result<Bytes, CborError> {
        skip_tags(decoder)?;
        // A decoder hands out parts of the frame that it was made over, so the slice always lies inside.
        decoder.bytes().map(|part| self.frame.slice_ref(part))
    }
}

/// The entries of one map, of known length or not.
pub(super) struct Entries {
    left: Option<u64>,
}

impl Entries {
    /// Enters the map at the decoder.
    pub(super) fn map(decoder: &mut Decoder<'_>) -> Result<Self, CborError> {
        skip_tags(decoder)?;
        Ok(Self { left: decoder.map()? })
    }

    /// Enters the array at the decoder.
    pub(super) fn array(decoder: &mut Decoder<'_>) -> Result<Self, CborError> {
        skip_tags(decoder)?;
        Ok(Self { left: decoder.array()? })
    }

    /// Whether another entry follows.
    pub(super) fn more(&mut self, decoder: &mut Decoder<'_>) -> Result<bool, WireError> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => {
                let ends = datatype(decoder)? == Type::Break;
                if ends {
                    decoder.set_position(decoder.position() + 1);
                }
                Ok(!ends)
            }
        }
    }

    /// The next key, `Some(None)` where it is no text, with the decoder at its value.
    pub(super) fn key<'b>(&mut self, decoder: &mut Decoder<'b>) -> Result<Option<Option<&'b str>>, WireError> {
        if !self.more(decoder)? {
            return Ok(None);
        }
        if datatype(decoder)? == Type::String {
            let at = decoder.position();
            return decoder.str().map(|key| Some(Some(key))).map_err(|error| damaged(&error, at));
        }
        skip(decoder)?;
        Ok(Some(None))
    }
}

/// Whether the value is null or undefined, which JavaScript writes for what is absent.
pub(super) fn is_nothing(decoder: &Decoder<'_>) -> bool {
    matches!(decoder.datatype(), Ok(Type::Null | Type::Undefined))
}

/// Steps over tags: a byte string may be marked as a typed array (tag 64), which changes nothing about it.
pub(super) fn skip_tags(decoder: &mut Decoder<'_>) -> Result<(), CborError> {
    while decoder.datatype()? == Type::Tag {
        decoder.tag()?;
    }
    Ok(())
}

/// Steps over one value of any kind, at most [`DEPTH_MAX`] deep.
pub(super) fn skip(decoder: &mut Decoder<'_>) -> Result<(), WireError> {
    let mut levels = Levels::default();
    loop {
        let at = decoder.position();
        skip_tags(decoder).map_err(|error| damaged(&error, at))?;
        skip_head(decoder, &mut levels)?;
        if !levels.next() {
            return Ok(());
        }
    }
}

/// Steps over a value that holds no others, or enters one that does, or leaves one of unknown length.
fn skip_head(decoder: &mut Decoder<'_>, levels: &mut Levels) -> Result<(), WireError> {
    let at = decoder.position();
    let bad = |error: CborError| damaged(&error, at);
    match datatype(decoder)? {
        Type::Array | Type::ArrayIndef => levels.enter(decoder.array().map_err(bad)?, at),
        Type::Map | Type::MapIndef => {
            let pairs = decoder.map().map_err(bad)?;
            // No frame holds as many values as a count beyond this range claims: its end comes first.
            levels.enter(pairs.map(|pairs| pairs.saturating_mul(2)), at)
        }
        Type::Break => {
            decoder.set_position(at + 1);
            levels.leave(at)
        }
        Type::BytesIndef => decoder.bytes_iter().map_err(bad)?.try_for_each(|part| part.map(drop)).map_err(bad),
        Type::StringIndef => decoder.str_iter().map_err(bad)?.try_for_each(|part| part.map(drop)).map_err(bad),
        _ => decoder.skip().map_err(bad),
    }
}

/// The arrays and maps that are being stepped over, outermost first.
#[derive(Default)]
struct Levels {
    /// How many values each still holds; `None` where only its end tells.
    left: [Option<u64>; DEPTH_MAX],
    depth: usize,
}

impl Levels {
    fn enter(&mut self, values: Option<u64>, at: usize) -> Result<(), WireError> {
        let slot = self.left.get_mut(self.depth).ok_or(WireError::TooDeep { at })?;
        *slot = values;
        self.depth += 1;
        Ok(())
    }

    fn leave(&mut self, at: usize) -> Result<(), WireError> {
        match self.left[..self.depth].last() {
            Some(None) => {
                self.depth -= 1;
                Ok(())
            }
            _ => Err(WireError::Damaged { at, what: "an end stands where nothing was begun".into() }),
        }
    }

    /// Whether another value has to be stepped over. Takes it from the count of the level that holds it.
    fn next(&mut self) -> bool {
        while let Some(level) = self.left[..self.depth].last_mut() {
            match level {
                Some(0) => self.depth -= 1,
                Some(left) => {
                    *left -= 1;
                    return true;
                }
                None => return true,
            }
        }
        false
    }
}

fn datatype(decoder: &Decoder<'_>) -> Result<Type, WireError> {
    decoder.datatype().map_err(|error| damaged(&error, decoder.position()))
}

fn damaged(error: &CborError, at: usize) -> WireError {
    WireError::Damaged { at: error.position().unwrap_or(at), what: error.to_string() }
}
