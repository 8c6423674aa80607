//! The reader of one side: the backfill once, then changes and deletes for ever. The machines in core decide what to read;
//! this file fetches, takes in, and commits each checkpoint once what it brought is durable.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use syncline_core::{
    budget::{Call, CallKind},
    guard::Signal,
    ids::ExternalId,
    read::{
        Backfill, BackfillState, DeletionStep, Deletions, Incremental, IncrementalState, Pace, ReadSpec, Recovery, Step,
    },
    reconcile::FollowUp,
    remote::{Page, PageRequest, ProviderError},
    replica::Source,
};

use super::{
    clock::Clock,
    inspector::{self, Found},
    intake::Batch,
    logged::{self, Logged},
    session::CLOCK_BLUR_MS,
    side::{RunningSide, StepError},
    sweeper::{self, Sweeper},
};
use crate::{
    config::Approval,
    failpoint::{Point, reach},
    store::{
        StoreError,
        syncs::{CheckpointPut, Phase},
    },
};

/// The most rows that one transaction takes in: large enough to share a commit's cost, small enough that an edit of the
/// API never waits long.
const ROWS_PER_COMMIT: usize = 500;
/// Deletes are asked for once in so many polls: each asking costs a call whether or not anything was deleted.
const POLLS_PER_DELETES: u32 = 2;
/// How long to wait after a failed step, at first; it doubles up to the poll interval's tenfold or a minute.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// How often the mapped fields are compared with the provider's schema where nothing else gives a reason: one call each time.
const INSPECT_EVERY: Duration = Duration::from_secs(600);

/// The shortest time between two such comparisons, however many rows give a reason.
const INSPECT_PAUSE: Duration = Duration::from_secs(2);

const BACKFILL: &str = "backfill";
const CHANGES: &str = "changes";
const DELETES: &str = "deletes";

/// What the reader is doing.
enum Mode {
    Backfill(Backfill),
    Follow(Box<Follow>),
}

/// What a side follows once it has been read completely.
struct Follow {
    news: News,
    sweeper: Sweeper,
    /// When the mapped fields were last compared with the provider's schema.
    inspected: Instant,
}

/// How a side learns what has changed.
enum News {
    /// By the time of changes, window after window.
    Windows(Box<Windows>),
    /// By the provider's own log of changes.
    Log(Logged),
}

/// What is read by time.
struct Windows {
    changes: Incremental,
    deletions: Deletions,
    /// The list of archived objects, while it is being read.
    archived: Option<Archived>,
}

/// The list of archived objects, while it is being read. What it names is looked at when it is complete, so that the guard
/// judges the whole list and not page after page.
struct Archived {
    listing: Backfill,
    /// Those of the listed objects that are linked to a record.
    linked: Vec<ExternalId>,
}

/// Runs until the service stops.
pub(super) async fn run(side: Arc<RunningSide>) {
    let mut pause = PAUSE_AFTER_FAILURE;
    let mut mode = None;
    while side.unpaused().await {
        if side.reset.swap(false, Ordering::SeqCst) {
            mode = None;
        }
        match step(&side, &mut mode).await {
            Ok(wait) => {
                pause = PAUSE_AFTER_FAILURE;
                tokio::select! {
                    () = rest(&side, mode.as_ref(), wait) => {}
                    () = side.read_now.notified() => trigger(&side, &mut mode),
                    () = side.stop.cancelled() => return,
                }
            }
            Err(error) => {
                side.note_failure(&error).await;
                mode = None;
                if !side.sleep(pause).await {
                    return;
                }
                pause = pause.saturating_mul(2).min(Duration::from_secs(60));
            }
        }
    }
}

/// Waits for the next step, or until the provider's log has grown.
async fn rest(side: &RunningSide, mode: Option<&Mode>, wait: Duration) {
    match mode {
        Some(Mode::Follow(follow)) if !wait.is_zero() => match &follow.news {
            News::Log(logged) => logged.wait(side, wait).await,
            News::Windows(_) => tokio::time::sleep(wait).await,
        },
        _ => tokio::time::sleep(wait).await,
    }
}

fn trigger(side: &RunningSide, mode: &mut Option<Mode>) {
    // A log is read at each step anyway.
    if let Some(Mode::Follow(follow)) = mode
        && let News::Windows(windows) = &mut follow.news
    {
        let now = side.session.provider_now();
        windows.changes.trigger(now);
        windows.deletions.trigger(now);
    }
}

/// One step; returns how long to wait before the next.
async fn step(side: &RunningSide, mode: &mut Option<Mode>) -> Result<Duration, StepError> {
    let current = match mode {
        Some(current) => current,
        None => mode.insert(load(side).await?),
    };
    match current {
        Mode::Backfill(backfill) => {
            if let Some(next) = step_backfill(side, backfill).await? {
                *mode = Some(next);
            }
            Ok(Duration::ZERO)
        }
        Mode::Follow(follow) => {
            let since = follow.inspected.elapsed();
            if since >= INSPECT_EVERY || since >= INSPECT_PAUSE && side.inspection_asked() {
                if inspector::inspect(side).await? == Found::Fields {
                    // A sweep that is under way began without them.
                    follow.sweeper = Sweeper::load(side).await?;
                }
                follow.inspected = Instant::now();
            }
            let Follow { news, sweeper, inspected: _ } = follow.as_mut();
            let progress = match news {
                News::Log(logged) => logged.step(side).await?,
                News::Windows(windows) => step_changes(side, &mut windows.changes).await?,
            };
            let after_changes = match progress {
                Progress::Resync => {
                    side.tenant().forget_checkpoints(&side.sync.name, &side.connection).await?;
                    *mode = Some(Mode::Backfill(begin_backfill(side).await?));
                    return Ok(Duration::ZERO);
                }
                Progress::Wait(wait) => wait,
            };
            let after_deletes = match news {
                News::Log(_) => after_changes,
                News::Windows(windows) => {
                    match step_deletes(side, &mut windows.deletions, &mut windows.archived).await? {
                        Progress::Resync => {
                            sweeper.sweep_now();
                            Duration::ZERO
                        }
                        Progress::Wait(wait) => wait,
                    }
                }
            };
            let after_sweep = sweeper.step(side).await?;
            Ok(after_changes.min(after_deletes).min(after_sweep))
        }
    }
}

/// How a step ended.
pub(super) enum Progress {
    /// The next one may wait so long.
    Wait(Duration),
    /// The provider does not reach back so far: everything is to be listed again.
    Resync,
}

/// What is read, with the fields that the provider's object has lost: [`fetch`] leaves those out for as long as they are, and
/// the checkpoints stand meanwhile.
pub(super) fn spec(side: &RunningSide, deleted: bool) -> ReadSpec {
    let object = side.part().map_or_else(|| "".into(), |part| part.object.clone());
    let mut facts = side.session.connector.reader().cursor(&object);
    // A read that ended at a moment that the provider's clock had not reached yet has not seen what came then.
    facts.overlap_ms = facts.overlap_ms.max(CLOCK_BLUR_MS);
    ReadSpec { object, fields: side.mapped_fields(), facts, deleted }
}

fn pace(side: &RunningSide) -> Pace {
    Pace { every_ms: u64::try_from(side.schedule.poll.as_millis()).unwrap_or(u64::MAX) }
}

/// Begins to list everything. Where the provider has a log of changes, its end is noted first: what the list may miss follows it.
async fn begin_backfill(side: &RunningSide) -> Result<Backfill, StepError> {
    logged::begin(side).await?;
    Ok(Backfill::begin(spec(side, false), side.session.provider_now()))
}

/// Goes on where the checkpoints say.
async fn load(side: &RunningSide) -> Result<Mode, StepError> {
    side.session.probe().await?;
    inspector::inspect(side).await?;
    if side.state().await?.started_at.is_none() {
        side.update(|state| state.started_at = Some(Clock::wall())).await?;
    }
    if let Some(logged) = logged::listed(side).await? {
        return follow(side, News::Log(logged)).await;
    }
    let changes = read::<IncrementalState>(side, CHANGES)
        .await?
        .and_then(|state| Incremental::resume(spec(side, false), pace(side), state))
        .filter(|_| side.session.connector.change_log().is_none());
    if let Some(changes) = changes {
        let deletions =
            read::<Deletions>(side, DELETES).await?.unwrap_or_else(|| Deletions::since(changes.checkpoint()));
        return follow(side, News::Windows(Box::new(Windows { changes, deletions, archived: None }))).await;
    }
    let begun =
        read::<BackfillState>(side, BACKFILL).await?.and_then(|state| Backfill::resume(spec(side, false), state));
    let backfill = match begun {
        Some(backfill) if logged::is_begun(side).await? => backfill,
        _ => begin_backfill(side).await?,
    };
    side.update(|state| state.phase = Phase::Backfilling).await?;
    Ok(Mode::Backfill(backfill))
}

/// The side has been read completely and is followed from now on.
async fn follow(side: &RunningSide, news: News) -> Result<Mode, StepError> {
    mark_live(side).await?;
    let sweeper = Sweeper::load(side).await?;
    Ok(Mode::Follow(Box::new(Follow { news, sweeper, inspected: Instant::now() })))
}

pub(super) async fn read<T: serde::de::DeserializeOwned>(
    side: &RunningSide,
    stream: &str,
) -> Result<Option<T>, StoreError> {
    let text = side.tenant().checkpoint(&side.stream(stream)).await?;
    // A checkpoint of an older version that cannot be read any more costs a new backfill, not an outage.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

pub(super) fn checkpoint<T: serde::Serialize>(
    side: &RunningSide,
    stream: &str,
    state: &T,
    rows: usize,
) -> Result<CheckpointPut, StepError> {
    let state = serde_json::to_string(state).map_err(|error| StoreError::Value(error.to_string()))?;
    Ok(CheckpointPut { stream: side.stream(stream), state, rows: rows as u64 })
}

/// The side has read everything once; whether it may write as well is for a person where the sync says so.
async fn mark_live(side: &RunningSide) -> Result<(), StoreError> {
    let waits = side.sync.approval == Approval::Manual;
    let trouble = side.schema().trouble();
    side.update(|state| {
        let waits = waits && !state.approved;
        state.phase = match (waits, &trouble) {
            (true, _) => Phase::WaitingApproval,
            (false, Some(_)) => Phase::Degraded,
            (false, None) => Phase::Live,
        };
        state.last_error = trouble;
        state.last_success_at = Some(Clock::wall());
    })
    .await?;
    side.stir();
    Ok(())
}

async fn step_backfill(side: &RunningSide, backfill: &mut Backfill) -> Result<Option<Mode>, StepError> {
    match backfill.next() {
        Step::Fetch(request) => {
            match fetch(side, &request, Call::background(CallKind::Read)).await {
                Err(error) => match backfill.failed(&error) {
                    Recovery::Resumed => {}
                    Recovery::Resync => *backfill = begin_backfill(side).await?,
                    Recovery::Caller => return Err(error.into()),
                },
                Ok((page, begun)) => {
                    backfill.page(&page)?;
                    let rows = page.objects.len();
                    let put = checkpoint(side, BACKFILL, backfill.state(), rows)?;
                    take_page(side, page, begun, vec![put]).await?;
                }
            }
            Ok(None)
        }
        Step::Wait { .. } | Step::Done => {
            let (news, checkpoints) = match logged::ended(side).await? {
                Some((logged, checkpoint)) => (News::Log(logged), vec![checkpoint]),
                None => {
                    let changes = backfill.incremental(pace(side));
                    let deletions = Deletions::since(backfill.begun());
                    let checkpoints =
                        vec![checkpoint(side, CHANGES, changes.state(), 0)?, checkpoint(side, DELETES, &deletions, 0)?];
                    (News::Windows(Box::new(Windows { changes, deletions, archived: None })), checkpoints)
                }
            };
            reach(Point::BackfillBefore);
            side.take(Batch { checkpoints, ..Batch::default() }).await?;
            reach(Point::BackfillAfter);
            follow(side, news).await.map(Some)
        }
    }
}

async fn step_changes(side: &RunningSide, changes: &mut Incremental) -> Result<Progress, StepError> {
    loop {
        let request = match changes.next(side.session.provider_now()) {
            Step::Fetch(request) => request,
            Step::Wait { after_ms } => return Ok(Progress::Wait(Duration::from_millis(after_ms))),
            Step::Done => return Ok(Progress::Wait(side.schedule.poll)),
        };
        match fetch(side, &request, Call::live(CallKind::Search)).await {
            Err(error) => match changes.failed(&error) {
                Recovery::Resumed => {}
                Recovery::Resync => return Ok(Progress::Resync),
                Recovery::Caller => return Err(error.into()),
            },
            Ok((mut page, begun)) => {
                let ended = changes.page(&page)?;
                let put = checkpoint(side, CHANGES, changes.state(), 0)?;
                side.skim(&mut page);
                take_page(side, page, begun, vec![put]).await?;
                if ended {
                    note_success(side).await?;
                }
            }
        }
    }
}

pub(super) async fn note_success(side: &RunningSide) -> Result<(), StoreError> {
    let state = side.state().await?;
    let trouble = side.schema().trouble();
    if matches!(state.phase, Phase::Degraded | Phase::ReauthNeeded) || trouble.is_some() {
        return mark_live(side).await;
    }
    side.update(|state| {
        state.last_success_at = Some(Clock::wall());
        state.last_error = None;
    })
    .await?;
    Ok(())
}

pub(super) async fn fetch(
    side: &RunningSide,
    request: &PageRequest,
    call: Call,
) -> Result<(Page, syncline_core::time::Tick), ProviderError> {
    let begun = side
        .clock
        .tick()
        .await
        .map_err(|error| ProviderError { remedy: syncline_core::remote::Remedy::Retry, message: error.to_string() })?;
    let reader = side.session.connector.reader();
    let mut request = request.clone();
    request.fields = side.remote_fields();
    let request = &request;
    let page = side.session.call(call, |credentials| async move { reader.page(&credentials, request).await }).await?;
    Ok((page, begun))
}

/// Takes a page in, in several transactions where it is large; the checkpoint comes with the last.
pub(super) async fn take_page(
    side: &RunningSide,
    page: Page,
    begun: syncline_core::time::Tick,
    checkpoints: Vec<CheckpointPut>,
) -> Result<(), StepError> {
    let (mut arrivals, mut quarantine) = side.arrivals(page.objects, Source::List, begun);
    quarantine.extend(side.malformed(page.malformed));
    let mut looks = BTreeSet::new();
    while !arrivals.is_empty() {
        let rest = arrivals.split_off(arrivals.len().min(ROWS_PER_COMMIT));
        let taken = side.take(Batch::of(std::mem::replace(&mut arrivals, rest))).await?;
        looks.extend(
            taken
                .follow_ups
                .into_iter()
                .filter_map(|FollowUp::Read { connection, id }| (connection == side.connection).then_some(id)),
        );
    }
    // What a row asks to be looked at must be looked at before the row counts as read: after a crash nobody would know of it.
    if !looks.is_empty() {
        side.look(&Vec::from_iter(looks), Vec::new()).await?;
    }
    reach(Point::PageBefore);
    side.take(Batch { quarantine, checkpoints, ..Batch::default() }).await?;
    reach(Point::PageAfter);
    Ok(())
}

/// Asks for deletes: by the provider's feed of them, or by its list of archived objects. A deleted id is only a hint; the
/// object is read by id before anything is concluded.
async fn step_deletes(
    side: &RunningSide,
    deletions: &mut Deletions,
    archived: &mut Option<Archived>,
) -> Result<Progress, StepError> {
    if let Some(running) = archived {
        if step_archived(side, running).await? {
            look_at_named(side, std::mem::take(&mut running.linked), Signal::Named).await?;
            *archived = None;
        }
        return Ok(Progress::Wait(Duration::ZERO));
    }
    let now = side.session.provider_now();
    let window = match deletions.next(now) {
        DeletionStep::Wait { after_ms } => return Ok(Progress::Wait(Duration::from_millis(after_ms))),
        DeletionStep::Look(window) => window,
    };
    let Some(part) = side.part() else { return Ok(Progress::Wait(side.schedule.poll)) };
    let reader = side.session.connector.reader();
    let call = Call::live(CallKind::Other);
    let answer = side
        .session
        .call(call, |credentials| async move { reader.deleted(&credentials, &part.object, window).await })
        .await;
    let pace = Pace { every_ms: pace(side).every_ms.saturating_mul(u64::from(POLLS_PER_DELETES)) };
    let mut forgotten = false;
    match answer {
        Err(error) => match deletions.failed(now, &error) {
            // The provider no longer remembers: only a sweep finds what was deleted meanwhile.
            Recovery::Resumed | Recovery::Resync => forgotten = true,
            Recovery::Caller => return Err(error.into()),
        },
        Ok(Some(deleted)) => {
            let linked = still_linked(side, deleted.ids).await?;
            look_at_named(side, linked, Signal::Named).await?;
            deletions.answered(now, deleted.covered_until, pace);
        }
        Ok(None) => {
            *archived = Some(Archived { listing: Backfill::begin(spec(side, true), now), linked: Vec::new() });
            deletions.answered(now, window.until, pace);
        }
    }
    let mut checkpoints = vec![checkpoint(side, DELETES, deletions, 0)?];
    if forgotten {
        checkpoints.push(sweeper::due_now(side)?);
    }
    reach(Point::DeletesBefore);
    side.take(Batch { checkpoints, ..Batch::default() }).await?;
    reach(Point::DeletesAfter);
    Ok(if forgotten { Progress::Resync } else { Progress::Wait(Duration::ZERO) })
}

/// One page of the list of archived objects; `true` once it is done.
async fn step_archived(side: &RunningSide, archived: &mut Archived) -> Result<bool, StepError> {
    let Archived { listing, linked } = archived;
    let Step::Fetch(request) = listing.next() else { return Ok(true) };
    match fetch(side, &request, Call::live(CallKind::Read)).await {
        Err(error) => match listing.failed(&error) {
            Recovery::Caller => return Err(error.into()),
            Recovery::Resumed | Recovery::Resync => {}
        },
        Ok((page, _)) => {
            listing.page(&page)?;
            linked.extend(still_linked(side, page.objects.into_iter().map(|object| object.id).collect()).await?);
        }
    }
    Ok(false)
}

/// Reads objects by id that a list names as deleted, or lacks, unless they are so many that a person must look first.
pub(super) async fn look_at_named(side: &RunningSide, ids: Vec<ExternalId>, signal: Signal) -> Result<(), StepError> {
    let sync = &side.sync;
    if side.intake.foresee(&sync.name, &sync.plan, &side.connection, signal, &ids).await? {
        look_at_linked(side, ids).await?;
    }
    Ok(())
}

/// Reads those of the objects by id that are linked to a record.
pub(super) async fn look_at_linked(side: &RunningSide, ids: Vec<ExternalId>) -> Result<(), StepError> {
    let linked = still_linked(side, ids).await?;
    if !linked.is_empty() {
        side.look(&linked, Vec::new()).await?;
    }
    Ok(())
}

/// Those of the objects that a record is linked to now.
pub(super) async fn still_linked(side: &RunningSide, ids: Vec<ExternalId>) -> Result<Vec<ExternalId>, StepError> {
    let Some(part) = side.part() else { return Ok(Vec::new()) };
    let tenant = side.tenant();
    let mut linked = Vec::new();
    for chunk in ids.chunks(ROWS_PER_COMMIT) {
        let known = tenant.find_replicas(&side.connection, &part.object, chunk).await?;
        let records: Vec<_> = known.values().copied().collect();
        let states: HashMap<_, _> =
            tenant.load_surface(&records).await?.into_iter().map(|state| (state.id, state)).collect();
        linked.extend(known.into_iter().filter_map(|(id, record)| {
            let replica = states.get(&record)?.replicas.get(&side.connection)?;
            (replica.link.linked() == Some(&id)).then_some(id)
        }));
    }
    Ok(linked)
}
