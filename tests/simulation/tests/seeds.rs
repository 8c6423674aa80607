//! Thousands of seeds, and what is promised of a run: one seed is one trace, and a failure is small enough to be read.

use std::{num::NonZero, thread};

use syncline_simulation::{
    Invariant, Mode, Scope,
    fault::Fault,
    fleet::{Tally, Until, run_all},
    mutant::Mutant,
    run::{events, replay, run},
    shrink::shrink,
};

/// How many seeds are run in each mode; `SYNCLINE_SEEDS` asks for more.
const SEEDS: u64 = 2_000;
/// How many events each holds.
const EVENTS: usize = 40;

fn seeds() -> u64 {
    std::env::var("SYNCLINE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

/// Both modes share the machine, so each takes half of it.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2)
}

fn every_seed_holds(mode: Mode) -> Tally {
    let tally = run_all(0..seeds(), &[Scope::new(mode, EVENTS)], threads(), Until::AFailure);
    if let Some(failure) = tally.failures.first() {
        let told = shrink(failure);
        panic!(
            "seed {} {mode:?}: {}: {}\n{}\nreplay: cargo xtask simulate --seed {} --mode {}",
            failure.seed,
            failure.violation.invariant,
            failure.violation.what,
            told.trace.join("\n"),
            failure.seed,
            format!("{mode:?}").to_lowercase(),
        );
    }
    let counted: Vec<String> = tally.counts.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    println!("{} runs, {} events: {}", tally.runs, tally.events, counted.join(", "));
    tally
}

#[test]
fn every_invariant_holds_amid_trouble() {
    let tally = every_seed_holds(Mode::Safety);
    assert_eq!(tally.counts.missing(), Vec::<Fault>::new(), "these never happened, so nothing is proved about them");
}

#[test]
fn everything_comes_to_rest_and_agrees_once_the_trouble_stops() {
    let tally = every_seed_holds(Mode::Liveness);
    assert_eq!(tally.counts.missing(), Vec::<Fault>::new(), "these never happened, so nothing is proved about them");
}

#[test]
fn one_seed_is_one_trace() {
    for mode in Mode::ALL {
        let scope = Scope { trace: true, ..Scope::new(mode, EVENTS) };
        for seed in 0..20 {
            let (first, second) = (run(seed, &scope).unwrap(), run(seed, &scope).unwrap());
            assert!(first.trace.len() > EVENTS, "seed {seed} {mode:?}: a trace tells of every event");
            assert_eq!(first, second, "seed {seed} {mode:?}");
            assert_eq!(replay(seed, &scope, &events(seed, &scope)).unwrap(), first, "seed {seed} {mode:?} as data");
            let silent = run(seed, &Scope { trace: false, ..scope }).unwrap();
            assert_eq!(silent.counts, first.counts, "seed {seed} {mode:?}: telling changes nothing");
        }
    }
}

#[test]
fn a_failure_is_shrunk_to_what_matters_and_told() {
    let scope = Scope::new(Mode::Safety, EVENTS).mutant(Mutant::FeedGap);
    let failure = (0..200).find_map(|seed| run(seed, &scope).err()).expect("a gap in the feed is noticed");
    let shrunk = shrink(&failure);
    assert_eq!(shrunk.violation.invariant, Invariant::Session);
    assert!(shrunk.events.len() < failure.events.len() / 2, "{} of {} events are left", shrunk.events.len(), EVENTS);
    assert!(shrunk.trace.iter().any(|line| line.contains("## O5 session")), "the trace tells what was broken");
    let again = replay(failure.seed, &scope, &shrunk.events).expect_err("what was shrunk still fails");
    assert_eq!(again.violation, shrunk.violation);
}
