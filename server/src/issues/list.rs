//! Pages of issues. The list begins with what is no connection's, then walks the tenant's connections by name and, in each, what is
//! wrong with it as a whole, then its marked replicas, then its quarantined rows: each step goes along an index from the place where
//! the page before ended.

use std::collections::BTreeSet;

use syncline_core::{
    ids::{ConnectionId, RecordId},
    outbox::Delivery,
    replica::ParkCause,
};

use super::{Issue, IssueId, IssueKind, Scope};
use crate::{
    engine::schema::{SCHEMA, SchemaState},
    store::{
        StoreError, TenantStore,
        held::{DeleteSource, Standing},
        issues::{MarkedPlace, MarkedQuery, MarkedReplica, Marks},
        mending::DamagedRecord,
        quarantine::{QuarantineCause, QuarantineId, QuarantineRow},
        syncs::{Phase, SyncState},
    },
};

/// Which issues to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IssueQuery {
    /// Only of these kinds; empty means all.
    pub kinds: BTreeSet<IssueKind>,
    /// Only of this connection.
    pub connection: Option<ConnectionId>,
    /// Only after this place.
    pub after: Option<IssuePlace>,
    /// The most issues.
    pub limit: usize,
}

/// A place in the list of issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuePlace {
    /// The connection; `None`, which comes first: none.
    pub connection: Option<ConnectionId>,
    /// What of the connection.
    pub step: IssueStep,
    /// How many issues of what the step names come before the next one.
    pub seen: u32,
}

/// What of a connection, or of what is no connection's, is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueStep {
    /// The connection as a whole, and its sides of syncs; of no connection, the deletes that clients asked for.
    Whole,
    /// The record whose document is damaged.
    Document(RecordId),
    /// The marked replica at this place.
    Replica(MarkedPlace),
    /// The quarantined row of this cause.
    Row(QuarantineCause, QuarantineId),
}

/// A page of issues in the making.
struct Walk<'a> {
    store: &'a dyn TenantStore,
    scope: Scope<'a>,
    query: &'a IssueQuery,
    found: Vec<(IssuePlace, Issue)>,
}

/// A page of the tenant's issues, each with its place.
///
/// # Errors
/// The store's.
pub async fn list(
    store: &dyn TenantStore,
    scope: Scope<'_>,
    query: &IssueQuery,
) -> Result<Vec<(IssuePlace, Issue)>, StoreError> {
    let mut walk = Walk { store, scope, query, found: Vec::new() };
    let after = query.after.as_ref();
    if query.connection.is_none() && after.is_none_or(|after| after.connection.is_none()) {
        walk.tenant(after.map(|after| (after.step, after.seen))).await?;
    }
    for connection in scope.connections {
        let wanted = query.connection.as_ref().is_none_or(|wanted| wanted == connection);
        let begun = after.is_none_or(|after| Some(connection) >= after.connection.as_ref());
        if wanted && begun && !walk.is_full() {
            let from = after.filter(|after| after.connection.as_ref() == Some(connection));
            walk.connection(connection, from.map(|after| (after.step, after.seen))).await?;
        }
    }
    Ok(walk.found)
}

/// One issue by its name; `None` where it is over, or never was.
///
/// # Errors
/// The store's.
pub async fn get(store: &dyn TenantStore, scope: Scope<'_>, id: &IssueId) -> Result<Option<Issue>, StoreError> {
    let issues = match id {
        IssueId::Connection(connection)
        | IssueId::Side { connection, .. }
        | IssueId::RemoteField { connection, .. } => whole(store, scope, connection).await?,
        IssueId::Delivery { connection, record } | IssueId::Field { connection, record, .. } => {
            let replica = store.marked_replica(*record, connection).await?;
            replica.map(|replica| of_replica(scope, &replica)).unwrap_or_default()
        }
        IssueId::Deletes { connection, .. } => held_deletes(store, scope, connection.as_ref()).await?,
        IssueId::Document(record) => {
            let damaged = store.damaged_record(*record).await?;
            damaged.map(|damaged| of_document(scope, damaged)).into_iter().collect()
        }
        IssueId::Row(row) => store.get_quarantined(*row).await?.map(|row| of_row(scope, row)).into_iter().collect(),
    };
    let known =
        |issue: &Issue| issue.connection.as_ref().is_none_or(|connection| scope.connections.contains(connection));
    Ok(issues.into_iter().find(|issue| issue.id == *id && known(issue)))
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.query.limit
    }

    fn wants(&self, kind: IssueKind) -> bool {
        self.query.kinds.is_empty() || self.query.kinds.contains(&kind)
    }

    /// What is no connection's.
    async fn tenant(&mut self, after: Option<(IssueStep, u32)>) -> Result<(), StoreError> {
        if let None | Some((IssueStep::Whole, _)) = after
            && self.wants(IssueKind::DeletesHeld)
        {
            let issues = held_deletes(self.store, self.scope, None).await?;
            self.take(None, IssueStep::Whole, after.map_or(0, |(_, seen)| seen), issues);
        }
        let mut record = match after {
            Some((IssueStep::Document(record), _)) => Some(record),
            _ => None,
        };
        while !self.is_full() && self.wants(IssueKind::DocumentDamaged) {
            let limit = u32::try_from(self.query.limit - self.found.len()).unwrap_or(u32::MAX);
            let damaged = self.store.damaged_records(record, limit).await?;
            let Some(last) = damaged.last().map(|damaged| damaged.record) else { break };
            for damaged in damaged {
                let step = IssueStep::Document(damaged.record);
                let issue = of_document(self.scope, damaged);
                self.take(None, step, 0, vec![issue]);
            }
            record = Some(last);
        }
        Ok(())
    }

    async fn connection(
        &mut self,
        connection: &ConnectionId,
        after: Option<(IssueStep, u32)>,
    ) -> Result<(), StoreError> {
        if let None | Some((IssueStep::Whole, _)) = after {
            let issues = whole(self.store, self.scope, connection).await?;
            let seen = after.map_or(0, |(_, seen)| seen);
            self.take(Some(connection), IssueStep::Whole, seen, issues);
        }
        if !matches!(after, Some((IssueStep::Row(..), _))) {
            let after = match after {
                Some((IssueStep::Replica(place), seen)) => Some((place, seen)),
                _ => None,
            };
            self.replicas(connection, after).await?;
        }
        let after = match after {
            Some((IssueStep::Row(cause, row), _)) => Some((cause, row)),
            _ => None,
        };
        self.rows(connection, after).await
    }

    /// Marked replicas. One with several issues may end a page in between; the next page begins with it.
    async fn replicas(
        &mut self,
        connection: &ConnectionId,
        after: Option<(MarkedPlace, u32)>,
    ) -> Result<(), StoreError> {
        let marks = IssueKind::ALL.into_iter().filter(|kind| self.wants(*kind));
        let marks = marks.map(IssueKind::marks).fold(Marks::default(), Marks::and);
        let mut place = after.map(|(place, _)| MarkedPlace { row: place.row.saturating_sub(1), ..place });
        while !self.is_full() && marks != Marks::default() {
            let limit = u32::try_from(self.query.limit - self.found.len()).unwrap_or(u32::MAX);
            let query = MarkedQuery { connection: connection.clone(), marks, after: place, limit };
            let replicas = self.store.marked_replicas(&query).await?;
            let Some(last) = replicas.last().map(|replica| replica.place) else { break };
            for replica in replicas {
                let seen = after.filter(|(place, _)| *place == replica.place).map_or(0, |(_, seen)| seen);
                let issues = of_replica(self.scope, &replica);
                self.take(Some(connection), IssueStep::Replica(replica.place), seen, issues);
            }
            place = Some(last);
        }
        Ok(())
    }

    async fn rows(
        &mut self,
        connection: &ConnectionId,
        after: Option<(QuarantineCause, QuarantineId)>,
    ) -> Result<(), StoreError> {
        for cause in QuarantineCause::ALL {
            let done = after.is_some_and(|(last, _)| cause < last);
            if done || !self.wants(IssueKind::of_cause(cause)) {
                continue;
            }
            let mut row = after.filter(|(last, _)| *last == cause).map(|(_, row)| row);
            while !self.is_full() {
                let limit = u32::try_from(self.query.limit - self.found.len()).unwrap_or(u32::MAX);
                let rows = self.store.quarantined_for(connection, cause, row, limit).await?;
                let Some(last) = rows.last().map(|row| row.id) else { break };
                for row in rows {
                    let step = IssueStep::Row(cause, row.id);
                    let issue = of_row(self.scope, row);
                    self.take(Some(connection), step, 0, vec![issue]);
                }
                row = Some(last);
            }
        }
        Ok(())
    }

    fn take(&mut self, connection: Option<&ConnectionId>, step: IssueStep, seen: u32, issues: Vec<Issue>) {
        for (number, issue) in (1..).zip(issues).skip(seen as usize) {
            if self.is_full() {
                return;
            }
            if self.wants(issue.kind) {
                let place = IssuePlace { connection: connection.cloned(), step, seen: number };
                self.found.push((place, issue));
            }
        }
    }
}

/// What is wrong with a connection as a whole, with its sides, and with the provider's fields.
async fn whole(store: &dyn TenantStore, scope: Scope<'_>, connection: &ConnectionId) -> Result<Vec<Issue>, StoreError> {
    let mut issues = Vec::new();
    let revoked = store.revocation(connection).await?;
    if let Some(revocation) = &revoked {
        let id = IssueId::Connection(connection.clone());
        let issue = blank(scope, id, IssueKind::AuthorizationRevoked, Some(connection));
        issues.push(Issue { since: Some(revocation.at), error: Some(revocation.why.clone()), ..issue });
    }
    for (name, sync) in scope.syncs.iter().filter(|(_, sync)| sync.sides.contains_key(connection)) {
        let Some(state) = store.sync_state(name, connection).await? else { continue };
        let about = |issue: Issue| Issue {
            sync: Some(name.clone()),
            model: Some(sync.model.clone()),
            object: sync.sides.get(connection).cloned(),
            ..issue
        };
        let stream =
            crate::store::syncs::Stream { sync: name.clone(), connection: connection.clone(), name: SCHEMA.to_owned() };
        let text = store.checkpoint(&stream).await?;
        let schema = text.and_then(|text| serde_json::from_str::<SchemaState>(&text).ok()).unwrap_or_default();
        if let Some(kind) = kind_of_phase(&state, &schema, revoked.is_some()) {
            let id = IssueId::Side { sync: name.clone(), connection: connection.clone() };
            let issue = blank(scope, id, kind, Some(connection));
            issues.push(about(Issue { since: state.since, error: state.last_error.clone(), ..issue }));
        }
        for (field, lost) in &schema.lost {
            let id = IssueId::RemoteField { sync: name.clone(), connection: connection.clone(), field: field.clone() };
            let issue = blank(scope, id, IssueKind::RemoteFieldMissing, Some(connection));
            let field = Some(field.clone());
            issues.push(about(Issue { field, since: Some(lost.since), error: Some(lost.to_string()), ..issue }));
        }
    }
    issues.extend(held_deletes(store, scope, Some(connection)).await?);
    Ok(issues)
}

/// The deletes that one source showed and that wait for a person: one issue for each sync.
pub(super) async fn held_deletes(
    store: &dyn TenantStore,
    scope: Scope<'_>,
    connection: Option<&ConnectionId>,
) -> Result<Vec<Issue>, StoreError> {
    let source = connection.map_or(DeleteSource::Clients, |connection| DeleteSource::Connection(connection.clone()));
    let mut issues = Vec::new();
    for guard in store.delete_guards().await?.into_iter().filter(|guard| guard.source == source) {
        let (Some(question), Some(sync)) = (guard.state.question(), scope.syncs.get(&guard.sync)) else { continue };
        let counts = store.count_held(&guard.sync).await?;
        let id = IssueId::Deletes { sync: guard.sync.clone(), connection: connection.cloned() };
        issues.push(Issue {
            model: Some(sync.model.clone()),
            object: connection.and_then(|connection| sync.sides.get(connection).cloned()),
            since: Some(question.since),
            deletes: Some(counts.get(&(source.clone(), Standing::Waits)).copied().unwrap_or_default()),
            error: Some(format!(
                "{} deletes of {} known, shown by: {}",
                question.deletes,
                question.known,
                question.signal.as_str()
            )),
            sync: Some(guard.sync),
            ..blank(scope, id, IssueKind::DeletesHeld, connection)
        });
    }
    Ok(issues)
}

fn of_document(scope: Scope<'_>, damaged: DamagedRecord) -> Issue {
    let DamagedRecord { record, model, found_at, what } = damaged;
    Issue {
        model: Some(model),
        record: Some(record),
        since: Some(found_at),
        error: Some(what),
        ..blank(scope, IssueId::Document(record), IssueKind::DocumentDamaged, None)
    }
}

fn kind_of_phase(state: &SyncState, schema: &SchemaState, revoked: bool) -> Option<IssueKind> {
    match state.phase {
        Phase::Paused => Some(IssueKind::SyncPaused),
        Phase::WaitingApproval => Some(IssueKind::SyncWaitingApproval),
        // The connection's own issue says it all.
        Phase::ReauthNeeded if revoked => None,
        Phase::ReauthNeeded => Some(IssueKind::SyncDegraded),
        // So do those of the fields.
        Phase::Degraded if state.last_error.is_some() && state.last_error == schema.trouble() => None,
        Phase::Degraded => Some(IssueKind::SyncDegraded),
        Phase::Backfilling => state.last_error.as_ref().map(|_| IssueKind::SyncDegraded),
        Phase::Live => None,
    }
}

/// What is wrong with a replica: its delivery first, then its fields by name.
fn of_replica(scope: Scope<'_>, replica: &MarkedReplica) -> Vec<Issue> {
    let MarkedReplica { record, connection, .. } = replica;
    let about = |issue: Issue| Issue {
        sync: scope.sync_of(connection, &replica.model).map(str::to_owned),
        model: Some(replica.model.clone()),
        record: Some(*record),
        object: Some(replica.object.clone()),
        external_id: replica.external_id.clone(),
        ..issue
    };
    let delivery = |kind| {
        let id = IssueId::Delivery { connection: connection.clone(), record: *record };
        blank(scope, id, kind, Some(connection))
    };
    let mut issues = Vec::new();
    match (&replica.delivery, &replica.uncertain) {
        (Delivery::Parked { reason, since }, _) => {
            let issue = delivery(IssueKind::DeliveryParked);
            issues.push(about(Issue { since: Some(*since), error: Some(reason.clone()), ..issue }));
        }
        (Delivery::Dirty { error, .. }, Some((_, opened))) => {
            let issue = delivery(IssueKind::DeliveryUncertain);
            issues.push(about(Issue { since: Some(*opened), error: error.clone(), ..issue }));
        }
        (Delivery::Dirty { attempts, error, .. }, None) if *attempts >= Marks::FAILING_FROM => {
            let issue = delivery(IssueKind::DeliveryFailing);
            issues.push(about(Issue { attempts: Some(u64::from(*attempts)), error: error.clone(), ..issue }));
        }
        _ => {}
    }
    for parked in &replica.parked {
        let kind = match parked.cause {
            ParkCause::Refused | ParkCause::Unfit => IssueKind::FieldRefused,
            ParkCause::Flapping => IssueKind::FieldFlapping,
            ParkCause::Undecided => IssueKind::FieldUndecided,
            ParkCause::Missing => IssueKind::FieldWaiting,
        };
        let id = IssueId::Field { connection: connection.clone(), record: *record, field: parked.field.clone() };
        issues.push(about(Issue {
            field: Some(parked.field.to_string()),
            since: Some(parked.at),
            error: Some(parked.reason.clone()),
            ..blank(scope, id, kind, Some(connection))
        }));
    }
    issues
}

fn of_row(scope: Scope<'_>, row: QuarantineRow) -> Issue {
    let QuarantineRow { id, row, attempts, .. } = row;
    let kind = IssueKind::of_cause(row.cause);
    Issue {
        model: scope.syncs.get(&row.sync).map(|sync| sync.model.clone()),
        sync: Some(row.sync),
        object: Some(row.object),
        external_id: row.external_id,
        since: Some(row.at),
        attempts: Some(attempts),
        error: Some(row.reason),
        ..blank(scope, IssueId::Row(id), kind, Some(&row.connection))
    }
}

fn blank(scope: Scope<'_>, id: IssueId, kind: IssueKind, connection: Option<&ConnectionId>) -> Issue {
    Issue {
        id,
        kind,
        tenant: scope.tenant.clone(),
        sync: None,
        model: None,
        record: None,
        connection: connection.cloned(),
        object: None,
        external_id: None,
        field: None,
        since: None,
        attempts: None,
        deletes: None,
        error: None,
    }
}
