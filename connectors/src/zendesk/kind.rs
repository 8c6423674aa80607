//! The objects that Zendesk's API treats alike.

use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};

use super::OBJECTS;

/// The field that holds our record id.
pub(super) const KEY_FIELD: &str = "external_id";

/// One of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// What people ask for, with a precondition on writes.
    Tickets,
    /// End users and agents.
    Users,
    /// Groups of end users, mostly companies.
    Organizations,
}

impl Kind {
    /// The kind of that name.
    pub(super) fn of(object: &ObjectName) -> Result<Self, ProviderError> {
        match object.as_str() {
            "tickets" => Ok(Self::Tickets),
            "users" => Ok(Self::Users),
            "organizations" => Ok(Self::Organizations),
            other => Err(ProviderError {
                remedy: Remedy::Configure,
                message: format!(
                    "`{other}` is no object of Zendesk that can be synced: choose one of {}",
                    OBJECTS.join(", ")
                ),
            }),
        }
    }

    /// The name of several, in paths and answers.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Users => "users",
            Self::Organizations => "organizations",
        }
    }

    /// The name of one, in bodies, answers and searches.
    pub(super) const fn singular(self) -> &'static str {
        match self {
            Self::Tickets => "ticket",
            Self::Users => "user",
            Self::Organizations => "organization",
        }
    }

    /// A path of the API.
    pub(super) fn path(self, rest: &str) -> String {
        format!("/api/v2/{}{rest}", self.plural())
    }
}
