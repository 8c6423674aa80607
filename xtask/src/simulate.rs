//! `cargo xtask simulate`: the simulation of `tests/simulation`, built as fast as it can be.

use crate::command::{CannotRun, cargo, passes};

/// How the simulation is run; what follows is its own.
const RUN: &[&str] = &[
    "run",
    "--quiet",
    "--locked",
    "--profile",
    "simulation",
    "--package",
    "syncline-simulation",
    "--bin",
    "simulate",
    "--",
];

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// What is passed on, such as `--seed 7 --runs 1000`; `--help` lists it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<String>,
}

/// Runs the simulation; whether every invariant held.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, CannotRun> {
    let mut command = cargo(RUN);
    command.args(&arguments.passed_on);
    passes(command)
}
