//! Runs many seeds, counts what happened in them, and shows the smallest history that breaks an invariant.

use std::{num::NonZero, process::ExitCode, thread, time::Instant};

use clap::Parser;
use syncline_simulation::{
    Failure, Mode, Scope,
    event::Event,
    fault::Fault,
    fleet::{Tally, Until, run_all},
    mutant::Mutant,
    run::run,
    shrink::shrink,
};

/// From so many runs on every fault must have happened.
const FAULTS_FROM: u64 = 400;

#[derive(Parser)]
#[command(about = "Deterministic simulation of the whole service")]
struct Arguments {
    /// The first seed.
    #[arg(long, env = "SYNCLINE_SEED", default_value_t = 0)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Events of each run.
    #[arg(long, default_value_t = 40)]
    events: usize,
    /// Connected systems of the first tenant, from 2 to 4; the seed decides where none is given.
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=4))]
    systems: Option<u8>,
    /// What is run of each seed.
    #[arg(long, value_enum, default_value_t = Which::Both)]
    mode: Which,
    /// On how many threads; one for each core where it is not said.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Tell everything that happens, of one seed.
    #[arg(long)]
    trace: bool,
    /// Break one rule of the service's glue, to see how it is caught.
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,
    /// Do not look for the smallest history of a failure.
    #[arg(long)]
    no_shrink: bool,
    /// Go on after failures and only count them.
    #[arg(long)]
    count: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Which {
    Safety,
    Liveness,
    Both,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let modes: &[Mode] = match arguments.mode {
        Which::Safety => &[Mode::Safety],
        Which::Liveness => &[Mode::Liveness],
        Which::Both => &Mode::ALL,
    };
    let systems = arguments.systems.map(usize::from);
    let scopes: Vec<Scope> = modes
        .iter()
        .map(|mode| Scope { systems, mutant: arguments.mutant, ..Scope::new(*mode, arguments.events) })
        .collect();
    if arguments.trace {
        return tell(arguments.seed, &scopes);
    }
    let began = Instant::now();
    let seeds = arguments.seed..arguments.seed.saturating_add(arguments.runs);
    let until = if arguments.count { Until::TheEnd } else { Until::AFailure };
    let threads = arguments.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let tally = run_all(seeds, &scopes, threads, until);
    print_tally(&tally, began.elapsed().as_secs_f64(), threads);
    for Failure { seed, scope, violation, .. } in tally.failures.iter().filter(|_| arguments.count) {
        println!("seed {seed} {:?}: {}: {}", scope.mode, violation.invariant, violation.what);
    }
    if let Some(failure) = tally.failures.first() {
        println!("{} of {} runs broke an invariant", tally.failed, tally.runs);
        print_failure(failure, arguments.no_shrink);
        return ExitCode::FAILURE;
    }
    let missing = tally.counts.missing();
    if tally.runs >= FAULTS_FROM && !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(Fault::to_string).collect();
        println!("never happened: {}: these runs prove nothing about them", names.join(", "));
        return ExitCode::FAILURE;
    }
    println!("every invariant held");
    ExitCode::SUCCESS
}

/// Tells everything that happens in one seed.
fn tell(seed: u64, scopes: &[Scope]) -> ExitCode {
    let mut ending = ExitCode::SUCCESS;
    for scope in scopes {
        println!("seed {seed} {:?}", scope.mode);
        match run(seed, &Scope { trace: true, ..*scope }) {
            Ok(report) => report.trace.iter().for_each(|line| println!("{line}")),
            Err(failure) => {
                failure.trace.iter().for_each(|line| println!("{line}"));
                println!("{}: {}", failure.violation.invariant, failure.violation.what);
                ending = ExitCode::FAILURE;
            }
        }
    }
    ending
}

fn print_tally(tally: &Tally, seconds: f64, threads: usize) {
    let Tally { runs, events, counts: total, .. } = tally;
    println!("{runs} runs, {events} events, {seconds:.1} s, {:.0} runs/s on {threads} threads", *runs as f64 / seconds);
    let of = |crash: bool| total.faults.iter().filter(move |(fault, _)| matches!(fault, Fault::Crash(_)) == crash);
    let line = |(fault, count): (&Fault, &u64)| format!("{fault} {count}");
    println!("faults: {}", of(false).map(line).collect::<Vec<_>>().join(", "));
    println!("crashes: {}", of(true).map(line).collect::<Vec<_>>().join(", "));
    let things: Vec<String> = total.things.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("also: {}", things.join(", "));
}

fn print_failure(failure: &Failure, as_it_is: bool) {
    let (seed, mode) = (failure.seed, format!("{:?}", failure.scope.mode).to_lowercase());
    let shown = if as_it_is { failure.clone() } else { shrink(failure) };
    println!("\nthe smallest history of seed {seed} that breaks it, {} events:", shown.events.len());
    for Event { id, after_ms, act, .. } in &shown.events {
        println!("  {id}: {after_ms} ms later {act:?}");
    }
    println!("\nwhat happened:");
    shown.trace.iter().for_each(|line| println!("{line}"));
    println!("\n{}: {}", shown.violation.invariant, shown.violation.what);
    let systems = failure.scope.systems.map(|systems| format!(" --systems {systems}")).unwrap_or_default();
    println!(
        "replay: cargo xtask simulate --seed {seed} --runs 1 --events {} --mode {mode}{systems}",
        failure.scope.events
    );
}
