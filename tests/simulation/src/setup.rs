//! A world from a seed: its tenants, systems, fields and settings, and what is there before the service first looks.

use std::rc::Rc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    ids::{ConnectionId, FieldName},
    mapping::{Mapping, MappingSpec},
    model::{DeleteRace, Model},
    plan::{Side, SyncPlan},
    remote::Raw,
    value::{Fields, Value},
    writer::WriterEpochs,
};

use crate::{
    client::{holder::Holder, subscriber::Subscriber},
    event::{self, Event},
    ledger::Written,
    model::{Cast, EMAIL, Shape},
    provider::{
        KEY_FIELD, Provider,
        quirks::{KeyKind, Quirks},
    },
    scope::Scope,
    world::{Account, Settings, World},
};

/// How often the service polls.
const POLL_MS: i64 = 12_000;

/// A world and the events that befall it.
pub(crate) fn set_up(seed: u64, scope: &Scope) -> (World, Vec<Event>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let cast = Cast::ALL[rng.random_range(0..Cast::ALL.len())];
    let race = if rng.random_bool(0.5) { DeleteRace::EditWins } else { DeleteRace::DeleteWins };
    let systems = scope.systems.unwrap_or_else(|| rng.random_range(2..=4));
    let others = if rng.random_bool(0.25) { rng.random_range(1..=2) } else { 0 };
    let quirks: Vec<Quirks> = (0..systems + others).map(|_| Quirks::draw(&mut rng)).collect();
    let settings = Settings {
        poll_ms: POLL_MS,
        sweep_ms: if rng.random_bool(0.5) { 40_000 } else { 3_600_000 },
        history_max: if rng.random_bool(0.5) { rng.random_range(4..12) } else { usize::MAX },
    };
    let entities = if rng.random_bool(0.12) { 8 } else { rng.random_range(1..5) };
    let mut world = build(rng, settings, &cast.model(race), &quirks[..systems], &quirks[systems..], scope);
    people(&mut world);
    for entity in 0..entities {
        first_objects(&mut world, entity);
    }
    let draw = world.rng.random();
    let mut events = ChaCha8Rng::seed_from_u64(draw);
    let events = event::generate(&mut events, scope);
    (world, events)
}

/// A world with these systems, of a first tenant and perhaps a second, and nothing in it.
pub(crate) fn build(
    rng: ChaCha8Rng,
    settings: Settings,
    model: &Model,
    first: &[Quirks],
    second: &[Quirks],
    scope: &Scope,
) -> World {
    let mut plans = Vec::new();
    let mut accounts = Vec::new();
    for (tenant, (name, prefix, quirks)) in [("acme", "sys", first), ("other", "alien", second)].into_iter().enumerate()
    {
        if quirks.is_empty() {
            continue;
        }
        let side = |(place, quirks): (usize, &Quirks)| {
            (ConnectionId::new(format!("{prefix}{place}")), side(model, quirks, place))
        };
        let sides = quirks.iter().enumerate().map(side).collect();
        let plan = SyncPlan { tenant: name.into(), writer: WriterEpochs::default(), model: model.clone(), sides };
        plans.push(Rc::new(plan));
        accounts.extend(quirks.iter().enumerate().map(|(place, quirks)| {
            let name = format!("{prefix}{place}");
            Account { tenant, connection: ConnectionId::new(&name), provider: Provider::new(name, *quirks) }
        }));
    }
    World::new(rng, settings, plans, accounts, scope.mutant, scope.trace)
}

fn side(model: &Model, quirks: &Quirks, place: usize) -> Side {
    let spec = MappingSpec(model.fields.keys().map(|name| (name.to_string(), name.as_str().into())).collect());
    Side {
        object: "contacts".into(),
        mapping: Mapping::new(model, &spec).unwrap_or_else(|errors| panic!("a plain mapping is refused: {errors:?}")),
        key_field: (quirks.key != KeyKind::None).then(|| KEY_FIELD.to_owned()),
        creates: true,
        writes: true,
        history: quirks.history,
        rank: place as u32 + 1,
    }
}

/// Clients that hold documents, and subscribers.
fn people(world: &mut World) {
    for tenant in 0..world.plans.len() {
        for number in 0..world.rng.random_range(1..=2) {
            world.subscribers.push(Subscriber::new(tenant));
            world.holders.push(Holder::new(tenant, format!("holder{tenant}{number}")));
        }
    }
}

/// What is there of an entity before the service first looks.
fn first_objects(world: &mut World, entity: u32) {
    for system in 0..world.accounts.len() {
        if world.rng.random_bool(0.6) {
            world.user_makes(system, &email_of(entity));
        }
    }
}

/// What identifies an entity. It is the same in every tenant, so that objects could be mistaken for another tenant's.
pub(crate) fn email_of(entity: u32) -> String {
    format!("e{entity}@x")
}

impl World {
    /// A user makes an object of an entity, with values that nobody wrote before.
    pub(crate) fn user_makes(&mut self, system: usize, email: &str) {
        let tenant = self.accounts[system].tenant;
        let names: Vec<FieldName> = self.plans[tenant].model.fields.keys().cloned().collect();
        let mut fields = Fields::new();
        for name in names {
            let value = if name.as_str() == EMAIL {
                Value::text(email)
            } else if self.rng.random_bool(0.8) {
                let word = self.word(tenant);
                Shape::of(&name).edited(&Value::Null, &word, &mut self.rng)
            } else {
                continue;
            };
            fields.insert(name, value);
        }
        let raw = self.raw(system, &fields);
        let now = self.now;
        let lag = self.lag(system);
        let id = self.accounts[system].provider.user_creates(raw, lag, now);
        let values = fields.clone();
        self.note(|| format!("user makes {id}: {}", crate::world::brief(&values)));
        for (field, value) in fields {
            let who = format!("a user of {id}");
            self.ledger.wrote(Written { tenant, field, value, saw: Value::Null, acknowledged: true, who });
        }
        self.stir(system);
    }

    /// Canonical values as the provider's fields.
    pub(crate) fn raw(&self, system: usize, fields: &Fields) -> Raw {
        let changed = fields.keys().cloned().collect();
        let mapping = &self.side(system).1.mapping;
        mapping.write(&changed, fields, false).unwrap_or_else(|faults| panic!("a plain value is refused: {faults:?}"))
    }

    /// How long lists hide the next change.
    pub(crate) fn lag(&mut self, system: usize) -> u32 {
        let most = self.accounts[system].provider.quirks.lag_ms;
        if most == 0 { 0 } else { self.rng.random_range(0..most) }
    }
}
