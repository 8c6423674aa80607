//! The stage of every story: both emulators in this process, a configuration for their accounts, and the binary on it.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{ExitStatus, Output},
    sync::Mutex,
    time::Duration,
};

use syncline_sandbox::{FaultProfile, Population, Sandbox, SandboxConfig, people::Mess};
use syncline_server::failpoint::Point;
use tempfile::TempDir;

use crate::{
    accounts::{Account, HUBSPOT, SALESFORCE},
    agreement::{self, Agreement},
    api::{Api, KEY, STRANGERS_KEY},
    doomed::Doomed,
    patience::{eventually, until_reached},
    process::{self, Process, Start},
};

/// The same as in every configuration.
const TIME_SCALE: f64 = 0.02;
/// So many requests of each account, polls and all, count as a while.
const A_WHILE: u64 = 8;

/// What a stage is set with.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The configuration, in which `$PORT`, `$SALESFORCE` and `$HUBSPOT` stand for what is known only then.
    pub configuration: &'static str,
    /// How many contacts each account has.
    pub contacts: u64,
    /// How many of them are the same people.
    pub shared: u64,
    /// What goes wrong in the accounts.
    pub faults: FaultProfile,
    /// How far HubSpot's clock is ahead of the machine's, in seconds; negative: behind.
    pub hubspot_ahead_s: i64,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            configuration: include_str!("syncline.yaml"),
            contacts: 0,
            shared: 0,
            faults: FaultProfile::Off,
            hubspot_ahead_s: 0,
        }
    }
}

/// The emulators and the configuration.
#[derive(Debug)]
pub struct Stage {
    sandbox: Sandbox,
    folder: TempDir,
    /// Where the server listens.
    pub port: u16,
    environment: Mutex<Vec<(String, String)>>,
}

impl Stage {
    /// A stage with so many contacts in each account, `shared` of them the same people.
    pub async fn set(contacts: u64, shared: u64) -> Self {
        Self::of(Setting { contacts, shared, ..Setting::default() }).await
    }

    /// A stage of this setting.
    pub async fn of(setting: Setting) -> Self {
        // What is decomposed on one side stays so: no field here asks for it to be composed.
        let mess = Mess { decomposed: 0.0, ..Mess::usual() };
        let sandbox = Sandbox::start(SandboxConfig {
            contacts: Population { per_system: setting.contacts, shared: setting.shared, mess },
            faults: setting.faults,
            hubspot_ahead_s: setting.hubspot_ahead_s,
            time_scale: TIME_SCALE,
            // What was shown to the service, and when, is evidence.
            log_reads: true,
            ..SandboxConfig::default()
        })
        .await
        .expect("the emulators start");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut stage = Self { sandbox, folder, port: free_port(), environment: Mutex::default() };
        *stage.environment.get_mut().expect("nobody has panicked") = stage.secrets();
        let text = setting
            .configuration
            .replace("$PORT", &stage.port.to_string())
            .replace("$SALESFORCE", stage.salesforce().url())
            .replace("$HUBSPOT", stage.hubspot().url());
        std::fs::write(stage.config(), text).expect("a written configuration");
        for account in stage.accounts() {
            account.add_key_field().await;
        }
        stage
    }

    fn secrets(&self) -> Vec<(String, String)> {
        let mut secrets = vec![
            ("SECRETS_KEY".to_owned(), "0123456789abcdef".repeat(4)),
            ("API_KEY".to_owned(), KEY.to_owned()),
            ("STRANGERS_KEY".to_owned(), STRANGERS_KEY.to_owned()),
        ];
        for (word, running) in [("SALESFORCE", &self.sandbox.salesforce), ("HUBSPOT", &self.sandbox.hubspot)] {
            let given = &running.as_ref().expect("it was started").credentials;
            secrets.extend([
                (format!("{word}_ID"), given.client_id.clone()),
                (format!("{word}_SECRET"), given.client_secret.clone()),
                (format!("{word}_REFRESH"), given.refresh_token.clone()),
            ]);
        }
        secrets
    }

    /// The account of Salesforce.
    pub fn salesforce(&self) -> Account<'_> {
        Account::new(&SALESFORCE, self.sandbox.salesforce.as_ref().expect("it was started"))
    }

    /// The account of HubSpot.
    pub fn hubspot(&self) -> Account<'_> {
        Account::new(&HUBSPOT, self.sandbox.hubspot.as_ref().expect("it was started"))
    }

    /// Both accounts.
    pub fn accounts(&self) -> [Account<'_>; 2] {
        [self.salesforce(), self.hubspot()]
    }

    /// A secret that the configuration names, by its environment variable.
    pub fn secret(&self, name: &str) -> String {
        let found = self.environment().into_iter().find(|(variable, _)| variable == name);
        found.expect("a secret of the configuration").1
    }

    /// Where the configuration lies.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("syncline.yaml")
    }

    /// Where the database lies.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("syncline.db")
    }

    /// Replaces a part of the configuration, for when it is read next.
    pub fn amend(&self, part: &str, by: &str) {
        let text = std::fs::read_to_string(self.config()).expect("the configuration");
        assert!(text.contains(part), "`{part}` is not in the configuration");
        std::fs::write(self.config(), text.replace(part, by)).expect("a written configuration");
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        process::run(self.folder.path(), &self.environment(), arguments)
    }

    /// Runs a verb that talks to the server; it must go well. What it printed.
    #[track_caller]
    pub fn ask(&self, server: &Server<'_>, arguments: &[&str]) -> String {
        let address = server.process.announcement["api"].as_str().expect("an address");
        let target = ["--api", address, "--key", KEY];
        let done = self.run(&[arguments, &target].concat());
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&done.stderr));
        said
    }

    /// Starts the server.
    pub async fn serve(&self) -> Server<'_> {
        let process = Process::serve(self.folder.path(), &self.environment(), &self.log());
        let base = process.announcement["api"].as_str().expect("an address").to_owned();
        let live = process.announcement["live"].as_str().expect("an address").to_owned();
        Server { stage: self, process, api: Api::connect(&base).await, live }
    }

    /// Starts the server with more in its environment; it may end before it is ready.
    pub fn launch(&self, more: &[(String, String)]) -> Start {
        let environment: Vec<(String, String)> = self.environment().into_iter().chain(more.iter().cloned()).collect();
        Process::launch(self.folder.path(), &environment, &self.log())
    }

    /// Starts a server that is to end at a fail point.
    pub fn doomed(&self, point: Point) -> Doomed<'_> {
        Doomed::start(self, point)
    }

    /// Starts a server, and waits until it has ended at a fail point.
    pub async fn die_at(&self, point: Point) {
        self.doomed(point).gone().await;
    }

    /// Starts a server that must refuse to serve; how it ended.
    pub fn refuses_to_start(&self) -> ExitStatus {
        match self.launch(&[]) {
            Start::Ended(status) => status,
            Start::Ready(process) => panic!("it serves: {}", process.announcement),
        }
    }

    /// Where the server is called.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All secrets that the server is given, and the access tokens that the accounts would take from it at first.
    pub fn all_secrets(&self) -> Vec<String> {
        let tokens = [&self.sandbox.salesforce, &self.sandbox.hubspot].map(|running| {
            let given = &running.as_ref().expect("it was started").credentials;
            given.integration_token.clone()
        });
        self.environment().into_iter().map(|(_, secret)| secret).chain(tokens).collect()
    }

    /// Both emulators.
    pub const fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// A place for a file of the story's own, which goes with the stage.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another refresh token into the configuration, for the next start.
    pub fn authorised(&self, account: Account<'_>, refresh_token: &str) {
        let name =
            if account.words.connection == HUBSPOT.connection { "HUBSPOT_REFRESH" } else { "SALESFORCE_REFRESH" };
        self.set_variable(name, refresh_token);
    }

    /// Sets a variable of the server's environment, for the next start.
    pub fn set_variable(&self, name: &str, value: &str) {
        let mut environment = self.environment.lock().expect("nobody has panicked");
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.lock().expect("nobody has panicked").clone()
    }

    /// What the servers of this stage have logged so far.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server<'a> {
    stage: &'a Stage,
    process: Process,
    /// Its API, as the stories' tenant calls it.
    pub api: Api,
    /// Where its live feed is.
    pub live: String,
}

impl Server<'_> {
    /// Waits until everything has been read and written, and all three sides show the same.
    pub async fn agree(&self) -> Agreement {
        eventually("all sides agree", async || {
            self.idle().await?;
            agreement::read(self.stage, &self.api).await
        })
        .await
    }

    /// Whether every side was read once and nothing is owed.
    ///
    /// # Errors
    /// What is owed.
    pub async fn idle(&self) -> Result<(), String> {
        let sync = self.api.get("/v1/syncs/contacts").await;
        for side in sync["sides"].as_array().expect("sides") {
            let deliveries = &side["deliveries"];
            let busy = side["phase"] != "live" || deliveries["dirty"] != 0 || deliveries["parked"] != 0;
            if busy {
                return Err(format!("{side}\n{}", self.stage.log_tail()));
            }
        }
        Ok(())
    }

    /// Asserts that for a while nothing changes anywhere although both accounts are read.
    pub async fn stays_quiet(&self) {
        let writes = || self.stage.accounts().map(|account| account.writes());
        let before = (writes(), self.api.changes(0).await.1);
        for account in self.stage.accounts() {
            let goal = account.requests() + A_WHILE;
            until_reached("polls go on", goal, || account.requests()).await;
        }
        assert_eq!((writes(), self.api.changes(0).await.1), before, "nothing is written and nothing changes");
        self.writes_nothing_in_vain();
    }

    /// Asserts that no write so far left an object as it was.
    pub fn writes_nothing_in_vain(&self) {
        for account in self.stage.accounts() {
            assert_eq!(account.writes_in_vain(), 0, "redundant writes to {}", account.words.connection);
        }
    }

    /// Sends the server a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The memory that the server holds, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.process.memory_bytes()
    }

    /// How many files and sockets the server has open.
    pub fn open_files(&self) -> usize {
        self.process.open_files()
    }

    /// Ends the server as a power cut would.
    pub fn kill(self) {
        self.process.kill();
    }

    /// Ends the server as a service manager would; it must end well, and soon.
    pub fn end(self) {
        let begun = std::time::Instant::now();
        assert_eq!(self.process.terminate(), Some(0), "the server ends well");
        assert!(begun.elapsed() < Duration::from_secs(10), "the server ends soon");
    }
}

/// A port that was free a moment ago: a server that is started again needs the same one, for the webhooks.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
