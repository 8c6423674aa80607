//! The suites in Node: programs that others wrote, and a browser, against the real binary.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use super::{Kind, Suite, system};
use crate::command::{CannotRun, Ending, collect, passes, root};

/// Where the suites are.
const SUITES: &str = "tests/interop";
/// The packages that must be installed: the suites', and the example's that one of them opens.
const PACKAGES: [&str; 2] = [SUITES, "client-sdk/js-example"];
/// The oldest Node that the packages run on.
const NODE_MIN: (u32, u32) = (20, 19);
/// How long a program may take to say its version.
const VERSION_MAX: std::time::Duration = std::time::Duration::from_secs(20);
/// Whose names a browser goes by.
const BROWSERS: [&str; 2] = ["chromium", "chromium-browser"];

/// The suites, one for each file; their names are known without installing anything.
pub(crate) fn suites() -> Vec<Suite> {
    let folder = root().join(SUITES);
    let files =
        fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut suites: Vec<Suite> = files
        .filter_map(|file| {
            let name = format!("tests::interop::{}", file.strip_suffix(".test.js")?);
            Some(Suite { name, kind: Kind::Node { folder: folder.clone(), file } })
        })
        .collect();
    suites.sort();
    suites
}

/// Installs what the suites need, or says exactly what is missing.
pub(crate) fn prepare() -> Result<Result<(), String>, CannotRun> {
    if let Some(missing) = node_missing()? {
        return Ok(Err(missing));
    }
    for package in PACKAGES {
        let folder = root().join(package);
        if !is_installed(&folder) && !passes(npm(&folder, &["ci", "--no-audit", "--no-fund"]))? {
            return Ok(Err(format!("`npm ci` failed in {package}: see above")));
        }
    }
    if !(system::has_any(&BROWSERS) || system::install(BROWSERS[0])? && system::has_any(&BROWSERS)) {
        return Ok(Err(
            "Chromium is missing: install it, such as by `apt-get install chromium`, so that it is on the PATH".into(),
        ));
    }
    Ok(Ok(()))
}

/// The command that runs the tests of one file.
pub(super) fn command(folder: &Path, file: &str) -> Command {
    let mut command = Command::new("node");
    command.args(["--test", "--test-concurrency=1", "--test-timeout=180000", "--test-reporter=tap", file]);
    command.current_dir(folder).env("SYNCLINE_BIN", binary());
    command
}

/// The binary that is tested.
fn binary() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder));
    target.join("debug").join("syncline")
}

fn node_missing() -> Result<Option<String>, CannotRun> {
    let wanted = format!("Node {}.{} or newer with npm", NODE_MIN.0, NODE_MIN.1);
    let mut command = Command::new("node");
    command.arg("--version");
    let version = match collect(command, VERSION_MAX) {
        Ok(Ending::Exited(output)) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => return Ok(Some(format!("node is not on the PATH: install {wanted} (https://nodejs.org)"))),
    };
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok((found < NODE_MIN).then(|| format!("node is {version}: install {wanted} (https://nodejs.org)")))
}

fn npm(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(folder);
    command
}

/// Whether the packages were installed since their list last changed.
fn is_installed(folder: &Path) -> bool {
    let changed = |path: PathBuf| fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let installed = changed(folder.join("node_modules/.package-lock.json"));
    installed > SystemTime::UNIX_EPOCH && installed >= changed(folder.join("package-lock.json"))
}
