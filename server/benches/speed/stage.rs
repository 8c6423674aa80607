//! The real binary on a stage: a sandbox with two accounts in one process, the server in another.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use syncline_client::Api;
use tempfile::TempDir;

use crate::{
    Result,
    ground::{CONFIGURATION, SECRETS},
};

/// The API key of the stage's tenant.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Where the configuration of the second side begins.
const SECOND_SIDE: &str = "      # The second side";

/// How many accounts the server keeps the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    One,
    Both,
}

/// A server on a sandbox. Both end with the stage.
pub(crate) struct Stage {
    server: Announced,
    sandbox: Announced,
    _folder: TempDir,
}

impl Stage {
    /// A stage with this many contacts in each account.
    pub(crate) fn set(contacts: u64, sides: Sides) -> Result<Self> {
        let contacts = contacts.to_string();
        let arguments = ["sandbox", "--json", "--faults", "off", "--time-scale", "0.01", "--contacts", &contacts];
        let sandbox = Announced::start(binary().args(arguments))?;
        let text = |provider: &str, what: &str| {
            let value = &sandbox.announcement[provider][what];
            value.as_str().map(str::to_owned).ok_or_else(|| format!("the sandbox does not tell {provider}.{what}"))
        };
        let folder = tempfile::tempdir()?;
        let whole = CONFIGURATION
            .replace("$DATABASE", "syncline.db")
            .replace("$SALESFORCE", &text("salesforce", "url")?)
            .replace("$HUBSPOT", &text("hubspot", "url")?);
        let configuration = match (sides, whole.split_once(SECOND_SIDE)) {
            (Sides::One, Some((one, _))) => one,
            _ => &whole,
        };
        let file = folder.path().join("syncline.yaml");
        std::fs::write(&file, configuration)?;
        let mut command = binary();
        command.args(["serve", "--json", "--config"]).arg(&file).env("SYNCLINE_LOG", "error");
        for name in SECRETS {
            let value = match name.split_once('_') {
                Some(("SALESFORCE", what)) => text("salesforce", &what.to_lowercase())?,
                Some(("HUBSPOT", what)) => text("hubspot", &what.to_lowercase())?,
                _ => KEY.to_owned(),
            };
            command.env(name, value);
        }
        let server = Announced::start(&mut command)?;
        Ok(Self { server, sandbox, _folder: folder })
    }

    /// A client of the server's API.
    pub(crate) fn api(&self) -> Result<Api> {
        Ok(Api::new(self.told("api")?, KEY)?)
    }

    /// The address of the live feed.
    pub(crate) fn live(&self) -> Result<&str> {
        self.told("live")
    }

    /// The address of the API.
    pub(crate) fn address(&self) -> Result<&str> {
        self.told("api")
    }

    fn told(&self, what: &str) -> Result<&str> {
        self.server.announcement[what].as_str().ok_or_else(|| format!("the server does not tell `{what}`").into())
    }

    /// What the account signs its webhooks with.
    pub(crate) fn webhook_secret(&self) -> Result<String> {
        let secret = self.sandbox.announcement["hubspot"]["client_secret"].as_str();
        secret.map(str::to_owned).ok_or_else(|| "the sandbox does not tell its secret".into())
    }

    /// The server's process.
    pub(crate) fn process(&self) -> u32 {
        self.server.child.id()
    }
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.stdin(Stdio::null());
    command
}

/// A process that announces itself with one line of JSON and runs until it is dropped.
struct Announced {
    child: Child,
    announcement: Value,
    /// Held open: a process whose output nobody takes may end.
    _stdout: BufReader<ChildStdout>,
}

impl Announced {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("a process has no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let announcement = serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"));
        let mut announced = Self { child, announcement: Value::Null, _stdout: stdout };
        announced.announcement = announcement?;
        Ok(announced)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
