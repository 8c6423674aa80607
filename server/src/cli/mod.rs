//! The command line: one file per verb.
//!
//! # Layout
//!
//! * `serve`, `plan`, `check`, `store`, `connector`: work with a configuration file. `sandbox`, `demo`: need none.
//! * `records`, `conflicts`, `deliveries`, `quarantine`, `issues`, `syncs`: talk to a running server through the client crate, see `target`.
//! * `output`: tables, colours and JSON. `failure`: errors and exit codes.

mod check;
mod conflicts;
mod connector;
mod deliveries;
mod demo;
mod erasures;
mod failure;
mod faults;
mod fields;
mod finding;
mod identity;
mod issues;
mod logging;
mod output;
mod paging;
mod plan;
mod progress;
mod quarantine;
mod records;
mod sandbox;
mod serve;
mod signals;
mod store;
mod survey;
mod syncs;
mod target;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::{failure::Failure, output::Output};

/// Keeps one record the same in your product and in every account your customers connect.
#[derive(Parser)]
#[command(name = "syncline", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Keep two emulated accounts and a product the same while all three are edited, and judge the result.
    Demo(demo::DemoArgs),
    /// Run the server.
    Serve(serve::Serve),
    /// Show what a first sync would do, with nothing written.
    Plan(plan::PlanArgs),
    /// Check the configuration, the laws of every mapping, and each connection; or, with --store, the database.
    Check(check::Check),
    /// Back the database up while the server runs, and restore a backup.
    Store(store::StoreArgs),
    /// Prepare accounts that need more than credentials, and take it back.
    Connector(connector::ConnectorArgs),
    /// Run emulators of the providers' APIs on this machine.
    Sandbox(sandbox::SandboxArgs),
    /// List, show and change records.
    Records(records::Records),
    /// List and settle conflicts.
    Conflicts(conflicts::Conflicts),
    /// List writes that wait or were given up, and try them again.
    Deliveries(deliveries::Deliveries),
    /// List provider rows that could not be taken in, and try them again.
    Quarantine(quarantine::Quarantine),
    /// List, explain and try again what waits for a person or for a provider to come right.
    Issues(issues::Issues),
    /// Show, pause, resume, trigger and reset syncs.
    Syncs(syncs::Syncs),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let Cli { verb, json } = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::said(format!("the runtime cannot start: {error}")).report(),
    };
    match runtime.block_on(dispatch(verb, Output::new(json))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn dispatch(verb: Verb, output: Output) -> Result<(), Failure> {
    match verb {
        Verb::Demo(args) => args.run(output).await,
        Verb::Serve(args) => args.run(output).await,
        Verb::Plan(args) => args.run(output).await,
        Verb::Check(args) => args.run(output).await,
        Verb::Store(args) => args.run(output).await,
        Verb::Connector(args) => args.run(output).await,
        Verb::Sandbox(args) => args.run(output).await,
        Verb::Records(args) => args.run(output).await,
        Verb::Conflicts(args) => args.run(output).await,
        Verb::Deliveries(args) => args.run(output).await,
        Verb::Quarantine(args) => args.run(output).await,
        Verb::Issues(args) => args.run(output).await,
        Verb::Syncs(args) => args.run(output).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
