//! The scenario: which accounts take part, and what each calls the things that both have. All that the demo knows of
//! the platforms stands here and in the configuration beside it.

use syncline_sandbox::{Running, Sandbox};

use super::DemoError;

/// The configuration, with blanks for what is known only when the demo runs.
pub(super) const CONFIGURATION: &str = include_str!("syncline.yaml");
/// The tenant of the configuration.
pub(super) const TENANT: &str = "demo";
/// The model of the configuration.
pub(super) const MODEL: &str = "contact";
/// The sync of the configuration.
pub(super) const SYNC: &str = "contacts";

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
        emulator: |sandbox| sandbox.salesforce.as_ref(),
    },
    Account {
        provider: "hubspot",
        title: "HubSpot",
        connection: "demo-hubspot",
        object: "contacts",
        key: "syncline_id",
        pushes: true,
        emulator: |sandbox| sandbox.hubspot.as_ref(),
    },
];

impl Account {
    /// This account's emulator.
    pub(super) fn running<'a>(&self, sandbox: &'a Sandbox) -> Result<&'a Running, DemoError> {
        (self.emulator)(sandbox).ok_or_else(|| DemoError::Start(format!("the emulator of {} is missing", self.title)))
    }
}
