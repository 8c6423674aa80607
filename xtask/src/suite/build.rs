//! Building the suites, and finding their binaries in what Cargo reports.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Stdio,
};

use serde::Deserialize;

use super::{Kind, Suite};
use crate::command::{CannotRun, cargo};

/// How the build of the suites ended.
pub(crate) enum Built {
    /// The suites, by name.
    Suites(Vec<Suite>),
    /// The code does not compile; the compiler has said why.
    Failed,
}

/// One line of Cargo's report, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds the test binaries of these packages, or of the whole workspace where none is named.
pub(crate) fn build(packages: &[String]) -> Result<Built, CannotRun> {
    let mut command = cargo(&["test", "--locked", "--no-run", "--message-format", "json-render-diagnostics"]);
    command.args(selected(packages));
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| CannotRun::new(&command, error))?;
    let mut suites = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line.map_err(|error| CannotRun::new(&command, error))?;
        // Lines that are no message come from build scripts and are none of ours.
        suites.extend(serde_json::from_str(&line).ok().and_then(suite));
    }
    let status = child.wait().map_err(|error| CannotRun::new(&command, error))?;
    suites.sort();
    suites.dedup();
    Ok(if status.success() { Built::Suites(suites) } else { Built::Failed })
}

/// Cargo's arguments for these packages, or for all of them where none is named.
pub(super) fn selected(packages: &[String]) -> Vec<String> {
    if packages.is_empty() {
        return vec!["--workspace".into()];
    }
    packages.iter().flat_map(|package| ["--package".into(), package.clone()]).collect()
}

/// The suite that a message announces, if it announces one.
fn suite(message: Message) -> Option<Suite> {
    let is_test = message.reason == "compiler-artifact" && message.profile?.test;
    let (program, target) = (message.executable?, message.target?);
    let folder = message.manifest_path?.parent()?.to_path_buf();
    if !is_test {
        return None;
    }
    let package = package_name(&folder);
    let beside_code = target.kind.iter().any(|kind| kind == "lib");
    let name = if beside_code { package } else { format!("{package}::{}", target.name) };
    Some(Suite { name, kind: Kind::Binary { program, folder } })
}

/// A package is called after its folder here: shorter than its name, and as it is laid out.
fn package_name(folder: &std::path::Path) -> String {
    let inside = folder.strip_prefix(crate::command::root()).unwrap_or(folder);
    inside.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_binaries_are_suites() {
        let manifest = crate::command::root().join("core/Cargo.toml");
        let message = |reason: &str, test: bool, kind: &str, executable: Option<&str>| {
            serde_json::from_value::<Message>(serde_json::json!({
                "reason": reason,
                "manifest_path": manifest,
                "target": {"name": "reading", "kind": [kind]},
                "profile": {"test": test},
                "executable": executable,
            }))
        };
        for (reason, test, kind, executable, name) in [
            ("compiler-artifact", true, "test", Some("/t/reading"), Some("core::reading")),
            ("compiler-artifact", true, "lib", Some("/t/core"), Some("core")),
            ("compiler-artifact", false, "bin", Some("/t/syncline"), None),
            ("compiler-artifact", true, "test", None, None),
            ("build-script-executed", true, "test", Some("/t/x"), None),
        ] {
            let found = suite(message(reason, test, kind, executable).unwrap()).map(|suite| suite.name);
            assert_eq!(found.as_deref(), name, "{reason} {kind}");
        }
    }
}
