//! The mass-delete guard of the intake. Whatever shows a delete ends here, so here they are counted, source by source; what
//! is too many waits for a person, in the same transaction that would have carried it out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use syncline_core::{
    guard::{Coming, GuardState, Question, Signal},
    ids::{ConnectionId, ExternalId, RecordId, TenantId},
    model::DeleteEffect,
    plan::SyncPlan,
    replica::Source,
    time::Millis,
};

use super::{Arrival, working::Working};
use crate::{
    config::MassDelete,
    store::{
        StoreError, TenantStore,
        held::{DeleteSource, GuardPut, HeldWrite, Standing},
    },
};

/// What the guards of all syncs have counted. It is read from the store once for each tenant and changes only with
/// commits; the intake allows one batch of a tenant at a time, so nobody else changes it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Guards {
    limits: BTreeMap<String, MassDelete>,
    watches: Mutex<HashMap<TenantId, Watches>>,
}

/// A tenant's sources of deletes, by sync.
type Watches = HashMap<(String, DeleteSource), Watch>;

/// One source of deletes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Watch {
    state: GuardState,
    /// Deletes that a person is asked about.
    waits: u64,
    /// Deletes that a person has answered about and that are not carried out or undone yet.
    answered: u64,
}

/// A source of deletes of one sync of one tenant.
pub(super) struct Watched<'a> {
    pub(super) sync: &'a str,
    pub(super) plan: &'a SyncPlan,
    pub(super) tenant: &'a dyn TenantStore,
    pub(super) now: Millis,
}

/// What the guard says of a batch.
#[derive(Debug, Default)]
pub(super) struct Weighing {
    /// Arrivals whose delete waits, by place.
    held: BTreeSet<usize>,
    /// Arrivals that show what was erased, by place.
    barred: BTreeSet<usize>,
    /// Arrivals whose delete a person has refused, by place.
    refused: BTreeSet<usize>,
    /// Answered deletes that this batch carries out or undoes, if their object is not linked any more after it.
    settling: Vec<(ConnectionId, RecordId, ExternalId)>,
    writes: Vec<HeldWrite>,
    watches: BTreeMap<DeleteSource, Watch>,
}

/// What a batch shows of one connection.
#[derive(Default)]
struct Shown {
    deletes: Vec<Delete>,
    live: Vec<RecordId>,
}

struct Delete {
    place: usize,
    record: RecordId,
    id: ExternalId,
    /// Whether the record is deleted already, so that this only follows it.
    follows: bool,
}

impl Guards {
    pub(super) fn new(limits: BTreeMap<String, MassDelete>) -> Self {
        Self { limits, watches: Mutex::default() }
    }

    /// Judges what the arrivals show before they are taken in.
    pub(super) async fn weigh(
        &self,
        at: &Watched<'_>,
        working: &Working<'_>,
        arrivals: &[Arrival],
    ) -> Result<Weighing, StoreError> {
        let mut weighing = Weighing::default();
        for (connection, shown) in shown(working, arrivals) {
            let source = DeleteSource::Connection(connection.clone());
            let before = self.watch(at, &source).await?;
            if shown.deletes.is_empty() && before.waits + before.answered == 0 {
                continue;
            }
            let mut watch = before.clone();
            let records: Vec<RecordId> =
                shown.deletes.iter().map(|delete| delete.record).chain(shown.live.iter().copied()).collect();
            let standings = standings(at, &source, &watch, &records).await?;
            for record in shown.live.iter().filter(|record| standings.contains_key(record)) {
                // The object is there after all.
                weighing.let_go(&mut watch, &source, *record, standings[record]);
            }
            let mut fresh = Vec::new();
            for delete in shown.deletes {
                let standing = standings.get(&delete.record);
                match standing {
                    Some(Standing::Waits) => drop(weighing.held.insert(delete.place)),
                    None if delete.follows => {}
                    None => fresh.push(delete),
                    Some(Standing::Approved | Standing::Rejected) => {
                        if standing == Some(&Standing::Rejected) {
                            weighing.refused.insert(delete.place);
                        }
                        weighing.settling.push((connection.clone(), delete.record, delete.id));
                    }
                }
            }
            self.admit(at, &source, &mut watch, fresh, &mut weighing).await?;
            if watch != before {
                weighing.watches.insert(source, watch);
            }
        }
        Ok(weighing)
    }

    async fn admit(
        &self,
        at: &Watched<'_>,
        source: &DeleteSource,
        watch: &mut Watch,
        fresh: Vec<Delete>,
        weighing: &mut Weighing,
    ) -> Result<(), StoreError> {
        let objects: BTreeMap<RecordId, Option<ExternalId>> =
            fresh.iter().map(|delete| (delete.record, Some(delete.id.clone()))).collect();
        if !self.passes(at, source, watch, Signal::Reading, objects.len() as u64).await? {
            weighing.held.extend(fresh.iter().map(|delete| delete.place));
            weighing.hold(at, watch, source, objects);
        }
        Ok(())
    }

    /// Judges, once the batch has been taken in, what clients deleted: the record is deleted, and if it is one of too many, its
    /// deliveries wait. Settles what a person has answered.
    pub(super) async fn conclude(
        &self,
        at: &Watched<'_>,
        working: &Working<'_>,
        weighing: &mut Weighing,
    ) -> Result<(), StoreError> {
        for (connection, record, id) in std::mem::take(&mut weighing.settling) {
            if working.linked(record, &connection) != Some(&id) {
                let source = DeleteSource::Connection(connection);
                let mut watch = self.watch_in(at, &source, weighing).await?;
                weighing.let_go(&mut watch, &source, record, Standing::Approved);
                weighing.watches.insert(source, watch);
            }
        }
        let source = DeleteSource::Clients;
        let before = self.watch_in(at, &source, weighing).await?;
        let mut watch = before.clone();
        if watch.waits + watch.answered > 0 {
            let back = working.live();
            for (record, standing) in standings(at, &source, &watch, &back).await? {
                weighing.let_go(&mut watch, &source, record, standing);
            }
        }
        let propagates = at.plan.model.deletes.effect == DeleteEffect::Propagate;
        let deleted: BTreeMap<RecordId, Option<ExternalId>> =
            working.deleted_by_clients().filter(|_| propagates).map(|record| (record, None)).collect();
        if !self.passes(at, &source, &mut watch, Signal::Clients, deleted.len() as u64).await? {
            weighing.hold(at, &mut watch, &source, deleted);
        }
        if watch != before {
            weighing.watches.insert(source, watch);
        }
        Ok(())
    }

    /// Counts deletes that pass; `false` where they are too many.
    async fn passes(
        &self,
        at: &Watched<'_>,
        source: &DeleteSource,
        watch: &mut Watch,
        signal: Signal,
        deletes: u64,
    ) -> Result<bool, StoreError> {
        if deletes == 0 {
            return Ok(true);
        }
        let allowed = self.limits_of(at.sync);
        let coming = self.coming(at, source, &watch.state, signal, deletes).await?;
        Ok(watch.state.admit(&allowed.limits, allowed.window_ms(), at.now, coming))
    }

    /// The deletes with the number of objects that are known, as far as that decides anything.
    async fn coming(
        &self,
        at: &Watched<'_>,
        source: &DeleteSource,
        state: &GuardState,
        signal: Signal,
        deletes: u64,
    ) -> Result<Coming, StoreError> {
        let allowed = self.limits_of(at.sync);
        let together = state.recent(at.now, allowed.window_ms()).saturating_add(deletes);
        let asks = state.question().is_none() && together > allowed.limits.missing_min;
        // A question shows how many objects there are; a decision needs to know only whether there are enough.
        let trips_anyway = together > allowed.limits.missing_max;
        let known = match (asks, trips_anyway) {
            (false, _) => 0,
            (true, true) => count_known(at, source, u64::MAX).await?,
            (true, false) => {
                let enough = count_known(at, source, allowed.limits.known_enough()).await?;
                if allowed.limits.trips(enough, together) { count_known(at, source, u64::MAX).await? } else { enough }
            }
        };
        Ok(Coming { deletes, known, signal })
    }

    fn limits_of(&self, sync: &str) -> MassDelete {
        self.limits.get(sync).copied().unwrap_or_default()
    }

    /// Holds deletes that a provider's list names, or lacks, before anybody looks at the objects, where they are too many to be
    /// looked at one after the other; `None` where they are not.
    pub(super) async fn foresee(
        &self,
        at: &Watched<'_>,
        connection: &ConnectionId,
        signal: Signal,
        named: &[(RecordId, ExternalId)],
    ) -> Result<Option<Weighing>, StoreError> {
        let source = DeleteSource::Connection(connection.clone());
        let mut watch = self.watch(at, &source).await?;
        let allowed = self.limits_of(at.sync);
        let coming = self.coming(at, &source, &watch.state, signal, named.len() as u64).await?;
        if !watch.state.would_hold(&allowed.limits, allowed.window_ms(), at.now, coming) {
            return Ok(None);
        }
        let deletes = watch.state.recent(at.now, allowed.window_ms()).saturating_add(coming.deletes);
        watch.state.ask(Question { since: at.now, signal, deletes, known: coming.known });
        let records: Vec<RecordId> = named.iter().map(|(record, _)| *record).collect();
        let known = standings(at, &source, &watch, &records).await?;
        let fresh = named.iter().filter(|(record, _)| !known.contains_key(record));
        let mut weighing = Weighing::default();
        weighing.hold(at, &mut watch, &source, fresh.map(|(record, id)| (*record, Some(id.clone()))).collect());
        weighing.watches.insert(source, watch);
        Ok(Some(weighing))
    }

    /// What a person's answer makes of the guard; `None` where nothing waits.
    pub(super) async fn answer(
        &self,
        at: &Watched<'_>,
        source: &DeleteSource,
    ) -> Result<Option<(GuardPut, Weighing)>, StoreError> {
        let mut watch = self.watch(at, source).await?;
        if watch.waits == 0 && watch.state.question().is_none() {
            return Ok(None);
        }
        watch.state.answered();
        watch.answered += std::mem::take(&mut watch.waits);
        let put = GuardPut { sync: at.sync.to_owned(), source: source.clone(), state: watch.state.clone() };
        let watches = BTreeMap::from([(source.clone(), watch)]);
        Ok(Some((put, Weighing { watches, ..Weighing::default() })))
    }

    /// Lets go of answered deletes that nothing is left to be done about.
    pub(super) async fn let_go(
        &self,
        at: &Watched<'_>,
        source: &DeleteSource,
        records: &[RecordId],
    ) -> Result<Weighing, StoreError> {
        let mut watch = self.watch(at, source).await?;
        let mut weighing = Weighing::default();
        for (record, standing) in standings(at, source, &watch, records).await? {
            if standing != Standing::Waits {
                weighing.let_go(&mut watch, source, record, standing);
            }
        }
        weighing.watches.insert(source.clone(), watch);
        Ok(weighing)
    }

    /// Forgets what is in memory of a tenant: its held deletes were changed by other means.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    /// Notes what has become durable.
    pub(super) fn keep(&self, at: &Watched<'_>, weighing: Weighing) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = watches.entry(at.plan.tenant.clone()).or_default();
        for (source, watch) in weighing.watches {
            let key = (at.sync.to_owned(), source);
            let asked = |watch: &Watch| watch.state.question().is_some();
            if asked(&watch) && !of_tenant.get(&key).is_some_and(asked) {
                tell(at, &key.1, &watch);
            }
            of_tenant.insert(key, watch);
        }
    }

    async fn watch(&self, at: &Watched<'_>, source: &DeleteSource) -> Result<Watch, StoreError> {
        let key = (at.sync.to_owned(), source.clone());
        let found = |watches: &HashMap<TenantId, Watches>| {
            watches.get(&at.plan.tenant).map(|of_tenant| of_tenant.get(&key).cloned().unwrap_or_default())
        };
        if let Some(watch) = found(&self.watches.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(watch);
        }
        let loaded = load(at.tenant).await?;
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.entry(at.plan.tenant.clone()).or_insert(loaded);
        Ok(found(&watches).unwrap_or_default())
    }

    /// The source as the batch leaves it so far.
    async fn watch_in(
        &self,
        at: &Watched<'_>,
        source: &DeleteSource,
        weighing: &Weighing,
    ) -> Result<Watch, StoreError> {
        match weighing.watches.get(source) {
            Some(watch) => Ok(watch.clone()),
            None => self.watch(at, source).await,
        }
    }
}

impl Weighing {
    /// These arrivals show what was erased: they are not taken in.
    pub(super) fn bar(&mut self, places: BTreeSet<usize>) {
        self.barred = places;
    }

    /// Whether the arrival waits for a person, or is kept out for good.
    pub(super) fn holds(&self, place: usize) -> bool {
        self.held.contains(&place) || self.barred.contains(&place)
    }

    /// Whether a person has refused the delete that the arrival shows.
    pub(super) fn refuses(&self, place: usize) -> bool {
        self.refused.contains(&place)
    }

    /// What is to become durable with the batch.
    pub(super) fn writes(&self, sync: &str) -> (Vec<HeldWrite>, Vec<GuardPut>) {
        let guard = |(source, watch): (&DeleteSource, &Watch)| GuardPut {
            sync: sync.to_owned(),
            source: source.clone(),
            state: watch.state.clone(),
        };
        (self.writes.clone(), self.watches.iter().map(guard).collect())
    }

    fn hold(
        &mut self,
        at: &Watched<'_>,
        watch: &mut Watch,
        source: &DeleteSource,
        objects: BTreeMap<RecordId, Option<ExternalId>>,
    ) {
        watch.waits += objects.len() as u64;
        self.writes.extend(objects.into_iter().map(|(record, object)| HeldWrite::Hold {
            sync: at.sync.to_owned(),
            source: source.clone(),
            record,
            object,
            at: at.now,
        }));
    }

    fn let_go(&mut self, watch: &mut Watch, source: &DeleteSource, record: RecordId, standing: Standing) {
        let count = if standing == Standing::Waits { &mut watch.waits } else { &mut watch.answered };
        *count = count.saturating_sub(1);
        if watch.waits == 0 {
            watch.state.subside();
        }
        self.writes.push(HeldWrite::LetGo { source: source.clone(), record });
    }
}

/// What readings by id show of objects that are linked.
fn shown(working: &Working<'_>, arrivals: &[Arrival]) -> BTreeMap<ConnectionId, Shown> {
    let mut shown: BTreeMap<ConnectionId, Shown> = BTreeMap::new();
    for (place, arrival) in arrivals.iter().enumerate() {
        let Arrival::Observed { connection, observation, .. } = arrival else { continue };
        let Some(record) = working.routes.known(connection, &observation.id) else { continue };
        let id = observation.id.clone();
        if observation.source != Source::ById || working.linked(record, connection) != Some(&id) {
            continue;
        }
        let entry = shown.entry(connection.clone()).or_default();
        if observation.deleted {
            let follows = working.is_deleted(record);
            entry.deletes.push(Delete { place, record, id, follows });
        } else {
            entry.live.push(record);
        }
    }
    shown
}

async fn standings(
    at: &Watched<'_>,
    source: &DeleteSource,
    watch: &Watch,
    records: &[RecordId],
) -> Result<HashMap<RecordId, Standing>, StoreError> {
    if watch.waits + watch.answered == 0 || records.is_empty() {
        return Ok(HashMap::new());
    }
    at.tenant.held_deletes(source, records).await
}

async fn count_known(at: &Watched<'_>, source: &DeleteSource, at_most: u64) -> Result<u64, StoreError> {
    match source {
        DeleteSource::Clients => at.tenant.count_live_records(&at.plan.model.name, at_most).await,
        DeleteSource::Connection(connection) => match at.plan.sides.get(connection) {
            Some(side) => at.tenant.count_live_objects(connection, &side.object, at_most).await,
            None => Ok(0),
        },
    }
}

async fn load(tenant: &dyn TenantStore) -> Result<Watches, StoreError> {
    let mut watches = HashMap::new();
    let guards = tenant.delete_guards().await?;
    let syncs: BTreeSet<&String> = guards.iter().map(|guard| &guard.sync).collect();
    let mut counts = HashMap::new();
    for sync in syncs {
        for ((source, standing), count) in tenant.count_held(sync).await? {
            let (waits, answered): &mut (u64, u64) = counts.entry((sync.clone(), source)).or_default();
            *(if standing == Standing::Waits { waits } else { answered }) += count;
        }
    }
    for guard in guards {
        let key = (guard.sync, guard.source);
        let (waits, answered) = counts.get(&key).copied().unwrap_or_default();
        watches.insert(key, Watch { state: guard.state, waits, answered });
    }
    Ok(watches)
}

fn tell(at: &Watched<'_>, source: &DeleteSource, watch: &Watch) {
    let from = source.connection().map_or("clients", ConnectionId::as_str);
    if let Some(question) = watch.state.question() {
        tracing::warn!(
            tenant = %at.plan.tenant, sync = at.sync, from, deletes = question.deletes, known = question.known,
            signal = question.signal.as_str(),
            "so many deletes at once wait for a person: look, then `syncline syncs approve {sync}` or `syncline syncs reject {sync}`",
            sync = at.sync
        );
    }
}
