//! The reader of one side: the backfill once, then changes and deletes for ever. The machines in core decide what to read; this
//! file fetches, takes in, and commits each checkpoint once what it brought is durable.

use syncline_core::{
    budget::{Call, CallKind},
    ids::ExternalId,
    read::{
        Backfill, BackfillState, DeletionStep, Deletions, Incremental, IncrementalState, Pace, ReadSpec, Recovery, Step,
    },
    reconcile::FollowUp,
    remote::{Page, PageRequest, ProviderError, Remedy},
    replica::Source,
    time::{Millis, Tick},
};

use super::{
    intake::Batch,
    side::{OFFSET_BLUR_MS, Side, StepError},
    sweeper::{SWEEP, Sweeper},
};
use crate::{
    executor::Signal,
    fault::Place,
    mutant::Mutant,
    network::{Answer, Ask},
    provider::KEY_FIELD,
};

/// Deletes are asked for once in so many polls.
const POLLS_PER_DELETES: u64 = 2;
/// How long to wait after a failed step, at first; it doubles.
const PAUSE_AFTER_FAILURE_MS: i64 = 500;
const PAUSE_MAX_MS: i64 = 10_000;

pub(super) const BACKFILL: &str = "backfill";
pub(super) const CHANGES: &str = "changes";
pub(super) const DELETES: &str = "deletes";

/// What the reader is doing.
enum Mode {
    Backfill(Backfill),
    Follow(Box<Follow>),
}

/// What a side follows once it has been read completely.
struct Follow {
    changes: Incremental,
    deletions: Deletions,
    /// The list of archived objects, while it is being read.
    archived: Option<Backfill>,
    sweeper: Sweeper,
}

enum Progress {
    Wait(i64),
    Resync,
}

/// Runs until the process ends.
pub(super) async fn run(side: Side) {
    let mut pause_ms = PAUSE_AFTER_FAILURE_MS;
    let mut mode = None;
    loop {
        match step(&side, &mut mode).await {
            Ok(wait_ms) => {
                pause_ms = PAUSE_AFTER_FAILURE_MS;
                side.handle.idle(wait_ms, Signal::Read, side.system).await;
            }
            Err(_) => {
                side.with(|world| world.counts.thing("failed steps of readers"));
                mode = None;
                side.handle.sleep(pause_ms).await;
                pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
            }
        }
    }
}

/// One step; returns how long to wait before the next.
async fn step(side: &Side, mode: &mut Option<Mode>) -> Result<i64, StepError> {
    let current = match mode {
        Some(current) => current,
        None => mode.insert(load(side).await?),
    };
    match current {
        Mode::Backfill(backfill) => {
            if let Some(next) = step_backfill(side, backfill).await? {
                *mode = Some(next);
            }
            Ok(0)
        }
        Mode::Follow(follow) => {
            let Follow { changes, deletions, archived, sweeper } = follow.as_mut();
            let after_changes = match step_changes(side, changes).await? {
                Progress::Resync => {
                    side.with(|world| {
                        let store = &mut world.store.tenants[side.tenant];
                        store.checkpoints.retain(|(connection, _), _| *connection != side.connection);
                    });
                    *mode = Some(Mode::Backfill(begin_backfill(side)));
                    return Ok(0);
                }
                Progress::Wait(wait) => wait,
            };
            let after_deletes = match step_deletes(side, deletions, archived).await? {
                Progress::Resync => {
                    sweeper.sweep_now();
                    0
                }
                Progress::Wait(wait) => wait,
            };
            let after_sweep = sweeper.step(side).await?;
            Ok(after_changes.min(after_deletes).min(after_sweep))
        }
    }
}

pub(super) fn spec(side: &Side, deleted: bool) -> ReadSpec {
    side.with(|world| {
        let (_, part) = world.side(side.system);
        let mut fields = part.mapping.remote_fields();
        fields.push(KEY_FIELD.to_owned());
        let mut facts = world.accounts[side.system].provider.quirks.cursor();
        // A read that ended at a moment that the provider's clock had not reached yet has not seen what came then.
        facts.overlap_ms = facts.overlap_ms.max(OFFSET_BLUR_MS.unsigned_abs());
        ReadSpec { object: part.object.clone(), fields, facts, deleted }
    })
}

fn pace(side: &Side) -> Pace {
    Pace { every_ms: side.with(|world| world.settings.poll_ms.unsigned_abs()) }
}

fn begin_backfill(side: &Side) -> Backfill {
    Backfill::begin(spec(side, false), side.provider_now())
}

/// Goes on where the checkpoints say.
async fn load(side: &Side) -> Result<Mode, StepError> {
    side.probe().await?;
    let changes = read::<IncrementalState>(side, CHANGES);
    if let Some(changes) = changes.and_then(|state| Incremental::resume(spec(side, false), pace(side), state)) {
        let deletions = read::<Deletions>(side, DELETES).unwrap_or_else(|| Deletions::since(changes.checkpoint()));
        mark_live(side);
        let sweeper = Sweeper::load(side);
        return Ok(Mode::Follow(Box::new(Follow { changes, deletions, archived: None, sweeper })));
    }
    let backfill = read::<BackfillState>(side, BACKFILL)
        .and_then(|state| Backfill::resume(spec(side, false), state))
        .unwrap_or_else(|| begin_backfill(side));
    side.with(|world| world.store.tenants[side.tenant].live.remove(&side.connection));
    Ok(Mode::Backfill(backfill))
}

pub(super) fn read<T: serde::de::DeserializeOwned>(side: &Side, stream: &'static str) -> Option<T> {
    side.with(|world| {
        let text = world.store.tenants[side.tenant].checkpoints.get(&(side.connection.clone(), stream))?;
        serde_json::from_str(text).ok()
    })
}

pub(super) fn checkpoint<T: serde::Serialize>(
    side: &Side,
    stream: &'static str,
    state: &T,
) -> (syncline_core::ids::ConnectionId, &'static str, String) {
    // A checkpoint is plain data, which always has a JSON form.
    (side.connection.clone(), stream, serde_json::to_string(state).unwrap_or_default())
}

/// The side has read everything once.
fn mark_live(side: &Side) {
    side.with(|world| {
        world.store.tenants[side.tenant].live.insert(side.connection.clone());
        world.stir_writers(side.tenant);
    });
}

async fn step_backfill(side: &Side, backfill: &mut Backfill) -> Result<Option<Mode>, StepError> {
    if let Step::Fetch(request) = backfill.next() {
        match fetch(side, &request, Call::background(CallKind::Read)).await {
            Err(error) => match backfill.failed(&error) {
                Recovery::Resumed => {}
                Recovery::Resync => *backfill = begin_backfill(side),
                Recovery::Caller => return Err(error.into()),
            },
            Ok((page, begun)) => {
                backfill.page(&page)?;
                let put = checkpoint(side, BACKFILL, backfill.state());
                take_page(side, page, begun, vec![put], false).await?;
            }
        }
        return Ok(None);
    }
    let changes = backfill.incremental(pace(side));
    let deletions = Deletions::since(backfill.begun());
    let checkpoints = vec![checkpoint(side, CHANGES, changes.state()), checkpoint(side, DELETES, &deletions)];
    side.take(Batch { checkpoints, ..Batch::default() }).await?;
    mark_live(side);
    let sweeper = Sweeper::load(side);
    Ok(Some(Mode::Follow(Box::new(Follow { changes, deletions, archived: None, sweeper }))))
}

async fn step_changes(side: &Side, changes: &mut Incremental) -> Result<Progress, StepError> {
    loop {
        let request = match changes.next(side.provider_now()) {
            Step::Fetch(request) => request,
            Step::Wait { after_ms } => return Ok(Progress::Wait(i64::try_from(after_ms).unwrap_or(i64::MAX))),
            Step::Done => return Ok(Progress::Wait(side.with(|world| world.settings.poll_ms))),
        };
        match fetch(side, &request, Call::live(CallKind::Search)).await {
            Err(error) => match changes.failed(&error) {
                Recovery::Resumed => {}
                Recovery::Resync => return Ok(Progress::Resync),
                Recovery::Caller if passes_over(side, &error) => {
                    // The page counts as read and as the last.
                    changes.page(&Page::default())?;
                    let put = checkpoint(side, CHANGES, changes.state());
                    side.take(Batch { checkpoints: vec![put], ..Batch::default() }).await?;
                }
                Recovery::Caller => return Err(error.into()),
            },
            Ok((page, begun)) => {
                changes.page(&page)?;
                let put = checkpoint(side, CHANGES, changes.state());
                take_page(side, page, begun, vec![put], true).await?;
            }
        }
    }
}

/// Whether a page that could not be read is passed over, as no sound service does.
fn passes_over(side: &Side, _: &ProviderError) -> bool {
    side.with(|world| world.mutant == Some(Mutant::FailedPagePassed))
}

pub(super) async fn fetch(side: &Side, request: &PageRequest, call: Call) -> Result<(Page, Tick), ProviderError> {
    let begun = side.tick();
    let answer = side.call(call, Ask::Page(request.clone())).await?;
    side.handle.point(Place::AfterPage).await;
    match answer {
        Answer::Page(page) => Ok((page, begun)),
        _ => Err(ProviderError { remedy: Remedy::Configure, message: "no page came".into() }),
    }
}

/// Takes a page in; the checkpoint comes with it.
pub(super) async fn take_page(
    side: &Side,
    page: Page,
    begun: Tick,
    checkpoints: Vec<(syncline_core::ids::ConnectionId, &'static str, String)>,
    skims: bool,
) -> Result<(), StepError> {
    let mut arrivals = side.with(|world| world.arrivals(side.system, page.objects, Source::List, begun));
    if skims {
        side.skim(&mut arrivals);
    }
    let checkpoint = Batch { checkpoints, ..Batch::default() };
    if side.with(|world| world.mutant == Some(Mutant::CheckpointBeforeCommit)) {
        side.take(checkpoint.clone()).await?;
    }
    let taken = side.take(Batch::of(arrivals)).await?;
    let looks = taken
        .follow_ups
        .into_iter()
        .filter_map(|FollowUp::Read { connection, id }| (connection == side.connection).then_some(id));
    // What a row asks to be looked at must be looked at before the row counts as read: after a crash nobody would know of it.
    let looks = Vec::from_iter(looks);
    if !looks.is_empty() {
        side.look(&looks, Vec::new()).await?;
    }
    side.take(checkpoint).await?;
    Ok(())
}

/// Asks for deletes: by the provider's feed of them, or by its list of archived objects. A deleted id is only a hint; the object
/// is read by id before anything is concluded.
async fn step_deletes(
    side: &Side,
    deletions: &mut Deletions,
    archived: &mut Option<Backfill>,
) -> Result<Progress, StepError> {
    if let Some(listing) = archived {
        if step_archived(side, listing).await? {
            *archived = None;
        }
        return Ok(Progress::Wait(0));
    }
    let now = side.provider_now();
    let window = match deletions.next(now) {
        DeletionStep::Wait { after_ms } => return Ok(Progress::Wait(i64::try_from(after_ms).unwrap_or(i64::MAX))),
        DeletionStep::Look(window) => window,
    };
    let answer = side.call(Call::live(CallKind::Other), Ask::Deleted(window)).await;
    let pace = Pace { every_ms: pace(side).every_ms * POLLS_PER_DELETES };
    let mut forgotten = false;
    match answer {
        Err(error) => match deletions.failed(now, &error) {
            // The provider no longer remembers: only a sweep finds what was deleted meanwhile.
            Recovery::Resumed | Recovery::Resync => forgotten = true,
            Recovery::Caller => return Err(error.into()),
        },
        Ok(Answer::Deleted(Some(deleted))) => {
            side.look_at_linked(deleted.ids).await?;
            deletions.answered(now, deleted.covered_until, pace);
        }
        Ok(_) => {
            *archived = Some(Backfill::begin(spec(side, true), now));
            deletions.answered(now, window.until, pace);
        }
    }
    let mut checkpoints = vec![checkpoint(side, DELETES, deletions)];
    if forgotten {
        checkpoints.push(checkpoint(side, SWEEP, &Millis(0)));
    }
    side.take(Batch { checkpoints, ..Batch::default() }).await?;
    Ok(if forgotten { Progress::Resync } else { Progress::Wait(0) })
}

/// One page of the list of archived objects; `true` once it is done.
async fn step_archived(side: &Side, listing: &mut Backfill) -> Result<bool, StepError> {
    let Step::Fetch(request) = listing.next() else { return Ok(true) };
    match fetch(side, &request, Call::live(CallKind::Read)).await {
        Err(error) => match listing.failed(&error) {
            Recovery::Caller => return Err(error.into()),
            Recovery::Resumed | Recovery::Resync => {}
        },
        Ok((page, _)) => {
            listing.page(&page)?;
            let ids: Vec<ExternalId> = page.objects.into_iter().map(|object| object.id).collect();
            side.look_at_linked(ids).await?;
        }
    }
    Ok(false)
}
