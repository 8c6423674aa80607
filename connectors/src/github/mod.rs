//! GitHub Issues: the issues of one repository and their comments, walked by modification, written one by one, pushed by webhooks.
//!
//! # Layout
//!
//! * `settings`: what an integration may set, and which repository a connection is about; `session`: one connection's
//!   repository and token; `etags`: answers that are only asked whether they still hold; `home`: the repository itself; `names`: what it is
//!   called now.
//! * `walk`: pages of what was modified; `look`: objects by id, and what became of them; `find`: objects by value; `books`: which
//!   markers are in a repository; `read`: when which is used; `link`: where the next page is.
//! * `rows`: objects as all of them show them; `marker`: our record's id in an object's text; `fields`: what the objects consist of.
//! * `write`: creates, updates and deletes; `draft`: values in GitHub's spelling, and whether they were taken; `milestones`: their
//!   numbers.
//! * `webhook`: signed events; `oauth`: new tokens; `errors`: what GitHub's errors mean; `budgets`: its limits.

mod books;
mod budgets;
#[cfg(test)]
mod canned;
mod draft;
mod errors;
mod etags;
mod fields;
mod find;
mod home;
mod link;
mod look;
mod marker;
mod milestones;
mod names;
mod oauth;
mod read;
mod rows;
mod session;
mod settings;
mod walk;
mod webhook;
mod write;

use std::sync::Arc;

use syncline_core::budget::BudgetFacts;

use self::{
    books::Books,
    etags::Etags,
    names::Names,
    settings::{Settings, Site},
};
use crate::{
    connector::{Connector, FieldCreator, Reader, Refresher, WebhookReceiver, Writer},
    http::HttpClient,
    registry::{BuildError, Integration},
    rest::{Dialect, Rest},
};

/// The provider's name.
pub const NAME: &str = "github";

/// The objects that there are.
pub const OBJECTS: &[&str] = &["issues", "comments"];

const DIALECT: Dialect = Dialect { classify: errors::classify, usage: budgets::usage };

/// Builds the connector.
pub(crate) fn build(integration: Integration, http: Arc<dyn HttpClient>) -> Result<Arc<dyn Connector>, BuildError> {
    let (settings, site) = Settings::parse(integration.settings)?;
    let client = oauth::Client::new(integration.client_id, integration.client_secret)?;
    let rest = Rest::new(http, DIALECT);
    Ok(Arc::new(GitHub {
        settings,
        site,
        client,
        rest,
        etags: Etags::default(),
        books: Books::default(),
        names: Names::default(),
    }))
}

/// The connector.
struct GitHub {
    settings: Settings,
    site: Site,
    client: oauth::Client,
    rest: Rest,
    etags: Etags,
    books: Books,
    names: Names,
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connector for GitHub {
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

    /// The marker needs no field: any text can bear it. Fields cannot be added.
    fn fields(&self) -> Option<&dyn FieldCreator> {
        None
    }

    fn refresher(&self) -> Option<&dyn Refresher> {
        self.client.refreshes().then_some(self as &dyn Refresher)
    }

    fn budgets(&self) -> Vec<BudgetFacts> {
        budgets::facts(&self.settings)
    }
}
