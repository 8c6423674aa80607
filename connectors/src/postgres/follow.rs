//! Following a table's changes, by whichever log was installed for it.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};

use super::{
    NAME, Postgres, log, slot,
    table::{Capture, Table},
};
use crate::connector::{ChangeLog, Changes, Credentials};

/// A position in either log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// In the log that triggers write.
    Triggers(log::Place),
    /// In the database's own log.
    Decoding(slot::Place),
}

impl Place {
    fn parse(text: &str) -> Result<Self, ProviderError> {
        serde_json::from_str(text).map_err(|_| other_log())
    }

    fn text(&self) -> Result<String, ProviderError> {
        serde_json::to_string(self)
            .map_err(|error| ProviderError { remedy: Remedy::Retry, message: format!("the position: {error}") })
    }
}

#[async_trait]
impl ChangeLog for Postgres {
    async fn end(&self, credentials: &Credentials, object: &ObjectName) -> Result<String, ProviderError> {
        let database = self.database(credentials)?;
        let table = database.look_at_table(object).await?;
        match table.capture {
            Capture::Triggers => Place::Triggers(log::end(&database, &table, object).await?).text(),
            Capture::Decoding { .. } => Place::Decoding(slot::end(&database, &table, object).await?).text(),
            Capture::None => Err(not_installed(&table)),
        }
    }

    async fn read(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        after: &str,
        limit: u32,
    ) -> Result<Changes, ProviderError> {
        let database = self.database(credentials)?;
        let table = database.table(object).await?;
        match (table.capture, Place::parse(after)?) {
            (Capture::Triggers, Place::Triggers(after)) => {
                log::shorten(&database, &table, self.settings.keep_hours).await;
                let (changes, next) = log::read(&database, &table, object, &after, limit).await?;
                Ok(Changes { next: Place::Triggers(next).text()?, ..changes })
            }
            (Capture::Decoding { .. }, Place::Decoding(after)) => {
                let (changes, next) = slot::read(&database, &table, object, after, limit).await?;
                Ok(Changes { next: Place::Decoding(next).text()?, ..changes })
            }
            (Capture::None, _) => Err(not_installed(&table)),
            _ => Err(other_log()),
        }
    }

    async fn wait(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        after: &str,
        patience: Duration,
    ) -> Result<(), ProviderError> {
        let database = self.database(credentials)?;
        let table = database.table(object).await?;
        match (table.capture, Place::parse(after)?) {
            (Capture::Triggers, Place::Triggers(after)) => log::wait(&database, &table, object, &after, patience).await,
            (Capture::Decoding { .. }, Place::Decoding(after)) => {
                let look_every = self.settings.look_every();
                slot::wait(&database, &table, object, after, patience, look_every).await
            }
            (Capture::None, _) => Err(not_installed(&table)),
            _ => Err(other_log()),
        }
    }
}

fn not_installed(table: &Table) -> ProviderError {
    ProviderError {
        remedy: Remedy::Configure,
        message: format!(
            "nothing follows the changes of table {}: run `syncline connector {NAME} install` for this connection",
            table.name
        ),
    }
}

fn other_log() -> ProviderError {
    ProviderError {
        remedy: Remedy::Resync,
        message: "the table's changes are followed in another way than before: it is listed again".to_owned(),
    }
}
