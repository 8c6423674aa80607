//! An intake on a store, with a sync of one connection: what lies between a reading and the database.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use syncline_core::{
    ids::RecordId,
    mapping::{Mapping, MappingSpec},
    plan::{Side, SyncPlan},
    reconcile::{ClientEdit, Input},
    record::RecordState,
    remote::{RemoteObject, RemoteVersion},
    replica::{Observation, Source},
    repo::StorageId,
    value::{Fields, Value},
    writer::WriterEpochs,
};
use syncline_server::{
    config::History,
    engine::{
        clock::Clock,
        intake::{Arrival, Batch, Intake, Taken},
        tally::Tally,
    },
    live::FeedHub,
    repo::RepoHub,
    store::{Store, TenantStore, sqlite::SqliteStore},
};

use crate::{Home, people::*};

/// What had become of a record before it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Nobody has edited it: the log holds nothing.
    Unedited,
    /// It was edited several times, and there was a conflict.
    Edited,
    /// Its history began anew.
    Renewed,
    /// Its history began anew, and it was edited since.
    RenewedAndEdited,
}

pub(crate) const PASTS: [Past; 4] = [Past::Unedited, Past::Edited, Past::Renewed, Past::RenewedAndEdited];

/// So long after [`NOW`] that it is later than every edit by the clock of this machine, in milliseconds.
pub(crate) const LATE: i64 = 1_000_000_000_000;

/// An intake on a store, with a sync of one connection.
pub(crate) struct Ground {
    pub(crate) home: Home,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) plan: SyncPlan,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let home = Home::new();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(home.file()).await.unwrap());
        let model = contact();
        let spec = MappingSpec(model.fields.keys().map(|name| (name.to_string(), name.as_str().into())).collect());
        let side = Side {
            object: "Contact".into(),
            mapping: Mapping::new(&model, &spec).unwrap(),
            key_field: None,
            creates: true,
            writes: true,
            history: false,
            rank: 1,
        };
        let sides = BTreeMap::from([(crm(), side)]);
        Self { home, store, plan: SyncPlan { tenant: acme(), model, sides, writer: WriterEpochs::default() } }
    }

    pub(crate) fn tenant(&self) -> Arc<dyn TenantStore> {
        self.store.tenant(&acme())
    }

    /// An intake that has nothing in memory.
    pub(crate) fn intake(&self) -> Intake {
        let clock = Arc::new(Clock::new(self.store.clone()));
        let hub = RepoHub::new(StorageId::new("damage").unwrap());
        let feed = Arc::new(FeedHub::new());
        Intake::new(self.store.clone(), clock, feed, hub, Arc::new(Tally::default()), History::default())
    }

    pub(crate) async fn take(&self, arrivals: Vec<Arrival>) -> Taken {
        self.intake().take("contacts", &self.plan, Batch::of(arrivals)).await.unwrap()
    }

    /// The connection shows the `n`-th person with this name.
    pub(crate) async fn shows(&self, n: u64, name: &str, at: i64) -> Arrival {
        let mut fields = person(n);
        fields.insert("name".into(), Value::text(name));
        let observation = Observation {
            id: external(n),
            aliases: Vec::new(),
            deleted: false,
            fields,
            clocks: BTreeMap::new(),
            past: BTreeMap::new(),
            version: Some(RemoteVersion { stamp: NOW.plus(at), precision_ms: 1 }),
            source: Source::ById,
            begun: self.store.reserve_ticks(1).await.unwrap(),
            key: None,
        };
        let raw = RemoteObject {
            id: external(n),
            aliases: Vec::new(),
            deleted: false,
            version: None,
            author: None,
            fields: serde_json::Map::new(),
            history: BTreeMap::new(),
        };
        Arrival::Observed { connection: crm(), observation, raw: Arc::new(raw) }
    }

    /// Brings the `n`-th person through its past, and returns how the record is.
    pub(crate) async fn live_through(&self, n: u64, past: Past) -> RecordState {
        self.take(vec![self.shows(n, "first", 0).await]).await;
        if matches!(past, Past::Renewed | Past::RenewedAndEdited) {
            self.take(vec![known(id_of(&acme(), n), Input::Renew)]).await;
            assert_eq!(load(&*self.tenant(), n).await.epoch, 1, "the history began anew");
        }
        if matches!(past, Past::Edited | Past::RenewedAndEdited) {
            self.take(vec![edited_by_app(n, "by the app")]).await;
            self.take(vec![self.shows(n, "by the crm", 10).await]).await;
            self.take(vec![edited_by_app(n, "again by the app")]).await;
        }
        load(&*self.tenant(), n).await
    }

    /// Another program's connection to the same file.
    pub(crate) async fn stranger(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.home.file()).connect().await.unwrap()
    }
}

/// An input for a known record.
pub(crate) fn known(record: RecordId, input: Input) -> Arrival {
    Arrival::Known { record, input: Box::new(input) }
}

/// A client of the API gives the `n`-th person this name.
pub(crate) fn edited_by_app(n: u64, name: &str) -> Arrival {
    let fields = Fields::from([("name".into(), Value::text(name))]);
    let edit = ClientEdit { principal: "app".into(), fields, delete: None, settles: false };
    known(id_of(&acme(), n), Input::Edited(edit))
}
