//! `syncline plan`: what a first sync would link, create, update and hold back on each side, with nothing written.
//!
//! Both sides are read completely into a temporary store, by the same engine that would sync them and with its writes
//! waiting for an approval that never comes. What it then owes each side is the plan.

mod ledger;
mod rehearsal;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use clap::Args;
use syncline_core::{
    ids::ConnectionId,
    remote::{ObjectSchema, RemoteField},
};

use self::ledger::Plan;
use super::{
    failure::Failure,
    finding::{self, Finding, Level},
    output::{Output, Tone},
    progress::Progress,
    survey::{self, KeyField, Surveyed},
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
        let Survey { findings, keyless, hopeless } = self.survey(config, vault).await?;
        if hopeless {
            finding::show(output, &findings)?;
            return Err(Failure::Reported);
        }
        let plan = self.rehearse(without_keys(config, &keyless), vault, output).await?;
        let well = finding::all_well(&findings);
        if self.approve && well {
            approve(config, &**vault).await?;
        }
        let plan = plan.with(findings, self.approve && well);
        output.show(&plan, |output, plan| {
            finding::show(output, &plan.findings)?;
            plan.show(output)?;
            output.line(self.last_line(config, well))
        })?;
        if well { Ok(()) } else { Err(Failure::Reported) }
    }

    /// What comes next.
    fn last_line(&self, config: &Config, well: bool) -> String {
        if !well {
            return Tone::Bad.paint("nothing was written or approved: mend the problems above first");
        }
        if self.approve {
            return Tone::Good.paint("approved: `syncline serve` makes these writes");
        }
        let waits = config.syncs.values().any(|sync| sync.approval == Approval::Manual);
        let next = if waits {
            "`syncline plan --approve` lets `syncline serve` make these writes"
        } else {
            "`syncline serve` makes these writes"
        };
        Tone::Dim.paint(&format!("nothing was written; {next}"))
    }

    /// Looks at every object's fields and creates missing keys where that is asked for.
    async fn survey(&self, config: &Config, vault: &Arc<dyn Store>) -> Result<Survey, Failure> {
        let sessions = service::sessions(config, vault).await?;
        let mut survey = Survey::default();
        for surveyed in survey::sides(config, &sessions) {
            match surveyed.describe().await {
                Ok(schema) => self.judge(&surveyed, schema, &mut survey).await,
                Err(error) => {
                    survey.hopeless = true;
                    survey.findings.push(Finding::problem(surveyed.about(), survey::words(&error)));
                }
            }
        }
        Ok(survey)
    }

    async fn judge(&self, surveyed: &Surveyed<'_>, mut schema: ObjectSchema, survey: &mut Survey) {
        if let KeyField::Missing(field) = surveyed.key(&schema)
            && self.create_fields
        {
            let created = surveyed.create_key(field).await;
            if created.is_ok() {
                // The provider may show the new field late; it is known to be what was asked for.
                schema
                    .fields
                    .insert(field.to_owned(), RemoteField { unique: true, writable: true, ..RemoteField::default() });
            }
            survey.findings.push(match created {
                Ok(()) => Finding::good(surveyed.about(), format!("the key field `{field}` was created")),
                Err(reason) => {
                    Finding::problem(surveyed.about(), format!("the key field `{field}` was not created: {reason}"))
                }
            });
        }
        let judged = surveyed.judge(&schema);
        let keyless = matches!(surveyed.key(&schema), KeyField::Missing(_));
        if keyless {
            survey.keyless.insert(surveyed.connection().clone());
        }
        // A missing key alone does not keep the rest of the plan from being drawn.
        survey.hopeless |=
            judged.iter().filter(|finding| finding.level == Level::Problem).count() > usize::from(keyless);
        survey.findings.extend(judged);
    }

    async fn rehearse(&self, config: Config, vault: &Arc<dyn Store>, output: Output) -> Result<Plan, Failure> {
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

/// What the survey of the accounts says.
#[derive(Default)]
struct Survey {
    findings: Vec<Finding>,
    /// Sides whose configured key field is missing.
    keyless: BTreeSet<ConnectionId>,
    /// Whether reading would fail or mislead.
    hopeless: bool,
}

/// The configuration without the key fields that are missing, so that these sides can be read.
fn without_keys(config: &Config, keyless: &BTreeSet<ConnectionId>) -> Config {
    let mut config = config.clone();
    let sides = config.syncs.values_mut().flat_map(|sync| &mut sync.plan.sides);
    sides.filter(|(connection, _)| keyless.contains(*connection)).for_each(|(_, side)| side.key_field = None);
    config
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
