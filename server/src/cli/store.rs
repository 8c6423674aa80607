//! `syncline store`: a copy of the database while the server runs, and putting one in its place.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    failure::Failure,
    finding::{self, Finding},
    output::{Output, Tone},
    progress::Progress,
};
use crate::{
    config::Config,
    store::sqlite::{check, copy},
};

/// The arguments of `store`.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The configuration file, which names the database.
    #[arg(long, global = true, env = "SYNCLINE_CONFIG", default_value = "syncline.yaml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write a verified copy of the database; the server may go on.
    Backup {
        /// The copy, which must not exist.
        path: PathBuf,
    },
    /// Put a copy in the place of the database; the server must be stopped. The database that was there is kept beside it.
    Restore {
        /// The copy.
        path: PathBuf,
    },
}

impl StoreArgs {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let database = Config::load(&self.config)?.server.database;
        match self.verb {
            Verb::Backup { path } => {
                copy::backup(&database, &path).await?;
                let bytes = std::fs::metadata(&path)?.len();
                Ok(output.show(&json!({"backup": path, "bytes": bytes}), |output, _| {
                    output.line(format!("{} is a verified copy of {bytes} bytes", path.display()))
                })?)
            }
            Verb::Restore { path } => restore(output, &path, &database).await,
        }
    }
}

async fn restore(output: Output, path: &Path, database: &Path) -> Result<(), Failure> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let restored = copy::restore(path, database, u32::try_from(seconds).unwrap_or(u32::MAX)).await?;
    Ok(output.show(&restored, |output, restored| {
        output.line(format!("{} is in place of {}", path.display(), database.display()))?;
        if let Some(aside) = &restored.aside {
            output.line(format!("the database that was there is kept as {}", aside.display()))?;
        }
        if let Some(reason) = &restored.not_carried {
            output.line(Tone::Warn.paint(&format!(
                "its newest credentials could not be taken over ({reason}): connections may have to be authorised again"
            )))?;
        }
        output.line(
            Tone::Dim
                .paint("start the server: it reads what the accounts hold now, and subscribers are told to begin anew"),
        )
    })?)
}

/// Examines the database of a configuration, and mends it first where that was asked for.
pub(super) async fn examine(config: &Config, mend: bool, output: Output) -> Result<(), Failure> {
    let database = &config.server.database;
    let models = config
        .syncs
        .values()
        .map(|sync| ((sync.plan.tenant.clone(), sync.plan.model.name.clone()), sync.plan.model.clone()))
        .collect();
    let mut findings = Vec::new();
    if mend {
        let repaired = check::repair(database, &models).await?;
        if repaired.anything() {
            let check::Repaired { documents, logs, seals, orphans, ties } = repaired;
            findings.push(Finding::warning(
                database.display().to_string(),
                format!(
                    "mended: {documents} documents, {logs} logs, {seals} checksums, {orphans} rows that pointed at nothing, {ties} links and match keys"
                ),
            ));
        }
    }
    let mut bars = Progress::new(output);
    let faults = check::examine(database, Some(&models), |at| bars.show("documents", at.done, Some(at.all))).await?;
    bars.finish();
    findings.extend(faults.into_iter().map(|fault| {
        let message = format!("{}: {}", fault.what, fault.mend);
        if fault.is_damage() { Finding::problem(fault.place, message) } else { Finding::warning(fault.place, message) }
    }));
    if finding::all_well(&findings) {
        findings.push(Finding::good(database.display().to_string(), "sound"));
    }
    finding::show(output, &findings)?;
    if finding::all_well(&findings) { Ok(()) } else { Err(Failure::Reported) }
}
