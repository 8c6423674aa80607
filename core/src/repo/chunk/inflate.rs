//! DEFLATE with a cap.

use flate2::{Decompress, FlushDecompress, Status};

use crate::repo::{limits::Count, refusal::Refusal};

/// How much memory is asked for at first, as a multiple of the compressed size; text shrinks to a third.
const GROWTH: usize = 4;

/// Inflates one whole stream and counts what comes out, which stops at the limit.
pub(super) fn inflate(compressed: &[u8], count: &mut Count<'_>) -> Result<Vec<u8>, Refusal> {
    let max = usize::try_from(count.bytes_left()).unwrap_or(usize::MAX - 1);
    let mut out = Vec::with_capacity(compressed.len().saturating_mul(GROWTH).clamp(64, max.saturating_add(1)));
    let mut stream = Decompress::new(false);
    loop {
        let (read, written) = (stream.total_in(), stream.total_out());
        // A count of bytes of memory fits the address space.
        let rest = &compressed[read as usize..];
        let status = stream.decompress_vec(rest, &mut out, FlushDecompress::Finish).map_err(|_| CORRUPT)?;
        if out.len() > max {
            return Err(Refusal::TooManyBytes { max: count.limits.inflated_bytes_max });
        }
        if status == Status::StreamEnd {
            break;
        }
        if out.len() < out.capacity() && stream.total_in() == read && stream.total_out() == written {
            return Err(CORRUPT);
        }
        let room = max.saturating_add(1) - out.len();
        out.reserve_exact(out.len().clamp(64, room.max(64)));
    }
    if stream.total_in() != compressed.len() as u64 {
        return Err(Refusal::Damaged("there are bytes behind a compressed part"));
    }
    count.inflated_bytes(out.len() as u64)?;
    Ok(out)
}

const CORRUPT: Refusal = Refusal::Damaged("a compressed part cannot be inflated");
