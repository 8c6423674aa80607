//! Who made a change, as HubSpot's history and webhooks name it.

/// The author of a change. Small and `Copy`, because every version of every value carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// A person in the application.
    User(u32),
    /// An installed app, by its app id.
    Integration(u32),
    /// The file import that filled the account.
    Import,
    /// A workflow or another automatism of the platform.
    Automation,
}

impl Author {
    /// `sourceType` in the property history.
    pub(crate) const fn source_type(self) -> &'static str {
        match self {
            Self::User(_) => "CRM_UI",
            Self::Integration(_) => "INTEGRATION",
            Self::Import => "IMPORT",
            Self::Automation => "AUTOMATION_PLATFORM",
        }
    }

    /// `sourceId` in the property history and in webhook events.
    pub(crate) fn source_id(self) -> String {
        match self {
            Self::User(id) => format!("userId:{id}"),
            Self::Integration(app) => app.to_string(),
            Self::Import => "fileImport:1".to_owned(),
            Self::Automation => "enrollmentId:1;actionExecutionIndex:0".to_owned(),
        }
    }

    /// `sourceLabel` in the property history, where the platform gives one.
    pub(crate) const fn source_label(self) -> Option<&'static str> {
        match self {
            Self::Integration(_) => Some("Connected app"),
            Self::Import => Some("Import"),
            Self::User(_) | Self::Automation => None,
        }
    }

    /// `updatedByUserId` in the property history, for persons.
    pub(crate) const fn user_id(self) -> Option<u32> {
        match self {
            Self::User(id) => Some(id),
            Self::Integration(_) | Self::Import | Self::Automation => None,
        }
    }
}
