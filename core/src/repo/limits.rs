//! How much is taken from a peer at once.

use super::refusal::Refusal;
use crate::{
    model::{FieldType, Model},
    mutant::{self, Rule},
};

/// Bounds of what one sync message may hold. They are counted before anything is expanded, so they bound time and memory
/// too: what stays below the defaults is refused or decoded within about 50 ms and 64 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations.
    pub ops_max: u64,
    /// Bytes of all chunks, with compressed ones counted as what they inflate to.
    pub inflated_bytes_max: u64,
    /// Bytes of keys and names of marks, with repetitions written out. Automerge writes a repeated key once.
    pub expanded_bytes_max: u64,
    /// Changes.
    pub changes_max: u64,
    /// Dependencies of all changes.
    pub deps_max: u64,
    /// Names of actors over all chunks.
    pub actors_max: u64,
    /// References from operations to those that they replace.
    pub references_max: u64,
    /// Hashes in each list of a sync message.
    pub hashes_max: u64,
    /// Changes that may wait for their dependencies.
    pub waiting_max: usize,
    /// Bytes of changes that may wait for their dependencies.
    pub waiting_bytes_max: usize,
}

impl Limits {
    /// The ceiling for documents that are records, whatever their model.
    pub const RECORD: Self = Self {
        // A field of text costs an operation for each character.
        ops_max: 100_000,
        inflated_bytes_max: 1 << 20,
        // A key of 80 bytes on every operation; records' keys are shorter and texts have none.
        expanded_bytes_max: 8 << 20,
        // A record is begun anew long before it has this many edits.
        changes_max: 10_000,
        // One for each change, and as many again for merges.
        deps_max: 20_000,
        // A page that is opened anew takes a new actor.
        actors_max: 10_000,
        // Each operation replaces one other as a rule; concurrent values make it a few more.
        references_max: 200_000,
        // A document has a head for each writer who has not seen the others.
        hashes_max: 4_096,
        // A peer sends what a change builds on together with it; only filters' false positives leave a few out.
        waiting_max: 256,
        waiting_bytes_max: 1 << 20,
    };

    /// For records of a model: what somebody needs who comes back from long work on the longest texts that it has, under the
    /// ceiling.
    pub fn of(model: &Model) -> Self {
        let characters = |kind: &FieldType| match kind {
            FieldType::Text { max_len } => u64::from(*max_len),
            _ => 0,
        };
        let characters: u64 = model.fields.values().map(|field| characters(&field.ty)).sum();
        let ops = REWRITES * characters + Self::RECORD.changes_max;
        let bytes = BYTES_OF_OP * ops + BYTES_OF_CHANGES;
        Self {
            ops_max: ops.min(Self::RECORD.ops_max),
            inflated_bytes_max: bytes.min(Self::RECORD.inflated_bytes_max),
            ..Self::RECORD
        }
    }
}

/// How often every character of a record may have been written or deleted between two messages of a peer. Automerge
/// counts both.
const REWRITES: u64 = 4;
/// What an operation takes in a chunk: up to four bytes of text, and what says where it goes.
const BYTES_OF_OP: u64 = 16;
/// What changes take besides their operations: hashes, actors, times.
const BYTES_OF_CHANGES: u64 = 256 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self::RECORD
    }
}

/// How long an actor's name may be, in bytes. Libraries choose 16 random ones.
pub const ACTOR_BYTES_MAX: usize = 128;

/// How many whole documents one sync message may hold. It is about one document, so a second one repeats the first.
const DOCUMENTS_MAX: u64 = 1;

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Operations.
    pub ops: u64,
    /// Bytes of chunks, inflated.
    pub inflated_bytes: u64,
    /// Bytes of keys and names of marks, written out.
    pub expanded_bytes: u64,
    /// Changes.
    pub changes: u64,
    /// Dependencies.
    pub deps: u64,
    /// Names of actors.
    pub actors: u64,
    /// References between operations.
    pub references: u64,
    /// Whole documents.
    pub documents: u64,
}

/// A census on its way, which refuses as soon as a limit is passed.
#[derive(Debug)]
pub(super) struct Count<'l> {
    pub(super) limits: &'l Limits,
    pub(super) census: Census,
}

impl<'l> Count<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { limits, census: Census::default() }
    }

    pub(super) fn ops(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.ops_max;
        add(&mut self.census.ops, more, max, Refusal::TooManyOps { max })
    }

    pub(super) fn inflated_bytes(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.inflated_bytes_max;
        add(&mut self.census.inflated_bytes, more, max, Refusal::TooManyBytes { max })
    }

    pub(super) fn expanded_bytes(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.expanded_bytes_max;
        add(&mut self.census.expanded_bytes, more, max, Refusal::TooManyBytes { max })
    }

    pub(super) fn changes(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.changes_max;
        add(&mut self.census.changes, more, max, Refusal::TooManyChanges { max })
    }

    pub(super) fn deps(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.deps_max;
        add(&mut self.census.deps, more, max, Refusal::TooManyDependencies { max })
    }

    pub(super) fn actors(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.actors_max;
        add(&mut self.census.actors, more, max, Refusal::TooManyActors { max })
    }

    pub(super) fn references(&mut self, more: u64) -> Result<(), Refusal> {
        let max = self.limits.references_max;
        add(&mut self.census.references, more, max, Refusal::TooManyReferences { max })
    }

    pub(super) fn document(&mut self) -> Result<(), Refusal> {
        let refusal = Refusal::Damaged("more than one whole document at once");
        add(&mut self.census.documents, 1, DOCUMENTS_MAX, refusal)
    }

    /// How many bytes may still be inflated.
    pub(super) fn bytes_left(&self) -> u64 {
        self.limits.inflated_bytes_max.saturating_sub(self.census.inflated_bytes)
    }

    /// How many operations may still come.
    pub(super) fn ops_left(&self) -> u64 {
        self.limits.ops_max.saturating_sub(self.census.ops)
    }

    /// How many changes may still come.
    pub(super) fn changes_left(&self) -> u64 {
        self.limits.changes_max.saturating_sub(self.census.changes)
    }
}

fn add(total: &mut u64, more: u64, max: u64, refusal: Refusal) -> Result<(), Refusal> {
    let sum = total.saturating_add(more);
    if sum > max && !mutant::off(Rule::LimitsAreCounted) {
        return Err(refusal);
    }
    *total = sum;
    Ok(())
}
