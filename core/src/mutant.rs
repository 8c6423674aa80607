//! The rules of the heart by name, so that tests can switch one off and see which law breaks: a checker that never fails
//! proves nothing. The code asks [`off`] at the one place where a rule stands.
//!
//! Without the feature `mutants`, which only tests ever enable, nothing can be switched off: [`off`] is a constant `false`
//! and the compiler leaves every question out.

/// Declares the rules, and lists them all.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident,)*) => {
        /// One rule. Its line says what holds; the mutant is the heart without it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// Every rule, in the order of the data path.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];
        }
    };
}

rules! {
    // Matching: which record a newly seen object is.
    /// Where the evidence names several records, none is guessed.
    AmbiguousIsHeld,
    /// A record that has an object in the connection is not linked to a second one.
    TakenIsNoCandidate,
    /// An object like a record that has another one in the connection becomes a record of its own only by a read by id.
    TwinNeedsReadById,
    /// An object into which one was merged that was cut off is held for a person.
    CutOffStaysSo,
    /// A candidate that a better match key tells apart is never linked.
    BetterKeyTellsApart,
    /// While a create is in flight for a record, an object that may be its fruit waits.
    CreatingIsAwaited,

    // Lists that are read to find what vanished.
    /// A sweep infers nothing unless every row of the list could be named.
    SweepIsComplete,
    /// Many missing objects wait for a person.
    MassDeleteWaits,

    // Readings: does this one count?
    /// Readings are held while a write is open.
    HoldWhileOpen,
    /// At most so many readings are held.
    HeldIsBounded,
    /// A reading with an older stamp than the known one is dropped.
    OlderIsStale,
    /// A reading that was begun before the last adoption or closed write counts only if its fine stamp is strictly newer.
    BegunBeforeMustBeNewer,
    /// A row of a list counts only if its stamp is strictly newer, or if it shows nothing new.
    ListMustBeNewer,
    /// A delete counts only if a read by id shows it.
    DeleteNeedsReadById,
    /// A replica that has lost its object is linked again only by a read by id.
    RelinkNeedsReadById,

    // Readings: what did its users change?
    /// A reading without a difference still moves the version and the look time.
    SameStillAdvances,
    /// A value that the record holds already is no edit.
    AgreeingIsNoEdit,
    /// A form in which a sent value comes back is the provider's own only by a loose fold or by the author.
    StoredFormNeedsProof,
    /// What our own principal wrote before a create was opened is no form of what that create sends.
    OlderWriteIsNoProof,
    /// Where an object was merged into another, what was written to the one proves nothing about the other, whose texts did not
    /// grow out of the one's.
    MergedIsAnother,
    /// A stored form counts as equal to what was sent only while the baseline holds it.
    StoredFormEndsWithBaseline,
    /// A value that the provider's history shows between our look and our write is an edit.
    SlippedInIsEdit,
    /// A value that was glimpsed during a write and that nobody shows any more becomes a conflict.
    GlimpsedIsKept,
    /// What was sent, seen while the write's answer was lost, proves that the write took effect, whatever stands there later.
    GlimpsedIsProof,

    // First link.
    /// Linking an object moves no heads: its values are concurrent with the record's.
    LinkMovesNoHeads,
    /// A value that the field held before is no edit at first link.
    OldValueIsNoEdit,
    /// A blank is absent at first link, not cleared.
    BlankIsAbsent,
    /// A value that differs by a loose fold only is the object's stored form at first link.
    SpellingIsStoredForm,
    /// An object that a lost create turned up is seen for the first time, too: it may be an older one.
    FoundIsFirstSight,
    /// Texts and counters that grew apart before they met are not merged by their parts.
    StrangersMeetAsWholes,

    // Edits become ops, and the policy chooses.
    /// A set is begun once: who saw none adds members to the one that is there.
    SetIsBegunOnce,
    /// Where a system spells a text in its own way, only what its user changed is taken over.
    SpellingStaysOut,
    /// A compensation stands for the op that it repeats, with that op's origin and clock.
    RepeatStandsForOp,
    /// Who saw a compensation has seen the op that it repeats.
    RepeatShowsOp,
    /// What an edit makes of a field counts for the rest of its pass, such as for what a deleter had not seen.
    EditCountsAtOnce,
    /// `forward_only` and `blank_never_wins` judge edits by those who saw what they replace, too.
    KnowingEditIsJudged,
    /// Equal values are no conflict.
    EqualsAgree,
    /// Where blanks never win, a blank is no candidate beside a value.
    BlankNeverWins,
    /// Clocks closer than their uncertainty do not order.
    NearClocksDoNotOrder,
    /// After a decision exactly one value is visible.
    OneValueStays,
    /// One input tells a conflict once.
    ConflictIsToldOnce,
    /// A `manual` field is written nowhere while a person is asked.
    ManualWaits,
    /// A person's choice ends the waiting, even where it changes no value.
    ChoiceEndsWaiting,

    // Changes that clients made in the document.
    /// A client's change counts by its own time, but never as later than now.
    ClientTimeIsBounded,
    /// An edit that left no visible op is seen by those who had it.
    HiddenEditIsSeen,
    /// What a client made of a set, text or counter is applied to what stands.
    ReplacedObjectIsMerged,
    /// A value that does not fit its field is refused.
    UnfitIsRefused,
    /// A client's delete meets the edits that it had not seen.
    ClientDeleteMeetsEdits,

    // Which heads a system reflects.
    /// Heads are kept for each field: those of a field that differs stay.
    HeadsArePerField,
    /// A system that shows what the record says reflects the document's heads.
    AgreementAdvancesHeads,

    // Writing.
    /// A conditional write waits until the second of the object's stamp has passed.
    SecondMustPass,
    /// A field that our own writes turn back and forth is parked.
    FlappingIsParked,
    /// A receipt settles the sent fields only.
    SettleOnlySent,
    /// A receipt moves heads to those at which the patch was computed.
    WriteShowsItsHeads,
    /// After a write the version is unknown until the object is read.
    WriteForgetsVersion,
    /// Where the provider keeps a history, every write is read back.
    HistoryIsReadBack,
    /// A lost answer is settled only by a reading that was begun after it was given up.
    LostAnswerNeedsLaterRead,
    /// A lost answer is settled only when nothing can be under way any more.
    DeadlineIsWaitedOut,
    /// After a lost answer, a text in which an edit would have split what we added was not written.
    AddedTextIsWhole,
    /// The reading that closes a write whose answer was lost is begun after the deadline, not only taken in after it.
    LookFollowsDeadline,
    /// A reading back that was overtaken by an edit is repeated.
    ReadBackIsRepeated,
    /// A value that the provider refuses is parked.
    RefusedIsParked,
    /// A parked field is tried again once its value has changed.
    ParkingEndsWithValue,

    // Deletes.
    /// A delete had not seen what its system was still owed.
    UnseenSurvivesDelete,
    /// An edit that arrives after a delete meets it as the model says.
    LateEditMeetsDelete,
    /// What an object held last is taken over where its record outlives it.
    LastEditsOutlive,
    /// What an object held last is read after our delete.
    EndIsRead,
    /// Blanks of a deleted object say nothing.
    BlankEndSaysNothing,
    /// A record that came back gets a new object only after the end of the old one was read.
    CreateAwaitsEnd,
    /// An object that is deleted after its record is remembered, for it may be restored.
    DeletedTwiceIsGone,
    /// An object that shows up again was restored, and so is its record.
    RestoreCounts,
    /// A restore shows in a reading only that was begun after the delete was known.
    RestoreIsReadLater,
    /// An object that was merged into another lets go of its record, which is not deleted.
    MergedLetsGo,

    // Epochs.
    /// An epoch begins only where every system agrees.
    EpochNeedsAgreement,
    /// An epoch begins only where nothing is under way.
    EpochNeedsRest,
    /// Each epoch's document has another id.
    EpochHasOwnId,
    /// An epoch repeats each field's clock and writer.
    EpochKeepsWriters,
    /// A late client's edit is made where the epoch began, beside what others made since.
    LateEditIsBeside,
    /// A value that a late client had not seen at the epoch's beginning contends with its edit.
    LateEditNamesUnseen,

    // What may enter a document.
    /// Nobody writes as somebody else's actor.
    ActorIsClaimed,
    /// Actors that Automerge derives from ours are ours.
    DerivedActorIsReserved,
    /// An actor's changes are numbered without a gap.
    SequenceHasNoGap,
    /// A change's operations are numbered right behind what there is.
    OpNumbersAreBounded,
    /// What a message holds is counted against the limits.
    LimitsAreCounted,
    /// Few changes may wait for their dependencies.
    WaitingIsBounded,
}

#[cfg(feature = "mutants")]
pub(crate) use self::switch::off;
#[cfg(feature = "mutants")]
pub use self::switch::with;

/// Whether a test has switched the rule off: never, without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn off(_: Rule) -> bool {
    false
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// Puts back what was switched off before, however the scope is left.
    struct Scope(Option<Rule>);

    impl Drop for Scope {
        fn drop(&mut self) {
            OFF.set(self.0);
        }
    }

    /// Runs `story` on this thread with the rule switched off; one rule at a time.
    pub fn with<R>(rule: Rule, story: impl FnOnce() -> R) -> R {
        let _scope = Scope(OFF.replace(Some(rule)));
        story()
    }

    /// Whether the rule is switched off on this thread.
    pub(crate) fn off(rule: Rule) -> bool {
        OFF.get() == Some(rule)
    }

    #[cfg(test)]
    mod tests {
        use std::panic;

        use super::*;

        #[test]
        fn a_rule_is_off_in_its_scope_on_its_thread_and_nowhere_else() {
            let (one, other) = (Rule::HoldWhileOpen, Rule::SettleOnlySent);
            with(one, || {
                assert!(off(one) && !off(other));
                assert!(!std::thread::scope(|scope| scope.spawn(|| off(one)).join().unwrap()));
                with(other, || assert!(off(other) && !off(one)));
                assert!(off(one), "the inner scope has ended");
            });
            let left = panic::catch_unwind(|| with(one, || panic::resume_unwind(Box::new(()))));
            assert!(left.is_err() && !off(one), "a panic ends the scope too");
        }
    }
}
