//! `syncline check`: the configuration, the laws of every mapping, and each connection; or the database.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use serde_json::json;

use super::{
    failure::Failure,
    finding::{self, Finding},
    output::Output,
    store, survey,
};
use crate::{
    config::{Config, Problems},
    service,
    store::{Store, StoreError, sqlite::SqliteStore},
};

/// The arguments of `check`.
#[derive(Args)]
pub(crate) struct Check {
    /// The configuration file.
    #[arg(long, env = "SYNCLINE_CONFIG", default_value = "syncline.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Call nobody: check the file and the mappings' laws only.
    #[arg(long)]
    offline: bool,
    /// Check the database instead: every page, document, link and feed. The server may run meanwhile.
    #[arg(long, conflicts_with = "offline")]
    store: bool,
    /// Mend what can be mended without losing anything; the server must be stopped.
    #[arg(long, requires = "store")]
    repair: bool,
}

impl Check {
    /// Examines everything and fails where something is a problem.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) if output.is_json() => {
                output.json(&as_json(&problems))?;
                return Err(Failure::Reported);
            }
            Err(problems) => return Err(problems.into()),
        };
        if self.store {
            return store::examine(&config, self.repair, output).await;
        }
        let mut findings = vec![Finding::good(self.config.display().to_string(), summary(&config))];
        if self.offline {
            findings.extend(offline(&config));
        } else {
            findings.extend(online(&config).await?);
        }
        finding::show(output, &findings)?;
        if finding::all_well(&findings) { Ok(()) } else { Err(Failure::Reported) }
    }
}

fn summary(config: &Config) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    [
        count(config.models.len(), "model"),
        count(config.connections.len(), "connection"),
        count(config.syncs.len(), "sync"),
        count(config.api_keys.len(), "API key"),
    ]
    .join(", ")
}

fn as_json(problems: &Problems) -> serde_json::Value {
    let list = problems.list.iter().map(|problem| {
        json!({
            "line": problem.at.line,
            "column": problem.at.column,
            "path": problem.path,
            "message": problem.message,
            "remedy": problem.remedy,
        })
    });
    json!({"ok": false, "file": problems.file, "problems": list.collect::<Vec<_>>()})
}

fn offline(config: &Config) -> Vec<Finding> {
    let sides = config.syncs.iter().flat_map(|(name, sync)| sync.plan.sides.keys().map(move |side| (name, sync, side)));
    sides.flat_map(|(name, sync, connection)| survey::laws(name, sync, connection, &[])).collect()
}

/// Calls every account. The database is needed for it: tokens that are refreshed on the way are kept there, since the
/// old ones may be worth nothing afterwards.
async fn online(config: &Config) -> Result<Vec<Finding>, Failure> {
    let store: Arc<dyn Store> = match SqliteStore::open(&config.server.database).await {
        Ok(store) => Arc::new(store),
        Err(StoreError::InUse { .. }) => {
            let mut findings = offline(config);
            findings.push(Finding::warning(
                "connections",
                "a server is running on this database and calls them itself: see `syncline syncs status`",
            ));
            return Ok(findings);
        }
        Err(error) => return Err(error.into()),
    };
    let examined = examine(config, &store).await;
    store.close().await?;
    examined
}

async fn examine(config: &Config, store: &Arc<dyn Store>) -> Result<Vec<Finding>, Failure> {
    let sessions = service::sessions(config, store).await?;
    let mut findings = survey::connections(&sessions).await;
    if config.server.public_url.is_none() && sessions.values().any(|session| session.connector.webhooks().is_some()) {
        findings.push(Finding::warning(
            "server",
            "`public_url` is not set, so no provider can push changes here: they are found by polling only",
        ));
    }
    let unverified = |id| config.webhook_secrets_of(id).is_empty();
    for (id, _) in sessions.iter().filter(|(id, session)| session.connector.webhooks().is_some() && unverified(id)) {
        findings.push(Finding::warning(
            format!("connection {id}"),
            "webhooks are refused, since nothing is known to verify them with: give the connection `webhook_secrets`, \
             or its integration a `client_secret`",
        ));
    }
    for surveyed in survey::sides(config, &sessions) {
        match surveyed.describe().await {
            Ok(schema) => findings.extend(surveyed.judge(&schema)),
            Err(error) => findings.push(Finding::problem(surveyed.about(), survey::words(&error))),
        }
        findings.extend(surveyed.followed().await);
        // Where rows cannot be read the laws are still tried on made-up values.
        let samples = surveyed.samples().await.unwrap_or_default();
        findings.extend(surveyed.laws(&samples));
    }
    Ok(findings)
}
