//! Which suite shows that a rule of the heart is switched off: every rule has one, and each suite proves what it claims.

use syncline_core::mutant::Rule;

/// A suite of `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Generated histories break a law: `histories`.
    Histories,
    /// A story about two systems fails: `reconcile`.
    Systems,
    /// A story about clients that hold the document fails: `received`.
    Clients,
    /// A story about records that begin anew fails: `renew`.
    Epochs,
    /// A story about what strangers send fails: `repo`.
    Protocol,
    /// A story about reading lists fails: `reading`.
    Lists,
    /// A table of evidence fails: `matching`.
    Matching,
}

/// The rules that a suite answers for.
pub(crate) fn rules_of(suite: Suite) -> impl Iterator<Item = Rule> {
    Rule::ALL.iter().copied().filter(move |rule| suite_of(*rule) == suite)
}

fn suite_of(rule: Rule) -> Suite {
    match rule {
        Rule::AmbiguousIsHeld
        | Rule::TakenIsNoCandidate
        | Rule::TwinNeedsReadById
        | Rule::CutOffStaysSo
        | Rule::BetterKeyTellsApart
        | Rule::CreatingIsAwaited => Suite::Matching,

        Rule::SweepIsComplete | Rule::MassDeleteWaits => Suite::Lists,

        Rule::HeldIsBounded
        | Rule::OlderIsStale
        | Rule::DeleteNeedsReadById
        | Rule::AgreeingIsNoEdit
        | Rule::StoredFormEndsWithBaseline
        | Rule::FoundIsFirstSight
        | Rule::SpellingStaysOut
        | Rule::RepeatShowsOp
        | Rule::EditCountsAtOnce
        | Rule::ChoiceEndsWaiting
        | Rule::FlappingIsParked
        | Rule::DeadlineIsWaitedOut
        | Rule::AddedTextIsWhole
        | Rule::LookFollowsDeadline
        | Rule::ReadBackIsRepeated
        | Rule::CreateAwaitsEnd
        | Rule::DeletedTwiceIsGone
        | Rule::RestoreIsReadLater
        | Rule::OlderWriteIsNoProof
        | Rule::MergedIsAnother
        | Rule::GlimpsedIsProof
        | Rule::MergedLetsGo
        | Rule::EpochNeedsRest => Suite::Systems,

        Rule::EqualsAgree
        | Rule::ClientTimeIsBounded
        | Rule::HiddenEditIsSeen
        | Rule::UnfitIsRefused
        | Rule::ClientDeleteMeetsEdits => Suite::Clients,

        Rule::EpochKeepsWriters => Suite::Epochs,

        Rule::ActorIsClaimed
        | Rule::DerivedActorIsReserved
        | Rule::SequenceHasNoGap
        | Rule::OpNumbersAreBounded
        | Rule::LimitsAreCounted
        | Rule::WaitingIsBounded => Suite::Protocol,

        Rule::HoldWhileOpen
        | Rule::BegunBeforeMustBeNewer
        | Rule::ListMustBeNewer
        | Rule::RelinkNeedsReadById
        | Rule::SameStillAdvances
        | Rule::StoredFormNeedsProof
        | Rule::SlippedInIsEdit
        | Rule::GlimpsedIsKept
        | Rule::LinkMovesNoHeads
        | Rule::OldValueIsNoEdit
        | Rule::BlankIsAbsent
        | Rule::SpellingIsStoredForm
        | Rule::StrangersMeetAsWholes
        | Rule::SetIsBegunOnce
        | Rule::RepeatStandsForOp
        | Rule::KnowingEditIsJudged
        | Rule::BlankNeverWins
        | Rule::NearClocksDoNotOrder
        | Rule::OneValueStays
        | Rule::ConflictIsToldOnce
        | Rule::ManualWaits
        | Rule::ReplacedObjectIsMerged
        | Rule::HeadsArePerField
        | Rule::AgreementAdvancesHeads
        | Rule::SecondMustPass
        | Rule::SettleOnlySent
        | Rule::WriteShowsItsHeads
        | Rule::WriteForgetsVersion
        | Rule::HistoryIsReadBack
        | Rule::LostAnswerNeedsLaterRead
        | Rule::RefusedIsParked
        | Rule::ParkingEndsWithValue
        | Rule::UnseenSurvivesDelete
        | Rule::LateEditMeetsDelete
        | Rule::LastEditsOutlive
        | Rule::EndIsRead
        | Rule::BlankEndSaysNothing
        | Rule::RestoreCounts
        | Rule::EpochNeedsAgreement
        | Rule::EpochHasOwnId
        | Rule::LateEditIsBeside
        | Rule::LateEditNamesUnseen => Suite::Histories,
    }
}
