//! HubSpot: read by search and list, written in batches, pushed by webhooks, with a history of every field.
//!
//! # Layout
//!
//! * `settings`: what an integration may set; `session`: one connection's host and token.
//! * `list`: backfills and archived rows; `search`: increments and finds; `batch_read`: objects by id; `read`: when which
//!   is used; `rows`: objects as all of them show them; `history`: past values.
//! * `batch_write`: the four writing batches; `write`: how rows are spread over them; `spelling`: values as text.
//! * `properties`: schemas and key fields; `webhook`: signed events; `oauth`: refreshing; `errors`: what HubSpot's errors
//!   mean; `budgets`: its limits.

mod batch_read;
mod batch_write;
mod budgets;
mod errors;
mod history;
mod list;
mod oauth;
mod properties;
mod read;
mod rows;
mod search;
mod session;
mod settings;
mod spelling;
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
pub const NAME: &str = "hubspot";

/// The objects that the connector is tested with; others with batch upsert work as well.
pub const OBJECTS: &[&str] = &["contacts", "companies"];

const DIALECT: Dialect = Dialect { classify: errors::classify, usage: budgets::usage };

/// Builds the connector.
pub(crate) fn build(integration: Integration, http: Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError> {
    let (settings, base) = Settings::parse(integration.settings)?;
    let client = oauth::Client { id: integration.client_id, secret: integration.client_secret };
    Ok(Arc::new(HubSpot { settings, base, client, rest: Rest::new(http, DIALECT) }))
}

/// The connector.
struct HubSpot {
    settings: Settings,
    base: BaseUrl,
    client: oauth::Client,
    rest: Rest,
}

impl std::fmt::Debug for HubSpot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSpot").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connector for HubSpot {
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
