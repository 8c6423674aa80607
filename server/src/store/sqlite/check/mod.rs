//! Whether a database is sound: every page, every document, and everything that rows say of one another. It reads only, beside
//! a running server too, and holds a hundred documents at a time.
//!
//! # Layout
//!
//! * this file: what is found, and the order of looking. [`documents`]: documents one by one. [`ties`]: what rows say of one
//!   another. [`mod@repair`]: what can be mended without losing anything.

mod documents;
mod repair;
mod ties;

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Serialize;
use sqlx::{Connection, SqliteConnection};
use syncline_core::{
    ids::{ModelName, TenantId},
    model::Model,
};

use super::open::{self, SqliteOptions};
use crate::store::StoreError;

pub use self::repair::{Repaired, repair};

/// The models by tenant, where the configuration is at hand: without one, values are not compared.
pub type Models = BTreeMap<(TenantId, ModelName), Model>;

/// How far an examination has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Documents looked at.
    pub done: u64,
    /// Documents there are.
    pub all: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is, such as `record 0194…`.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is wrong, but something cannot be known yet.
    Note,
    /// What is stored is not what was stored, or contradicts itself.
    Damage,
}

impl Fault {
    fn damage(place: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity: Severity::Damage, place: place.into(), what: what.into(), mend: mend.into() }
    }

    fn note(place: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity: Severity::Note, place: place.into(), what: what.into(), mend: mend.into() }
    }

    /// Whether something is damaged.
    pub fn is_damage(&self) -> bool {
        self.severity == Severity::Damage
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The most faults of one kind that are told one by one.
const TOLD_MAX: usize = 20;

/// What is mended by hand.
const REPAIR: &str = "stop the server and run `syncline check --store --repair`";
const RESTORE: &str = "restore a backup with `syncline store restore`";

/// Examines a database; nothing found means that it is sound. A server may be using it.
///
/// # Errors
/// It cannot be opened or read at all, or was made by a newer version.
pub async fn examine(
    path: &Path,
    models: Option<&Models>,
    mut progress: impl FnMut(Progress),
) -> Result<Vec<Fault>, StoreError> {
    let mut connection = open::read(&SqliteOptions::new(path)).await?;
    let mut faults = pages(&mut connection).await?;
    if faults.is_empty() && is_current(&mut connection, &mut faults).await? {
        // One snapshot, so that a server's commits meanwhile are no contradictions.
        let mut snapshot = connection.begin().await?;
        documents::of_records(&mut snapshot, models, &mut faults, &mut progress).await?;
        documents::of_clients(&mut snapshot, &mut faults).await?;
        ties::examine(&mut snapshot, &mut faults).await?;
        snapshot.rollback().await?;
    }
    connection.close().await?;
    Ok(faults)
}

/// SQLite's own look at every page and index.
async fn pages(connection: &mut SqliteConnection) -> Result<Vec<Fault>, StoreError> {
    let said: Result<Vec<String>, sqlx::Error> =
        sqlx::query_scalar("PRAGMA integrity_check(20)").fetch_all(connection).await;
    match said {
        Ok(said) => {
            let bad = said.into_iter().filter(|line| line != "ok");
            Ok(bad.map(|line| Fault::damage("the file", line, RESTORE)).collect())
        }
        Err(error) => match StoreError::from(error) {
            StoreError::Corrupt(what) => Ok(vec![Fault::damage("the file", what, RESTORE)]),
            error => Err(error),
        },
    }
}

/// Whether the schema is this version's; only then can the rest be looked at.
async fn is_current(connection: &mut SqliteConnection, faults: &mut Vec<Fault>) -> Result<bool, StoreError> {
    let (found, known) = open::versions(connection).await?;
    if found == Some(known) {
        return Ok(true);
    }
    let what = match found {
        Some(found) => format!("has schema version {found}, this version of syncline writes {known}"),
        None => "is empty".into(),
    };
    faults.push(Fault::note("the schema", what, "start the server once, which brings it up to date, and check again"));
    Ok(false)
}

/// Adds faults of one kind, the first of them one by one.
fn tell(faults: &mut Vec<Fault>, found: Vec<Fault>) {
    let (all, told) = (found.len(), found.len().min(TOLD_MAX));
    let rest = found.get(told).cloned();
    faults.extend(found.into_iter().take(told));
    if let Some(next) = rest {
        let place = format!("{} more", all - told);
        faults.push(Fault { place, ..next });
    }
}
