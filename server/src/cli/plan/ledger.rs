//! The plan itself: counted from what the engine owes each side after it has read everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use serde::Serialize;
use syncline_core::{
    ids::{ConnectionId, RecordId},
    outbox::Delivery,
    plan::SyncPlan,
    reconcile::{self, Input, Now},
    record::RecordState,
    replica::{IntentVerb, Link},
    time::{Millis, Tick},
};

use super::super::{
    failure::Failure,
    finding::Finding,
    output::{Item, Output, Tone, plain, tidy},
};
use crate::{
    config::Config,
    engine::clock::Clock,
    store::{
        Store, TenantStore,
        deliveries::{DeliveryQuery, DeliveryState},
        records::RecordQuery,
    },
};

/// How many records are looked at together.
const PAGE: u32 = 500;
/// How many examples of each kind of write are shown.
const EXAMPLES: usize = 3;
/// How many values of an example are shown.
const VALUES: usize = 4;

/// What a first sync would do.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    /// What was found out about the accounts.
    pub(super) findings: Vec<Finding>,
    /// Whether the writes were allowed.
    approved: bool,
    /// The syncs by name.
    syncs: BTreeMap<String, Planned>,
}

/// What a first sync of one model would do.
#[derive(Debug, Serialize)]
struct Planned {
    /// Records that there would be.
    records: u64,
    /// Records that are in more than one of the accounts already.
    linked: u64,
    /// What would happen on each side.
    sides: BTreeMap<ConnectionId, Owed>,
}

/// What one side would get.
#[derive(Debug, Default, Serialize)]
struct Owed {
    /// Objects read there.
    read: u64,
    /// Objects that would be created.
    create: u64,
    /// Objects that would be updated.
    update: u64,
    /// How many updates would set each field.
    fields: BTreeMap<String, u64>,
    /// Objects that would be deleted.
    delete: u64,
    /// Objects held back for a person, with the reasons and how often each holds.
    held: BTreeMap<String, u64>,
    /// Some of the writes.
    examples: Vec<Example>,
}

/// One write that would be made.
#[derive(Debug, Serialize)]
struct Example {
    /// `create`, `update` or `delete`.
    verb: &'static str,
    /// The object, where there is one.
    id: Option<String>,
    /// The values that would be set, in the model's names.
    fields: BTreeMap<String, serde_json::Value>,
}

impl Plan {
    /// Draws the plan of every sync.
    pub(super) async fn draw(config: &Config, store: &dyn Store) -> Result<Self, Failure> {
        let mut syncs = BTreeMap::new();
        for (name, sync) in &config.syncs {
            let tenant = store.tenant(&sync.plan.tenant);
            syncs.insert(name.clone(), Planned::draw(name, &sync.plan, &*tenant).await?);
        }
        Ok(Self { findings: Vec::new(), approved: false, syncs })
    }

    /// The plan with what was found out beforehand, and whether it was approved.
    pub(super) fn with(self, findings: Vec<Finding>, approved: bool) -> Self {
        Self { findings, approved, ..self }
    }

    /// Shows the plan to a person.
    pub(super) fn show(&self, output: Output) -> io::Result<()> {
        for (name, planned) in &self.syncs {
            output.line(format!(
                "\n{name}: {} records, {} of them in more than one account already",
                planned.records, planned.linked
            ))?;
            let rows = planned.sides.iter().map(|(connection, owed)| owed.row(connection)).collect();
            output.table(&["connection", "read", "create", "update", "delete", "held back"], rows, "no sides")?;
            for (connection, owed) in &planned.sides {
                owed.details(connection, output)?;
            }
        }
        Ok(())
    }
}

impl Planned {
    async fn draw(name: &str, plan: &SyncPlan, tenant: &dyn TenantStore) -> Result<Self, Failure> {
        let mut sides: BTreeMap<ConnectionId, Owed> =
            plan.sides.keys().map(|connection| (connection.clone(), Owed::default())).collect();
        let (records, linked) = count_links(plan, tenant).await?;
        for (connection, owed) in &mut sides {
            owed.read = tenant.sync_state(name, connection).await?.map_or(0, |state| state.read);
            count_writes(plan, connection, owed, tenant).await?;
            count_held(name, connection, owed, tenant).await?;
        }
        Ok(Self { records, linked, sides })
    }
}

/// The records of the model, and how many of them have an object in more than one account.
async fn count_links(plan: &SyncPlan, tenant: &dyn TenantStore) -> Result<(u64, u64), Failure> {
    let mut query = RecordQuery { limit: PAGE, ..RecordQuery::of(plan.model.name.clone()) };
    let (mut records, mut linked) = (0, 0);
    loop {
        let page = tenant.list_records(&query).await?;
        records += page.rows.len() as u64;
        linked += page.rows.iter().filter(|row| row.linked().count() > 1).count() as u64;
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok((records, linked)),
        }
    }
}

/// Prepares every write that is due, as the engine would, and throws the outcome away.
async fn count_writes(
    plan: &SyncPlan,
    connection: &ConnectionId,
    owed: &mut Owed,
    tenant: &dyn TenantStore,
) -> Result<(), Failure> {
    let mut query =
        DeliveryQuery { state: DeliveryState::Dirty, connection: Some(connection.clone()), after: None, limit: PAGE };
    loop {
        let rows = tenant.list_deliveries(&query).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        query.after = Some((last.connection.clone(), last.record));
        let of_model: BTreeSet<RecordId> =
            rows.iter().filter(|row| row.model == plan.model.name).map(|row| row.record).collect();
        let ids: Vec<RecordId> = of_model.into_iter().collect();
        for state in tenant.load_surface(&ids).await? {
            owed.prepare(plan, connection, state)?;
        }
    }
}

/// Rows that could not be taken in, and deliveries that were given up before they began.
async fn count_held(
    name: &str,
    connection: &ConnectionId,
    owed: &mut Owed,
    tenant: &dyn TenantStore,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let rows = tenant.list_quarantine(Some(connection), after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        for row in rows.iter().filter(|row| row.row.sync == name) {
            *owed.held.entry(row.row.reason.clone()).or_default() += 1;
        }
    }
    let mut query =
        DeliveryQuery { state: DeliveryState::Parked, connection: Some(connection.clone()), after: None, limit: PAGE };
    loop {
        let rows = tenant.list_deliveries(&query).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        query.after = Some((last.connection.clone(), last.record));
        for row in &rows {
            if let Delivery::Parked { reason, .. } = &row.delivery {
                *owed.held.entry(reason.clone()).or_default() += 1;
            }
        }
    }
}

impl Owed {
    fn prepare(&mut self, plan: &SyncPlan, connection: &ConnectionId, mut state: RecordState) -> Result<(), Failure> {
        let link = state.replicas.get(connection).map(|replica| replica.link.clone());
        let id = link.as_ref().and_then(Link::external_id).map(ToString::to_string);
        // The look is dated to the end of time: whatever the real write would wait for is part of the plan.
        let input = Input::Prepare { connection: connection.clone(), looked_at: Millis(i64::MAX), conditional: false };
        let now = Now { at: Clock::wall(), tick: Tick(u64::MAX) };
        let outcome = reconcile::reconcile(plan, &mut state, input, now)
            .map_err(|error| Failure::said(format!("record {} cannot be planned: {error}", state.id)))?;
        let Some(intent) = outcome.intent else { return Ok(()) };
        let verb = match intent.verb {
            IntentVerb::Create => {
                self.create += 1;
                "create"
            }
            IntentVerb::Update => {
                self.update += 1;
                intent.fields.keys().for_each(|field| *self.fields.entry(field.to_string()).or_default() += 1);
                "update"
            }
            IntentVerb::Delete => {
                self.delete += 1;
                "delete"
            }
        };
        if self.examples.iter().filter(|example| example.verb == verb).count() < EXAMPLES {
            let fields = intent.fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
            self.examples.push(Example { verb, id, fields });
        }
        Ok(())
    }

    fn row(&self, connection: &ConnectionId) -> Vec<Item> {
        let held: u64 = self.held.values().sum();
        vec![
            Item::text(connection),
            Item::number(self.read),
            Item::number(self.create),
            Item::number(self.update),
            Item::number(self.delete).tone(if self.delete > 0 { Tone::Bad } else { Tone::Plain }),
            Item::number(held).tone(if held > 0 { Tone::Warn } else { Tone::Plain }),
        ]
    }

    fn details(&self, connection: &ConnectionId, output: Output) -> io::Result<()> {
        if !self.fields.is_empty() {
            let fields: Vec<String> = self.fields.iter().map(|(name, count)| format!("{name} {count}")).collect();
            output.line(format!("  {connection} updates: {}", fields.join(", ")))?;
        }
        for Example { verb, id, fields } in &self.examples {
            let mut values: Vec<String> =
                fields.iter().take(VALUES).map(|(name, value)| format!("{name}={}", clip(&plain(value)))).collect();
            if fields.len() > VALUES {
                values.push(format!("and {} more", fields.len() - VALUES));
            }
            let what = id.as_deref().unwrap_or("a new object");
            output.line(Tone::Dim.paint(&format!("    such as: {verb} {what}: {}", values.join(", "))))?;
        }
        for (reason, count) in &self.held {
            output.line(format!(
                "  {} {}",
                Tone::Warn.paint(&format!("{connection} holds back {count}:")),
                tidy(reason)
            ))?;
        }
        Ok(())
    }
}

/// A value short enough for a list of examples.
fn clip(text: &str) -> String {
    let line = tidy(text);
    if line.chars().count() <= 40 { line } else { line.chars().take(39).chain(['…']).collect() }
}
