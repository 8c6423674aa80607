//! Programs of the system that suites need, from its own packages.

use std::{env, fs, path::Path, process::Command};

use crate::command::{CannotRun, passes};

/// Whether one of these programs is on the PATH.
pub(super) fn has_any(programs: &[&str]) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| programs.iter().any(|program| folder.join(program).is_file()))
}

/// Installs a package, where there is `apt-get` and this user may; whether it went well.
pub(super) fn install(package: &str) -> Result<bool, CannotRun> {
    if !Path::new("/usr/bin/apt-get").is_file() {
        return Ok(false);
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    println!("installing {package} from the system's packages");
    Ok(passes(apt(&["update", "-qq"]))? && passes(apt(&["install", "-y", "-qq", "--no-install-recommends", package]))?)
}

/// Where systems put the programs of a PostgreSQL server, each version in a folder of its own, beside the PATH.
const POSTGRES: &str = "/usr/lib/postgresql";

/// Installs the server that suites start for themselves, or says that it is missing.
pub(crate) fn prepare_postgres() -> Result<Result<(), String>, CannotRun> {
    if has_postgres() || install("postgresql")? && has_postgres() {
        return Ok(Ok(()));
    }
    Ok(Err("PostgreSQL 13 or newer is missing: install it, such as by `apt-get install postgresql`".into()))
}

fn has_postgres() -> bool {
    let versions = fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    has_any(&["initdb"]) || versions.into_iter().any(|version| version.path().join("bin/initdb").is_file())
}
