//! `cargo xtask test`: every suite, one after the other, and what each cost.
//!
//! Plain test binaries rather than `cargo nextest`: a clean clone on a machine with only Rust runs exactly what CI runs,
//! and the examples in the documentation count as well.

use std::time::Instant;

use crate::{
    command::{CannotRun, cargo, passes},
    suite::{Built, Report, Suite, build, node, system, table},
};

/// The package whose end-to-end suite runs the real binary, which Cargo does not build for other packages' tests.
const USES_BINARY: &str = "syncline-tests";
/// How that binary is built; where all packages are tested it is built anyway, for its own.
const BUILD_BINARY: &[&str] = &["build", "--locked", "--package", "syncline-server", "--bin", "syncline"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the suites whose name contains one of these.
    suites: Vec<String>,
    /// Only this package, so that nothing else is built; may be repeated.
    #[arg(long, short)]
    package: Vec<String>,
}

/// Runs the suites that are asked for; whether all tests passed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, CannotRun> {
    let started = Instant::now();
    if arguments.package.iter().any(|package| package == USES_BINARY) && !passes(cargo(BUILD_BINARY))? {
        println!("the binary does not compile, see above\n0 passed, 1 failed");
        return Ok(false);
    }
    let mut suites = match build(&arguments.package)? {
        Built::Suites(suites) => suites,
        Built::Failed => {
            println!("the suites do not compile, see above\n0 passed, 1 failed");
            return Ok(false);
        }
    };
    println!("built in {:.1} s", started.elapsed().as_secs_f64());
    suites.push(Suite::documentation(&arguments.package));
    if arguments.package.is_empty() || arguments.package.iter().any(|package| package == USES_BINARY) {
        suites.extend(node::suites());
    }
    let wanted = |suite: &Suite| {
        arguments.suites.is_empty() || arguments.suites.iter().any(|part| suite.name.contains(part.as_str()))
    };
    suites.retain(wanted);

    if suites.iter().any(Suite::is_node) {
        if !passes(cargo(BUILD_BINARY))? {
            println!("the binary does not compile, see above\n0 passed, 1 failed");
            return Ok(false);
        }
        if let Err(missing) = node::prepare()? {
            println!("the suites in Node cannot run: {missing}\n0 passed, 1 failed");
            return Ok(false);
        }
    }

    if suites.iter().any(Suite::needs_postgres)
        && let Err(missing) = system::prepare_postgres()?
    {
        println!("the suites over PostgreSQL cannot run: {missing}\n0 passed, 1 failed");
        return Ok(false);
    }

    let mut rows = Vec::new();
    for suite in suites {
        let (report, seconds) = timed(&suite)?;
        rows.push((suite.name, report, seconds));
    }
    // A package without tests is no suite, though Cargo builds a binary for it.
    rows.retain(|(_, report, _)| report.passed + report.failed + report.ignored > 0);
    println!("\n{}", table(&rows));
    let passed: u64 = rows.iter().map(|(_, report, _)| report.passed).sum();
    let failed: u64 = rows.iter().map(|(_, report, _)| report.failed).sum();
    println!("{passed} passed, {failed} failed");
    // No test at all is no success: a mistyped name must not look like one.
    Ok(failed == 0 && passed > 0)
}

fn timed(suite: &Suite) -> Result<(Report, f64), CannotRun> {
    let started = Instant::now();
    let report = suite.run()?;
    let seconds = started.elapsed().as_secs_f64();
    let excerpt = report.excerpt();
    if !excerpt.is_empty() {
        println!("── {}\n{excerpt}", suite.name);
    }
    println!("── {}: {} passed, {} failed, {seconds:.1} s", suite.name, report.passed, report.failed);
    Ok((report, seconds))
}
