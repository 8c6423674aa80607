//! On whose behalf a request is carried out, and how it stands in audits, events and ledger.

use std::sync::Arc;

use super::kind::Id;
use crate::ledger::{Actor, ActorKind};

/// The account's id.
pub(crate) const ACCOUNT_ID: u64 = 22_129_848;
/// The administrator on whose behalf the integration acts.
pub(crate) const INTEGRATION_ID: Id = 900_000_000_001;
/// The address with which the integration uses its API token.
pub(crate) const INTEGRATION_EMAIL: &str = "integration@sandbox.example";
/// The ordinary agent.
pub(crate) const AGENT_ID: Id = 900_000_000_077;
/// The address of the ordinary agent.
pub(crate) const AGENT_EMAIL: &str = "agent@sandbox.example";

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The integration, by an OAuth token or its API token.
    Integration,
    /// The ordinary agent of the user token.
    Agent,
    /// Nobody who is known.
    Anonymous,
}

/// The one who asks, and the route by which the question came.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user who stands in audits and events; 0 for the platform itself.
    pub(crate) user: Id,
    /// As the ledger names it.
    pub(crate) actor: Actor,
    /// Method and route pattern.
    pub(crate) via: Arc<str>,
    /// `via.channel` of what is made.
    pub(crate) channel: &'static str,
}

impl Caller {
    /// The owner of a token.
    pub(crate) fn of(principal: Principal, via: Arc<str>) -> Self {
        let (user, actor) = match principal {
            Principal::Integration => (INTEGRATION_ID, Actor::integration(INTEGRATION_ID.to_string())),
            Principal::Agent => (AGENT_ID, Actor::user(AGENT_ID.to_string())),
            Principal::Anonymous => (0, Actor::user("anonymous")),
        };
        Self { user, actor, via, channel: "api" }
    }

    /// A person in the application. Names that are no numbers get a user id of their own.
    pub(crate) fn person(name: &str, via: &'static str) -> Self {
        let id = name.parse().unwrap_or_else(|_| {
            900_100_000_000
                + name.bytes().fold(1_000_u64, |id, byte| id.wrapping_mul(31).wrapping_add(u64::from(byte))) % 9_000_000
        });
        Self { user: id, actor: Actor::user(name), via: via.into(), channel: "web" }
    }

    /// The platform itself.
    pub(crate) fn platform(what: &'static str) -> Self {
        Self { user: 0, actor: Actor::system(what), via: what.into(), channel: "system" }
    }

    /// Whether it is the integration.
    pub(crate) fn is_integration(&self) -> bool {
        self.actor.kind == ActorKind::Integration
    }

    /// Whether the platform acts by itself.
    pub(crate) fn is_platform(&self) -> bool {
        self.actor.kind == ActorKind::System
    }
}

/// A user id as answers show it: -1 stands for the platform.
pub(crate) fn shown_id(user: Id) -> i64 {
    if user == 0 { -1 } else { i64::try_from(user).unwrap_or(i64::MAX) }
}
