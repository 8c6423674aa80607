//! Salesforce: polled by SOQL, written by REST, with preconditions on single updates.
//!
//! # Layout
//!
//! * `settings`: what an integration may set; `session`: one connection's host, token and version.
//! * `query`: the text of SOQL; `rows`: its answers; `read`: pages, reads by id and finds; `wide`: rows with more columns
//!   than an address holds; `deleted`: the delete log; `describe`: schemas and key fields.
//! * `write`: which path a write takes; `single`, `collection`: the two paths.
//! * `oauth`: refreshing; `errors`: what Salesforce's codes mean; `budgets`: its limits.

mod budgets;
mod collection;
mod deleted;
mod describe;
mod errors;
mod oauth;
mod query;
mod read;
mod rows;
mod session;
mod settings;
mod single;
mod wide;
mod write;

use std::sync::Arc;

use syncline_core::budget::BudgetFacts;

use self::settings::Settings;
use crate::{
    connector::{Connector, FieldCreator, Reader, Refresher, WebhookReceiver, Writer},
    http::HttpClient,
    registry::{BuildError, Integration},
    rest::{BaseUrl, Dialect, Rest},
};

/// The provider's name.
pub const NAME: &str = "salesforce";

/// The objects that the connector is tested with; others work as far as they have the same system columns.
pub const OBJECTS: &[&str] = &["Contact", "Lead", "Account"];

const DIALECT: Dialect = Dialect { classify: errors::classify, usage: budgets::usage };

/// Builds the connector.
pub(crate) fn build(integration: Integration, http: Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError> {
    let (settings, login) = Settings::parse(integration.settings)?;
    let client = oauth::Client { id: integration.client_id, secret: integration.client_secret };
    Ok(Arc::new(Salesforce { settings, login, client, rest: Rest::new(http, DIALECT) }))
}

/// The connector.
struct Salesforce {
    settings: Settings,
    login: BaseUrl,
    client: oauth::Client,
    rest: Rest,
}

impl std::fmt::Debug for Salesforce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salesforce").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connector for Salesforce {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn reader(&self) -> &dyn Reader {
        self
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    /// Change events come over gRPC or SOAP, not as webhooks: Salesforce is polled.
    fn webhooks(&self) -> Option<&dyn WebhookReceiver> {
        None
    }

    fn fields(&self) -> Option<&dyn FieldCreator> {
        Some(self)
    }

    fn refresher(&self) -> Option<&dyn Refresher> {
        self.client.id.is_some().then_some(self as &dyn Refresher)
    }

    fn budgets(&self) -> Vec<BudgetFacts> {
        budgets::facts(&self.settings)
    }
}
