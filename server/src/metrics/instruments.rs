//! Counters and histograms that the engine and the API move while they work.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use syncline_core::{
    ids::ConnectionId,
    remote::{ProviderError, Remedy},
};

/// So many connections and syncs get a label value of their own; what comes after them is counted together as [`OTHERS`]. An
/// answer about a thousand connections is about two megabytes.
pub const LABEL_VALUES_MAX: usize = 1_000;

/// The label value of what has none of its own. No configured name has parentheses.
pub const OTHERS: &str = "(others)";

/// The label value of connections that the configuration does not have. Anybody can name some, so they get no value of their own.
const UNKNOWN: &str = "(unknown)";

/// What the engine and the API move.
#[derive(Debug)]
pub struct Instruments {
    names: Names,
    calls: Family<OfOutcome, Counter>,
    waits: Family<OfConnection, Counter>,
    waited: Family<OfConnection, Counter<f64, AtomicU64>>,
    commits: Histogram,
    webhooks: Family<OfOutcome, Counter>,
    webhook_answers: Histogram,
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It was verified, and something in it was new.
    Received,
    /// It was verified, and everything in it was known already.
    Duplicate,
    /// It was not verified, could not be read, or is for nobody.
    Refused,
    /// It could not be stored; the provider delivers it again.
    Failed,
}

/// The names that have become label values.
#[derive(Debug, Default)]
struct Names(Mutex<BTreeSet<String>>);

impl Names {
    fn label(&self, name: &str) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return name.to_owned();
        }
        if known.len() < LABEL_VALUES_MAX {
            known.insert(name.to_owned());
            return name.to_owned();
        }
        OTHERS.to_owned()
    }
}

/// The label of what is counted for each connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfConnection {
    pub(super) connection: String,
}

/// The labels of what is counted for each connection by what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    connection: String,
    outcome: &'static str,
}

impl Default for Instruments {
    fn default() -> Self {
        Self {
            names: Names::default(),
            calls: Family::default(),
            waits: Family::default(),
            waited: Family::default(),
            // From half a millisecond to four seconds: a commit is one wait for the disk, and a batch has up to 500 records.
            commits: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            webhooks: Family::default(),
            // From one millisecond to two seconds; providers give up after a few.
            webhook_answers: Histogram::new(exponential_buckets(0.001, 2.0, 12)),
        }
    }
}

impl Instruments {
    /// The label value for the name of a connection or sync.
    pub(super) fn label(&self, name: &str) -> String {
        self.names.label(name)
    }

    fn of_connection(&self, connection: &ConnectionId) -> OfConnection {
        OfConnection { connection: self.label(connection.as_str()) }
    }

    /// Counts a call to a provider by what became of it.
    pub fn called(&self, connection: &ConnectionId, failure: Option<&ProviderError>) {
        let outcome = failure.map_or("ok", |error| outcome_of(&error.remedy));
        let label = OfOutcome { connection: self.label(connection.as_str()), outcome };
        self.calls.get_or_create(&label).inc();
    }

    /// Counts a wait for a provider's budget.
    pub fn waited(&self, connection: &ConnectionId, time: Duration) {
        let label = self.of_connection(connection);
        self.waits.get_or_create(&label).inc();
        self.waited.get_or_create(&label).inc_by(time.as_secs_f64());
    }

    /// Counts a commit of the intake by the time that it took.
    pub fn committed(&self, time: Duration) {
        self.commits.observe(time.as_secs_f64());
    }

    /// Counts a webhook by what became of it, and by the time until its answer. `connection` is `None` where the
    /// configuration has no such connection.
    pub fn webhook(&self, connection: Option<&ConnectionId>, outcome: WebhookOutcome, time: Duration) {
        let connection = connection.map_or_else(|| UNKNOWN.to_owned(), |connection| self.label(connection.as_str()));
        self.webhooks.get_or_create(&OfOutcome { connection, outcome: outcome.as_str() }).inc();
        self.webhook_answers.observe(time.as_secs_f64());
    }

    /// Adds them to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("provider_calls", "Calls to a provider by what became of them", self.calls.clone());
        registry.register("budget_waits", "Waits for a provider's budget", self.waits.clone());
        let help = "Time spent waiting for a provider's budget";
        registry.register_with_unit("budget_wait", help, Unit::Seconds, self.waited.clone());
        let help = "Time that a commit of the intake took";
        registry.register_with_unit("intake_commit_duration", help, Unit::Seconds, self.commits.clone());
        registry.register("webhooks", "Webhooks by what became of them", self.webhooks.clone());
        let help = "Time until a webhook was answered";
        registry.register_with_unit("webhook_answer_duration", help, Unit::Seconds, self.webhook_answers.clone());
    }
}

impl WebhookOutcome {
    /// The outcome in one word.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What became of a call that failed, in one word, as metrics and the log tell it.
pub const fn outcome_of(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Refresh => "token_expired",
        Remedy::Reauthorise => "revoked",
        Remedy::Retry => "failed",
        Remedy::Wait { .. } => "rate_limited",
        Remedy::Busy { .. } => "busy",
        Remedy::Restart | Remedy::Resync => "position_lost",
        Remedy::Gone => "gone",
        Remedy::Configure => "refused",
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn labels_are_bounded_whatever_the_configuration_holds() {
        let instruments = Instruments::default();
        let error = |remedy| ProviderError { remedy, message: "ann@private.example".into() };
        let failures = [Remedy::Retry, Remedy::Gone, Remedy::Refresh].map(error);
        for number in 0..3 * LABEL_VALUES_MAX {
            let connection = ConnectionId::new(format!("connection-{number}"));
            instruments.called(&connection, None);
            failures.iter().for_each(|failure| instruments.called(&connection, Some(failure)));
            instruments.waited(&connection, Duration::from_secs(1));
            instruments.webhook(None, WebhookOutcome::Refused, Duration::ZERO);
        }
        let mut registry = Registry::default();
        instruments.register(&mut registry);
        let mut told = String::new();
        text::encode(&mut told, &registry).unwrap();
        let series = |name: &str| told.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(series("provider_calls_total{"), (LABEL_VALUES_MAX + 1) * (1 + failures.len()));
        assert_eq!(series("budget_waits_total{"), LABEL_VALUES_MAX + 1);
        let others = OfConnection { connection: OTHERS.to_owned() };
        assert_eq!(instruments.waits.get_or_create(&others).get(), 2 * LABEL_VALUES_MAX as u64);
        assert_eq!(series("webhooks_total{"), 1, "strangers share one series");
        assert!(!told.contains("private"), "a failure's words are told");
    }
}
