//! `cargo xtask check`: everything that is wrong with the code without running it. All steps run, whatever fails.

use std::{process::Command, time::Instant};

use crate::command::{CannotRun, cargo, passes};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the steps whose name contains one of these.
    steps: Vec<String>,
}

/// One step: its name and what runs it.
struct Step {
    name: &'static str,
    run: fn() -> Result<bool, CannotRun>,
}

const STEPS: [Step; 5] = [
    Step { name: "format", run: || passes(cargo(&["fmt", "--all", "--check"])) },
    Step {
        name: "lints",
        run: || passes(cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    },
    Step { name: "documentation", run: || passes(documentation()) },
    Step {
        name: "architecture",
        run: || {
            passes(cargo(&["test", "--locked", "--quiet", "--package", "syncline-tests", "--test", "architecture"]))
        },
    },
    Step { name: "dependencies", run: dependencies },
];

/// Runs the steps that are asked for; whether all of them passed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, CannotRun> {
    let wanted = |step: &&Step| {
        arguments.steps.is_empty() || arguments.steps.iter().any(|part| step.name.contains(part.as_str()))
    };
    let mut lines = Vec::new();
    let mut all_passed = true;
    for step in STEPS.iter().filter(wanted) {
        println!("── {}", step.name);
        let started = Instant::now();
        let passed = (step.run)()?;
        all_passed &= passed;
        let verdict = if passed { "ok" } else { "FAILED" };
        lines.push(format!("{:<16} {:<8} {:>8.1} s", step.name, verdict, started.elapsed().as_secs_f64()));
    }
    println!("\n{}", lines.join("\n"));
    println!("check: {}", if all_passed { "everything passed" } else { "something FAILED, see above" });
    Ok(all_passed)
}

/// Private items as well: whoever changes the code reads their documentation, and its links break just as easily.
fn documentation() -> Command {
    let mut command = cargo(&["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    // A module may point to the private ones that it is made of: these pages show them.
    command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
    command
}

/// Licences, bans and sources of dependencies. The advisory database is not reachable from everywhere, so advisories are
/// a step of their own: `cargo deny check advisories`.
fn dependencies() -> Result<bool, CannotRun> {
    let present = cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !present {
        println!("cargo-deny is not installed: installing it once, which takes some minutes");
        // An unoptimised build is done in a fraction of the time and checks as well.
        if !passes(cargo(&["install", "cargo-deny", "--locked", "--debug"]))? {
            return Ok(false);
        }
    }
    passes(cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))
}
