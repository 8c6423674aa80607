//! PostgreSQL: any table with a primary key, read by its key, written row by row, and followed by what was installed beside it.
//!
//! # Layout
//!
//! * `settings`: what an integration may set; `database`: where a connection leads to, and its pool.
//! * `table`: what the catalogue says of a table; `kind`: how types are read and written; `describe`: its schema.
//! * `rows`: the statement that shows rows; `read`: pages and rows by id; `find`: searches.
//! * `write`: a transaction for each row and what its end means; `change`: the statements in it.
//! * `follow`: how changes are followed; `log`: the log that triggers write; `slot`: the database's own log, whose
//!   messages `pgoutput` reads.
//! * `install`: what is installed beside a table, and taken away again; `errors`: what PostgreSQL's errors mean.

mod change;
mod database;
mod describe;
mod errors;
mod find;
mod follow;
mod install;
mod kind;
mod log;
mod pgoutput;
mod read;
mod rows;
mod settings;
mod slot;
mod table;
mod write;

use std::sync::Arc;

use syncline_core::budget::BudgetFacts;

use self::{
    database::{Address, Databases},
    settings::Settings,
};
use crate::{
    connector::{ChangeLog, Connector, FieldCreator, Installer, Reader, Refresher, WebhookReceiver, Writer},
    http::HttpClient,
    registry::{BuildError, Integration},
};

/// The provider's name.
pub const NAME: &str = "postgres";

/// Any table is an object; none has a name that is known before.
pub const OBJECTS: &[&str] = &[];

/// Builds the connector. It speaks PostgreSQL's own protocol, over pools that it opens when they are first needed.
pub(crate) fn build(integration: Integration, _http: Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError> {
    let (settings, base) = Settings::parse(integration.settings)?;
    Ok(Arc::new(Postgres { settings, base, databases: Databases::default() }))
}

/// The connector.
struct Postgres {
    settings: Settings,
    /// The database of connections that name none of their own.
    base: Option<Address>,
    databases: Databases,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connector for Postgres {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn reader(&self) -> &dyn Reader {
        self
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn WebhookReceiver> {
        None
    }

    /// A table's columns are its owner's.
    fn fields(&self) -> Option<&dyn FieldCreator> {
        None
    }

    /// A password stays what it is.
    fn refresher(&self) -> Option<&dyn Refresher> {
        None
    }

    fn change_log(&self) -> Option<&dyn ChangeLog> {
        Some(self)
    }

    fn installer(&self) -> Option<&dyn Installer> {
        Some(self)
    }

    /// A database meters nobody; how many connections are open at once is bounded.
    fn budgets(&self) -> Vec<BudgetFacts> {
        Vec::new()
    }
}
