//! The heart without one of its rules: generated histories must catch it, by the law that is meant for it.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use syncline_core::mutant::{self, Rule};

use crate::{
    About,
    law::Law,
    run,
    suites::{Suite, rules_of},
};

/// How many histories may pass before a broken rule counts as not caught.
const HISTORIES_MAX: u64 = 1_000;

/// Which histories catch the heart without the rule, and what they say.
const CAUGHT: &[(Rule, About, Law)] = &[
    (Rule::HoldWhileOpen, About::Policies, Law::ConflictsAreReal),
    (Rule::BegunBeforeMustBeNewer, About::Policies, Law::NothingLost),
    (Rule::ListMustBeNewer, About::Edits, Law::NothingLost),
    (Rule::RelinkNeedsReadById, About::Deletes, Law::ConflictsAreReal),
    (Rule::SameStillAdvances, About::Merging, Law::Rest),
    (Rule::StoredFormNeedsProof, About::Edits, Law::NothingLost),
    (Rule::SlippedInIsEdit, About::Edits, Law::NothingLost),
    (Rule::GlimpsedIsKept, About::Edits, Law::NothingLost),
    (Rule::LinkMovesNoHeads, About::Edits, Law::NothingLost),
    (Rule::OldValueIsNoEdit, About::Rare, Law::ConflictsAreReal),
    (Rule::BlankIsAbsent, About::Rare, Law::NothingCleared),
    (Rule::SpellingIsStoredForm, About::Ordered, Law::NothingRedundant),
    (Rule::StrangersMeetAsWholes, About::Merging, Law::NothingLost),
    (Rule::SetIsBegunOnce, About::Epochs, Law::NothingLost),
    (Rule::RepeatStandsForOp, About::Ordered, Law::ConflictsAreReal),
    (Rule::KnowingEditIsJudged, About::Ordered, Law::OnlyForward),
    (Rule::BlankNeverWins, About::Epochs, Law::OnlyForward),
    (Rule::NearClocksDoNotOrder, About::Edits, Law::ConflictsAreReal),
    (Rule::OneValueStays, About::Edits, Law::OneValue),
    (Rule::ConflictIsToldOnce, About::Merging, Law::ConflictsAreReal),
    (Rule::ManualWaits, About::Ordered, Law::NobodyWritesAQuestion),
    (Rule::ReplacedObjectIsMerged, About::Epochs, Law::NothingLost),
    (Rule::HeadsArePerField, About::Edits, Law::NothingLost),
    (Rule::AgreementAdvancesHeads, About::Epochs, Law::ConflictsAreReal),
    (Rule::SecondMustPass, About::Epochs, Law::NothingLost),
    (Rule::SettleOnlySent, About::Policies, Law::NothingLost),
    (Rule::WriteShowsItsHeads, About::Policies, Law::NothingLost),
    (Rule::WriteForgetsVersion, About::Edits, Law::NothingLost),
    (Rule::HistoryIsReadBack, About::Edits, Law::NothingLost),
    (Rule::LostAnswerNeedsLaterRead, About::Edits, Law::ConflictsAreReal),
    (Rule::RefusedIsParked, About::Rare, Law::Rest),
    (Rule::ParkingEndsWithValue, About::Rare, Law::Agreement),
    (Rule::UnseenSurvivesDelete, About::Deletes, Law::NothingLost),
    (Rule::LateEditMeetsDelete, About::Deletes, Law::NothingLost),
    (Rule::LastEditsOutlive, About::Deletes, Law::NothingLost),
    (Rule::EndIsRead, About::Deletes, Law::NothingLost),
    (Rule::BlankEndSaysNothing, About::Rare, Law::NothingCleared),
    (Rule::RestoreCounts, About::Rare, Law::Agreement),
    (Rule::EpochNeedsAgreement, About::Epochs, Law::NothingLost),
    (Rule::EpochHasOwnId, About::Epochs, Law::OwnDocuments),
    (Rule::LateEditIsBeside, About::Epochs, Law::NothingLost),
    (Rule::LateEditNamesUnseen, About::Epochs, Law::NothingLost),
];

/// The first history that breaks this law without the rule, and no law with it.
fn caught(rule: Rule, about: About, law: Law) -> Option<u64> {
    (0..HISTORIES_MAX).find(|seed| {
        let broken = mutant::with(rule, || run(*seed, about.scope(*seed)));
        broken.is_err_and(|broken| broken.law == law) && run(*seed, about.scope(*seed)).is_ok()
    })
}

#[test]
fn no_rule_can_be_spared() {
    let mut listed: Vec<Rule> = CAUGHT.iter().map(|(rule, _, _)| *rule).collect();
    listed.sort_unstable();
    let mut owed: Vec<Rule> = rules_of(Suite::Histories).collect();
    owed.sort_unstable();
    assert_eq!(listed, owed, "each rule that histories answer for is listed once");

    let next = AtomicUsize::new(0);
    let work = || {
        let mut spared = Vec::new();
        while let Some((rule, about, law)) = CAUGHT.get(next.fetch_add(1, Ordering::Relaxed)) {
            let seed = caught(*rule, *about, *law);
            println!("{rule:?}: {about:?} break {law:?} in history {seed:?}");
            spared.extend(seed.is_none().then_some(*rule));
        }
        spared
    };
    let spared: Vec<Rule> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    assert_eq!(spared, [], "no history misses these rules");
}
