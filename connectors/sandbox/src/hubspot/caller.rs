//! On whose behalf a request is carried out, and how it stands in history and ledger.

use std::sync::Arc;

use super::author::Author;
use super::tokens::Principal;
use crate::ledger::{Actor, ActorKind};

/// The connected app's id.
pub(crate) const APP_ID: u32 = 54_321;

/// The account's id.
pub(crate) const PORTAL_ID: u64 = 62_515;

/// The ordinary user's id.
pub(crate) const USER_ID: u32 = 77;

/// The one who asks, and the route by which the question came.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// As the property history names it.
    pub(crate) author: Author,
    /// As the ledger names it.
    pub(crate) actor: Actor,
    /// Method and route pattern.
    pub(crate) via: Arc<str>,
}

impl Caller {
    /// The owner of a bearer token.
    pub(crate) fn of(principal: Principal, via: Arc<str>) -> Self {
        match principal {
            Principal::Integration => {
                Self { author: Author::Integration(APP_ID), actor: Actor::integration(APP_ID.to_string()), via }
            }
            Principal::User => Self { author: Author::User(USER_ID), actor: Actor::user(USER_ID.to_string()), via },
        }
    }

    /// A person in the application. Names that are no numbers get a user id of their own.
    pub(crate) fn person(name: &str, via: &'static str) -> Self {
        let id = name.parse().unwrap_or_else(|_| {
            name.bytes().fold(1_000_u32, |id, byte| id.wrapping_mul(31).wrapping_add(u32::from(byte))) % 9_000_000
        });
        Self { author: Author::User(id), actor: Actor::user(name), via: via.into() }
    }

    /// The platform itself.
    pub(crate) fn platform(what: &'static str) -> Self {
        Self { author: Author::Automation, actor: Actor::system(what), via: what.into() }
    }

    /// Whether it is the connected app.
    pub(crate) fn is_integration(&self) -> bool {
        self.actor.kind == ActorKind::Integration
    }
}
