//! A stage for the real binary: a sandbox with two accounts, a configuration for them, and a server on it. Everything is
//! waited for by its own announcement; nothing sleeps.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The API key of the stage's tenant.
pub(crate) const KEY: &str = "a-key-of-the-stage-only";

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    for name in ["SYNCLINE_API", "SYNCLINE_KEY", "SYNCLINE_TENANT", "SYNCLINE_CONFIG", "SYNCLINE_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(String, String)]) -> Outcome {
    let output = binary().args(arguments).envs(environment.iter().cloned()).output().expect("the binary runs");
    Outcome {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn json(outcome: &Outcome, arguments: &[&str], code: i32) -> Value {
    assert_eq!(outcome.status, Some(code), "{arguments:?}: {} {}", outcome.stdout, outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {}", outcome.stdout))
}

/// A process that announces itself with one line of JSON and runs until it is ended.
struct Announced {
    child: Child,
    announcement: Value,
    _stdout: BufReader<ChildStdout>,
}

impl Announced {
    fn start(arguments: &[&str], environment: &[(String, String)]) -> Self {
        let mut command = binary();
        command.args(arguments).envs(environment.iter().cloned()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a piped output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("an announcement");
        let announcement =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {line:?}"));
        Self { child, announcement, _stdout: stdout }
    }

    /// Asks the process to end and returns its exit code.
    fn end(&mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "the process takes a signal");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sandbox and a configuration for its two accounts.
pub(crate) struct Stage {
    sandbox: Announced,
    folder: TempDir,
    port: u16,
    environment: Vec<(String, String)>,
}

impl Stage {
    /// A stage with this many contacts in each account.
    pub(crate) fn set(contacts: u32) -> Self {
        let contacts = contacts.to_string();
        let arguments = ["sandbox", "--json", "--faults", "off", "--time-scale", "0.01", "--contacts", &contacts];
        let sandbox = Announced::start(&arguments, &[]);
        let text = |provider: &str, what: &str| sandbox.announcement[provider][what].as_str().unwrap().to_owned();
        let environment = [
            ("SF_ID", text("salesforce", "client_id")),
            ("SF_SECRET", text("salesforce", "client_secret")),
            ("SF_REFRESH", text("salesforce", "refresh_token")),
            ("HS_ID", text("hubspot", "client_id")),
            ("HS_SECRET", text("hubspot", "client_secret")),
            ("HS_REFRESH", text("hubspot", "refresh_token")),
            ("SECRETS_KEY", "0123456789abcdef".repeat(4)),
            ("API_KEY", KEY.to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let yaml = include_str!("syncline.yaml")
            .replace("PORT", &port.to_string())
            .replace("SALESFORCE_URL", &text("salesforce", "url"))
            .replace("HUBSPOT_URL", &text("hubspot", "url"));
        std::fs::write(folder.path().join("syncline.yaml"), yaml).expect("a written configuration");
        Self { sandbox, folder, port, environment }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("syncline.yaml")
    }

    fn with_config<'a>(&self, arguments: &[&'a str], config: &'a str) -> Vec<&'a str> {
        arguments.iter().copied().chain(["--config", config]).collect()
    }

    /// Runs a verb that works with the configuration.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let config = self.config();
        run(&self.with_config(arguments, config.to_str().unwrap()), &self.environment)
    }

    /// Runs such a verb for its JSON.
    pub(crate) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        json(&self.run(&arguments), &arguments, code)
    }

    /// Sets a variable of the environment in which verbs run, and returns what it was.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) -> String {
        let variable = self.environment.iter_mut().find(|(known, _)| known == name);
        std::mem::replace(&mut variable.expect("a variable of the stage").1, value.to_owned())
    }

    /// Writes that either account has accepted so far.
    pub(crate) fn writes(&self) -> u64 {
        ["salesforce", "hubspot"].iter().map(|provider| self.accepted(provider)).sum()
    }

    fn accepted(&self, provider: &str) -> u64 {
        let url = format!("{}/counts", self.sandbox.announcement[provider]["admin"].as_str().unwrap());
        let counts: Value = block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() });
        counts["writes"]["accepted"].as_u64().unwrap_or_else(|| panic!("no count in {counts}"))
    }

    /// Starts the server.
    pub(crate) fn serve(&self) -> Server {
        let config = self.config();
        let arguments = self.with_config(&["serve", "--json"], config.to_str().unwrap());
        let process = Announced::start(&arguments, &self.environment);
        let api = process.announcement["api"].as_str().expect("an address").to_owned();
        Server { process, api }
    }
}

/// A running server.
pub(crate) struct Server {
    process: Announced,
    /// Its address.
    pub(crate) api: String,
}

impl Server {
    /// Runs a verb against the server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        run(arguments, &self.environment())
    }

    /// Runs a verb for its JSON.
    pub(crate) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        json(&self.run(&arguments), &arguments, code)
    }

    /// The first change that `records watch` shows from the beginning of the feed; it must end well when it is asked to.
    pub(crate) fn first_change(&self) -> Value {
        let arguments = ["records", "watch", "--after", "0", "--json"];
        let mut watch = Announced::start(&arguments, &self.environment());
        assert_eq!(watch.end(), Some(0), "watching ends well");
        watch.announcement.take()
    }

    fn environment(&self) -> [(String, String); 2] {
        let environment = [("SYNCLINE_API", self.api.as_str()), ("SYNCLINE_KEY", KEY)];
        environment.map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    /// Waits until every side has been read and nothing is left to be sent.
    pub(crate) fn settled(&self) {
        loop {
            let status = self.json(&["syncs", "status", "--watch"], 0);
            let sides = status["items"].as_array().unwrap().iter().flat_map(|sync| sync["sides"].as_array().unwrap());
            if sides.clone().all(|side| side["phase"] == "live" && side["deliveries"]["dirty"] == 0) {
                return;
            }
            for side in sides {
                assert_eq!(side["deliveries"]["parked"], 0, "{side}");
            }
        }
    }

    /// Ends the server as a service manager would; it must end well.
    pub(crate) fn end(mut self) {
        assert_eq!(self.process.end(), Some(0), "the server ends well");
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.child.kill().expect("a running server");
        self.process.child.wait().expect("it ends");
    }
}

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// A port that was free a moment ago; servers that are started again need the same one.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
