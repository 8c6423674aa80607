//! The binary as a child process.

use std::io::{BufRead as _, BufReader};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value as Json;

/// Variables of the developer's own that the binary would read.
const OWN_VARIABLES: [&str; 5] = ["SYNCLINE_API", "SYNCLINE_KEY", "SYNCLINE_TENANT", "SYNCLINE_CONFIG", "SYNCLINE_LOG"];

/// The binary beside the folder of the test binaries, where Cargo puts it.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let binary = folder.join(format!("syncline{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is missing: build it with `cargo build -p syncline-server`, or run the suite with `cargo xtask test`",
        binary.display()
    );
    binary
}

fn command(folder: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(binary());
    for name in OWN_VARIABLES {
        command.env_remove(name);
    }
    command.current_dir(folder).envs(environment.iter().cloned()).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(folder: &Path, environment: &[(String, String)], arguments: &[&str]) -> Output {
    command(folder, environment).args(arguments).output().expect("the binary runs")
}

/// A server that has announced itself.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// What it said when it was ready.
    pub announcement: Json,
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server; its log is appended to `log`.
    pub fn serve(folder: &Path, environment: &[(String, String)], log: &Path) -> Self {
        let log_file = File::options().append(true).create(true).open(log).expect("a log file");
        let mut child = command(folder, environment)
            .args(["serve", "--json"])
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a piped output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("an announcement");
        let announcement = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!(
                "the server did not start: {error} in {line:?}\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            )
        });
        Self { child, announcement, _stdout: stdout }
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("a running server");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end as a service manager would, and returns its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "the process takes a signal");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
