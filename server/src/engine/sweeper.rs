//! The sweeper of one side: at long intervals it lists everything, which heals what incremental reads missed, and looks
//! up by id what the list did not show. Nothing is ever inferred from an absence: a read by id must show the delete.

use std::{collections::HashSet, time::Duration};

use serde::{Deserialize, Serialize};
use syncline_core::{
    budget::{Call, CallKind},
    guard::Signal,
    ids::ExternalId,
    read::{Recovery, Step, Sweep, Verdict},
    time::Millis,
};

use super::{
    clock::Clock,
    intake::Batch,
    reader,
    side::{RunningSide, StepError},
};
use crate::{
    failpoint::{Point, reach},
    store::{
        held::{DeleteSource, Standing},
        syncs::CheckpointPut,
    },
};

const STREAM: &str = "sweep";
/// How many linked ids are compared at once.
const IDS_PER_CHUNK: u32 = 1_000;
/// How many held deletes are compared at once.
const HELD_PER_CHUNK: u32 = 500;

/// When the next sweep is due, and the one that is running. A sweep that is cut short begins anew.
pub(super) struct Sweeper {
    last: LastSweep,
    running: Option<Running>,
    /// Another one was asked for while one is running, which may have listed already what is to be listed again.
    again: bool,
}

/// The checkpoint.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct LastSweep {
    /// When the last sweep ended, or when the side was first read completely.
    ended: Millis,
}

struct Running {
    sweep: Sweep,
    /// Short hashes of the listed ids: eight bytes each, so that a million objects cost a few tens of megabytes. Two ids
    /// with one hash only mean that one missing object waits for another sign.
    seen: HashSet<u64>,
}

/// The checkpoint by which the next sweep is due at once, also after a restart.
pub(super) fn due_now(side: &RunningSide) -> Result<CheckpointPut, StepError> {
    reader::checkpoint(side, STREAM, &LastSweep { ended: Millis(0) }, 0)
}

/// Linked objects that the complete list did not show.
struct Missing {
    known: u64,
    ids: Vec<ExternalId>,
}

impl Sweeper {
    /// Goes on from the checkpoint. A side without one has just been read completely.
    pub(super) async fn load(side: &RunningSide) -> Result<Self, StepError> {
        let last = reader::read::<LastSweep>(side, STREAM).await?;
        let last = last.unwrap_or(LastSweep { ended: Clock::wall() });
        Ok(Self { last, running: None, again: false })
    }

    /// The next step begins a sweep, whatever the interval, or the end of the one that is running does.
    pub(super) fn sweep_now(&mut self) {
        self.last.ended = Millis(0);
        self.again = self.running.is_some();
    }

    /// One step; returns how long to wait before the next.
    pub(super) async fn step(&mut self, side: &RunningSide) -> Result<Duration, StepError> {
        let Some(running) = &mut self.running else {
            let every_ms = i64::try_from(side.schedule.sweep.as_millis()).unwrap_or(i64::MAX);
            let wait_ms = self.last.ended.plus(every_ms).0.saturating_sub(Clock::wall().0);
            if let Ok(wait_ms @ 1..) = u64::try_from(wait_ms) {
                return Ok(Duration::from_millis(wait_ms));
            }
            let sweep = Sweep::begin(reader::spec(side, false), side.clock.tick().await?);
            self.running = Some(Running { sweep, seen: HashSet::new() });
            return Ok(Duration::ZERO);
        };
        match running.sweep.next() {
            Step::Fetch(request) => running.list(side, request).await.map(|()| Duration::ZERO),
            Step::Wait { .. } | Step::Done => {
                running.conclude(side).await?;
                self.end(side).await.map(|()| Duration::ZERO)
            }
        }
    }

    async fn end(&mut self, side: &RunningSide) -> Result<(), StepError> {
        self.running = None;
        let ended = if std::mem::take(&mut self.again) { Millis(0) } else { Clock::wall() };
        self.last = LastSweep { ended };
        let checkpoints = vec![reader::checkpoint(side, STREAM, &self.last, 0)?];
        reach(Point::SweepBefore);
        side.take(Batch { checkpoints, ..Batch::default() }).await?;
        reach(Point::SweepAfter);
        Ok(())
    }
}

impl Running {
    async fn list(&mut self, side: &RunningSide, request: syncline_core::remote::PageRequest) -> Result<(), StepError> {
        match reader::fetch(side, &request, Call::background(CallKind::Read)).await {
            Err(error) => match self.sweep.failed(&error) {
                Recovery::Caller => Err(error.into()),
                Recovery::Resumed | Recovery::Resync => Ok(()),
            },
            Ok((page, begun)) => {
                self.sweep.page(&page)?;
                self.seen.extend(page.objects.iter().map(|object| short_hash(&object.id)));
                self.seen.extend(page.malformed.iter().filter_map(|row| row.id.as_ref()).map(short_hash));
                reader::take_page(side, page, begun, Vec::new()).await
            }
        }
    }

    /// The list is complete: what is missing is counted, guarded, and read by id. What the guard holds back is looked at when a
    /// person has answered, or when a later sweep lists it again.
    async fn conclude(&mut self, side: &RunningSide) -> Result<(), StepError> {
        reach(Point::SweepListed);
        self.look_at_returned(side).await?;
        let Missing { known, ids } = self.find_missing(side).await?;
        match self.sweep.judge(side.sync.mass_delete.limits, known, ids.len() as u64) {
            Verdict::Complete | Verdict::Incomplete => Ok(()),
            Verdict::AwaitApproval | Verdict::Confirm => {
                reader::look_at_named(side, ids, Signal::Missing).await?;
                self.sweep.refuse();
                self.sweep.confirmed();
                Ok(())
            }
        }
    }

    /// Objects whose delete waits for a person and that are listed now: a reading by id takes them out of the question.
    async fn look_at_returned(&self, side: &RunningSide) -> Result<(), StepError> {
        let source = DeleteSource::Connection(side.connection.clone());
        let mut after = None;
        loop {
            let tenant = side.tenant();
            let rows = tenant.list_held(&side.sync.name, &source, Standing::Waits, after, HELD_PER_CHUNK).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.place);
            let listed = rows.into_iter().filter_map(|row| row.object).filter(|id| self.seen.contains(&short_hash(id)));
            reader::look_at_linked(side, listed.collect()).await?;
        }
    }

    async fn find_missing(&self, side: &RunningSide) -> Result<Missing, StepError> {
        let mut missing = Missing { known: 0, ids: Vec::new() };
        let Some(part) = side.part() else { return Ok(missing) };
        let tenant = side.tenant();
        let mut after: Option<ExternalId> = None;
        loop {
            let ids = tenant.linked_ids(&side.connection, &part.object, after.as_ref(), IDS_PER_CHUNK).await?;
            let Some(last) = ids.last().cloned() else { return Ok(missing) };
            missing.known += ids.len() as u64;
            let absent: Vec<ExternalId> = ids.into_iter().filter(|id| !self.seen.contains(&short_hash(id))).collect();
            missing.ids.extend(reader::still_linked(side, absent).await?);
            after = Some(last);
        }
    }
}

fn short_hash(id: &ExternalId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&blake3::hash(id.as_str().as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}
