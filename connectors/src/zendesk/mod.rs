//! Zendesk Support: read by incremental exports, written row by row with a precondition on tickets, pushed by webhooks.
//!
//! # Layout
//!
//! * `settings`: what an integration may set; `session`: one connection's host and token; `kind`: tickets, users and
//!   organizations.
//! * `export`: the incremental exports, which are backfill, increments and deletes; `lookup`: objects by id and by external id;
//!   `find`: searches; `read`: when which is used; `rows`: objects as all of them show them; `values`: custom fields and
//!   other spellings; `describe`: schemas.
//! * `write`: how rows are spread over calls; `single`: the call of a row and what its answer means; `create`: creates that
//!   may be repeated; `address`: a user's e-mail address, which is an object of its own.
//! * `webhook`: signed events and triggers; `oauth`: refreshing; `errors`: what Zendesk's errors mean; `budgets`: its limits.

mod address;
mod budgets;
mod create;
mod describe;
mod errors;
mod export;
mod find;
mod kind;
mod lookup;
mod oauth;
mod read;
mod rows;
mod session;
mod settings;
mod single;
mod values;
mod webhook;
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
pub const NAME: &str = "zendesk";

/// The objects that the connector reads and writes.
pub const OBJECTS: &[&str] = &["tickets", "users", "organizations"];

const DIALECT: Dialect = Dialect { classify: errors::classify, usage: budgets::usage };

/// Builds the connector.
pub(crate) fn build(integration: Integration, http: Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError> {
    let (settings, base) = Settings::parse(integration.settings)?;
    let client = oauth::Client { id: integration.client_id, secret: integration.client_secret };
    Ok(Arc::new(Zendesk { settings, base, client, rest: Rest::new(http, DIALECT) }))
}

/// The connector.
struct Zendesk {
    settings: Settings,
    /// Where calls of connections go that name no account of their own.
    base: Option<BaseUrl>,
    client: oauth::Client,
    rest: Rest,
}

impl std::fmt::Debug for Zendesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zendesk").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connector for Zendesk {
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
        Some(self)
    }

    /// `external_id` is there from the beginning, and no field that can be created has unique values.
    fn fields(&self) -> Option<&dyn FieldCreator> {
        None
    }

    fn refresher(&self) -> Option<&dyn Refresher> {
        self.client.id.is_some().then_some(self as &dyn Refresher)
    }

    fn budgets(&self) -> Vec<BudgetFacts> {
        budgets::facts(&self.settings)
    }
}
