//! Mutants: a service that breaks one rule of its glue. The invariants must catch every one of them, or they prove nothing.

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// A read position becomes durable before the rows that it stands for.
    CheckpointBeforeCommit,
    /// Subscribers are told before the commit.
    PublishBeforeCommit,
    /// A create whose answer was lost is sent again without a look for what it made.
    KeyNotSearched,
    /// A lost request counts as ended at once.
    DeadlineNotWaited,
    /// What was deleted is forgotten, record and link.
    TombstoneDropped,
    /// What a sweep did not list counts as deleted, even if the list broke off.
    SweepInfersDeletes,
    /// Any number of deletes passes without a person.
    DeleteGuardOff,
    /// Ids that resolve to another object are not looked at.
    AliasIgnored,
    /// A client that was put back to an earlier state goes on under the same actor.
    ActorReused,
    /// Places in the feed are taken outside the transaction.
    FeedGap,
    /// Clients are told that an edit is done before it is durable.
    AckBeforeCommit,
    /// The values in a webhook count as a reading.
    HintAsValue,
    /// Readings that waited for the end of a write are forgotten.
    HeldDropped,
    /// A page that could not be read is passed over.
    FailedPagePassed,
    /// New records are not found by their match keys.
    MatchKeyIgnored,
    /// Objects are looked up in every tenant.
    TenantMixup,
    /// What a client wrote into a document that has moved goes no further.
    RebaseDropped,
    /// What is owed to a system is forgotten when the process ends.
    OutboxForgets,
    /// A commit does not compare the revision that it was computed from.
    StaleWriterCommits,
    /// What a system shows counts as its users' edit, though it is what it showed before or was sent.
    EchoNotDropped,
    /// A batch of writes that was answered counts as applied, row by row.
    FailedRowPassed,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 21] = [
        Self::CheckpointBeforeCommit,
        Self::PublishBeforeCommit,
        Self::KeyNotSearched,
        Self::DeadlineNotWaited,
        Self::TombstoneDropped,
        Self::SweepInfersDeletes,
        Self::DeleteGuardOff,
        Self::AliasIgnored,
        Self::ActorReused,
        Self::FeedGap,
        Self::AckBeforeCommit,
        Self::HintAsValue,
        Self::HeldDropped,
        Self::FailedPagePassed,
        Self::MatchKeyIgnored,
        Self::TenantMixup,
        Self::RebaseDropped,
        Self::OutboxForgets,
        Self::StaleWriterCommits,
        Self::EchoNotDropped,
        Self::FailedRowPassed,
    ];
}
