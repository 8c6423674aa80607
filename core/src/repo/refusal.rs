//! Why something that a peer sent is not taken in.

use automerge::{ActorId, ChangeHash};

/// Why a peer's changes, or the sync message that carries them, are refused. The text goes to that peer: it says what is
/// wrong and what its program can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no sync message, no chunk, or a chunk with impossible contents.
    #[error("the data is damaged: {0}; make the edit again in a fresh copy of the document")]
    Damaged(&'static str),
    /// Automerge cannot decode what was counted well.
    #[error("the data cannot be decoded ({0}); make the edit again in a fresh copy of the document")]
    Undecodable(String),
    /// A chunk of a kind that this service does not read.
    #[error("chunks of type {0} are not read here; send changes or a whole document")]
    ChunkType(u8),
    /// More operations than are taken at once.
    #[error(
        "more than {max} operations at once; split the edit into smaller ones (a text costs one for each character)"
    )]
    TooManyOps {
        /// What is taken.
        max: u64,
    },
    /// More bytes than are taken at once, compressed parts counted as what they hold.
    #[error("more than {max} bytes at once, uncompressed; split the edit into smaller ones")]
    TooManyBytes {
        /// What is taken.
        max: u64,
    },
    /// More changes than are taken at once.
    #[error("more than {max} changes at once; synchronise more often, or copy the document's values into a fresh one")]
    TooManyChanges {
        /// What is taken.
        max: u64,
    },
    /// More dependencies of changes than are taken at once.
    #[error("more than {max} dependencies at once; merge the branches before sending them")]
    TooManyDependencies {
        /// What is taken.
        max: u64,
    },
    /// More names of actors than are taken at once, or one that is too long.
    #[error("more than {max} actors at once, or one with a long name; copy the document's values into a fresh one")]
    TooManyActors {
        /// What is taken.
        max: u64,
    },
    /// More references to overwritten operations than are taken at once.
    #[error("more than {max} overwritten values at once; split the edit into smaller ones")]
    TooManyReferences {
        /// What is taken.
        max: u64,
    },
    /// A sync message names more heads, needs or haves than are taken.
    #[error("more than {max} hashes or filters in one sync message; start the synchronisation anew")]
    TooManyHashes {
        /// What is taken.
        max: u64,
    },
    /// A sync message's filter of known changes cannot be asked.
    #[error("the filter of known changes is unusable; start the synchronisation anew")]
    Filter,
    /// Changes whose dependencies are unknown pile up.
    #[error("more than {max} changes, or too many bytes of them, wait for changes they build on; send those first")]
    TooManyWaiting {
        /// How many may wait.
        max: usize,
    },
    /// A change by an actor that belongs to somebody else.
    #[error("actor {actor} belongs to another user; open the document anew, which chooses an actor of your own")]
    ForeignActor {
        /// The actor.
        actor: ActorId,
    },
    /// A change by an actor of this service or of a connected account.
    #[error("actor {actor} is this service's own; open the document anew, which chooses an actor of your own")]
    ReservedActor {
        /// The actor.
        actor: ActorId,
    },
    /// A change that skips numbers of its actor.
    #[error("change {found} of actor {actor} came where {expected} was due; send every change, in order")]
    SeqGap {
        /// The actor.
        actor: ActorId,
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A second change with a number that its actor has used.
    #[error(
        "actor {actor} has made a different change {found} already; two copies use one actor: open one of them anew"
    )]
    SeqReused {
        /// The actor.
        actor: ActorId,
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A change that numbers its operations far above all others, which would leave no numbers for later edits.
    #[error("operations numbered from {start_op} came where {max} was the highest possible; open the document anew")]
    StartOpTooLarge {
        /// The change's first number.
        start_op: u64,
        /// The highest that it could honestly be.
        max: u64,
    },
    /// A change that gives its operations numbers that its actor has used, or that are below those it builds on.
    #[error("operations numbered from {start_op} came where {min} was the lowest possible; open the document anew")]
    StartOpReused {
        /// The change's first number.
        start_op: u64,
        /// The lowest that it could honestly be.
        min: u64,
    },
    /// An operation in an object that is not in the document, or that is of another kind.
    #[error("operation {op} edits something that the document does not have; open the document anew")]
    Reference {
        /// The operation's number.
        op: u64,
    },
    /// A number that overflows when it is counted with.
    #[error(
        "operation {op} holds a counter beyond 2^53, or counts by more than 2^40 at once; count in smaller numbers"
    )]
    CounterTooLarge {
        /// The operation's number.
        op: u64,
    },
    /// A change at the root of a record's document, whose shape is fixed.
    #[error(
        "`{key}` at the document's root is not for clients to change; change single fields, such as `doc.fields.email = …`, and `deleted`"
    )]
    Root {
        /// The key.
        key: String,
    },
    /// The document library could not apply the changes.
    #[error("the changes do not fit the document ({0}); open the document anew and make the edit again")]
    Unfit(String),
}

/// A change that was refused, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("change {hash} of actor {actor}: {reason}")]
pub struct RefusedChange {
    /// The change.
    pub hash: ChangeHash,
    /// Its actor, as it claims.
    pub actor: ActorId,
    /// Why.
    pub reason: Refusal,
}
