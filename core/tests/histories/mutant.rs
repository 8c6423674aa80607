//! Mutants: a caller that breaks one rule of the contract. The laws must catch every one of them, or they prove nothing.
//! Not among them are rules whose breach the heart heals by itself: a look that is forgotten is made up for by the look
//! before the next write or by a sweep, a baseline that is set back finds that the record agrees already, and reads by id
//! that overlap are told apart by when they were begun.

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Readings that waited for a write are forgotten.
    DropHeld,
    /// A row of a lagging list passes for a read by id.
    ListAsById,
    /// A reading counts as begun when it arrives.
    Rejuvenate,
    /// What a webhook brings along, without a version, passes for a read by id.
    HintAsReading,
    /// Conflict rows are not kept.
    ForgetConflicts,
    /// A lost answer passes for a failed write.
    LostIsFailure,
    /// A lost answer passes for a finished write.
    LostIsSuccess,
    /// A refused write passes for a finished one.
    StaleIsSuccess,
    /// The answer of the write before is handed in once more.
    ReuseAnswer,
    /// The version of the last look is forgotten, so that no precondition is sent.
    ForgetVersion,
    /// Every system is taken to have seen the whole document.
    MergedHeads,
    /// The provider's history is not read.
    NoHistory,
    /// A write is not written down before it is sent, so that nothing knows of it.
    ForgetIntent,
    /// A client that comes back from an earlier epoch passes for one that saw what stands.
    LateSawAll,
}

impl Mutant {
    /// Every mutant.
    pub(crate) const ALL: [Self; 14] = [
        Self::DropHeld,
        Self::ListAsById,
        Self::Rejuvenate,
        Self::HintAsReading,
        Self::ForgetConflicts,
        Self::LostIsFailure,
        Self::LostIsSuccess,
        Self::StaleIsSuccess,
        Self::ReuseAnswer,
        Self::ForgetVersion,
        Self::MergedHeads,
        Self::NoHistory,
        Self::ForgetIntent,
        Self::LateSawAll,
    ];
}
