//! The sweeper of one side: at long intervals it lists everything, which heals what incremental reads missed, and looks up by id
//! what the list did not show.

use std::collections::BTreeSet;

use syncline_core::{
    budget::{Call, CallKind},
    ids::ExternalId,
    read::{DeleteGuard, Recovery, Step, Sweep, Verdict},
    remote::PageRequest,
    replica::{Observation, Source},
    time::Millis,
};

use super::{
    intake::{Arrival, Batch},
    reader,
    side::{Side, StepError},
};
use crate::mutant::Mutant;

pub(super) const SWEEP: &str = "sweep";

/// When the next sweep is due, and the one that is running. A sweep that is cut short begins anew.
pub(super) struct Sweeper {
    ended: Millis,
    running: Option<Running>,
    /// Another one was asked for while one is running, which may have listed already what is to be listed again.
    again: bool,
}

struct Running {
    sweep: Sweep,
    seen: BTreeSet<ExternalId>,
    missing: Option<Missing>,
    /// A person has let it pass.
    approved: bool,
}

/// Linked objects that the complete list did not show.
struct Missing {
    known: u64,
    ids: Vec<ExternalId>,
}

enum Conclusion {
    /// A person must look first.
    Waits,
    /// The sweep has ended, with or without anything found.
    Over,
}

impl Sweeper {
    /// Goes on from the checkpoint. A side without one has just been read completely.
    pub(super) fn load(side: &Side) -> Self {
        let ended = reader::read::<Millis>(side, SWEEP).unwrap_or_else(|| side.with(|world| world.now));
        Self { ended, running: None, again: false }
    }

    /// The next step begins a sweep, whatever the interval, or the end of the one that is running does.
    pub(super) fn sweep_now(&mut self) {
        self.ended = Millis(0);
        self.again = self.running.is_some();
    }

    /// One step; returns how long to wait before the next.
    pub(super) async fn step(&mut self, side: &Side) -> Result<i64, StepError> {
        let asked = side.with(|world| {
            let process = world.process.as_mut();
            process.is_some_and(|process| std::mem::take(&mut process.sides[side.system].sweep_now))
        });
        if asked {
            self.sweep_now();
        }
        let Some(running) = &mut self.running else {
            let (now, every_ms) = side.with(|world| (world.now, world.settings.sweep_ms));
            let wait_ms = self.ended.0 + every_ms - now.0;
            if wait_ms > 0 {
                return Ok(wait_ms);
            }
            let sweep = Sweep::begin(reader::spec(side, false), side.tick());
            self.running = Some(Running { sweep, seen: BTreeSet::new(), missing: None, approved: false });
            return Ok(0);
        };
        match running.sweep.next() {
            Step::Fetch(request) => running.list(side, request).await.map(|()| 0),
            Step::Wait { .. } | Step::Done => match running.conclude(side).await? {
                Conclusion::Waits => Ok(side.with(|world| world.settings.poll_ms)),
                Conclusion::Over => self.end(side).await.map(|()| 0),
            },
        }
    }

    async fn end(&mut self, side: &Side) -> Result<(), StepError> {
        self.running = None;
        let again = std::mem::take(&mut self.again);
        self.ended = side.with(|world| {
            world.counts.thing("sweeps");
            world.store.tenants[side.tenant].awaiting.remove(&side.connection);
            if again { Millis(0) } else { world.now }
        });
        let checkpoints = vec![reader::checkpoint(side, SWEEP, &self.ended)];
        side.take(Batch { checkpoints, ..Batch::default() }).await?;
        Ok(())
    }
}

impl Running {
    async fn list(&mut self, side: &Side, request: PageRequest) -> Result<(), StepError> {
        match reader::fetch(side, &request, Call::background(CallKind::Read)).await {
            Err(error) => match self.sweep.failed(&error) {
                Recovery::Caller if side.with(|world| world.mutant == Some(Mutant::SweepInfersDeletes)) => {
                    self.infer(side).await
                }
                Recovery::Caller => Err(error.into()),
                Recovery::Resumed | Recovery::Resync => Ok(()),
            },
            Ok((page, begun)) => {
                self.sweep.page(&page)?;
                self.seen.extend(page.objects.iter().map(|object| object.id.clone()));
                reader::take_page(side, page, begun, Vec::new(), false).await
            }
        }
    }

    /// The list is complete: what is missing is counted, guarded, and read by id.
    async fn conclude(&mut self, side: &Side) -> Result<Conclusion, StepError> {
        if self.missing.is_none() {
            self.missing = Some(self.find_missing(side));
        }
        let Some(missing) = &self.missing else { return Ok(Conclusion::Over) };
        let (known, lacking) = (missing.known, missing.ids.len() as u64);
        let approved = side.with(|world| {
            let process = world.process.as_mut();
            process.is_some_and(|process| std::mem::take(&mut process.sides[side.system].approved))
        });
        if approved {
            self.sweep.approve();
            self.approved = true;
        }
        let guard = if side.with(|world| world.mutant == Some(Mutant::DeleteGuardOff)) {
            DeleteGuard { missing_min: u64::MAX, missing_max: u64::MAX, share_percent_max: 100 }
        } else {
            DeleteGuard::default()
        };
        match self.sweep.judge(guard, known, lacking) {
            Verdict::Complete | Verdict::Incomplete => Ok(Conclusion::Over),
            Verdict::AwaitApproval => {
                side.with(|world| {
                    world.store.tenants[side.tenant].awaiting.insert(side.connection.clone(), lacking);
                    world.counts.thing("mass deletes that waited");
                });
                Ok(Conclusion::Waits)
            }
            Verdict::Confirm => {
                side.with(|world| world.check_guarded(side.system, known, lacking, self.approved));
                let ids = self.missing.take().map(|missing| missing.ids).unwrap_or_default();
                side.look_at_linked(ids).await?;
                self.sweep.confirmed();
                Ok(Conclusion::Over)
            }
        }
    }

    fn find_missing(&self, side: &Side) -> Missing {
        side.with(|world| {
            let linked = world.store.tenants[side.tenant].linked_ids(&side.connection);
            let known = linked.len() as u64;
            Missing { known, ids: linked.into_iter().filter(|id| !self.seen.contains(id)).collect() }
        })
    }

    /// Takes what was not listed for deleted, as no sound service does.
    async fn infer(&mut self, side: &Side) -> Result<(), StepError> {
        let begun = side.tick();
        let missing = self.find_missing(side).ids;
        let deleted = |id: ExternalId| Arrival::Observed {
            connection: side.connection.clone(),
            observation: Observation {
                id,
                aliases: Vec::new(),
                deleted: true,
                fields: Default::default(),
                clocks: Default::default(),
                past: Default::default(),
                version: None,
                source: Source::ById,
                begun,
                key: None,
            },
        };
        side.take(Batch::of(missing.into_iter().map(deleted).collect())).await?;
        Ok(())
    }
}
