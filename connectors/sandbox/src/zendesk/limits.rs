//! Request budgets: of the account, of an endpoint, and of one object. A window begins with its first request and ends
//! whole.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;

use super::kind::Id;
use crate::clock::{Micros, SandboxClock};

/// Requests of the account in a minute, of the Enterprise plan.
const ACCOUNT_MAX: u64 = 700;
/// The most windows of single objects that are kept; beyond it ended ones are forgotten.
const WINDOWS_MAX: usize = 10_000;

const MINUTE: Duration = Duration::from_secs(60);

/// A budget that some calls have beside the account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    TicketsIndex,
    TicketsUpdate,
    /// One user's updates of one ticket.
    TicketUpdate(Id),
    TicketsDelete,
    UserUpdate(Id),
    OrganizationUpdate(Id),
    Incremental,
    DeletedTickets,
    SearchExport,
}

impl Endpoint {
    /// The budgets that a call draws on, by method, route pattern and the id in the path.
    pub(crate) fn of(method: &Method, pattern: &str, id: Option<Id>) -> Vec<Self> {
        let pattern = pattern.trim_end_matches(".json").trim_start_matches("/api/v2");
        let one = |make: fn(Id) -> Self| id.map(make);
        match (method.as_str(), pattern) {
            ("GET", "/tickets") => vec![Self::TicketsIndex],
            ("GET", "/search/export") => vec![Self::SearchExport],
            ("GET", "/deleted_tickets") => vec![Self::DeletedTickets],
            ("GET", path) if path.starts_with("/incremental/") => vec![Self::Incremental],
            ("PUT", "/tickets/{id}") => Some(Self::TicketsUpdate).into_iter().chain(one(Self::TicketUpdate)).collect(),
            ("DELETE", "/tickets/{id}") => vec![Self::TicketsDelete],
            ("PUT", "/users/{id}") => one(Self::UserUpdate).into_iter().collect(),
            ("PUT", "/organizations/{id}") => one(Self::OrganizationUpdate).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    const fn budget(self) -> (u64, Duration) {
        match self {
            Self::TicketsIndex | Self::TicketsUpdate | Self::SearchExport => (100, MINUTE),
            Self::TicketUpdate(_) => (30, Duration::from_secs(600)),
            Self::TicketsDelete => (400, MINUTE),
            Self::UserUpdate(_) | Self::OrganizationUpdate(_) => (5, MINUTE),
            Self::Incremental | Self::DeletedTickets => (10, MINUTE),
        }
    }

    /// The name in its header, where it has one.
    pub(crate) const fn header(self) -> Option<&'static str> {
        match self {
            Self::TicketsIndex => Some("zendesk-ratelimit-tickets-index"),
            Self::TicketsUpdate => Some("zendesk-ratelimit-tickets-update"),
            Self::Incremental => Some("zendesk-ratelimit-incremental-exports"),
            _ => None,
        }
    }

    /// What a refusal says.
    pub(crate) const fn refusal(self) -> &'static str {
        match self {
            Self::TicketUpdate(_) => "Number of allowed updates of this ticket per 10 minutes exceeded",
            Self::Incremental => "Number of allowed incremental export API requests per minute exceeded",
            _ => "Number of allowed API requests per minute exceeded",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: Micros,
    used: u64,
}

/// What a budget looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Whether the request is within it.
    pub(crate) allowed: bool,
    /// The requests of one window.
    pub(crate) total: u64,
    /// Those that are left.
    pub(crate) remaining: u64,
    /// Seconds until the window ends, at least one.
    pub(crate) resets_s: u64,
}

/// The budgets of the integration.
#[derive(Debug)]
pub(crate) struct Limits {
    time_scale: f64,
    /// `None` is the account's own.
    windows: HashMap<Option<Endpoint>, Window>,
}

impl Limits {
    /// Full budgets, with windows scaled like every other length of time.
    pub(crate) fn new(clock: &SandboxClock) -> Self {
        Self { time_scale: clock.time_scale(), windows: HashMap::new() }
    }

    /// Takes a request out of the account's budget, or of an endpoint's. A refused request costs nothing.
    pub(crate) fn take(&mut self, endpoint: Option<Endpoint>, now: Micros) -> Budget {
        if self.windows.len() >= WINDOWS_MAX {
            self.windows.retain(|_, window| window.ends > now);
        }
        let (total, length) = endpoint.map_or((ACCOUNT_MAX, MINUTE), Endpoint::budget);
        let fresh = Window { ends: now.plus(length.mul_f64(self.time_scale)), used: 0 };
        let window = self.windows.entry(endpoint).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        let allowed = window.used < total;
        window.used += u64::from(allowed);
        let resets_s = window.ends.since(now).as_secs_f64().ceil().max(1.0) as u64;
        Budget { allowed, total, remaining: total - window.used, resets_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_whole() {
        let mut limits = Limits::new(&SandboxClock::manual(Micros(0), 1.0));
        let endpoint = Some(Endpoint::Incremental);
        for left in (0..10).rev() {
            assert_eq!(limits.take(endpoint, Micros(5)).remaining, left);
        }
        let refused = limits.take(endpoint, Micros::from_seconds(59));
        assert_eq!(refused, Budget { allowed: false, total: 10, remaining: 0, resets_s: 2 });
        assert!(limits.take(None, Micros(5)).allowed, "the account's budget is another");
        assert!(limits.take(endpoint, Micros::from_seconds(61)).allowed);
    }

    #[test]
    fn calls_draw_on_the_budgets_of_their_endpoints() {
        for (method, pattern, expected) in [
            (Method::GET, "/api/v2/tickets.json", vec![Endpoint::TicketsIndex]),
            (Method::GET, "/api/v2/incremental/tickets/cursor.json", vec![Endpoint::Incremental]),
            (Method::PUT, "/api/v2/tickets/{id}", vec![Endpoint::TicketsUpdate, Endpoint::TicketUpdate(7)]),
            (Method::PUT, "/api/v2/users/{id}", vec![Endpoint::UserUpdate(7)]),
            (Method::GET, "/api/v2/users", vec![]),
        ] {
            assert_eq!(Endpoint::of(&method, pattern, Some(7)), expected, "{method} {pattern}");
        }
    }
}
