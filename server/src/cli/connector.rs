//! `syncline connector`: what single providers need beside credentials.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use serde_json::json;
use syncline_connectors::{
    connector::{Connector, Credentials, Step},
    http::ReqwestClient,
};
use syncline_core::ids::{ConnectionId, ObjectName};

use super::{failure::Failure, output::Output, survey};
use crate::{config::Config, engine};

/// The arguments of `connector`.
#[derive(Args)]
pub(crate) struct ConnectorArgs {
    #[command(subcommand)]
    provider: Provider,
}

/// The providers that have verbs of their own.
#[derive(Subcommand)]
enum Provider {
    /// Databases of PostgreSQL.
    Postgres(Verbs),
}

#[derive(Args)]
struct Verbs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Prepare an account so that its changes can be followed.
    Install(Preparation),
    /// Take away what was installed. Stop the server first, or take the connection out of its configuration.
    Uninstall(Preparation),
}

/// Which account is to be prepared, and for what.
#[derive(Args)]
struct Preparation {
    /// The connection.
    connection: String,
    /// The objects, such as tables; all that the connection's syncs name where none is given.
    objects: Vec<String>,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// The configuration file.
    #[arg(long, env = "SYNCLINE_CONFIG", default_value = "syncline.yaml", value_name = "FILE")]
    config: PathBuf,
}

impl ConnectorArgs {
    /// Prepares an account, or takes back what was prepared.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let Self { provider: Provider::Postgres(Verbs { verb }) } = self;
        let (preparation, installs) = match verb {
            Verb::Install(preparation) => (preparation, true),
            Verb::Uninstall(preparation) => (preparation, false),
        };
        let account = Account::of(&preparation)?;
        let steps = account.steps(installs).await?;
        for step in &steps {
            if !preparation.dry_run {
                account.carry_out(step).await?;
            }
            if !output.is_json() {
                output.line(words(step))?;
            }
        }
        if output.is_json() {
            output.json(&json!({ "done": !preparation.dry_run, "steps": steps }))?;
        } else {
            output.line(end(&steps, preparation.dry_run))?;
        }
        Ok(())
    }
}

/// A step as a statement with a comment, so that what is printed can be run.
fn words(step: &Step) -> String {
    match &step.statement {
        Some(statement) => format!("-- {}\n{};\n", step.what, statement.trim_end()),
        None => format!("-- To do by hand: {}\n", step.what),
    }
}

fn end(steps: &[Step], dry_run: bool) -> String {
    let statements = steps.iter().any(|step| step.statement.is_some());
    match (statements, dry_run) {
        (false, _) => "-- Nothing is to be done.".to_owned(),
        (true, true) => "-- Nothing was done.".to_owned(),
        (true, false) => "-- Done.".to_owned(),
    }
}

/// An account that is prepared.
struct Account {
    connector: Arc<dyn Connector>,
    credentials: Credentials,
    objects: Vec<ObjectName>,
}

impl Account {
    fn of(preparation: &Preparation) -> Result<Self, Failure> {
        let config = Config::load(&preparation.config)?;
        let id = ConnectionId::from(preparation.connection.as_str());
        let (Some(connection), Some(integration)) = (config.connections.get(&id), config.integration_of(&id)) else {
            let known: Vec<&str> = config.connections.keys().map(|id| id.as_str()).collect();
            return Err(Failure::said(format!("there is no connection `{id}`: choose one of {}", known.join(", "))));
        };
        let http = ReqwestClient::new().map_err(|error| Failure::said(error.to_string()))?;
        let connector = integration
            .connector(Arc::new(http))
            .map_err(|error| Failure::said(format!("connection {id}: {error}")))?;
        if connector.installer().is_none() {
            return Err(Failure::said(format!(
                "connection `{id}` leads to {}, where nothing has to be installed",
                integration.provider
            )));
        }
        let named: Vec<ObjectName> = preparation.objects.iter().map(|name| ObjectName::from(name.as_str())).collect();
        let objects = if named.is_empty() {
            engine::mapped_objects(&config).remove(&id).unwrap_or_default().into_iter().collect()
        } else {
            named
        };
        if objects.is_empty() {
            return Err(Failure::said(format!("no sync names an object of connection `{id}`: give one after it")));
        }
        Ok(Self { connector, credentials: engine::first_credentials(&connection.credentials), objects })
    }

    async fn steps(&self, installs: bool) -> Result<Vec<Step>, Failure> {
        let Some(installer) = self.connector.installer() else { return Ok(Vec::new()) };
        let steps = if installs {
            installer.install(&self.credentials, &self.objects).await
        } else {
            installer.uninstall(&self.credentials, &self.objects).await
        };
        steps.map_err(|error| Failure::said(survey::words(&error)))
    }

    async fn carry_out(&self, step: &Step) -> Result<(), Failure> {
        let Some(installer) = self.connector.installer() else { return Ok(()) };
        let done = installer.carry_out(&self.credentials, step).await;
        done.map_err(|error| {
            Failure::said(format!(
                "{}; what was done before stays, and doing it once more does no harm: with --dry-run the statements are \
                 printed, for an administrator to run",
                survey::words(&error)
            ))
        })
    }
}
