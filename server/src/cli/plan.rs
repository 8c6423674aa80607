//! `syncline plan`: what a first sync would link, create, update and hold back on each side, with nothing written.
//!
//! Both sides are read completely into a temporary store, by the same engine that would sync them and with its writes
//! waiting for an approval that never comes. What it then owes each side is the plan.

mod ledger;
mod rehearsal;

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use syncline_core::ids::ConnectionId;

use self::ledger::Plan;
use super::{
    failure::Failure,
    finding::{self, Finding},
    output::{Output, Tone},
    progress::Progress,
    survey::{self, KeyField},
};
use crate::{
    config::{Approval, Config},
    service,
    store::{Store, StoreError, sqlite::SqliteStore, syncs::SyncState},
};

/// The arguments of `plan`.
#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The configuration file.
    #[arg(long, env = "SYNCLINE_CONFIG", default_value = "syncline.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Only this sync.
    #[arg(long, value_name = "SYNC")]
    sync: Option<String>,
    /// Allow the first writes of every planned sync; `serve` makes them.
    #[arg(long)]
    approve: bool,
    /// Create the configured unique key fields where they are missing.
    #[arg(long)]
    create_fields: bool,
}

impl PlanArgs {
    /// Plans, and does what the flags ask for.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let mut config = Config::load(&self.config)?;
        self.narrow(&mut config)?;
        let vault: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.server.database).await.map_err(in_use)?);
        let planned = self.plan(&config, &vault, output).await;
        vault.close().await?;
        planned
    }

    /// Keeps the wanted sync only.
    fn narrow(&self, config: &mut Config) -> Result<(), Failure> {
        if let Some(wanted) = &self.sync {
            if !config.syncs.contains_key(wanted) {
                let known: Vec<&str> = config.syncs.keys().map(String::as_str).collect();
                return Err(Failure::said(format!("there is no sync `{wanted}`; the syncs are: {}", known.join(", "))));
            }
            config.syncs.retain(|name, _| name == wanted);
        }
        if config.syncs.is_empty() {
            return Err(Failure::said("there is nothing to plan: add a sync to `syncs` of the configuration"));
        }
        Ok(())
    }

    async fn plan(&self, config: &Config, vault: &Arc<dyn Store>, output: Output) -> Result<(), Failure> {
        let findings = self.survey(config, vault).await?;
        if !finding::all_well(&findings) {
            finding::show(output, &findings)?;
            return Err(Failure::Reported);
        }
        let plan = self.rehearse(config, vault, output).await?;
        if self.approve {
            approve(config, &**vault).await?;
        }
        let plan = plan.with(findings, self.approve);
        output.show(&plan, |output, plan| {
            finding::show(output, &plan.findings)?;
            plan.show(output)?;
            if self.approve {
                return output.line(Tone::Good.paint("approved: `syncline serve` makes these writes"));
            }
            if config.syncs.values().any(|sync| sync.approval == Approval::Manual) {
                return output.line(
                    Tone::Dim.paint(
                        "nothing was written; `syncline plan --approve` lets `syncline serve` make these writes",
                    ),
                );
            }
            output.line(Tone::Dim.paint("nothing was written; `syncline serve` makes these writes"))
        })?;
        Ok(())
    }

    /// Looks at every object's fields and creates missing keys where that is asked for.
    async fn survey(&self, config: &Config, vault: &Arc<dyn Store>) -> Result<Vec<Finding>, Failure> {
        let sessions = service::sessions(config, vault).await?;
        let mut findings = Vec::new();
        for surveyed in survey::sides(config, &sessions) {
            let about = surveyed.about();
            let schema = match surveyed.describe().await {
                Ok(schema) => schema,
                Err(error) => {
                    findings.push(Finding::problem(about, survey::words(&error)));
                    continue;
                }
            };
            let KeyField::Missing(field) = surveyed.key(&schema) else {
                findings.extend(surveyed.judge(&schema));
                continue;
            };
            if !self.create_fields {
                findings.extend(surveyed.judge(&schema));
                continue;
            }
            let Some(creator) = surveyed.creator() else {
                findings.push(Finding::problem(about, format!("the key field `{field}` is missing and the provider lets nobody create it by API: create it there by hand")));
                continue;
            };
            match surveyed.create_key(creator, field).await {
                Ok(()) => findings.push(Finding::good(about, format!("the key field `{field}` was created"))),
                Err(error) => findings.push(Finding::problem(
                    about,
                    format!("the key field `{field}` was not created: {}", survey::words(&error)),
                )),
            }
        }
        Ok(findings)
    }

    async fn rehearse(&self, config: &Config, vault: &Arc<dyn Store>, output: Output) -> Result<Plan, Failure> {
        let mut progress = Progress::new(output);
        let mut rehearsal = rehearsal::Rehearsal::start(config, vault.clone()).await?;
        let read = rehearsal.read_all(&mut progress).await;
        progress.finish();
        let plan = match read {
            Ok(()) => rehearsal.ledger().await,
            Err(failure) => Err(failure),
        };
        rehearsal.end().await?;
        plan
    }
}

/// A database that a server has open belongs to that server.
fn in_use(error: StoreError) -> Failure {
    match error {
        StoreError::InUse { path } => Failure::said(format!(
            "a server is running on the database {}: it has read both sides already and waits where it needs approval; \
             see `syncline syncs status`, and allow its writes with `syncline syncs approve`",
            path.display()
        )),
        error => error.into(),
    }
}

/// Allows the first writes of every sync in the configuration.
async fn approve(config: &Config, store: &dyn Store) -> Result<(), Failure> {
    for (name, sync) in &config.syncs {
        let tenant = store.tenant(&sync.plan.tenant);
        for connection in sync.plan.sides.keys() {
            let known = tenant.sync_state(name, connection).await?;
            let mut state = known.unwrap_or_else(|| SyncState::new(name, ConnectionId::clone(connection)));
            state.approved = true;
            tenant.put_sync_state(&state).await?;
        }
    }
    Ok(())
}
