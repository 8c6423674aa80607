//! One run: a world from a seed, its events, and what is checked when they are over.

use std::panic::{self, AssertUnwindSafe};

use rand::RngExt;
use syncline_core::time::Millis;

use crate::{
    checker::{Invariant, Violation},
    event::{Act, Event, PersonDeed},
    executor::{Executor, Handle, Signal},
    fault::{Counts, Fault, Place},
    scope::{Mode, Scope},
    setup::set_up,
    world::World,
};

/// So long after the trouble has stopped everything must be at rest, sweeps left aside: a lost request's deadline, the back-offs
/// that failures of this many events can have built up, and a few polls.
pub const REST_WITHIN_MS: i64 = 240_000;
/// The same for what only a sweep finds.
pub const SWEPT_WITHIN_MS: i64 = 240_000;
/// How often it is looked whether everything is at rest.
const LOOK_EVERY_MS: i64 = 5_000;
/// Everything that lags shows within this time.
const LAGS_OVER_MS: i64 = 50_000;
/// Longer than any run.
const NEVER_MS: i64 = 86_400_000;
/// The seed of what is drawn when the trouble is over.
const CALM_SEED: u64 = 0xca1f;

/// What a run held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How often each thing happened.
    pub counts: Counts,
    /// How many events were played.
    pub events: usize,
    /// A digest of everything that happened.
    pub digest: String,
    /// What happened, where the scope asks for it.
    pub trace: Vec<String>,
}

/// A broken invariant, and how to see it again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// Its bounds.
    pub scope: Scope,
    /// What was broken.
    pub violation: Violation,
    /// The events that were played.
    pub events: Vec<Event>,
    /// What happened, where the scope asks for it.
    pub trace: Vec<String>,
}

/// Runs the history of a seed.
///
/// # Errors
/// The first invariant that is broken.
pub fn run(seed: u64, scope: &Scope) -> Result<Report, Box<Failure>> {
    let (world, events) = set_up(seed, scope);
    play_in(world, seed, scope, &events)
}

/// Runs some of the events of a seed's history.
///
/// # Errors
/// The first invariant that is broken.
pub fn replay(seed: u64, scope: &Scope, events: &[Event]) -> Result<Report, Box<Failure>> {
    let (world, _) = set_up(seed, scope);
    play_in(world, seed, scope, events)
}

/// The events of a seed's history.
pub fn events(seed: u64, scope: &Scope) -> Vec<Event> {
    set_up(seed, scope).1
}

fn play_in(world: World, seed: u64, scope: &Scope, events: &[Event]) -> Result<Report, Box<Failure>> {
    let executor = Executor::new(world);
    let handle = executor.handle();
    let played = panic::catch_unwind(AssertUnwindSafe(|| play(executor, scope, events)));
    if let Err(cause) = played {
        let what = match (cause.downcast_ref::<String>(), cause.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => (*text).to_owned(),
            (None, None) => "it panicked".to_owned(),
        };
        handle.with(|world| world.violate(Invariant::Sound, what));
    }
    handle.with(|world| {
        world.handle = None;
        let trace = world.trace.lines().to_vec();
        match world.violation.take() {
            Some(violation) => {
                Err(Box::new(Failure { seed, scope: *scope, violation, events: events.to_vec(), trace }))
            }
            None => {
                Ok(Report { counts: world.counts.clone(), events: events.len(), digest: world.trace.digest(), trace })
            }
        }
    })
}

fn play(mut executor: Executor, scope: &Scope, events: &[Event]) -> Handle {
    let handle = executor.handle();
    let mut now = handle.with(|world| world.now);
    for event in events {
        now = now.plus(i64::from(event.after_ms));
        executor.run_until(now);
        handle.with(|world| world.befall(event));
        if handle.with(|world| world.violation.is_some()) {
            return executor.finish();
        }
    }
    match scope.mode {
        Mode::Safety => {
            executor.run_until(now.plus(1_000));
            handle.with(|world| {
                world.check_kept(false);
                world.check_feeds();
            });
        }
        Mode::Liveness => calm_down(&mut executor, &handle, now),
    }
    executor.finish()
}

/// The trouble stops; everything must come to rest, agree, and stay so.
fn calm_down(executor: &mut Executor, handle: &Handle, now: Millis) {
    handle.with(World::end_trouble);
    let began = now;
    let now = rest(executor, handle, now, began.plus(REST_WITHIN_MS), false);
    handle.with(World::sweep_all);
    let now = rest(executor, handle, now, now.plus(SWEPT_WITHIN_MS), true);
    handle.with(|world| {
        world.check_kept(true);
        world.check_feeds();
    });
    let before = handle.with(|world| world.standing());
    executor.run_until(now.plus(LAGS_OVER_MS));
    handle.with(|world| {
        if world.standing() != before {
            world.violate(Invariant::Rest, "something moved although everything was at rest".into());
        }
    });
}

/// Waits until everything is at rest and agrees.
fn rest(executor: &mut Executor, handle: &Handle, begun: Millis, until: Millis, swept: bool) -> Millis {
    let mut now = begun.plus(LAGS_OVER_MS);
    loop {
        executor.run_until(now);
        let (unrest, apart) = handle.with(|world| (world.unrest(), world.disagreement(swept)));
        if unrest.is_none() && apart.is_none() || handle.with(|world| world.violation.is_some()) {
            return now;
        }
        if now > until {
            handle.with(|world| match (apart, unrest) {
                (Some(apart), unrest) => {
                    let still = unrest.map(|why| format!(" (still: {why})")).unwrap_or_default();
                    world.violate(Invariant::Agreed, format!("{apart}{still}"));
                }
                (None, why) => world.violate(Invariant::Rest, why.unwrap_or_default()),
            });
            return now;
        }
        handle.with(World::look_after);
        now = now.plus(LOOK_EVERY_MS);
    }
}

impl World {
    /// An event befalls the world.
    pub(crate) fn befall(&mut self, event: &Event) {
        self.event = event.id;
        self.words = 0;
        self.reseed(event.draw);
        self.trace.step(self.now, 100, u64::from(event.id));
        let systems = self.accounts.len();
        match event.act {
            Act::User { system, pick, deed } => self.user(usize::from(system) % systems, usize::from(pick), deed),
            Act::Client { tenant, pick, deed } => {
                self.client(usize::from(tenant) % self.plans.len(), usize::from(pick), deed);
            }
            Act::Holder { holder, pick, deed } if !self.holders.is_empty() => {
                self.holder(usize::from(holder) % self.holders.len(), usize::from(pick), deed);
            }
            Act::Unplug { subscriber, for_ms } if !self.subscribers.is_empty() => {
                self.unplug(usize::from(subscriber) % self.subscribers.len(), for_ms);
            }
            Act::Holder { .. } | Act::Unplug { .. } => {}
            Act::Trouble { system, fault } => self.trouble(usize::from(system) % systems, fault),
            Act::Person { deed } => self.person(deed),
        }
    }

    fn trouble(&mut self, system: usize, fault: Fault) {
        self.arm(system, fault);
        if fault == Fault::Crash(Place::Anywhere) && self.process.is_some() {
            self.strikes(system, fault);
            self.died = true;
        }
    }

    fn person(&mut self, deed: PersonDeed) {
        let system = self.rng.random_range(0..self.accounts.len());
        let Some(process) = &mut self.process else { return };
        match deed {
            PersonDeed::Approve => process.sides.iter_mut().for_each(|side| side.approved = true),
            PersonDeed::Sweep => process.sides[system].sweep_now = true,
            PersonDeed::Replay => return self.replay_parked(),
        }
        self.signal(Signal::Read, system);
    }

    /// The trouble stops, and everybody who was away comes back.
    fn end_trouble(&mut self) {
        self.note(|| "-- the trouble stops".into());
        self.calm();
        self.event = u32::MAX;
        self.reseed(CALM_SEED);
        self.settings.sweep_ms = NEVER_MS;
        self.holders.iter_mut().for_each(|holder| holder.online = true);
        for subscriber in 0..self.subscribers.len() {
            self.plug(subscriber);
        }
    }

    /// What people do who look after the service while it comes to rest.
    fn look_after(&mut self) {
        if let Some(process) = &mut self.process {
            process.sides.iter_mut().for_each(|side| side.approved = true);
        }
        for holder in 0..self.holders.len() {
            self.sync_all(holder);
        }
    }

    fn sweep_all(&mut self) {
        self.note(|| "-- everything is listed again".into());
        for system in 0..self.accounts.len() {
            if let Some(process) = &mut self.process {
                process.sides[system].sweep_now = true;
            }
            self.signal(Signal::Read, system);
        }
    }

    /// What must not move any more once everything is at rest.
    fn standing(&self) -> (Vec<u64>, u64) {
        let versions = self.store.tenants.iter().flat_map(|store| store.records.values().map(|state| state.version));
        (versions.collect(), self.counts.of("writes"))
    }
}
