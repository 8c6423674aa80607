//! The scenario: which accounts take part, and what each calls the things that both have. All that the demo knows of
//! the platforms stands here and in the configuration beside it.

pub(super) mod fields;
pub(super) mod public;

use std::{future::Future, pin::Pin};

use syncline_sandbox::{Running, Sandbox};

use self::public::Objects;
use super::{DemoError, Flaw, web::Web};

/// A reading of a whole account.
type Reading<'a> = Pin<Box<dyn Future<Output = Result<Objects, DemoError>> + Send + 'a>>;

/// The configuration, with blanks for what is known only when the demo runs.
pub(super) const CONFIGURATION: &str = include_str!("syncline.yaml");
/// The tenant of the configuration.
pub(super) const TENANT: &str = "demo";
/// The model of the configuration.
pub(super) const MODEL: &str = "contact";
/// The sync of the configuration.
pub(super) const SYNC: &str = "contacts";

/// The line of the configuration that a flaw is in, and what it makes of it.
pub(super) const fn flawed(flaw: Flaw) -> (&'static str, &'static str) {
    match flaw {
        Flaw::DeafField => ("          title: jobtitle\n", "          title: {field: jobtitle, direction: read}\n"),
    }
}

/// One of the tenant's accounts.
#[derive(Debug)]
pub(super) struct Account {
    /// The provider's name.
    pub(super) provider: &'static str,
    /// The provider's name for people.
    pub(super) title: &'static str,
    /// The connection of the configuration.
    pub(super) connection: &'static str,
    /// The provider's object.
    pub(super) object: &'static str,
    /// The field that holds our record ids.
    pub(super) key: &'static str,
    /// Whether the platform sends webhooks.
    pub(super) pushes: bool,
    /// Whether the platform keeps every value that a field ever held.
    pub(super) keeps_history: bool,
    /// Faults that need another one for company: they strike only after it.
    pub(super) company: &'static [(&'static str, &'static str)],
    /// The path at which a user reads one field of one object.
    path: fn(object: &str, field: &str) -> String,
    /// Reads every live object as a user.
    read: for<'a> fn(&'a Web, &'a Account, &'a Running) -> Reading<'a>,
    /// Which of the emulators it is.
    emulator: fn(&Sandbox) -> Option<&Running>,
}

/// The accounts, in the order of the configuration.
pub(super) static ACCOUNTS: &[Account] = &[
    Account {
        provider: "salesforce",
        title: "Salesforce",
        connection: "demo-salesforce",
        object: "Contact",
        key: "Syncline_Id__c",
        pushes: false,
        keeps_history: false,
        // A page's locator can expire only where a page has a next one.
        company: &[("locator_expired", "short_page")],
        path: |object, field| format!("/services/data/v62.0/sobjects/Contact/{object}?fields={field}"),
        read: public::by_query,
        emulator: |sandbox| sandbox.salesforce.as_ref(),
    },
    Account {
        provider: "hubspot",
        title: "HubSpot",
        connection: "demo-hubspot",
        object: "contacts",
        key: "syncline_id",
        pushes: true,
        keeps_history: true,
        company: &[],
        path: |object, field| format!("/crm/v3/objects/contacts/{object}?properties={field}"),
        read: public::by_list,
        emulator: |sandbox| sandbox.hubspot.as_ref(),
    },
];

impl Account {
    /// The address at which a user reads one field of one object.
    pub(super) fn object_url(&self, running: &Running, object: &str, field: &str) -> String {
        format!("{}{}", running.base_url, (self.path)(object, field))
    }

    /// Every live object, as one of the account's users sees them.
    pub(super) async fn objects(&self, web: &Web, running: &Running) -> Result<Objects, DemoError> {
        (self.read)(web, self, running).await
    }

    /// This account's emulator.
    pub(super) fn running<'a>(&self, sandbox: &'a Sandbox) -> Result<&'a Running, DemoError> {
        (self.emulator)(sandbox).ok_or_else(|| DemoError::Start(format!("the emulator of {} is missing", self.title)))
    }
}
