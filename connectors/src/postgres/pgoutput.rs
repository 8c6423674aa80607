//! The messages of `pgoutput`, version 1, as far as they tell which rows were changed. The values of other columns are skipped.

use std::collections::HashMap;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A transaction begins.
    Begin {
        /// Its number, without the epoch.
        xid: u32,
    },
    /// It was committed.
    Commit {
        /// Where the log goes on behind it.
        end: u64,
    },
    /// A row was created or changed; its key, and the one that it had before, where that is another.
    Changed {
        /// The key's texts.
        key: Vec<String>,
        /// The texts of the key that it had.
        before: Option<Vec<String>>,
    },
    /// A row was deleted.
    Deleted {
        /// The key's texts.
        key: Vec<String>,
    },
    /// All rows were deleted at once.
    Truncated,
    /// Something that tells of no row.
    Other,
}

/// A message is not what the documentation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log shows a message that cannot be read")]
pub(super) struct Unreadable;

/// Reads messages in their order; the shapes of tables come with them.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    /// The key's columns in their order.
    key: Vec<&'a str>,
    /// Names of columns, by the table's number.
    tables: HashMap<u32, Vec<String>>,
}

impl<'a> Decoder<'a> {
    /// A decoder of the changes of tables with this key.
    pub(super) fn new(key: Vec<&'a str>) -> Self {
        Self { key, tables: HashMap::new() }
    }

    /// Reads a message.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Message, Unreadable> {
        let (kind, rest) = message.split_first().ok_or(Unreadable)?;
        let mut bytes = Bytes(rest);
        match kind {
            b'B' => {
                // Where the commit is, and its time.
                bytes.skip(16)?;
                Ok(Message::Begin { xid: bytes.u32()? })
            }
            b'C' => {
                // Flags, and where the commit is.
                bytes.skip(9)?;
                Ok(Message::Commit { end: bytes.u64()? })
            }
            b'R' => self.relation(&mut bytes),
            b'I' => {
                let table = bytes.u32()?;
                bytes.skip(1)?;
                let tuple = bytes.tuple()?;
                Ok(Message::Changed { key: self.key_of(table, &tuple)?, before: None })
            }
            b'U' => {
                let table = bytes.u32()?;
                let mut before = None;
                if matches!(bytes.u8()?, b'K' | b'O') {
                    let tuple = bytes.tuple()?;
                    before = Some(self.key_of(table, &tuple)?);
                    bytes.skip(1)?;
                }
                let key = self.key_of(table, &bytes.tuple()?)?;
                let before = before.filter(|before| *before != key);
                Ok(Message::Changed { key, before })
            }
            b'D' => {
                let table = bytes.u32()?;
                bytes.skip(1)?;
                let tuple = bytes.tuple()?;
                Ok(Message::Deleted { key: self.key_of(table, &tuple)? })
            }
            b'T' => Ok(Message::Truncated),
            _ => Ok(Message::Other),
        }
    }

    fn relation(&mut self, bytes: &mut Bytes<'_>) -> Result<Message, Unreadable> {
        let table = bytes.u32()?;
        bytes.text()?;
        bytes.text()?;
        bytes.skip(1)?;
        let columns = bytes.u16()?;
        let mut names = Vec::with_capacity(usize::from(columns));
        for _ in 0..columns {
            bytes.skip(1)?;
            names.push(bytes.text()?);
            bytes.skip(8)?;
        }
        self.tables.insert(table, names);
        Ok(Message::Other)
    }

    fn key_of(&self, table: u32, tuple: &[Option<String>]) -> Result<Vec<String>, Unreadable> {
        let names = self.tables.get(&table).ok_or(Unreadable)?;
        let part = |column: &&str| {
            let place = names.iter().position(|name| name == column)?;
            tuple.get(place)?.clone()
        };
        self.key.iter().map(|column| part(column).ok_or(Unreadable)).collect()
    }
}

/// Bytes that are still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), Unreadable> {
        self.take(count).map(drop)
    }

    fn u8(&mut self) -> Result<u8, Unreadable> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        self.take(2)?.try_into().map(u16::from_be_bytes).map_err(|_| Unreadable)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| Unreadable)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.take(8)?.try_into().map(u64::from_be_bytes).map_err(|_| Unreadable)
    }

    /// Text that ends with a zero.
    fn text(&mut self) -> Result<String, Unreadable> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Unreadable)?;
        let text = self.take(end)?;
        self.skip(1)?;
        String::from_utf8(text.to_vec()).map_err(|_| Unreadable)
    }

    /// A row's columns; those that are null, or were not changed and are kept elsewhere, are `None`.
    fn tuple(&mut self) -> Result<Vec<Option<String>>, Unreadable> {
        let columns = self.u16()?;
        let mut tuple = Vec::with_capacity(usize::from(columns));
        for _ in 0..columns {
            tuple.push(match self.u8()? {
                b'n' | b'u' => None,
                b't' => {
                    let length = usize::try_from(self.u32()?).map_err(|_| Unreadable)?;
                    Some(String::from_utf8(self.take(length)?.to_vec()).map_err(|_| Unreadable)?)
                }
                _ => return Err(Unreadable),
            });
        }
        Ok(tuple)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(columns: &[Option<&str>]) -> Vec<u8> {
        let mut bytes = (columns.len() as u16).to_be_bytes().to_vec();
        for column in columns {
            match column {
                None => bytes.push(b'n'),
                Some(text) => {
                    bytes.push(b't');
                    bytes.extend((text.len() as u32).to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        bytes
    }

    fn relation() -> Vec<u8> {
        let mut bytes = vec![b'R', 0, 0, 0, 7];
        bytes.extend(b"public\0things\0d\0\x02");
        for name in ["label\0", "id\0"] {
            bytes.push(0);
            bytes.extend(name.as_bytes());
            bytes.extend([0; 8]);
        }
        bytes
    }

    #[test]
    fn messages_tell_the_keys_of_rows() {
        let table = [0, 0, 0, 7];
        let row = |kind: u8, parts: &[(u8, &[Option<&str>])]| {
            let mut bytes = vec![kind];
            bytes.extend(table);
            for (mark, columns) in parts {
                bytes.push(*mark);
                bytes.extend(tuple(columns));
            }
            bytes
        };
        let key = |text: &str| vec![text.to_owned()];
        let begin = [&[b'B'][..], &[0; 16], &[0, 0, 1, 0]].concat();
        let commit = [&[b'C'][..], &[0; 9], &9_u64.to_be_bytes(), &[0; 8]].concat();
        let cases = [
            (begin, Message::Begin { xid: 256 }),
            (relation(), Message::Other),
            (row(b'I', &[(b'N', &[None, Some("1")])]), Message::Changed { key: key("1"), before: None }),
            (row(b'U', &[(b'N', &[Some("x"), Some("1")])]), Message::Changed { key: key("1"), before: None }),
            (
                row(b'U', &[(b'K', &[None, Some("1")]), (b'N', &[Some("x"), Some("2")])]),
                Message::Changed { key: key("2"), before: Some(key("1")) },
            ),
            (
                row(b'U', &[(b'O', &[Some("w"), Some("2")]), (b'N', &[Some("x"), Some("2")])]),
                Message::Changed { key: key("2"), before: None },
            ),
            (row(b'D', &[(b'K', &[None, Some("2")])]), Message::Deleted { key: key("2") }),
            (vec![b'T', 0], Message::Truncated),
            (commit, Message::Commit { end: 9 }),
        ];
        let mut decoder = Decoder::new(vec!["id"]);
        for (bytes, expected) in cases {
            for cut in 1..bytes.len() {
                // A message that is cut short is unreadable, or one that needs no more.
                let _ = Decoder::new(vec!["id"]).read(&bytes[..cut]);
            }
            assert_eq!(decoder.read(&bytes), Ok(expected));
        }
        assert_eq!(Decoder::new(vec!["id"]).read(&row(b'D', &[(b'K', &[None, Some("2")])])), Err(Unreadable));
        assert_eq!(decoder.read(&row(b'D', &[(b'K', &[Some("x"), None])])), Err(Unreadable));
    }
}
