//! A sync message, looked at before Automerge sees it.

use automerge::{
    Automerge, Change, ChangeHash,
    sync::{ChunkList, Message},
};

use super::{
    apply::guarded,
    chunk::{Chunk, Content, bytes::Bytes, count_chunks},
    limits::{Census, Count, Limits},
    refusal::Refusal,
};

/// The first bytes of the two versions of sync messages.
const VERSIONS: [u8; 2] = [0x42, 0x43];

/// How many filters a message may hold. Peers send one.
const FILTERS_MAX: u64 = 8;

/// How often a filter may be asked for each change, and how many bits it may have for each. Peers use 7 and 10, for one
/// false answer in a hundred; these would make it one in millions.
const PROBES_MAX: u64 = 32;
const BITS_PER_ENTRY_MAX: u64 = 64;

/// A sync message within its limits.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The message without its changes, which are to be vetted before they are entered. Only then may a
    /// `sync::State` receive the message. A state that receives a message without changes takes the sender to know
    /// heads that equal ours, so where there were changes, an answer is due that a state alone would not give.
    pub message: Message,
    /// The changes, in the order in which they were sent. None of them has been vetted.
    pub changes: Vec<Change>,
    /// What was counted.
    pub census: Census,
}

impl Inbound {
    /// Reads a sync message. Of a whole document nothing is unpacked where all of its heads are `known` already.
    ///
    /// # Errors
    ///
    /// A message that is damaged or holds more than the limits allow.
    pub fn read(data: &[u8], limits: &Limits, known: impl Fn(&ChangeHash) -> bool) -> Result<Self, Refusal> {
        let mut count = Count::new(limits);
        let chunks = count_message(data, &mut count)?;
        let message = guarded(|| Message::decode(data)).map_err(Refusal::Undecodable)?;
        let mut changes = Vec::new();
        for chunk in chunks {
            unpack(&chunk, &known, &mut changes)?;
        }
        Ok(Self { message: Message { changes: ChunkList::empty(), ..message }, changes, census: count.census })
    }

    /// Reads chunks outside a sync message, such as a saved document.
    ///
    /// # Errors
    ///
    /// As [`Inbound::read`].
    pub fn changes_of(data: &[u8], limits: &Limits) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::new();
        for chunk in count_chunks(data, &mut Count::new(limits))? {
            unpack(&chunk, &|_| false, &mut changes)?;
        }
        Ok(changes)
    }
}

/// Counts what a sync message holds, and finds its chunks.
fn count_message<'b>(data: &'b [u8], count: &mut Count<'_>) -> Result<Vec<Chunk<'b>>, Refusal> {
    let mut bytes = Bytes(data);
    if !VERSIONS.contains(&bytes.byte()?) {
        return Err(Refusal::Damaged("it is no sync message of version 1 or 2"));
    }
    let max = count.limits.hashes_max;
    let admit = |hashes: u64| if hashes > max { Err(Refusal::TooManyHashes { max }) } else { Ok(()) };
    for _heads_then_need in 0..2 {
        bytes.hashes(admit)?;
    }
    let filters = bytes.unsigned()?;
    if filters > FILTERS_MAX {
        return Err(Refusal::TooManyHashes { max: FILTERS_MAX });
    }
    for _ in 0..filters {
        bytes.hashes(admit)?;
        check_filter(Bytes(bytes.prefixed()?))?;
    }
    let mut chunks = Vec::new();
    for _ in 0..bytes.unsigned()? {
        chunks.extend(count_chunks(bytes.prefixed()?, count)?);
    }
    Ok(chunks)
}

/// Checks a Bloom filter: Automerge divides by its number of bits, and makes a list as long as its number of probes.
fn check_filter(mut filter: Bytes<'_>) -> Result<(), Refusal> {
    if filter.is_empty() {
        return Ok(());
    }
    let (entries, bits_per_entry, probes) = (filter.unsigned()?, filter.unsigned()?, filter.unsigned()?);
    let sane = (1..=BITS_PER_ENTRY_MAX).contains(&bits_per_entry) && (1..=PROBES_MAX).contains(&probes);
    let len = entries.checked_mul(bits_per_entry).map(|bits| bits.div_ceil(8));
    if entries == 0 || (sane && len == Some(filter.len() as u64)) { Ok(()) } else { Err(Refusal::Filter) }
}

fn unpack(chunk: &Chunk<'_>, known: &impl Fn(&ChangeHash) -> bool, changes: &mut Vec<Change>) -> Result<(), Refusal> {
    match &chunk.content {
        Content::Change => {
            let change = guarded(|| Change::try_from(chunk.bytes)).map_err(Refusal::Undecodable)?;
            // Automerge does not compare them here, and would save the chunk as it is.
            if change.hash().0[..4] != chunk.checksum {
                return Err(Refusal::Damaged("a change's checksum is wrong"));
            }
            changes.push(change);
        }
        Content::Document { heads } if heads.iter().all(known) => {}
        Content::Document { .. } => {
            let taken_apart = guarded(|| Automerge::load(chunk.bytes).map(|document| document.get_changes(&[])));
            changes.extend(taken_apart.map_err(Refusal::Undecodable)?);
        }
    }
    Ok(())
}
