//! What the tasks of one side share: calls to its provider, looks, and batches of readings.

use rand::RngExt;
use syncline_core::{
    budget::{Call, CallKind, WaitUntil},
    ids::{ConnectionId, ExternalId},
    remote::{ProviderError, Remedy, RemoteObject},
    replica::{Observation, Source},
    time::{Clock, ClockKind, Millis, Tick},
};

use super::{
    intake::{self, Arrival, Batch, IntakeError, Taken},
    memory::Echo,
};
use crate::{
    executor::{Handle, Lock},
    network::{Answer, Ask},
    world::World,
};

/// How often a call is tried at most.
const ATTEMPTS_MAX: u32 = 4;
/// How many ids one read by id takes.
const BY_ID_MAX: usize = 10;
/// How often a provider's clock is looked at, where it answers slowly.
const PROBES_MAX: u32 = 3;
/// A measurement of a clock is blurred by so much.
pub(super) const OFFSET_BLUR_MS: i64 = 2_000;

/// A step that failed.
#[derive(Debug)]
pub(super) enum StepError {
    Provider,
    Intake,
    Read,
}

impl From<ProviderError> for StepError {
    fn from(_: ProviderError) -> Self {
        Self::Provider
    }
}

impl From<IntakeError> for StepError {
    fn from(_: IntakeError) -> Self {
        Self::Intake
    }
}

impl From<syncline_core::read::ReadFault> for StepError {
    fn from(_: syncline_core::read::ReadFault) -> Self {
        Self::Read
    }
}

/// One side of a sync.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) handle: Handle,
    pub(super) system: usize,
    pub(super) tenant: usize,
    pub(super) connection: ConnectionId,
}

impl Side {
    pub(super) fn new(handle: Handle, world: &World, system: usize) -> Self {
        let account = &world.accounts[system];
        Self { handle, system, tenant: account.tenant, connection: account.connection.clone() }
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        self.handle.with(act)
    }

    /// A task's part of the process.
    pub(super) fn tick(&self) -> Tick {
        self.with(|world| world.store.tick())
    }

    /// The provider's time, as well as it is known.
    pub(super) fn provider_now(&self) -> Millis {
        self.with(|world| {
            let offset_ms = world.process.as_ref().map_or(0, |process| process.sides[self.system].offset_ms);
            world.now.plus(offset_ms)
        })
    }

    /// Waits until the budgets admit the call, unless that is further off than `patience_ms`.
    pub(super) async fn admitted(&self, call: Call, patience_ms: i64) -> Result<(), ProviderError> {
        let begun = self.with(|world| world.now);
        loop {
            let (now, admitted) = self.with(|world| {
                let now = world.now;
                let admitted = match &mut world.process {
                    Some(process) => process.sides[self.system].budgets.take(now, call),
                    None => Ok(()),
                };
                (now, admitted)
            });
            let Err(WaitUntil { until, budget }) = admitted else { return Ok(()) };
            let after_ms = (until.0 - now.0).max(1);
            if now.0 + after_ms - begun.0 > patience_ms {
                let remedy = Remedy::Wait { after_ms: Some(after_ms.unsigned_abs()), budget };
                return Err(ProviderError { remedy, message: "the budget is used up".into() });
            }
            self.with(|world| world.counts.thing("waits for a budget"));
            self.handle.sleep(after_ms).await;
        }
    }

    /// Calls the provider: waits for its budgets, refreshes expired tokens, tries passing faults again.
    pub(super) async fn call(&self, call: Call, ask: Ask) -> Result<Answer, ProviderError> {
        let mut attempt = 0;
        loop {
            self.admitted(call, i64::MAX / 2).await?;
            let begun = self.with(|world| world.now);
            let error = match self.handle.ask(self.system, ask.clone()).await {
                Ok(answer) => {
                    self.passed(call, begun);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            attempt += 1;
            if attempt >= ATTEMPTS_MAX {
                return Err(error);
            }
            match &error.remedy {
                Remedy::Refresh => self.refresh().await?,
                Remedy::Wait { after_ms, budget } => self.blocked(call, budget, *after_ms),
                Remedy::Retry => {
                    let ms = self.with(|world| world.rng.random_range(100..200)) << attempt;
                    self.handle.sleep(ms).await;
                }
                _ => return Err(error),
            }
        }
    }

    pub(super) async fn refresh(&self) -> Result<(), ProviderError> {
        self.handle.ask(self.system, Ask::Refresh).await.map(|_| ())
    }

    pub(super) fn blocked(&self, call: Call, budget: &str, after_ms: Option<u64>) {
        self.with(|world| {
            let now = world.now;
            if let Some(process) = &mut world.process {
                process.sides[self.system].budgets.blocked(now, call.kind, budget, after_ms);
            }
        });
    }

    pub(super) fn passed(&self, call: Call, begun: Millis) {
        self.with(|world| {
            if let Some(process) = &mut world.process {
                process.sides[self.system].budgets.passed(begun, call.kind);
            }
        });
    }

    /// The provider's clock compared with ours, and how long that took.
    async fn measure(&self) -> Result<(i64, i64), ProviderError> {
        let before = self.with(|world| world.now);
        let answer = self.call(Call::live(CallKind::Other), Ask::Probe).await?;
        let after = self.with(|world| world.now);
        Ok(match answer {
            Answer::Probed { clock } => (clock.0 - before.0.midpoint(after.0), after.0 - before.0),
            _ => (0, 0),
        })
    }

    /// Measures the provider's clock.
    pub(super) async fn probe(&self) -> Result<(), ProviderError> {
        let (mut offset_ms, mut took_ms) = self.measure().await?;
        for _ in 1..PROBES_MAX {
            // Somewhere in the time of the call the provider looked at its clock: of a slow one that says too little.
            if took_ms <= OFFSET_BLUR_MS {
                break;
            }
            let (offset, took) = self.measure().await?;
            if took < took_ms {
                (offset_ms, took_ms) = (offset, took);
            }
        }
        self.with(|world| {
            if let Some(process) = &mut world.process {
                let blurred = offset_ms.abs() <= OFFSET_BLUR_MS;
                process.sides[self.system].offset_ms = if blurred { 0 } else { offset_ms };
            }
        });
        Ok(())
    }

    /// Takes a batch in and passes on what it calls for.
    pub(super) async fn take(&self, batch: Batch) -> Result<Taken, IntakeError> {
        let shown: Vec<Option<(ExternalId, Echo)>> = batch.arrivals.iter().map(Echo::of).collect();
        self.with(|world| {
            if let Some(process) = &mut world.process {
                let echoes = &mut process.sides[self.system].echoes;
                shown.iter().flatten().for_each(|(id, _)| drop(echoes.remove(id)));
            }
        });
        let taken = intake::take(&self.handle, self.tenant, batch).await?;
        self.with(|world| {
            if let Some(process) = &mut world.process {
                let again = taken.echoes.iter().filter_map(|place| shown.get(*place)?.clone());
                process.sides[self.system].echoes.extend(again);
            }
            world.follow(&taken);
            if taken.changed {
                world.stir_writers(self.tenant);
            }
        });
        Ok(taken)
    }

    /// Leaves out what would only be echoes again.
    pub(super) fn skim(&self, arrivals: &mut Vec<Arrival>) {
        self.with(|world| {
            let Some(process) = &world.process else { return };
            let echoes = &process.sides[self.system].echoes;
            arrivals.retain(|arrival| Echo::of(arrival).is_none_or(|(id, echo)| echoes.get(&id) != Some(&echo)));
        });
    }

    /// Reads objects by id and takes the answers in. Returns the provider's time when the reading began.
    pub(super) async fn look(&self, ids: &[ExternalId], hints: Vec<u64>) -> Result<Millis, StepError> {
        let _single_flight = self.handle.lock(Lock::Look(self.system)).await;
        let looked_at = self.provider_now();
        for chunk in ids.chunks(BY_ID_MAX) {
            let begun = self.tick();
            let answer = self.call(Call::live(CallKind::Read), Ask::ById(chunk.to_vec())).await?;
            let Answer::Objects(objects) = answer else { continue };
            let arrivals = self.with(|world| world.arrivals(self.system, objects, Source::ById, begun));
            self.take(Batch::of(arrivals)).await?;
        }
        if !hints.is_empty() {
            self.take(Batch { hints_done: hints, ..Batch::default() }).await?;
        }
        Ok(looked_at)
    }

    /// Reads those of the objects by id that a record is linked to.
    pub(super) async fn look_at_linked(&self, ids: Vec<ExternalId>) -> Result<(), StepError> {
        let linked = self.with(|world| world.store.tenants[self.tenant].still_linked(&self.connection, &ids));
        if !linked.is_empty() {
            self.look(&linked, Vec::new()).await?;
        }
        Ok(())
    }
}

impl World {
    /// Turns provider objects into arrivals.
    pub(crate) fn arrivals(
        &mut self,
        system: usize,
        objects: Vec<RemoteObject>,
        source: Source,
        begun: Tick,
    ) -> Vec<Arrival> {
        let connection = self.accounts[system].connection.clone();
        let offset_ms = self.process.as_ref().map_or(0, |process| process.sides[system].offset_ms);
        let side = self.side(system).1;
        let observe = |object: RemoteObject| {
            let mut observation = side.mapping.observe(&object, side.key_field.as_deref(), source, begun).ok()?;
            correct(&mut observation, offset_ms);
            Some(Arrival::Observed { connection: connection.clone(), observation })
        };
        objects.into_iter().filter_map(observe).collect()
    }
}

/// Turns the provider's clocks into ours; its versions stay its own.
fn correct(observation: &mut Observation, offset_ms: i64) {
    if offset_ms == 0 {
        return;
    }
    let ours = |at: Millis| at.plus(-offset_ms);
    observation.clocks.values_mut().for_each(|clock| clock.at = ours(clock.at));
    observation.past.values_mut().flatten().for_each(|past| past.at = ours(past.at));
    let Some(version) = observation.version else { return };
    let clock = Clock { at: ours(version.stamp), precision_ms: version.precision_ms, kind: ClockKind::Record };
    for name in observation.fields.keys() {
        observation.clocks.entry(name.clone()).or_insert(clock);
    }
}
