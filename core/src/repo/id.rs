//! A document's id, as peers write it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::RecordId,
    mutant::{self, Rule},
};

/// What a document's URL begins with.
const URL_PREFIX: &str = "automerge:";

/// Bytes of the checksum that base58check puts behind the id.
const CHECKSUM_LEN: usize = 4;

/// The id of one Automerge document: 16 bytes. Its text is base58check, such as `4NMNnkMhL8jXrdJ9jamS58PAVdXu`, which is
/// also how it is serialised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DocumentId([u8; 16]);

impl DocumentId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id of a record's document in one epoch: in the first it has the record's bytes.
    pub fn of_epoch(record: RecordId, epoch: u32) -> Self {
        if epoch == 0 || mutant::off(Rule::EpochHasOwnId) {
            return record.into();
        }
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 document of an epoch");
        hasher.update(record.0.as_bytes());
        hasher.update(&epoch.to_le_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }

    /// The URL under which clients open the document: `automerge:<id>`.
    pub fn url(&self) -> String {
        format!("{URL_PREFIX}{self}")
    }

    /// The record whose first document this is, if it is one: the first document of a record has the record's bytes.
    /// Later ones have others, so whether such a record exists must be looked up.
    pub const fn record(&self) -> RecordId {
        RecordId(uuid::Uuid::from_bytes(self.0))
    }
}

impl From<RecordId> for DocumentId {
    fn from(record: RecordId) -> Self {
        Self(record.0.into_bytes())
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.0).with_check().into_string())
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentId({self})")
    }
}

impl FromStr for DocumentId {
    type Err = DocumentIdError;

    /// Reads an id, with or without the URL's prefix. A URL that names heads is refused: it stands for one state of the
    /// document, and not for the document.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.strip_prefix(URL_PREFIX).unwrap_or(text);
        if id.contains('#') {
            return Err(DocumentIdError::Heads);
        }
        let mut bytes = [0; 16 + CHECKSUM_LEN];
        let read = bs58::decode(id).with_check(None).onto(&mut bytes[..]).map_err(DocumentIdError::from_bs58)?;
        // The checksum that was read stays in the buffer, behind the id.
        bytes[..read].try_into().map(Self).map_err(|_| DocumentIdError::Length { bytes: read })
    }
}

impl TryFrom<String> for DocumentId {
    type Error = DocumentIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.to_string()
    }
}

/// Why a text is no document id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentIdError {
    /// Characters outside base58, or a checksum that does not fit.
    #[error("the document id is not base58check text: copy it whole, as the client library shows it")]
    Text,
    /// It stands for something other than 16 bytes.
    #[error("the document id stands for {bytes} bytes instead of 16: it is the id of something else")]
    Length {
        /// How many bytes it stands for.
        bytes: usize,
    },
    /// It stands for more than any id has.
    #[error("the document id stands for more than 16 bytes: it is the id of something else")]
    TooLong,
    /// A URL of one state of a document.
    #[error("the document URL names heads, that is, one state of the document: leave out everything from the '#' on")]
    Heads,
}

impl DocumentIdError {
    fn from_bs58(error: bs58::decode::Error) -> Self {
        match error {
            bs58::decode::Error::BufferTooSmall => Self::TooLong,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes and text as automerge-repo 2.5.6's `binaryToDocumentId` pairs them.
    const KNOWN: [([u8; 16], &str); 3] = [
        ([0; 16], "11111111111111114Ki9Gx"),
        ([0xff; 16], "4ZrjxJnU1LA5xSyrWMNuXTozYEvA"),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], "pEbmSWqJdBuPadRGm8tDZXgWR6"),
    ];

    #[test]
    fn text_and_bytes_are_paired_as_javascript_pairs_them() {
        for (bytes, text) in KNOWN {
            let id = DocumentId::from_bytes(bytes);
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(id.url().parse(), Ok(id));
            assert_eq!(serde_json::to_value(id).unwrap(), serde_json::json!(text));
            assert_eq!(serde_json::from_value::<DocumentId>(serde_json::json!(text)).unwrap(), id);
        }
    }

    #[test]
    fn a_records_first_document_has_its_bytes() {
        let record: RecordId = "01234567-89ab-cdef-0123-456789abcdef".parse().unwrap();
        let document = DocumentId::from(record);
        assert_eq!(document.as_bytes(), record.0.as_bytes());
        assert_eq!(document.record(), record);
    }

    #[test]
    fn what_is_no_id_is_refused_with_the_reason() {
        let other = |len: usize| bs58::encode(vec![7; len]).with_check().into_string();
        for (text, reason) in [
            (String::new(), DocumentIdError::Text),
            ("0OIl".into(), DocumentIdError::Text),
            (DocumentId::from_bytes([5; 16]).to_string().chars().rev().collect(), DocumentIdError::Text),
            (format!("{}x", DocumentId::from_bytes([5; 16])), DocumentIdError::TooLong),
            ("automerge:".into(), DocumentIdError::Text),
            (other(15), DocumentIdError::Length { bytes: 15 }),
            (other(17), DocumentIdError::TooLong),
            (other(300), DocumentIdError::TooLong),
            (format!("{}#abc", DocumentId::from_bytes([5; 16]).url()), DocumentIdError::Heads),
        ] {
            assert_eq!(text.parse::<DocumentId>(), Err(reason), "{text}");
        }
    }
}
