//! Erasure on request: a person's data goes, from documents, history, conflicts, the feed and everything else that is kept
//! here, and a search of the database's files proves it.
//!
//! # Layout
//!
//! * this file: the steps of an erasure, at once or after its objects were deleted in the connected systems.
//! * [`traces`]: which texts the search is for. [`super::barred`]: what keeps the record from coming back by accident.

mod traces;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use syncline_core::{
    conflict::Conflict,
    ids::{ConnectionId, ModelName, RecordId, TenantId},
    live::Cursor,
    model::DeleteEffect,
    reconcile::{ClientEdit, Input},
    record::RecordState,
    replica::Link,
    value::Fields,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::traces::Traces;
use super::{
    clock::Clock,
    commands::{CommandError, Principal},
    documents::Scribe,
    intake::{Arrival, Batch, Erasing, Intake, IntakeError},
    side::{RunningSide, RunningSync},
};
use crate::{
    repo::RepoHub,
    store::{
        CommitError, Store, StoreError, TenantStore,
        conflicts::ConflictQuery,
        erasures::{ErasureId, Proof, Receipt},
    },
};

/// How often erasures that wait for connected systems are looked at, at least.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Conflicts read at once.
const CONFLICTS_PER_PAGE: u32 = 1_000;

/// Erases records.
pub(super) struct Eraser {
    pub(super) store: Arc<dyn Store>,
    pub(super) intake: Arc<Intake>,
    pub(super) scribe: Arc<Scribe>,
    pub(super) repo: Arc<RepoHub>,
    pub(super) syncs: Vec<Arc<RunningSync>>,
    pub(super) sides: Vec<Arc<RunningSide>>,
    pub(super) asked: Notify,
}

impl Eraser {
    /// Erases a record at once or, with `everywhere`, as soon as its objects are deleted in the connected systems.
    pub(super) async fn erase(
        &self,
        who: &Principal,
        model: &ModelName,
        record: RecordId,
        everywhere: bool,
    ) -> Result<(ErasureId, Receipt), CommandError> {
        let tenant = self.store.tenant(&who.tenant);
        let state = tenant.load_surface(&[record]).await.map_err(unavailable)?.pop();
        let state = state.filter(|state| state.model == *model);
        let state = state.ok_or_else(|| CommandError::NotFound(format!("there is no {model} {record}")))?;
        let sync = self.sync_of(&who.tenant, model).ok_or_else(|| {
            CommandError::Conflict(format!(
                "nothing syncs the model `{model}` any more: add its sync again, then erase"
            ))
        })?;
        let mut receipt = Receipt {
            model: model.to_string(),
            asked_at: Clock::wall(),
            asked_by: who.name.clone(),
            everywhere,
            erased_at: None,
            rows: BTreeMap::new(),
            proof: None,
            readmitted: None,
        };
        if !everywhere {
            let id = tenant.open_erasure(&receipt, Some(record)).await.map_err(unavailable)?;
            self.carry_out(&sync, record, id, &mut receipt).await.map_err(failed)?;
            return Ok((id, receipt));
        }
        self.may_delete(&sync, &state)?;
        if state.deleted.is_none() {
            let principal = who.name.clone();
            let edit = ClientEdit { principal, fields: Fields::new(), delete: Some(true), settles: false };
            let arrival = Arrival::Known { record, input: Box::new(Input::Edited(edit)) };
            self.intake.take(&sync.name, &sync.plan, Batch::of(vec![arrival])).await.map_err(failed)?;
            self.sides.iter().filter(|side| Arc::ptr_eq(&side.sync, &sync)).for_each(|side| side.stir());
        }
        let id = tenant.open_erasure(&receipt, Some(record)).await.map_err(unavailable)?;
        self.asked.notify_one();
        Ok((id, receipt))
    }

    /// Lets in again what an erasure keeps out.
    pub(super) async fn readmit(&self, who: &Principal, id: ErasureId) -> Result<Receipt, CommandError> {
        let tenant = self.store.tenant(&who.tenant);
        let receipt = tenant.get_erasure(id).await.map_err(unavailable)?;
        let mut receipt = receipt.ok_or_else(|| CommandError::NotFound(format!("there is no erasure {}", id.0)))?;
        if receipt.erased_at.is_none() {
            return Err(CommandError::Conflict(format!("erasure {} is not over yet: it keeps nothing out", id.0)));
        }
        receipt.readmitted = Some((Clock::wall(), who.name.clone()));
        tenant.readmit(id, &receipt).await.map_err(unavailable)?;
        Ok(receipt)
    }

    /// Deletes in connected systems are deliveries like any other, so each of them must be able to take one.
    fn may_delete(&self, sync: &RunningSync, state: &RecordState) -> Result<(), CommandError> {
        let linked = state.replicas.iter().filter(|(_, replica)| replica.link.linked().is_some());
        let propagates = sync.plan.model.deletes.effect == DeleteEffect::Propagate;
        let cannot =
            |connection: &ConnectionId| !propagates || sync.plan.sides.get(connection).is_none_or(|side| !side.writes);
        let stuck: Vec<&str> =
            linked.map(|(connection, _)| connection).filter(|id| cannot(id)).map(ConnectionId::as_str).collect();
        if stuck.is_empty() {
            return Ok(());
        }
        Err(CommandError::Conflict(format!(
            "nothing was erased: {} cannot be deleted from, because the model's deletes do not propagate or the side is only read; \
             delete the object there by hand, then erase without `everywhere`",
            stuck.join(", ")
        )))
    }

    /// Works off erasures that wait for connected systems, until the service stops.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let tenants: BTreeSet<TenantId> = self.syncs.iter().map(|sync| sync.plan.tenant.clone()).collect();
        loop {
            for tenant in &tenants {
                if let Err(error) = self.go_on(tenant).await {
                    tracing::warn!(%tenant, %error, "an erasure could not go on");
                }
            }
            tokio::select! {
                () = self.asked.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn go_on(&self, tenant: &TenantId) -> Result<(), IntakeError> {
        let store = self.store.tenant(tenant);
        for (id, record, mut receipt) in store.erasures_under_way().await? {
            let Some(state) = store.load_surface(&[record]).await?.pop() else {
                store.close_erasure(id, &receipt).await?;
                continue;
            };
            let Some(sync) = self.sync_of(tenant, &state.model) else { continue };
            if receipt.everywhere && !is_gone_everywhere(&state) {
                // Whoever brought it back meanwhile has asked for something else.
                if state.deleted.is_none() {
                    tracing::warn!(%tenant, erasure = id.0, "the record came back before it was erased: it stays");
                    store.close_erasure(id, &receipt).await?;
                }
                continue;
            }
            self.carry_out(&sync, record, id, &mut receipt).await?;
        }
        Ok(())
    }

    /// Removes the record here and those that went into it, tells everybody who holds them, and looks whether anything is left.
    async fn carry_out(
        &self,
        sync: &RunningSync,
        record: RecordId,
        id: ErasureId,
        receipt: &mut Receipt,
    ) -> Result<(), IntakeError> {
        let tenant = self.store.tenant(&sync.plan.tenant);
        let mut records = tenant.merged_into(record).await?;
        records.push(record);
        let mut traces = Traces::default();
        for record in &records {
            traces.extend(self.traces(sync, tenant.as_ref(), *record).await?);
        }
        // The record itself goes last: an erasure that was cut short finds it, and goes on.
        for record in records {
            self.remove(sync, record, id, &traces.names, receipt).await?;
        }
        receipt.proof = Some(prove(tenant.as_ref(), &traces).await?);
        tenant.close_erasure(id, receipt).await?;
        let left = receipt.proof.as_ref().map_or(0, |proof| proof.left);
        tracing::info!(tenant = %sync.plan.tenant, erasure = id.0, left, "a record was erased");
        Ok(())
    }

    /// Removes one record, unless somebody else has meanwhile.
    async fn remove(
        &self,
        sync: &RunningSync,
        record: RecordId,
        id: ErasureId,
        names: &[String],
        receipt: &mut Receipt,
    ) -> Result<(), IntakeError> {
        let tenant = self.store.tenant(&sync.plan.tenant);
        // What is long to read is read before anybody has to wait.
        let (feed, looked_to) = tenant.feed_places(record, Cursor::default()).await?;
        let at = Clock::wall();
        let names = names.to_vec();
        let erasing = Erasing { record, id, at, feed, looked_to, names, receipt: receipt.clone() };
        let Some((stored, documents)) = self.intake.erase(&sync.plan, erasing).await? else {
            return Ok(());
        };
        for document in &documents {
            self.scribe.forget(&sync.plan.tenant, *document).await;
            self.repo.gone(&sync.plan.tenant, *document);
        }
        // Whoever had one of them in hand has let go of it by now.
        tenant.drop_documents(&documents).await?;
        *receipt = stored;
        Ok(())
    }

    async fn traces(
        &self,
        sync: &RunningSync,
        tenant: &dyn TenantStore,
        record: RecordId,
    ) -> Result<Traces, StoreError> {
        let model = &sync.plan.model;
        let Some(state) = tenant.load(&[record]).await?.pop() else { return Ok(Traces::default()) };
        let history = tenant.history(&model.name, record).await?.unwrap_or_default();
        let kept = tenant.kept_of(record).await?.unwrap_or_default();
        let mut conflicts: Vec<Conflict> = Vec::new();
        let mut query = ConflictQuery { record: Some(record), limit: CONFLICTS_PER_PAGE, ..ConflictQuery::default() };
        loop {
            let page = tenant.list_conflicts(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.id);
            conflicts.extend(page.into_iter().map(|row| row.conflict));
        }
        Ok(Traces::of(model, &state, &history, &conflicts, &kept.objects))
    }

    fn sync_of(&self, tenant: &TenantId, model: &ModelName) -> Option<Arc<RunningSync>> {
        self.syncs.iter().find(|sync| sync.plan.tenant == *tenant && sync.plan.model.name == *model).cloned()
    }
}

/// Whether no system holds an object of the record any more, and every one that held one was looked at after its delete.
fn is_gone_everywhere(state: &RecordState) -> bool {
    state.replicas.values().all(|replica| {
        !matches!(replica.link, Link::Linked { .. }) && replica.intent.is_none() && !replica.unread_end()
    })
}

/// Searches the files for what was erased. What rows of others hold as well is told apart; where anything else is found, the
/// file is written anew and searched again.
async fn prove(tenant: &dyn TenantStore, traces: &Traces) -> Result<Proof, StoreError> {
    let mut proof = Proof {
        texts: traces.texts.len() as u64,
        too_short: traces.too_short,
        files: 0,
        bytes: 0,
        left: 0,
        shared: BTreeMap::new(),
        rewritten: false,
    };
    for rewritten in [false, true] {
        let search = tenant.search_files(&traces.texts, rewritten).await?;
        let found: Vec<String> = search.found.iter().cloned().collect();
        let holders = if found.is_empty() { BTreeMap::new() } else { tenant.search_rows(&found).await? };
        let held: BTreeSet<&String> = holders.values().flatten().collect();
        proof.left = found.iter().filter(|text| !held.contains(text)).count() as u64;
        proof.shared = holders.iter().map(|(table, texts)| (table.clone(), texts.len() as u64)).collect();
        (proof.files, proof.bytes, proof.rewritten) = (search.files, search.bytes, rewritten);
        if proof.left == 0 {
            break;
        }
    }
    Ok(proof)
}

fn unavailable(error: StoreError) -> CommandError {
    CommandError::Unavailable(error.to_string())
}

fn failed(error: IntakeError) -> CommandError {
    match error {
        IntakeError::Commit(CommitError::Stale(_)) => {
            CommandError::Conflict("the record is being changed by others all the time: try again".into())
        }
        error => CommandError::Unavailable(error.to_string()),
    }
}
