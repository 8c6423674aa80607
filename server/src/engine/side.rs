//! One side of a sync as it runs: what its reader, looker and writer share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use syncline_core::{
    budget::{Call, CallKind},
    ids::{ConnectionId, ExternalId, RecordId},
    plan::{Side, SyncPlan},
    reconcile::FollowUp,
    remote::{MalformedRow, Page, ProviderError, Remedy, RemoteObject},
    replica::{Observation, Source},
    time::{Millis, Tick},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    clock::Clock,
    echoes::Echoes,
    intake::{Arrival, Batch, Decision, Intake, IntakeError, Taken},
    schema::SchemaState,
    session::Session,
    tally::Tally,
    told,
};
use crate::{
    config::{Approval, MassDelete, Schedule},
    failpoint::{Point, reach},
    store::{
        Store, StoreError, TenantStore,
        inbox::HintId,
        quarantine::{QuarantineCause, Quarantined},
        syncs::{Phase, Stream, SyncState},
    },
};

/// The most ids that wait for a look; beyond it new ones wait in the inbox or for the next poll.
const LOOKS_MAX: usize = 100_000;

/// Why an object that its provider shows neither as live nor as deleted goes no further.
const NOWHERE: &str = "the provider shows this object neither as live nor as deleted: it was erased for good, or is hidden \
                       from this connection's user; nothing was deleted elsewhere: restore access and replay, or delete the \
                       record by hand";

/// One sync as it runs.
#[derive(Debug)]
pub struct RunningSync {
    /// The sync's name.
    pub name: String,
    /// Its plan.
    pub plan: SyncPlan,
    /// Whether the first write waits for a person.
    pub approval: Approval,
    /// How many deletes at once wait for a person.
    pub mass_delete: MassDelete,
    /// Notified whenever a side's phase or a delivery may have changed.
    pub stirred: Notify,
    /// Notified when a person has answered about deletes that waited.
    pub answered: Notify,
}

/// What the tasks of one side share.
pub struct RunningSide {
    /// The sync.
    pub sync: Arc<RunningSync>,
    /// The connection.
    pub connection: ConnectionId,
    /// The session with its provider.
    pub session: Arc<Session>,
    /// When it is read.
    pub schedule: Schedule,
    /// The intake.
    pub intake: Arc<Intake>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The counters.
    pub tally: Arc<Tally>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Whether a person has paused it.
    pub paused: watch::Sender<bool>,
    /// How long after its answer was lost a request may still take effect.
    pub request_deadline: Duration,
    /// Wakes the reader before its time.
    pub read_now: Notify,
    /// Set by a reset: the reader begins anew.
    pub reset: std::sync::atomic::AtomicBool,
    /// The mapped fields are to be compared with the provider's schema before the next read.
    inspect: std::sync::atomic::AtomicBool,
    /// What is known of the provider's object.
    schema: Mutex<Arc<SchemaState>>,
    /// Wakes the writer.
    pub write_now: Notify,
    /// Ends every task.
    pub stop: CancellationToken,
    /// Every side of the sync, this one included; filled in once all exist.
    pub peers: std::sync::OnceLock<Vec<std::sync::Weak<RunningSide>>>,
    /// The objects of this connection that any sync maps; filled in once all exist.
    pub mapped_objects: std::sync::OnceLock<std::collections::BTreeSet<syncline_core::ids::ObjectName>>,
    /// Objects to be looked at, with the hints that asked for it.
    looks: Mutex<BTreeMap<ExternalId, Vec<HintId>>>,
    look_now: Notify,
    /// Rows that need not be looked up again while nothing about them changes.
    echoes: Echoes,
    updating: tokio::sync::Mutex<()>,
    /// Reads by id are single-flight, so that two overlapping answers cannot arrive in the wrong order.
    looking: tokio::sync::Mutex<()>,
    /// Records that one of the writer's lanes brings up to date now.
    claimed: Mutex<BTreeSet<RecordId>>,
}

/// Records that no other lane of the writer touches while this is held.
#[derive(Debug)]
pub struct Claim<'a> {
    side: &'a RunningSide,
    /// The records.
    pub records: Vec<RecordId>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.side.claimed();
        for record in &self.records {
            claimed.remove(record);
        }
    }
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Intake.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider's paging.
    #[error(transparent)]
    Read(#[from] syncline_core::read::ReadFault),
}

/// What became of a decision about an object.
#[derive(Debug)]
pub enum Decided {
    /// It was carried out.
    Taken(Box<Taken>),
    /// The object cannot be read, for this reason.
    Unreadable(String),
}

/// The parts that a side is made of.
pub struct SideParts {
    /// The sync.
    pub sync: Arc<RunningSync>,
    /// The session.
    pub session: Arc<Session>,
    /// When it is read.
    pub schedule: Schedule,
    /// The intake.
    pub intake: Arc<Intake>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The counters.
    pub tally: Arc<Tally>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// How long after its answer was lost a request may still take effect.
    pub request_deadline: Duration,
    /// Whether it begins paused.
    pub paused: bool,
    /// Ends every task.
    pub stop: CancellationToken,
}

impl RunningSide {
    /// A side that does nothing yet.
    pub fn new(parts: SideParts) -> Self {
        let SideParts { sync, session, schedule, intake, clock, tally, store, request_deadline, paused, stop } = parts;
        Self {
            sync,
            connection: session.connection.clone(),
            session,
            schedule,
            intake,
            clock,
            tally,
            store,
            request_deadline,
            paused: watch::Sender::new(paused),
            read_now: Notify::new(),
            reset: std::sync::atomic::AtomicBool::new(false),
            inspect: std::sync::atomic::AtomicBool::new(false),
            schema: Mutex::default(),
            write_now: Notify::new(),
            stop,
            peers: std::sync::OnceLock::new(),
            mapped_objects: std::sync::OnceLock::new(),
            looks: Mutex::default(),
            look_now: Notify::new(),
            echoes: Echoes::default(),
            updating: tokio::sync::Mutex::new(()),
            looking: tokio::sync::Mutex::new(()),
            claimed: Mutex::default(),
        }
    }

    /// The tenant's handle to the store.
    pub fn tenant(&self) -> Arc<dyn TenantStore> {
        self.store.tenant(&self.sync.plan.tenant)
    }

    /// This side's part in the plan.
    pub fn part(&self) -> Option<&Side> {
        self.sync.plan.sides.get(&self.connection)
    }

    /// What is known of the provider's object.
    pub fn schema(&self) -> Arc<SchemaState> {
        self.schema.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is known of the provider's object.
    pub fn set_schema(&self, schema: SchemaState) {
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(schema);
    }

    /// Has the mapped fields compared with the provider's schema before the next read.
    pub fn inspect_soon(&self) {
        self.inspect.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked for that since this was last asked.
    pub fn inspection_asked(&self) -> bool {
        self.inspect.swap(false, Ordering::SeqCst)
    }

    /// The provider's fields to ask for: the mapped ones, and our key, but for those that the object has lost.
    pub fn remote_fields(&self) -> Vec<String> {
        let schema = self.schema();
        let mut fields = self.mapped_fields();
        fields.retain(|field| schema.has(field));
        fields
    }

    /// The provider's fields that the mapping names, and our key.
    pub fn mapped_fields(&self) -> Vec<String> {
        let Some(side) = self.part() else { return Vec::new() };
        let mut fields = side.mapping.remote_fields();
        fields.extend(side.key_field.iter().filter(|key| !side.mapping.remote_fields().contains(key)).cloned());
        fields
    }

    /// Names one of this side's streams.
    pub fn stream(&self, name: &str) -> Stream {
        Stream { sync: self.sync.name.clone(), connection: self.connection.clone(), name: name.to_owned() }
    }

    /// Turns provider objects into arrivals; what the mapping cannot take is for quarantine.
    pub fn arrivals(
        &self,
        objects: Vec<RemoteObject>,
        source: Source,
        begun: Tick,
    ) -> (Vec<Arrival>, Vec<Quarantined>) {
        let Some(side) = self.part() else { return (Vec::new(), Vec::new()) };
        let (mut arrivals, mut quarantine) = (Vec::with_capacity(objects.len()), Vec::new());
        for object in objects {
            if object.deleted && object.version.is_none() && source == Source::ById {
                let raw = serde_json::to_value(&object).unwrap_or_default();
                quarantine.push(self.quarantined(QuarantineCause::Hidden, Some(object.id), NOWHERE.to_owned(), raw));
                continue;
            }
            match side.mapping.observe(&object, side.key_field.as_deref(), source, begun) {
                Ok(mut observation) => {
                    self.session.correct(&mut observation);
                    arrivals.push(Arrival::Observed {
                        connection: self.connection.clone(),
                        observation,
                        raw: Arc::new(object),
                    });
                }
                Err(faults) => {
                    let reason = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    let raw = serde_json::to_value(&object).unwrap_or_default();
                    // The field may have another type than it had.
                    self.inspect_soon();
                    quarantine.push(self.quarantined(QuarantineCause::Invalid, Some(object.id), reason, raw));
                }
            }
        }
        (arrivals, quarantine)
    }

    /// Rows that the connector could not read, for quarantine.
    pub fn malformed(&self, rows: Vec<MalformedRow>) -> Vec<Quarantined> {
        let unreadable = |row: MalformedRow| self.quarantined(QuarantineCause::Unreadable, row.id, row.reason, row.raw);
        rows.into_iter().map(unreadable).collect()
    }

    fn quarantined(
        &self,
        cause: QuarantineCause,
        external_id: Option<ExternalId>,
        reason: String,
        raw: serde_json::Value,
    ) -> Quarantined {
        Quarantined {
            sync: self.sync.name.clone(),
            connection: self.connection.clone(),
            object: self.part().map_or_else(|| "".into(), |side| side.object.clone()),
            external_id,
            cause,
            reason,
            raw,
            at: Clock::wall(),
        }
    }

    /// Takes a batch in and passes on what it calls for.
    ///
    /// # Errors
    /// Intake's.
    pub async fn take(&self, batch: Batch) -> Result<super::intake::Taken, IntakeError> {
        let readings: Vec<Option<Arc<RemoteObject>>> = batch.arrivals.iter().map(Arrival::raw).collect();
        readings.iter().flatten().for_each(|object| self.echoes.forget(&object.id));
        let taken = self.intake.take(&self.sync.name, &self.sync.plan, batch).await?;
        for object in taken.echoes.iter().filter_map(|arrival| readings.get(*arrival)?.as_ref()) {
            self.echoes.remember(object);
        }
        self.follow(&taken.follow_ups);
        self.peers().iter().filter(|peer| taken.hinted.contains(&peer.connection)).for_each(|peer| peer.hinted());
        self.stir();
        Ok(taken)
    }

    /// Leaves out of a page what would only be echoes again.
    pub fn skim(&self, page: &mut Page) {
        self.tally.echoed(self.echoes.skim(&mut page.objects));
    }

    /// Claims the first `max` of the records that nobody has claimed.
    pub fn claim(&self, records: &[RecordId], max: usize) -> Claim<'_> {
        let mut claimed = self.claimed();
        let records = records.iter().copied().filter(|record| claimed.insert(*record)).take(max).collect();
        Claim { side: self, records }
    }

    fn claimed(&self) -> MutexGuard<'_, BTreeSet<RecordId>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a request whose answer was lost at `from` can no longer take effect.
    pub fn deadline(&self, from: Millis) -> Millis {
        from.plus(i64::try_from(self.request_deadline.as_millis()).unwrap_or(i64::MAX))
    }

    /// Passes reads on to the sides that make them.
    pub fn follow(&self, follow_ups: &std::collections::BTreeSet<FollowUp>) {
        for FollowUp::Read { connection, id } in follow_ups {
            for peer in self.peers() {
                if peer.connection == *connection {
                    peer.ask_for(id.clone(), None);
                }
            }
        }
    }

    /// Wakes every side's writer: a commit may have made deliveries due anywhere.
    pub fn stir(&self) {
        self.peers().iter().for_each(|peer| peer.write_now.notify_one());
        self.sync.stirred.notify_waiters();
    }

    /// Every side of the sync.
    pub fn peers(&self) -> Vec<Arc<RunningSide>> {
        self.peers.get().into_iter().flatten().filter_map(std::sync::Weak::upgrade).collect()
    }

    /// Asks for a look at an object; asking again while it waits costs nothing.
    pub fn ask_for(&self, id: ExternalId, hint: Option<HintId>) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() < LOOKS_MAX || looks.contains_key(&id) {
            looks.entry(id).or_default().extend(hint);
        }
        drop(looks);
        self.look_now.notify_one();
    }

    /// Hints were stored: the looker is to fetch them.
    pub fn hinted(&self) {
        self.look_now.notify_one();
    }

    /// The objects to look at next, at most `limit`.
    pub fn next_looks(&self, limit: usize) -> BTreeMap<ExternalId, Vec<HintId>> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::new();
        while next.len() < limit {
            let Some((id, hints)) = looks.pop_first() else { break };
            next.insert(id, hints);
        }
        next
    }

    /// Whether any object waits for a look.
    pub fn has_looks(&self) -> bool {
        !self.looks.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Waits until somebody asks for a look.
    pub async fn look_asked(&self) {
        self.look_now.notified().await;
    }

    /// Reads objects by id and takes the answers in. Returns the provider's time when the reading began.
    ///
    /// # Errors
    /// The provider's, or intake's.
    pub async fn look(&self, ids: &[ExternalId], hints: Vec<HintId>) -> Result<Millis, StepError> {
        let _single_flight = self.looking.lock().await;
        let looked_at = self.session.provider_now();
        let Some(side) = self.part() else { return Ok(looked_at) };
        for chunk in ids.chunks(self.session.connector.reader().by_id_max().max(1)) {
            let (arrivals, quarantine) = self.read(side, chunk).await?;
            reach(Point::LookBefore);
            self.take(Batch { arrivals, quarantine, ..Batch::default() }).await?;
            reach(Point::LookAfter);
        }
        if !hints.is_empty() {
            self.take(Batch { hints_done: hints, ..Batch::default() }).await?;
            reach(Point::LookDone);
        }
        Ok(looked_at)
    }

    /// Reads one object by id and takes in what a person decided about it; what was held of it for a person is settled.
    ///
    /// # Errors
    /// The provider's, or intake's.
    pub async fn decide(
        &self,
        id: &ExternalId,
        by: &str,
        decision: impl FnOnce(Box<Observation>) -> Decision,
    ) -> Result<Decided, StepError> {
        let _single_flight = self.looking.lock().await;
        let nowhere = || Decided::Unreadable(NOWHERE.to_owned());
        let Some(side) = self.part() else { return Ok(nowhere()) };
        let (arrivals, quarantine) = self.read(side, std::slice::from_ref(id)).await?;
        let Some(Arrival::Observed { observation, .. }) = arrivals.into_iter().next() else {
            let reason = quarantine.into_iter().next().map(|row| row.reason);
            return Ok(reason.map_or_else(nowhere, Decided::Unreadable));
        };
        let ids = [id.clone(), observation.id.clone()];
        let held = self.tenant().find_quarantined(&self.connection, &side.object, &ids).await?;
        let released = held.into_iter().map(|(_, row)| row).collect();
        let decision = Arrival::Decided { by: by.to_owned(), decision: decision(Box::new(observation)) };
        let taken = self.take(Batch { arrivals: vec![decision], released, ..Batch::default() }).await?;
        Ok(Decided::Taken(Box::new(taken)))
    }

    /// Reads objects by id, as many as one call takes.
    async fn read(&self, side: &Side, ids: &[ExternalId]) -> Result<(Vec<Arrival>, Vec<Quarantined>), StepError> {
        let fields = self.remote_fields();
        let reader = self.session.connector.reader();
        let begun = self.clock.tick().await?;
        let objects = self
            .session
            .call(Call::live(CallKind::Read), |credentials| {
                let fields = &fields;
                async move { reader.by_id(&credentials, &side.object, ids, fields, side.history).await }
            })
            .await?;
        Ok(self.arrivals(objects, Source::ById, begun))
    }

    /// This side's state as stored, or the one it begins with.
    ///
    /// # Errors
    /// The store's.
    pub async fn state(&self) -> Result<SyncState, StoreError> {
        let stored = self.tenant().sync_state(&self.sync.name, &self.connection).await?;
        Ok(stored.unwrap_or_else(|| SyncState::new(&self.sync.name, self.connection.clone())))
    }

    /// Changes this side's stored state.
    ///
    /// # Errors
    /// The store's.
    pub async fn update(&self, change: impl FnOnce(&mut SyncState)) -> Result<SyncState, StoreError> {
        // One at a time, and a pause stands until a person ends it: no task's news may overwrite it.
        let _one_at_a_time = self.updating.lock().await;
        let mut state = self.state().await?;
        let before = state.phase;
        change(&mut state);
        if *self.paused.borrow() {
            state.phase = Phase::Paused;
        }
        if state.phase != before || state.since.is_none() {
            state.since = Some(Clock::wall());
        }
        reach(Point::StateBefore);
        self.tenant().put_sync_state(&state).await?;
        reach(Point::StateAfter);
        self.sync.stirred.notify_waiters();
        Ok(state)
    }

    /// What every line of the log says that one of the side's tasks writes.
    pub fn span(&self, task: &'static str) -> tracing::Span {
        let tenant = &self.sync.plan.tenant;
        tracing::info_span!("side", task, %tenant, sync = self.sync.name, connection = %self.connection)
    }

    /// Notes a failed step for people to see.
    pub async fn note_failure(&self, error: &StepError) {
        if self.stop.is_cancelled() {
            // Interrupted, not failed.
            return;
        }
        let asks_for = |remedy| matches!(error, StepError::Provider(error) if error.remedy == remedy);
        let reauthorise = asks_for(Remedy::Reauthorise);
        if asks_for(Remedy::Configure) {
            // A field that was asked for may be gone.
            self.inspect_soon();
        }
        if reauthorise && *self.session.revoked().borrow() {
            // Told once already, by the session.
            tracing::debug!(%error, "a step failed");
        } else {
            told::step(error);
        }
        let noted = self
            .update(|state| {
                state.last_error = Some(error.to_string());
                if reauthorise {
                    state.phase = Phase::ReauthNeeded;
                } else if state.phase == Phase::Live {
                    state.phase = Phase::Degraded;
                }
            })
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, "the failure could not be stored");
        }
    }

    /// Waits while the side is paused. `false`: the service is shutting down.
    pub async fn unpaused(&self) -> bool {
        let mut paused = self.paused.subscribe();
        tokio::select! {
            waited = paused.wait_for(|paused| !paused) => waited.is_ok() && !self.stop.is_cancelled(),
            () = self.stop.cancelled() => false,
        }
    }

    /// Waits while the side is paused, or its connection waits to be authorised again. `false`: the service is shutting down.
    pub async fn ready(&self) -> bool {
        let mut revoked = self.session.revoked();
        while self.unpaused().await {
            if !*revoked.borrow_and_update() {
                return true;
            }
            tokio::select! {
                // The session, and with it the sender, lives as long as the side.
                _ = revoked.changed() => {}
                () = self.stop.cancelled() => return false,
            }
        }
        false
    }

    /// Sleeps; `false`: the service is shutting down.
    pub async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.stop.cancelled() => false,
        }
    }
}

impl std::fmt::Debug for RunningSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningSide")
            .field("sync", &self.sync.name)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
