//! What stands at this moment, gathered for one answer.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use syncline_core::time::Millis;

use super::{Instruments, Sources, instruments::OfConnection};
use crate::{
    engine::clock::Clock,
    issues::{OwnScope, count},
    store::{
        StoreError, TenantStore,
        held::{DeleteSource, Standing},
    },
};

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

/// The label value of issues that are no connection's.
const NONE: &str = "(none)";

/// The label value of deletes that the product's own clients asked for. No configured name has parentheses.
const CLIENTS: &str = "(clients)";

/// What stands.
#[derive(Default)]
pub(super) struct Gauges {
    issues: Family<OfIssue, Gauge>,
    deliveries: Family<OfDelivery, Gauge>,
    oldest_due: Family<OfConnection, Seconds>,
    quarantine: Family<OfCause, Gauge>,
    held: Family<OfHeld, Gauge>,
    read_lag: Family<OfSide, Seconds>,
    conflicts: Gauge,
    damaged: Gauge,
    feed: Gauge,
    live_sockets: Gauge,
    document_sockets: Gauge,
    store: Family<OfPart, Gauge>,
    build: Family<OfBuild, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfIssue {
    kind: &'static str,
    connection: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDelivery {
    connection: String,
    standing: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCause {
    connection: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfHeld {
    sync: String,
    source: String,
    standing: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSide {
    sync: String,
    connection: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPart {
    part: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBuild {
    version: String,
}

/// Reads everything. What has no label value of its own is added up, or, of ages, the highest is told.
pub(super) async fn gather(sources: &Sources<'_>, instruments: &Instruments) -> Result<Gauges, StoreError> {
    let gauges = Gauges::default();
    for (tenant, own) in sources.tenants {
        let store = sources.store.tenant(tenant);
        gauges.read_tenant(store.as_ref(), own, instruments).await?;
    }
    let size = sources.store.size().await?;
    gauges.store.get_or_create(&OfPart { part: "database" }).set(signed(size.database_bytes));
    gauges.store.get_or_create(&OfPart { part: "log" }).set(signed(size.log_bytes));
    gauges.live_sockets.set(count_of(sources.feed.seats_taken_in_all()));
    gauges.document_sockets.set(count_of(sources.repo.sockets()));
    gauges.build.get_or_create(&OfBuild { version: sources.version.to_owned() }).set(1);
    Ok(gauges)
}

impl Gauges {
    async fn read_tenant(
        &self,
        store: &dyn TenantStore,
        own: &OwnScope,
        instruments: &Instruments,
    ) -> Result<(), StoreError> {
        let now = Clock::wall();
        self.feed.inc_by(signed(store.feed_span().await?.head.0));
        self.conflicts.inc_by(signed(store.count_open_conflicts().await?));
        self.damaged.inc_by(signed(store.count_damaged().await?));
        for (kind, number) in count::of_tenant(store, own.scope(store.tenant())).await? {
            let label = OfIssue { kind: kind.as_str(), connection: NONE.to_owned() };
            self.issues.get_or_create(&label).inc_by(signed(number));
        }
        for id in &own.connections {
            let connection = instruments.label(id.as_str());
            for (kind, number) in count::of_connection(store, own.scope(store.tenant()), id).await? {
                let label = OfIssue { kind: kind.as_str(), connection: connection.clone() };
                self.issues.get_or_create(&label).inc_by(signed(number));
            }
            for (cause, number) in store.count_causes(id).await? {
                let label = OfCause { connection: connection.clone(), cause: cause.as_str() };
                self.quarantine.get_or_create(&label).inc_by(signed(number));
            }
            let outbox = store.measure_outbox(id, now).await?;
            for (standing, number) in [("waiting", outbox.waiting), ("due", outbox.due), ("parked", outbox.parked)] {
                let label = OfDelivery { connection: connection.clone(), standing };
                self.deliveries.get_or_create(&label).inc_by(signed(number));
            }
            raise(&self.oldest_due.get_or_create(&OfConnection { connection }), now, outbox.oldest_due);
        }
        for name in own.syncs.keys() {
            for ((source, standing), number) in store.count_held(name).await? {
                let label = OfHeld {
                    sync: instruments.label(name),
                    source: match &source {
                        DeleteSource::Clients => CLIENTS.to_owned(),
                        DeleteSource::Connection(connection) => instruments.label(connection.as_str()),
                    },
                    standing: word(standing),
                };
                self.held.get_or_create(&label).inc_by(signed(number));
            }
        }
        for state in store.sync_states().await? {
            let known = own.syncs.get(&state.sync).is_some_and(|sync| sync.sides.contains_key(&state.connection));
            if known && state.last_success_at.is_some() {
                let sync = instruments.label(&state.sync);
                let label = OfSide { sync, connection: instruments.label(state.connection.as_str()) };
                raise(&self.read_lag.get_or_create(&label), now, state.last_success_at);
            }
        }
        Ok(())
    }

    /// Adds them to a registry.
    pub(super) fn register(self, registry: &mut Registry) {
        registry.register("issues", "What waits for a person or for a provider to come right", self.issues);
        registry.register("deliveries", "Objects that are owed a write, by how it stands", self.deliveries);
        let help = "How long the write that is due the longest has been due";
        registry.register_with_unit("delivery_oldest_due", help, Unit::Seconds, self.oldest_due);
        registry.register("quarantined_rows", "Rows that could not be taken in", self.quarantine);
        registry.register("held_deletes", "Deletes held back by the mass-delete guard", self.held);
        let help = "Time since the last read of a side ended well";
        registry.register_with_unit("read_lag", help, Unit::Seconds, self.read_lag);
        registry.register("conflicts_open", "Conflicts that nobody has settled", self.conflicts);
        registry.register("damaged_documents", "Damaged documents that wait for a person", self.damaged);
        registry.register("feed_head", "Changes in the feeds of all tenants so far", self.feed);
        registry.register("live_sockets", "Sockets and long-polls of the live feed that are open", self.live_sockets);
        let help = "Sockets of the automerge-repo protocol that are open";
        registry.register("document_sockets", help, self.document_sockets);
        registry.register_with_unit("store", "Size of the store's files", Unit::Bytes, self.store);
        registry.register("build_info", "Always 1; the label tells the version", self.build);
    }
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Waits => "waits",
        Standing::Approved => "approved",
        Standing::Rejected => "rejected",
    }
}

/// Tells an age where it is higher than what is told already; nothing is 0 old.
fn raise(gauge: &Seconds, now: Millis, since: Option<Millis>) {
    // A float holds milliseconds of centuries.
    let age = since.map_or(0.0, |since| now.0.saturating_sub(since.0).max(0) as f64 / 1_000.0);
    if age > gauge.get() {
        gauge.set(age);
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count_of(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
