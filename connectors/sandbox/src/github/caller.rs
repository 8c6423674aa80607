//! Who acts: people by their logins, the app as a bot, the integration's own account by a static token.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::ledger::{Actor, ActorKind};

/// The app's id.
pub(crate) const APP_ID: u64 = 54_321;
/// The name of the app in addresses.
pub(crate) const APP_SLUG: &str = "sandbox-app";
/// The installation of the app in the organisation.
pub(crate) const INSTALLATION_ID: u64 = 1_001;
/// The organisation that owns every repository.
pub(crate) const OWNER: &str = "acme";
/// The login of the app's bot.
pub(crate) const BOT: &str = "sandbox-app[bot]";
/// The login of the integration's own account, whose static token it may use instead.
pub(crate) const MACHINE: &str = "sandbox-machine";
/// The ordinary user.
pub(crate) const USER: &str = "mona";
/// Who may be assigned.
pub(crate) const ASSIGNABLE: [&str; 4] = [USER, "hubot", "Ann-Lee", MACHINE];

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Principal {
    /// The installation of the app.
    Installation,
    /// The integration's own account.
    Machine,
    /// The ordinary user.
    User,
}

/// The one who asks, and the route by which the question came.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The login that stands beside what is done.
    pub(crate) login: String,
    /// As the ledger names it.
    pub(crate) actor: Actor,
    /// Method and route pattern.
    pub(crate) via: Arc<str>,
    /// Whether it is the app.
    pub(crate) is_app: bool,
    /// Whether a person acts in the browser.
    pub(crate) in_browser: bool,
}

impl Caller {
    /// The owner of a token.
    pub(crate) fn of(principal: Principal, via: Arc<str>) -> Self {
        let (login, actor) = match principal {
            Principal::Installation => (BOT, Actor::integration(BOT)),
            Principal::Machine => (MACHINE, Actor::integration(MACHINE)),
            Principal::User => (USER, Actor::user(USER)),
        };
        let is_app = principal == Principal::Installation;
        Self { login: login.to_owned(), actor, via, is_app, in_browser: false }
    }

    /// A person in the browser.
    pub(crate) fn person(name: &str, via: &'static str) -> Self {
        Self { login: name.to_owned(), actor: Actor::user(name), via: via.into(), is_app: false, in_browser: true }
    }

    /// Whether it is the integration.
    pub(crate) fn is_integration(&self) -> bool {
        self.actor.kind == ActorKind::Integration
    }
}

/// A user on the wire.
pub(crate) fn user(login: &str, base_url: &str) -> Value {
    let id = login.bytes().fold(17_u64, |id, byte| id.wrapping_mul(31).wrapping_add(u64::from(byte))) % 90_000_000 + 1;
    let url = format!("{base_url}/users/{login}");
    json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "avatar_url": "https://avatars.example/u/1",
        "gravatar_id": "", "url": url, "html_url": format!("https://github.example/{login}"),
        "followers_url": format!("{url}/followers"), "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"), "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"), "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"), "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": if login == BOT { "Bot" } else { "User" }, "site_admin": false,
    })
}
