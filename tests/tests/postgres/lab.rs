//! A database with a table that is followed, and a connector to it.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};
use syncline_connectors::{
    connector::{ChangeLog, Changes, Connector, Credentials, Installer},
    http::{HttpClient, HttpRequest, HttpResponse, TransportError},
    registry::{self, Integration},
};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, ProviderError, RemoteObject, RemoteVersion, WriteOutcome, WriteRequest, WriteVerb},
};
use syncline_tests::postgres::{PASSWORD, TestDatabase};

/// Stamps a story onto both ways in which changes are caught.
#[macro_export]
macro_rules! for_both_captures {
    ($($story:ident),+ $(,)?) => {
        mod triggers {
            $(#[tokio::test]
            async fn $story() {
                super::$story("triggers").await;
            })+
        }
        mod decoding {
            $(#[tokio::test]
            async fn $story() {
                super::$story("decoding").await;
            })+
        }
    };
}

/// A table of people, as products have them.
pub(crate) const PEOPLE: &str = "
CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    syncline_id text UNIQUE,
    email text,
    name varchar(40) NOT NULL,
    title text
);
CREATE UNIQUE INDEX ON people (lower(email));";

#[derive(Debug)]
struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError::unsent("a database is not called over HTTP"))
    }
}

pub(crate) struct Lab {
    pub(crate) database: TestDatabase,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) credentials: Credentials,
    pub(crate) object: &'static str,
}

impl Lab {
    /// A database with these tables, of which one is followed.
    pub(crate) async fn of(tables: &str, object: &'static str, settings: Value) -> Self {
        let database = TestDatabase::create().await;
        database.run(tables).await;
        let integration = Integration { settings, ..Integration::default() };
        let connector = registry::build("postgres", integration, Arc::new(NoHttp)).expect("a connector");
        let credentials = Credentials {
            access_token: PASSWORD.to_owned(),
            refresh_token: None,
            expires_at: None,
            base_url: Some(database.url.clone()),
        };
        let lab = Self { database, connector, credentials, object };
        lab.install().await;
        lab
    }

    /// People, followed by triggers.
    pub(crate) async fn people() -> Self {
        Self::people_by("triggers").await
    }

    /// People, followed in this way.
    pub(crate) async fn people_by(capture: &str) -> Self {
        Self::of(PEOPLE, "people", json!({ "capture": capture })).await
    }

    pub(crate) fn installer(&self) -> &dyn Installer {
        self.connector.installer().expect("tables are prepared")
    }

    pub(crate) async fn install(&self) {
        let installer = self.installer();
        for step in installer.install(&self.credentials, &[self.object.into()]).await.expect("a plan") {
            installer
                .carry_out(&self.credentials, &step)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", step.what));
        }
    }

    pub(crate) fn log(&self) -> &dyn ChangeLog {
        self.connector.change_log().expect("tables are followed")
    }

    pub(crate) async fn end(&self) -> String {
        self.log().end(&self.credentials, &self.object.into()).await.expect("an end")
    }

    pub(crate) async fn changes(&self, after: &str, limit: u32) -> Result<Changes, ProviderError> {
        self.log().read(&self.credentials, &self.object.into(), after, limit).await
    }

    /// Everything that follows a position, as ids that were changed and ids that were deleted; the position behind it.
    pub(crate) async fn rest(&self, after: &str) -> (BTreeSet<String>, BTreeSet<String>, String) {
        let (mut changed, mut deleted, mut place) = (BTreeSet::new(), BTreeSet::new(), after.to_owned());
        loop {
            let changes = self.changes(&place, 3).await.expect("changes");
            for id in changes.changed {
                deleted.remove(id.as_str());
                changed.insert(id.to_string());
            }
            for id in changes.deleted {
                changed.remove(id.as_str());
                deleted.insert(id.to_string());
            }
            place = changes.next;
            if !changes.more {
                return (changed, deleted, place);
            }
        }
    }

    pub(crate) async fn by_id(&self, ids: &[&str], fields: &[&str]) -> Result<Vec<RemoteObject>, ProviderError> {
        let ids: Vec<ExternalId> = ids.iter().map(|id| ExternalId::from(*id)).collect();
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        self.connector.reader().by_id(&self.credentials, &self.object.into(), &ids, &fields, false).await
    }

    pub(crate) async fn one(&self, id: &str, fields: &[&str]) -> RemoteObject {
        self.by_id(&[id], fields).await.expect("the row is read").remove(0)
    }

    pub(crate) async fn write(&self, verb: WriteVerb, body: Value, fields: &[&str]) -> WriteOutcome {
        let Value::Object(body) = body else { panic!("a body is an object") };
        let request = WriteRequest { object: self.object.into(), verb, body, trace: 0 };
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let writer = self.connector.writer().expect("tables are written");
        writer.write(&self.credentials, &[request], &fields).await.remove(0).outcome
    }

    pub(crate) async fn update(&self, id: &str, expected: Option<RemoteVersion>, body: Value) -> WriteOutcome {
        self.write(WriteVerb::Update { id: id.into(), expected }, body, &[]).await
    }

    /// Writes a row by its key.
    pub(crate) async fn create(&self, key: &str, body: Value) -> WriteOutcome {
        let key = Some(Key { field: "syncline_id".to_owned(), value: key.to_owned() });
        self.write(WriteVerb::Create { key }, body, &[]).await
    }
}

/// The id of a row that was written.
#[track_caller]
pub(crate) fn id_of(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Applied { id, .. } => id.to_string(),
        other => panic!("expected an applied row: {other:?}"),
    }
}
