//! Generated histories of observations, client edits, deliveries, receipts, repeats, reorderings and stale reads over two
//! to four systems, and the laws that must hold for each. A failing history prints its seed and its trace.

mod system;
mod world;

use world::{Scope, Shares, World};

/// Histories per law; `SYNCLINE_HISTORIES` asks for more.
fn histories() -> u64 {
    std::env::var("SYNCLINE_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

fn run(seed: u64, scope: Scope) -> Shares {
    let mut world = World::new(seed, scope);
    for _ in 0..scope.events {
        world.event();
    }
    world.settle();
    world.check();
    world.check_repeats();
    world.shares
}

/// Runs many histories and prints how much trouble they held.
fn run_all(name: &str, scope: impl Fn(u64) -> Scope) {
    let only = std::env::var("SYNCLINE_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = only.map_or(0..histories(), |seed| seed..seed + 1);
    let mut total = Shares::default();
    for seed in seeds {
        let scope = scope(seed);
        let shares = std::panic::catch_unwind(|| run(seed, scope));
        let shares = shares.unwrap_or_else(|cause| {
            eprintln!("{name}: seed {seed} failed; repeat it with SYNCLINE_SEED={seed}");
            std::panic::resume_unwind(cause)
        });
        total.events += shares.events;
        total.races += shares.races;
        total.stale_reads += shares.stale_reads;
        total.repeats += shares.repeats;
        total.deletes += shares.deletes;
        total.lost_answers += shares.lost_answers;
    }
    let percent = |part: u64| part as f64 * 100.0 / total.events.max(1) as f64;
    println!(
        "{name}: {} events; same-field races {:.1} %, stale reads {:.1} %, repeats {:.1} %, deletes {:.1} %, lost answers {:.1} %",
        total.events,
        percent(total.races),
        percent(total.stale_reads),
        percent(total.repeats),
        percent(total.deletes),
        percent(total.lost_answers),
    );
}

#[test]
fn histories_without_deletes_converge_and_lose_nothing() {
    run_all("edits", |seed| Scope { systems: 2 + (seed % 3) as usize, events: 40, deletes: false, policies: false });
}

#[test]
fn histories_with_policies_converge_and_lose_nothing() {
    run_all("policies", |seed| Scope { systems: 2 + (seed % 3) as usize, events: 40, deletes: false, policies: true });
}

#[test]
fn histories_with_deletes_converge_and_lose_nothing() {
    run_all("deletes", |seed| Scope { systems: 2 + (seed % 3) as usize, events: 40, deletes: true, policies: true });
}
