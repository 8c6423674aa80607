//! The intake on a store of its own: what a running service has between a parsed page and the database file.

use std::{path::Path, sync::Arc};

use syncline_core::{
    ids::{ConnectionId, RecordId},
    plan::SyncPlan,
    record::RecordState,
    remote::RemoteObject,
    replica::Source,
    repo::StorageId,
    value::Fields,
};
use syncline_server::{
    config::{Config, FixedEnvironment, History},
    engine::{
        clock::Clock,
        intake::{Arrival, Batch, Intake},
        tally::{Counts, Tally},
    },
    live::FeedHub,
    repo::RepoHub,
    store::{Store, sqlite::SqliteStore},
};
use tempfile::TempDir;

use crate::Result;

/// The configuration, with places that are filled in.
pub(crate) const CONFIGURATION: &str = include_str!("syncline.yaml");
/// The names of the environment's variables that the configuration asks for.
pub(crate) const SECRETS: [&str; 8] = [
    "SECRETS_KEY",
    "API_KEY",
    "SALESFORCE_CLIENT_ID",
    "SALESFORCE_CLIENT_SECRET",
    "SALESFORCE_REFRESH_TOKEN",
    "HUBSPOT_CLIENT_ID",
    "HUBSPOT_CLIENT_SECRET",
    "HUBSPOT_REFRESH_TOKEN",
];
/// The sync of the configuration.
pub(crate) const SYNC: &str = "contacts";
/// Rows per transaction, as the reader takes them.
pub(crate) const BATCH: usize = 500;

/// An intake and everything it needs.
pub(crate) struct Ground {
    pub(crate) plan: SyncPlan,
    intake: Intake,
    clock: Arc<Clock>,
    tally: Arc<Tally>,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

impl Ground {
    /// An intake on an empty store.
    pub(crate) async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("syncline.db")).await?);
        let clock = Arc::new(Clock::new(store.clone()));
        let tally = Arc::new(Tally::default());
        let repo = RepoHub::new(StorageId::new("bench")?);
        let intake = Intake::new(
            store.clone(),
            clock.clone(),
            Arc::new(FeedHub::new()),
            repo,
            tally.clone(),
            History::default(),
        );
        Ok(Self { plan: plan()?, intake, clock, tally, store, _folder: folder })
    }

    /// The same for a model that is synced to nothing.
    pub(crate) fn without_sides(mut self) -> Self {
        self.plan.sides.clear();
        self
    }

    /// Loads a record.
    pub(crate) async fn load(&self, record: RecordId) -> Result<RecordState> {
        let found = self.store.tenant(&self.plan.tenant).load(&[record]).await?.pop();
        found.ok_or_else(|| format!("record {record} is not there").into())
    }

    /// Parses what an account shows, as the service does with a page.
    pub(crate) async fn read(
        &self,
        connection: &str,
        objects: impl IntoIterator<Item = RemoteObject>,
        source: Source,
    ) -> Result<Vec<Arrival>> {
        let connection = ConnectionId::from(connection);
        let begun = self.clock.tick().await?;
        let side = self.plan.sides.get(&connection).ok_or("the plan lacks a side")?;
        objects
            .into_iter()
            .map(|object| {
                let observation = side
                    .mapping
                    .observe(&object, None, source, begun)
                    .map_err(|faults| format!("{}: {faults:?}", object.id))?;
                Ok(Arrival::Observed { connection: connection.clone(), observation, raw: Arc::new(object) })
            })
            .collect()
    }

    /// Takes arrivals in, durably.
    pub(crate) async fn take(&self, arrivals: Vec<Arrival>) -> Result<()> {
        let expected = arrivals.len();
        let taken = self.intake.take(SYNC, &self.plan, Batch::of(arrivals)).await?;
        let arrived = taken.records.iter().flatten().count();
        if arrived != expected {
            return Err(format!("{arrived} of {expected} arrived: {:?}", taken.quarantined).into());
        }
        Ok(())
    }

    /// What came of everything taken in so far.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Closes the store.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.store.close().await?)
    }
}

fn plan() -> Result<SyncPlan> {
    let secret = "0123456789abcdef".repeat(4);
    let environment = FixedEnvironment::new(SECRETS.map(|name| (name, secret.clone())));
    let text = CONFIGURATION
        .replace("$DATABASE", "syncline.db")
        .replace("$SALESFORCE", "http://127.0.0.1:1")
        .replace("$HUBSPOT", "http://127.0.0.1:2");
    let config = Config::parse(&text, Path::new("syncline.yaml"), &environment)?;
    let sync = config.syncs.get(SYNC).ok_or("the configuration lacks the sync")?;
    Ok(sync.plan.clone())
}

/// The canonical fields of an arrival.
pub(crate) fn fields(arrival: &Arrival) -> Option<&Fields> {
    match arrival {
        Arrival::Observed { observation, .. } => Some(&observation.fields),
        _ => None,
    }
}
