//! The algorithms that a manifest's facts choose among: one connector for every manifest.
//!
//! # Layout
//!
//! * `session`: one connection's host and token, and its calls; `verdict`: what answers mean; `budgets`: what they tell of limits.
//! * `rows`: objects as answers show them; `fields`: their fields, read and written.
//! * `read`: when which call is used; `place`: where a page begins; `walk`: lists and windows; `lookup`: objects by id; `find`: by
//!   value; `deletes`; `describe`.
//! * `write`: how rows are spread over calls; `single`: an update or a delete; `create`: creations that may be repeated; `parts`:
//!   fields that are objects of their own.
//! * `oauth`: new tokens; `webhook`: what is pushed.

mod budgets;
#[cfg(test)]
mod canned;
mod create;
mod deletes;
mod describe;
mod fields;
mod find;
mod lookup;
mod oauth;
mod parts;
mod place;
mod read;
mod rows;
mod session;
mod single;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;
mod webhook;
mod write;

use std::sync::Arc;

use syncline_core::{
    budget::BudgetFacts,
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};

use super::{Manifest, settings::Settings, spec};
use crate::{
    connector::{Connector, FieldCreator, Reader, Refresher, WebhookReceiver, Writer},
    http::HttpClient,
    registry::{BuildError, Integration},
    rest::{Answer, Dialect, Rest},
};

/// Builds the connector of a manifest. Cheap: no call is made.
///
/// # Errors
/// Settings that the manifest does not have.
pub fn build(
    manifest: Arc<Manifest>,
    integration: Integration,
    http: Arc<dyn HttpClient>,
) -> Result<Arc<dyn Connector>, BuildError> {
    let settings = Settings::parse(manifest.spec(), &integration.settings)?;
    let client = Client { id: integration.client_id, secret: integration.client_secret };
    Ok(Arc::new(Engine { manifest, settings, client, rest: Rest::new(http, DIALECT) }))
}

/// What answers mean is the manifest's to say, so that the driver only carries them.
const DIALECT: Dialect = Dialect { classify: unclassified, usage: |_| Vec::new() };

fn unclassified(answer: &Answer) -> ProviderError {
    ProviderError { remedy: Remedy::Configure, message: format!("HTTP {}", answer.status) }
}

/// The client of an integration.
struct Client {
    id: Option<String>,
    secret: Option<String>,
}

/// The connector of one manifest and integration.
struct Engine {
    manifest: Arc<Manifest>,
    settings: Settings,
    client: Client,
    rest: Rest,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("provider", &self.spec().provider).finish_non_exhaustive()
    }
}

impl Engine {
    fn spec(&self) -> &spec::Spec {
        self.manifest.spec()
    }

    /// What the manifest says of an object.
    fn object(&self, name: &ObjectName) -> Result<&spec::Object, ProviderError> {
        self.spec().objects.get(name.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.spec().objects.keys().map(String::as_str).collect();
            ProviderError {
                remedy: Remedy::Configure,
                message: format!(
                    "the manifest `{}` has no object `{name}`: use {}",
                    self.spec().provider,
                    known.join(", ")
                ),
            }
        })
    }
}

impl Connector for Engine {
    fn provider(&self) -> &str {
        &self.spec().provider
    }

    fn reader(&self) -> &dyn Reader {
        self
    }

    fn writer(&self) -> Option<&dyn Writer> {
        let writes = |object: &spec::Object| {
            object.create.is_some()
                || object.update.is_some()
                || object.delete.is_some()
                || create::upsert(object).is_some()
        };
        self.spec().objects.values().any(writes).then_some(self as &dyn Writer)
    }

    fn webhooks(&self) -> Option<&dyn WebhookReceiver> {
        self.spec().webhooks.is_some().then_some(self as &dyn WebhookReceiver)
    }

    fn fields(&self) -> Option<&dyn FieldCreator> {
        None
    }

    fn refresher(&self) -> Option<&dyn Refresher> {
        let refresh = self.spec().auth.refresh.as_ref()?;
        let has_client = self.client.id.is_some() || !refresh.request.uses("client_id");
        has_client.then_some(self as &dyn Refresher)
    }

    fn budgets(&self) -> Vec<BudgetFacts> {
        budgets::facts(self)
    }
}
