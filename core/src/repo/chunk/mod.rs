//! Automerge's binary format, read only as far as it takes to count what it would expand to.
//!
//! A chunk of a hundred bytes can stand for ten million operations, and a quarter of a megabyte for a quarter of a
//! gigabyte. So everything is counted from run lengths first; compressed parts are inflated up to the limit only. What
//! would make Automerge panic is refused here too, as far as it shows in the bytes: numbers that do not fit, indices of
//! actors and changes that are not there, columns of different lengths.
//!
//! The format is described at <https://automerge.org/automerge-binary-format-spec/>.

mod actors;
pub(super) mod bytes;
mod change;
mod column;
mod columns;
mod document;
mod inflate;
mod ops;

use automerge::ChangeHash;

use self::bytes::Bytes;
use super::{limits::Count, refusal::Refusal};

/// What every chunk begins with.
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// One chunk that was counted and found to be within its limits.
pub(super) struct Chunk<'b> {
    /// All of its bytes.
    pub(super) bytes: &'b [u8],
    /// The first bytes of its hash, as it claims.
    pub(super) checksum: [u8; 4],
    /// What it holds.
    pub(super) content: Content,
}

/// What a chunk holds.
pub(super) enum Content {
    /// One change.
    Change,
    /// A whole document.
    Document {
        /// The heads that it claims.
        heads: Vec<ChangeHash>,
    },
}

/// Counts the chunks that stand one behind the other in `data`.
pub(super) fn count_chunks<'b>(data: &'b [u8], count: &mut Count<'_>) -> Result<Vec<Chunk<'b>>, Refusal> {
    let mut rest = Bytes(data);
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        chunks.push(count_chunk(&mut rest, count)?);
    }
    Ok(chunks)
}

fn count_chunk<'b>(rest: &mut Bytes<'b>, count: &mut Count<'_>) -> Result<Chunk<'b>, Refusal> {
    let whole = *rest;
    if rest.take(4)? != MAGIC {
        return Err(Refusal::Damaged("it does not begin as a chunk of Automerge"));
    }
    let mut checksum = [0; 4];
    checksum.copy_from_slice(rest.take(4)?);
    let kind = rest.byte()?;
    let body = rest.prefixed()?;
    let content = match kind {
        0 => Content::Document { heads: document::count_document(body, count)? },
        1 => {
            count.inflated_bytes(body.len() as u64)?;
            change::count_change(body, count)?;
            Content::Change
        }
        2 => {
            change::count_change(&inflate::inflate(body, count)?, count)?;
            Content::Change
        }
        other => return Err(Refusal::ChunkType(other)),
    };
    Ok(Chunk { bytes: &whole.0[..whole.len() - rest.len()], checksum, content })
}
