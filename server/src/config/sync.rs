//! The `syncs` section: how a tenant's records of one model are kept the same in several connections.

use std::{collections::BTreeMap, time::Duration};

use syncline_core::{
    ids::{ConnectionId, ModelName, ObjectName, TenantId},
    mapping::Direction,
    model::Model,
    plan::{Side, SyncPlan},
    writer::WriterEpochs,
};

use super::{
    connection::{self, Connection},
    integration::Integration,
    mapping,
    mass_delete::MassDelete,
    name,
    spot::{Named, Spot, Table},
};

/// The keys of a sync.
pub(super) const KEYS: &[&str] = &["tenant", "model", "approve", "mass_delete", "sides"];
/// The keys of one side.
pub(super) const SIDE_KEYS: &[&str] = &["object", "key", "poll", "sweep", "direction", "creates", "mapping"];

/// How one tenant's records of one model are kept the same.
#[derive(Clone, Debug)]
pub struct Sync {
    /// What the engine works by: tenant, model, and each connection's part.
    pub plan: SyncPlan,
    /// Whether the first write waits for a person.
    pub approval: Approval,
    /// How many deletes at once wait for a person.
    pub mass_delete: MassDelete,
    /// When each side is read.
    pub schedules: BTreeMap<ConnectionId, Schedule>,
}

/// Whether the first write of a sync waits for a person who has seen its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// Nothing is written before `syncline plan --approve`.
    #[default]
    Manual,
    /// Writing begins by itself.
    Auto,
}

/// When a side is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Time between two incremental reads.
    pub poll: Duration,
    /// Time between two complete readings of all ids, which find what incremental reads cannot.
    pub sweep: Duration,
}

impl Schedule {
    /// Time between two incremental reads unless told otherwise: a few per minute is kind to every provider's quota.
    pub const POLL: Duration = Duration::from_secs(15);
    /// Time between two sweeps unless told otherwise.
    pub const SWEEP: Duration = Duration::from_secs(24 * 3_600);
    /// The shortest time between two incremental reads.
    pub const POLL_MIN: Duration = Duration::from_millis(100);
    /// The shortest time between two sweeps.
    pub const SWEEP_MIN: Duration = Duration::from_secs(1);
}

/// What syncs refer to: what could be read of the earlier sections, and all their names.
pub(super) struct Parts<'a> {
    pub(super) models: &'a BTreeMap<ModelName, Model>,
    pub(super) model_names: &'a [&'a str],
    pub(super) integrations: &'a BTreeMap<String, Integration>,
    pub(super) connections: &'a BTreeMap<ConnectionId, Connection>,
    pub(super) connection_names: &'a [&'a str],
}

/// Reads all syncs and checks them against each other.
pub(super) fn read_all(section: &[(Named, Spot<'_>)], parts: &Parts<'_>) -> BTreeMap<String, Sync> {
    let mut syncs: BTreeMap<String, Sync> = BTreeMap::new();
    for (name, spot) in section {
        let Some((id, sync)) = read(name, spot, parts) else { continue };
        match clash(&sync, &syncs) {
            None => drop(syncs.insert(id, sync)),
            Some((message, remedy)) => spot.problem_at(name.at, message, remedy),
        }
    }
    syncs
}

/// One object of a connection belongs to one record, and a record of a model to one plan: two syncs that shared either
/// would work against each other.
fn clash(sync: &Sync, others: &BTreeMap<String, Sync>) -> Option<(String, &'static str)> {
    let same_model =
        |other: &Sync| other.plan.tenant == sync.plan.tenant && other.plan.model.name == sync.plan.model.name;
    if let Some((other, _)) = others.iter().find(|(_, other)| same_model(other)) {
        let message = format!("`{other}` already syncs `{}` for `{}`", sync.plan.model.name, sync.plan.tenant);
        return Some((message, "put the sides of both into one sync"));
    }
    for (other_name, other) in others {
        for (connection, side) in &sync.plan.sides {
            if other.plan.sides.get(connection).is_some_and(|other| other.object == side.object) {
                let message = format!("`{other_name}` already syncs `{}` of `{connection}`", side.object);
                return Some((message, "an object can belong to one model only: remove one of the sides"));
            }
        }
    }
    None
}

fn read(name: &Named, spot: &Spot<'_>, parts: &Parts<'_>) -> Option<(String, Sync)> {
    let id = name::identifier(spot, name, "a sync");
    let table = spot.table(KEYS)?;
    let tenant =
        table.need("tenant", "name the customer, such as `tenant: acme`").and_then(|spot| connection::tenant(&spot));
    let model_name = table
        .need("model", "name one of the entries under `models`")
        .and_then(|spot| spot.reference("model", "models", parts.model_names));
    let approval = match table.get("approve") {
        Some(spot) => spot.word(&[("manual", Approval::Manual), ("auto", Approval::Auto)]),
        None => Some(Approval::default()),
    };
    let mass_delete = MassDelete::read(table.get("mass_delete").as_ref());
    let entries = table
        .need("sides", "name the connections that take part, each with its `object` and `mapping`")
        .and_then(|spot| spot.named())?;
    if entries.is_empty() {
        table.spot().problem("the sync has no sides", "name at least one connection under `sides`");
    }
    let model = model_name.as_deref().and_then(|name| parts.models.get(name));
    let mut sides = BTreeMap::new();
    let mut schedules = BTreeMap::new();
    for (rank, (name, spot)) in (1..).zip(&entries) {
        let Some((connection, side, schedule)) = read_side(rank, name, spot, tenant.as_ref(), model, parts) else {
            continue;
        };
        schedules.insert(connection.clone(), schedule);
        sides.insert(connection, side);
    }
    if entries.is_empty() || sides.len() != entries.len() {
        return None;
    }
    let plan = SyncPlan { tenant: tenant?, model: model?.clone(), sides, writer: WriterEpochs::default() };
    Some((id?, Sync { plan, approval: approval?, mass_delete, schedules }))
}

fn read_side(
    rank: u32,
    name: &Named,
    spot: &Spot<'_>,
    tenant: Option<&TenantId>,
    model: Option<&Model>,
    parts: &Parts<'_>,
) -> Option<(ConnectionId, Side, Schedule)> {
    let connection = side_connection(name, spot, tenant, parts);
    let table = spot.table(SIDE_KEYS)?;
    let object =
        table.need("object", "name the provider's object, such as `object: Contact`").and_then(|spot| spot.text());
    let key_field = table.get("key").map(|spot| spot.text());
    let direction = match table.get("direction") {
        Some(spot) => spot.word(mapping::DIRECTIONS),
        None => Some(Direction::Both),
    };
    let mapping_spot = table.need("mapping", "map the model's fields, such as `mapping: {email: Email}`");
    let mapping = mapping_spot
        .zip(model)
        .zip(direction)
        .and_then(|((spot, model), direction)| mapping::read(&spot, model, direction));
    let schedule = schedule(&table);
    let writes = direction?.writes();
    let creates = match table.get("creates") {
        Some(spot) => creates(&spot, writes),
        None => Some(writes),
    };
    if matches!(key_field, Some(None)) {
        return None;
    }
    let side = Side {
        object: ObjectName::from(object?),
        mapping: mapping?,
        key_field: key_field.flatten(),
        creates: creates?,
        writes,
        history: keeps_history(connection?, parts),
        rank,
    };
    Some((ConnectionId::new(&name.text), side, schedule))
}

/// The connection of a side, where it exists and is the sync's tenant's.
fn side_connection<'a>(
    name: &Named,
    spot: &Spot<'_>,
    tenant: Option<&TenantId>,
    parts: &Parts<'a>,
) -> Option<&'a Connection> {
    if !parts.connection_names.contains(&name.text.as_str()) {
        let remedy = syncline_connectors::located::suggest(&name.text, parts.connection_names.iter().copied());
        spot.problem_at(name.at, "there is no such connection in connections", remedy);
        return None;
    }
    let connection = parts.connections.get(name.text.as_str())?;
    if let Some(tenant) = tenant.filter(|tenant| **tenant != connection.tenant) {
        spot.problem_at(
            name.at,
            format!("the connection belongs to `{}` and the sync to `{tenant}`", connection.tenant),
            "a sync joins accounts of one tenant: use a connection of the same tenant",
        );
        return None;
    }
    Some(connection)
}

fn keeps_history(connection: &Connection, parts: &Parts<'_>) -> bool {
    parts.integrations.get(&connection.integration).is_some_and(Integration::keeps_history)
}

fn creates(spot: &Spot<'_>, writes: bool) -> Option<bool> {
    let creates = spot.boolean()?;
    if creates && !writes {
        spot.problem("a side that is only read creates nothing", "remove `creates`, or use `direction: both`");
    }
    Some(creates && writes)
}

fn schedule(table: &Table<'_>) -> Schedule {
    let time = |key: &str, min, default| table.get(key).and_then(|spot| spot.duration(min)).unwrap_or(default);
    Schedule {
        poll: time("poll", Schedule::POLL_MIN, Schedule::POLL),
        sweep: time("sweep", Schedule::SWEEP_MIN, Schedule::SWEEP),
    }
}
