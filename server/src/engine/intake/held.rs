//! Deletes that are named before anybody looks at the objects, and what a person answers about those that wait.

use syncline_core::{
    guard::Signal,
    ids::{ConnectionId, ExternalId, RecordId},
    plan::SyncPlan,
};

use super::{Clock, Intake, IntakeError, guard::Watched, guard::Weighing};
use crate::store::{
    CommitBatch, TenantStore,
    held::{DeleteSource, Standing},
};

/// The most objects that one transaction holds back.
const HELD_PER_COMMIT: usize = 500;

impl Intake {
    /// Asks whether objects that a provider's list names as deleted, or lacks, may be looked at one after the other. Where they
    /// are too many, their deletes wait for a person from now on, all of them, and nothing is looked at.
    ///
    /// # Errors
    /// The store's.
    pub async fn foresee(
        &self,
        sync: &str,
        plan: &SyncPlan,
        connection: &ConnectionId,
        signal: Signal,
        ids: &[ExternalId],
    ) -> Result<bool, IntakeError> {
        let Some(side) = plan.sides.get(connection).filter(|_| !ids.is_empty()) else { return Ok(true) };
        let gate = self.gate(&plan.tenant);
        let _one_at_a_time = gate.lock().await;
        let tenant = self.store.tenant(&plan.tenant);
        let at = Watched { sync, plan, tenant: tenant.as_ref(), now: Clock::wall() };
        let mut named: Vec<(RecordId, ExternalId)> = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(HELD_PER_COMMIT) {
            let found = tenant.find_replicas(connection, &side.object, chunk).await?;
            named.extend(found.into_iter().map(|(id, record)| (record, id)));
        }
        named.sort_unstable();
        let Some(all) = self.guards.foresee(&at, connection, signal, &named).await? else { return Ok(true) };
        self.hold(&at, tenant.as_ref(), all).await?;
        Ok(false)
    }

    /// A person approves or rejects every delete of a source that waits. `false`: none does.
    ///
    /// # Errors
    /// The store's.
    pub async fn answer_deletes(
        &self,
        sync: &str,
        plan: &SyncPlan,
        source: &DeleteSource,
        answer: Standing,
    ) -> Result<bool, IntakeError> {
        let gate = self.gate(&plan.tenant);
        let _one_at_a_time = gate.lock().await;
        let tenant = self.store.tenant(&plan.tenant);
        let at = Watched { sync, plan, tenant: tenant.as_ref(), now: Clock::wall() };
        let Some((put, weighing)) = self.guards.answer(&at, source).await? else { return Ok(false) };
        tenant.answer_held(&put, answer).await?;
        self.guards.keep(&at, weighing);
        Ok(true)
    }

    /// Forgets answered deletes of these records, because nothing is left to be done about them.
    ///
    /// # Errors
    /// The store's.
    pub async fn let_go(
        &self,
        sync: &str,
        plan: &SyncPlan,
        source: &DeleteSource,
        records: &[RecordId],
    ) -> Result<(), IntakeError> {
        let gate = self.gate(&plan.tenant);
        let _one_at_a_time = gate.lock().await;
        let tenant = self.store.tenant(&plan.tenant);
        let at = Watched { sync, plan, tenant: tenant.as_ref(), now: Clock::wall() };
        let weighing = self.guards.let_go(&at, source, records).await?;
        self.hold(&at, tenant.as_ref(), weighing).await
    }

    /// Commits what is held and let go. The guard comes with the first part: a crash in between leaves the question open, and
    /// the list that named the rest is read again.
    async fn hold(&self, at: &Watched<'_>, tenant: &dyn TenantStore, weighing: Weighing) -> Result<(), IntakeError> {
        let (mut writes, guards) = weighing.writes(at.sync);
        let mut batch = CommitBatch { guards, ..CommitBatch::default() };
        loop {
            let rest = writes.split_off(writes.len().min(HELD_PER_COMMIT));
            batch.held = std::mem::replace(&mut writes, rest);
            tenant.commit(batch).await?;
            if writes.is_empty() {
                break;
            }
            batch = CommitBatch::default();
        }
        self.guards.keep(at, weighing);
        Ok(())
    }
}
