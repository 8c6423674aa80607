//! Generated histories of observations, client edits, deliveries, receipts, repeats, reorderings and stale reads over two
//! to four systems, and the laws that must hold for each. A failing history prints its seed and its trace.
//!
//! `SYNCLINE_HISTORIES=n` asks for more histories, `SYNCLINE_SEED=n` for one.

mod delivery;
mod fields;
mod law;
mod laws;
mod mutant;
mod rules;
mod shares;
#[path = "../catalogue/suites.rs"]
mod suites;
mod system;
mod world;

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use fields::Cast;
use law::{Broken, Law};
use mutant::Mutant;
use shares::Shares;
use world::{Scope, World};

/// From so many events on the shares are no accident.
const SHARES_FROM: u64 = 4_000;

/// How many failing seeds are listed.
const LISTED_MAX: usize = 30;

/// A record begins a new epoch only where all agree, which is rare amid trouble: such histories have calm between their parts.
const PARTS: usize = 3;

/// How many histories may pass before a mutant counts as not caught.
const MUTANT_HISTORIES: u64 = 1_000;

/// Histories per law; `SYNCLINE_HISTORIES` asks for more.
fn histories() -> u64 {
    std::env::var("SYNCLINE_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(250)
}

thread_local! {
    /// Whether panics of this thread are collected instead of printed.
    static COLLECTS: Cell<bool> = const { Cell::new(false) };
}

/// Runs one history; `Err` holds the law that was broken and the trace.
fn run(seed: u64, scope: Scope) -> Result<Shares, Broken> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !COLLECTS.get() {
                print(info);
            }
        }));
    });
    COLLECTS.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, scope);
        for part in 0..if scope.epochs { PARTS } else { 1 } {
            if part > 0 {
                world.settle();
            }
            for _ in 0..scope.events {
                world.event();
            }
        }
        world.settle();
        world.check();
        world.check_repeats();
        world.shares
    }));
    COLLECTS.set(false);
    result.map_err(|cause| match cause.downcast::<Broken>() {
        Ok(broken) => *broken,
        Err(cause) => {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Broken { law: Law::Answered, text: text.unwrap_or_else(|| "it panicked".to_owned()) }
        }
    })
}

/// Runs many histories and prints how much trouble they held.
fn run_all(about: About) {
    let (name, scope) = (format!("{about:?}"), |seed| about.scope(seed));
    let only = std::env::var("SYNCLINE_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = only.map_or(0..histories(), |seed| seed..seed + 1);
    let mut total = Shares::default();
    let mut broken = Vec::new();
    for seed in seeds {
        match run(seed, scope(seed)) {
            Ok(shares) => total.add(&shares),
            Err(broke) => broken.push((seed, broke.to_string())),
        }
    }
    println!("{name}: {total}");
    if total.events > SHARES_FROM {
        total.assert_trouble(scope(0), scope(0).deletes && scope(1).deletes);
    }
    for (seed, text) in broken.iter().take(LISTED_MAX) {
        println!("{name}: SYNCLINE_SEED={seed}: {}", text.lines().next().unwrap_or_default());
    }
    if let Some((seed, text)) = broken.first() {
        panic!("{name}: {} histories broke a law; the first, seed {seed}:\n{text}", broken.len());
    }
}

/// What a suite of histories is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Edits,
    Policies,
    Deletes,
    Ordered,
    Merging,
    Epochs,
    Rare,
}

impl About {
    fn scope(self, seed: u64) -> Scope {
        let (cast, deletes) = match self {
            Self::Edits => (Cast::Plain, false),
            Self::Policies => (Cast::Registers, false),
            Self::Deletes | Self::Rare => (Cast::Registers, true),
            Self::Ordered => (Cast::Ordered, seed.is_multiple_of(2)),
            Self::Merging => (Cast::Merging, seed.is_multiple_of(2)),
            Self::Epochs => {
                (if seed.is_multiple_of(3) { Cast::Merging } else { Cast::Registers }, seed.is_multiple_of(4))
            }
        };
        let (epochs, rare) = (self == Self::Epochs, self == Self::Rare);
        let events = if epochs { 15 } else { 40 };
        Scope { systems: 2 + (seed % 3) as usize, events, deletes, epochs, rare, cast, mutant: None }
    }
}

#[test]
fn histories_without_deletes_converge_and_lose_nothing() {
    run_all(About::Edits);
}

#[test]
fn histories_with_policies_converge_and_lose_nothing() {
    run_all(About::Policies);
}

#[test]
fn histories_with_deletes_converge_and_lose_nothing() {
    run_all(About::Deletes);
}

#[test]
fn histories_of_ordered_and_manual_fields_converge_and_lose_nothing() {
    run_all(About::Ordered);
}

#[test]
fn histories_of_merging_fields_converge_and_lose_nothing() {
    run_all(About::Merging);
}

#[test]
fn histories_of_several_epochs_converge_and_lose_nothing() {
    run_all(About::Epochs);
}

/// Objects that are restored, values that a system cannot take, deleted objects that show blanks.
#[test]
fn histories_of_rarer_trouble_converge_and_lose_nothing() {
    run_all(About::Rare);
}

#[test]
fn every_mutant_is_caught() {
    for mutant in Mutant::ALL {
        let epochs = mutant == Mutant::LateSawAll;
        let scope = |seed| Scope { mutant: Some(mutant), epochs, ..About::Policies.scope(seed) };
        let sound = |seed: u64| run(seed, Scope { mutant: None, ..scope(seed) }).is_ok();
        let caught = (0..MUTANT_HISTORIES).find(|seed| run(*seed, scope(*seed)).is_err() && sound(*seed));
        println!("{mutant:?}: caught by seed {caught:?}");
        assert!(caught.is_some(), "the laws hold although {mutant:?} breaks a rule");
    }
}
