//! Test suites: one test binary each, one for the examples in the documentation, and one for each file of tests in Node.

mod build;
pub(crate) mod node;
mod report;
pub(crate) mod system;

pub(crate) use build::{Built, build};
pub(crate) use report::{Report, table};

use std::{path::PathBuf, process::Command, time::Duration};

use crate::command::{CannotRun, Ending, cargo, collect};

/// A suite may run for so long. The longest takes a small part of it; one that reaches it hangs.
const SUITE_MAX: Duration = Duration::from_secs(600);

/// Suites whose tests start a PostgreSQL server.
const NEED_POSTGRES: [&str; 2] = ["tests::postgres", "tests::conformance"];

/// One suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suite {
    /// `package` for the tests beside the code, `package::name` for a suite of its own.
    pub(crate) name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A test binary, run in its package's folder as Cargo does.
    Binary { program: PathBuf, folder: PathBuf },
    /// A file of tests in Node.
    Node { folder: PathBuf, file: String },
    /// The examples in the documentation, and Cargo's arguments for the packages that are meant.
    Documentation { selected: Vec<String> },
}

impl Suite {
    /// The examples in the documentation of these packages, or of all where none is named.
    pub(crate) fn documentation(packages: &[String]) -> Self {
        Self { name: "documentation".into(), kind: Kind::Documentation { selected: build::selected(packages) } }
    }

    /// Whether it runs in Node.
    pub(crate) fn is_node(&self) -> bool {
        matches!(self.kind, Kind::Node { .. })
    }

    /// Whether its tests start a PostgreSQL server.
    pub(crate) fn needs_postgres(&self) -> bool {
        NEED_POSTGRES.contains(&self.name.as_str())
    }

    /// Runs all tests of the suite.
    pub(crate) fn run(&self) -> Result<Report, CannotRun> {
        let ending = collect(self.command(), SUITE_MAX)?;
        let (output, in_time) = match ending {
            Ending::Exited(output) => (output, true),
            Ending::TimedOut(output) => (output, false),
        };
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        if !in_time {
            text.push_str(&format!("\n{} was stopped after {} s\n", self.name, SUITE_MAX.as_secs()));
        }
        Ok(Report::read(text, output.status.success() && in_time))
    }

    fn command(&self) -> Command {
        match &self.kind {
            Kind::Documentation { selected } => {
                let mut command = cargo(&["test", "--locked", "--doc"]);
                command.args(selected);
                command
            }
            Kind::Node { folder, file } => node::command(folder, file),
            Kind::Binary { program, folder } => {
                let mut command = Command::new(program);
                // Tests that passed may report what they covered: their output is shown as well.
                command.arg("--show-output").current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
                command
            }
        }
    }
}
