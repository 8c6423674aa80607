//! The invariants can fail: each is broken by a service that breaks one rule, and by the one that is meant for it.

use std::{num::NonZero, sync::Mutex, thread};

use syncline_core::mutant::{Rule, with};
use syncline_simulation::{
    Invariant::{self, Agreed, Apart, Kept, Meant, Once, Rest, Session},
    Mode::{self, Liveness, Safety},
    Often, Scope,
    event::UserDeed,
    fault::{Fault, Place},
    mutant::Mutant,
    run::run,
};

/// How many events each run holds.
const EVENTS: usize = 40;
/// How many seeds may pass before a broken rule counts as not caught.
const WITHIN: u64 = 1_000;

/// A broken rule, the runs in which it shows, and the invariant that is meant for it.
struct Case<T> {
    rule: T,
    mode: Mode,
    often: Option<Often>,
    meant: Invariant,
}

const fn case<T: Copy>(rule: T, mode: Mode, meant: Invariant) -> Case<T> {
    Case { rule, mode, often: None, meant }
}

impl<T: Copy> Case<T> {
    /// Where the occasion is rare, it comes more often.
    const fn amid(self, fault: Fault) -> Self {
        Self { often: Some(Often::Fault(fault)), ..self }
    }

    const fn where_users(self, deed: UserDeed) -> Self {
        Self { often: Some(Often::User(deed)), ..self }
    }
}

/// What the service's glue must not do.
const GLUE: &[Case<Mutant>] = &[
    case(Mutant::CheckpointBeforeCommit, Liveness, Agreed).amid(Fault::Crash(Place::BeforeCommit)),
    case(Mutant::PublishBeforeCommit, Safety, Session),
    case(Mutant::KeyNotSearched, Safety, Once),
    case(Mutant::DeadlineNotWaited, Safety, Once),
    case(Mutant::TombstoneDropped, Liveness, Agreed),
    case(Mutant::SweepInfersDeletes, Safety, Meant),
    case(Mutant::DeleteGuardOff, Safety, Meant),
    case(Mutant::AliasIgnored, Liveness, Agreed).where_users(UserDeed::Merge),
    case(Mutant::ActorReused, Safety, Kept).amid(Fault::ClientRestored),
    case(Mutant::FeedGap, Safety, Session),
    case(Mutant::AckBeforeCommit, Safety, Kept),
    case(Mutant::HintAsValue, Safety, Kept),
    case(Mutant::HeldDropped, Safety, Kept).amid(Fault::LateEffect),
    case(Mutant::FailedPagePassed, Liveness, Agreed).amid(Fault::PageFails),
    case(Mutant::MatchKeyIgnored, Liveness, Once),
    case(Mutant::TenantMixup, Safety, Apart),
    case(Mutant::RebaseDropped, Safety, Kept),
    case(Mutant::OutboxForgets, Liveness, Agreed),
    case(Mutant::StaleWriterCommits, Safety, Kept),
    case(Mutant::EchoNotDropped, Safety, Kept),
    case(Mutant::FailedRowPassed, Liveness, Agreed).amid(Fault::RowFails),
];

/// Rules of the heart, switched off: those that whole histories notice. `core/tests/catalogue` has them all.
const HEART: &[Case<Rule>] = &[
    case(Rule::HoldWhileOpen, Safety, Once),
    case(Rule::LinkMovesNoHeads, Safety, Kept),
    case(Rule::StrangersMeetAsWholes, Safety, Kept),
    case(Rule::HeadsArePerField, Safety, Kept),
    case(Rule::EpochHasOwnId, Liveness, Kept),
    case(Rule::AmbiguousIsHeld, Liveness, Agreed),
    case(Rule::MergedLetsGo, Liveness, Agreed),
    case(Rule::RestoreCounts, Liveness, Agreed),
    case(Rule::StoredFormNeedsProof, Liveness, Agreed),
    case(Rule::SpellingIsStoredForm, Liveness, Once),
    case(Rule::RefusedIsParked, Liveness, Rest),
];

/// What catches a broken rule first, and the first seed in which it is caught by what is meant for it.
struct Caught {
    first: Option<(u64, Invariant)>,
    meant: Option<u64>,
}

fn catch<T>(case: &Case<T>, mutant: Option<Mutant>, without: impl Fn(&Scope, u64) -> bool) -> Caught {
    let Case { mode, often, meant, .. } = *case;
    let scope = Scope { mutant, often, ..Scope::new(mode, EVENTS) };
    let mut first = None;
    for seed in 0..WITHIN {
        let Err(failure) = run(seed, &scope) else { continue };
        first = first.or(Some((seed, failure.violation.invariant)));
        if failure.violation.invariant == meant {
            assert!(
                without(&Scope { mutant: None, ..scope }, seed),
                "seed {seed} fails without the broken rule as well"
            );
            return Caught { first, meant: Some(seed) };
        }
    }
    Caught { first, meant: None }
}

/// Runs every case on the machine's threads, prints what caught each, and fails for those that nothing meant for them caught.
fn each_is_caught<T: Copy + std::fmt::Debug + Sync>(cases: &[Case<T>], run: impl Fn(&Case<T>) -> Caught + Sync) {
    let todo = Mutex::new(cases.iter());
    let missed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let Some(case) = todo.lock().unwrap().next() else { return };
                    let Case { rule, mode, meant, .. } = case;
                    let Caught { first, meant: seed } = run(case);
                    let line = format!("{rule:?} in {mode:?}: {meant} in seed {seed:?}, first of all {first:?}");
                    println!("{line}");
                    if seed.is_none() {
                        missed.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not caught within {WITHIN} seeds:\n{}", missed.join("\n"));
}

#[test]
fn every_broken_rule_of_the_glue_is_caught() {
    each_is_caught(GLUE, |case| catch(case, Some(case.rule), |scope, seed| run(seed, scope).is_ok()));
}

#[test]
fn every_broken_rule_of_the_heart_is_caught() {
    each_is_caught(HEART, |case| {
        let whole =
            |scope: &Scope, seed| thread::scope(|alone| alone.spawn(|| run(seed, scope).is_ok()).join().unwrap());
        with(case.rule, || catch(case, None, whole))
    });
}

#[test]
fn every_mutant_of_the_glue_is_a_case() {
    let missing: Vec<Mutant> =
        Mutant::ALL.into_iter().filter(|mutant| !GLUE.iter().any(|case| case.rule == *mutant)).collect();
    assert_eq!(missing, []);
}
