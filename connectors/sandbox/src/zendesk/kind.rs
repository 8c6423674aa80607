//! The object types of the account that share one life: they are listed, exported, written and deleted alike.

/// An object's id; Zendesk's ids are numbers, in its events texts.
pub(crate) type Id = u64;

/// An object type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A request for help.
    Tickets,
    /// A person: who asks, who answers, who administers.
    Users,
    /// What users belong to.
    Organizations,
}

impl Kind {
    /// Every type.
    pub(crate) const ALL: [Self; 3] = [Self::Tickets, Self::Users, Self::Organizations];

    /// As paths and lists name it.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Users => "users",
            Self::Organizations => "organizations",
        }
    }

    /// As bodies and search results name it.
    pub(crate) const fn singular(self) -> &'static str {
        match self {
            Self::Tickets => "ticket",
            Self::Users => "user",
            Self::Organizations => "organization",
        }
    }

    /// The member that holds the custom fields.
    pub(crate) const fn custom_member(self) -> &'static str {
        match self {
            Self::Tickets => "custom_fields",
            Self::Users => "user_fields",
            Self::Organizations => "organization_fields",
        }
    }

    /// Reads the name of a list, or of one object.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == name || kind.singular() == name)
    }
}
