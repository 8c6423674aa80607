//! The binary as a child process.

use std::io::{BufRead as _, BufReader};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
};

use serde_json::Value as Json;
use syncline_server::{engine::clock, failpoint};

/// Variables of the developer's own that the binary would read.
const OWN_VARIABLES: [&str; 8] = [
    "SYNCLINE_API",
    "SYNCLINE_KEY",
    "SYNCLINE_TENANT",
    "SYNCLINE_CONFIG",
    "SYNCLINE_LOG",
    "SYNCLINE_LOG_FORMAT",
    failpoint::ENVIRONMENT,
    clock::SHIFT,
];

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

/// How a start went.
#[derive(Debug)]
pub enum Start {
    /// The server has announced itself.
    Ready(Process),
    /// It ended before.
    Ended(ExitStatus),
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
        match Self::launch(folder, environment, log) {
            Start::Ready(process) => process,
            Start::Ended(status) => {
                panic!("the server did not start: {status}\n{}", std::fs::read_to_string(log).unwrap_or_default())
            }
        }
    }

    /// Starts a server that may end before it is ready; its log is appended to `log`.
    pub fn launch(folder: &Path, environment: &[(String, String)], log: &Path) -> Start {
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
        match serde_json::from_str(&line) {
            Ok(announcement) => Start::Ready(Self { child, announcement, _stdout: stdout }),
            Err(error) if line.is_empty() => {
                Start::Ended(child.wait().unwrap_or_else(|second| panic!("it does not end: {error}, {second}")))
            }
            Err(error) => panic!("the server announced no JSON: {error} in {line:?}"),
        }
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        Self::signal_to(self.pid(), name);
    }

    /// Sends a process of this suite a signal.
    pub fn signal_to(pid: u32, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process takes a signal");
    }

    /// The memory that it holds, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let held = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kib: u64 = held.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a running process").count()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) -> ExitStatus {
        self.child.kill().expect("a running server");
        self.child.wait().expect("it ends")
    }

    /// The process, for those who only send signals.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end as a service manager would, and returns its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal("TERM");
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
