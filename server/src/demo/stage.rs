//! The stage: both emulators and the service, on free loopback ports and a temporary database.

use std::{path::Path, sync::Arc};

use reqwest::Method;
use serde_json::json;
use syncline_connectors::{
    connector::Credentials,
    http::{HttpClient, ReqwestClient},
    registry,
};
use syncline_sandbox::{FaultProfile, Population, Running, Sandbox, SandboxConfig};
use tempfile::TempDir;

use super::{
    DemoError, Settings,
    host::Host,
    scenario::{self, ACCOUNTS, Account, CONFIGURATION, TENANT},
    web::Web,
};
use crate::{
    config::{Config, FixedEnvironment},
    secrets::SecretsKey,
};

/// How much faster than in the world time's lags pass. Not smaller: a clock of one second, on one platform, is the
/// coarsest thing there is and is not scaled, and everything else has to stay below it to be worth showing.
const TIME_SCALE: f64 = 0.02;

/// How long the guest's address of the automerge-repo endpoint is good for: a week.
const GUEST_SECONDS: u64 = 7 * 24 * 60 * 60;

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) host: Host,
    sandbox: Sandbox,
    /// The API key of the product.
    pub(super) key: String,
    /// Keeps the database's directory until the end.
    directory: TempDir,
}

impl Stage {
    /// Starts everything; every address answers when this returns. Faults begin once the accounts are set up.
    pub(super) async fn build(settings: &Settings, web: &Web) -> Result<Self, DemoError> {
        let sandbox =
            Sandbox::start(sandbox_config(settings)).await.map_err(|error| DemoError::Start(error.to_string()))?;
        let directory = TempDir::with_prefix("syncline-demo-")
            .map_err(|error| DemoError::Start(format!("there is no place for a temporary database: {error}")))?;
        let key = fresh_key();
        let config = configuration(settings, &sandbox, directory.path(), &key)?;
        for account in ACCOUNTS {
            add_key_field(&config, account, account.running(&sandbox)?).await?;
        }
        let host = Host::start(config).await?;
        let stage = Self { host, sandbox, key, directory };
        stage.point_webhooks(web).await?;
        stage.set_faults(web, settings.faults).await?;
        Ok(stage)
    }

    /// Both emulators.
    pub(super) const fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The emulator of an account.
    pub(super) fn running(&self, account: &Account) -> Result<&Running, DemoError> {
        account.running(&self.sandbox)
    }

    /// A folder for the time of the run.
    pub(super) fn folder(&self) -> &Path {
        self.directory.path()
    }

    /// The address of the service.
    pub(super) fn api(&self) -> String {
        format!("http://{}", self.host.address())
    }

    /// Sets how often things go wrong from now on, on both platforms.
    pub(super) async fn set_faults(&self, web: &Web, faults: FaultProfile) -> Result<(), DemoError> {
        let profile = json!({ "profile": faults });
        for account in ACCOUNTS {
            web.post(&format!("{}/profile", self.running(account)?.admin_url), &profile).await?;
        }
        Ok(())
    }

    /// Tells the platforms that push where to push.
    async fn point_webhooks(&self, web: &Web) -> Result<(), DemoError> {
        for account in ACCOUNTS.iter().filter(|account| account.pushes) {
            let target = format!("{}/v1/webhooks/{}", self.api(), account.connection);
            web.post(&format!("{}/webhooks", self.running(account)?.admin_url), &json!({ "target_url": target }))
                .await?;
        }
        Ok(())
    }

    /// Ends everything in order.
    pub(super) async fn strike(self) -> Result<(), DemoError> {
        let stopped = self.host.stop().await;
        self.sandbox.shutdown().await;
        stopped
    }

    /// The facts that other programs need to take part, as one JSON object.
    pub(super) async fn invitation(&self, web: &Web) -> Result<serde_json::Value, DemoError> {
        let wanted = json!({ "name": "guest", "models": ["contact"], "expires_in_seconds": GUEST_SECONDS });
        let tokens = format!("{}/v1/repo/tokens", self.api());
        let token = web.ask(Method::POST, &tokens, Some(&self.key), Some(&wanted)).await?;
        let mut facts = json!({
            "api": self.api(),
            "key": self.key,
            "tenant": TENANT,
            "live": format!("ws://{}/v1/live", self.host.address()),
            "repo": token["url"],
        });
        for account in ACCOUNTS {
            let running = self.running(account)?;
            facts[account.provider] = json!(running.base_url);
            facts[format!("{}_token", account.provider)] = json!(running.credentials.user_token);
            facts[format!("{}_admin", account.provider)] = json!(running.admin_url);
        }
        Ok(facts)
    }
}

fn sandbox_config(settings: &Settings) -> SandboxConfig {
    let shared = settings.shared();
    SandboxConfig {
        seed: settings.seed,
        contacts: Population::demo().sized(settings.contacts, shared),
        faults: FaultProfile::Off,
        time_scale: TIME_SCALE,
        log_reads: true,
        ..SandboxConfig::default()
    }
}

fn fresh_key() -> String {
    format!("demo-{:032x}", rand::random::<u128>())
}

/// The scenario's configuration with the addresses and secrets of this run.
fn configuration(settings: &Settings, sandbox: &Sandbox, directory: &Path, key: &str) -> Result<Config, DemoError> {
    let mut text = CONFIGURATION
        .replace("$DATABASE", &json!(directory.join("demo.db")).to_string())
        .replace("$TIME_SCALE", &TIME_SCALE.to_string());
    if let Some(flaw) = settings.flaw {
        let (right, wrong) = scenario::flawed(flaw);
        text = text.replace(right, wrong);
    }
    let mut secrets = vec![("SECRETS_KEY".to_owned(), SecretsKey::generate()), ("API_KEY".to_owned(), key.to_owned())];
    for account in ACCOUNTS {
        let running = account.running(sandbox)?;
        let word = account.provider.to_uppercase();
        text = text.replace(&format!("${word}"), &running.base_url);
        let given = &running.credentials;
        secrets.extend([
            (format!("{word}_CLIENT_ID"), given.client_id.clone()),
            (format!("{word}_CLIENT_SECRET"), given.client_secret.clone()),
            (format!("{word}_ACCESS_TOKEN"), given.integration_token.clone()),
            (format!("{word}_REFRESH_TOKEN"), given.refresh_token.clone()),
        ]);
    }
    Config::parse(&text, Path::new("demo.yaml"), &FixedEnvironment::new(secrets))
        .map_err(|problems| DemoError::Start(problems.to_string()))
}

/// Adds the field that holds our record ids, as `syncline plan --create-fields` does for a real account.
async fn add_key_field(config: &Config, account: &Account, running: &Running) -> Result<(), DemoError> {
    let failed = |reason: String| DemoError::Start(format!("{} cannot be set up: {reason}", account.title));
    let http: Arc<dyn HttpClient> = Arc::new(ReqwestClient::new().map_err(|error| failed(error.to_string()))?);
    let integration = config
        .integration_of(&account.connection.into())
        .ok_or_else(|| failed("the scenario has no such integration".to_owned()))?;
    let connector = integration.connector(http).map_err(|error| failed(error.to_string()))?;
    let credentials = Credentials {
        access_token: running.credentials.integration_token.clone(),
        refresh_token: None,
        expires_at: None,
        base_url: Some(running.base_url.clone()),
    };
    let fields = connector.fields().ok_or_else(|| {
        failed(format!("{} cannot create fields", registry::find(account.provider).map_or("it", |found| found.title)))
    })?;
    fields
        .create_key_field(&credentials, &account.object.into(), account.key)
        .await
        .map_err(|error| failed(error.to_string()))
}
