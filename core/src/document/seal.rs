//! What is kept beside a document's bytes, so that damage shows before anything is made of them.

use crate::journal::Heads;

/// The length and a checksum of a document's saved bytes, taken together with its heads when both were stored.
///
/// Automerge refuses flipped bits by itself, but loads an empty file, or one that was cut between two chunks, as an older
/// state; and nothing of its format tells when the heads kept beside it are wrong. The sum covers both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// How many bytes were saved.
    pub bytes: u64,
    /// The first 64 bits of blake3 over the heads' number, the heads and the bytes. It guards against accidents: whoever can
    /// write to the database can write the sum as well.
    pub sum: u64,
}

impl Seal {
    /// The seal of a document that is saved as `saved` and has these heads.
    pub fn of(heads: &Heads, saved: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(heads.len() as u64).to_le_bytes());
        for head in heads {
            hasher.update(&head.0);
        }
        hasher.update(saved);
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        Self { bytes: saved.len() as u64, sum: u64::from_le_bytes(first) }
    }

    /// What is wrong with heads and bytes that were stored under this seal; `None` where nothing is.
    pub fn broken_by(&self, heads: &Heads, saved: &[u8]) -> Option<String> {
        let length = saved.len() as u64;
        if length != self.bytes {
            return Some(format!("it has {length} bytes where {} were stored", self.bytes));
        }
        (Self::of(heads, saved) != *self).then(|| "its bytes or its heads are not those that were stored".into())
    }
}
