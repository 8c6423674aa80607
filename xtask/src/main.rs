//! The developer's commands, as `cargo xtask <verb>`. CI calls exactly these.

mod bench;
mod check;
mod command;
mod simulate;
mod suite;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The developer's commands of Syncline", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Format, lints, documentation and dependencies; with warnings denied.
    Check(check::Arguments),
    /// What the service costs, against floors measured in the same run; writes `docs/benchmarks.md`.
    Bench(bench::Arguments),
    /// Whole histories of the service amid faults, from seeds; a failing one is made small and told.
    Simulate(simulate::Arguments),
    /// Every suite, with its number of tests and its seconds.
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Simulate(arguments) => simulate::run(&arguments),
        Verb::Test(arguments) => test::run(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
