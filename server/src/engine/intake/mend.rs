//! Damaged documents: rebuilt where that is proved to lose nothing, else set apart until a person has looked.

use syncline_core::{
    ids::RecordId,
    plan::SyncPlan,
    reconcile::{self, Input, ReconcileError},
};

use super::{Arrival, Batch, Intake, IntakeError};
use crate::{
    engine::clock::Clock,
    store::{CommitBatch, CommitError, RecordCommit, TenantStore},
};

/// How a record's document was found or made sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// It was not damaged.
    Sound,
    /// It is the document that was committed, to the last change.
    Proved,
    /// It holds the values that stood, and begins a new history.
    FromValues,
}

/// What arrives for a damaged record that could not be rebuilt.
pub(super) enum Stranded {
    /// It is put aside and read or computed again later.
    Later(String),
    /// Somebody waits for an answer.
    Refused(IntakeError),
}

impl Intake {
    /// Rebuilds the document of a record, if it is damaged and that can be proved to lose nothing; `None` where it cannot, and
    /// the record is noted as damaged. Only for whoever holds the tenant's gate.
    pub(super) async fn mend(&self, plan: &SyncPlan, record: RecordId) -> Result<Option<Rebuilt>, IntakeError> {
        let tenant = self.store.tenant(&plan.tenant);
        let Some(mut state) = tenant.load(&[record]).await?.pop() else { return Ok(Some(Rebuilt::Sound)) };
        let what = match state.document.verify() {
            Ok(()) => return self.put_back(plan, &*tenant, RecordCommit::new(state), Rebuilt::Sound).await.map(Some),
            Err(damage) => damage.to_string(),
        };
        let log = tenant.log_of(record).await?;
        if reconcile::rebuild(plan, &mut state, &log).map_err(ReconcileError::from)? {
            let how = if log.is_empty() { "its record's values, which imply it" } else { "the log of its changes" };
            tracing::warn!(
                tenant = %plan.tenant, %record, damage = what, from = how,
                "a damaged document was rebuilt as it was committed"
            );
            return self.put_back(plan, &*tenant, RecordCommit::new(state), Rebuilt::Proved).await.map(Some);
        }
        tenant.note_damage(record, &what, Clock::wall()).await?;
        tracing::error!(
            tenant = %plan.tenant, %record, damage = what,
            "a damaged document cannot be rebuilt from its log; nothing is written of its record until `syncline records rebuild`"
        );
        Ok(None)
    }

    /// Makes sure that the record's document is sound, by a person's wish: if nothing else is left, and it was asked for, from
    /// the record's values as a new history.
    ///
    /// # Errors
    /// The store's; [`IntakeError::Damaged`] where the document can only be made from the values, which was not asked for.
    pub async fn rebuild(
        &self,
        sync: &str,
        plan: &SyncPlan,
        record: RecordId,
        from_values: bool,
    ) -> Result<Rebuilt, IntakeError> {
        let gate = self.gate(&plan.tenant);
        let _one_at_a_time = gate.lock().await;
        if let Some(rebuilt) = self.mend(plan, record).await? {
            return Ok(rebuilt);
        }
        if !from_values {
            let reason = "neither its log nor its values prove what it was: `--from-values` begins a new history with the values that stand";
            let model = plan.model.name.clone();
            return Err(IntakeError::Damaged { model, record, reason: reason.into() });
        }
        let start_over = Arrival::Known { record, input: Box::new(Input::StartOver) };
        self.take_one(sync, plan, Batch::of(vec![start_over])).await?;
        tracing::warn!(tenant = %plan.tenant, %record, "a damaged document was begun anew from its record's values");
        Ok(Rebuilt::FromValues)
    }

    /// Stores a document that is sound again.
    async fn put_back(
        &self,
        plan: &SyncPlan,
        tenant: &dyn TenantStore,
        mut commit: RecordCommit,
        rebuilt: Rebuilt,
    ) -> Result<Rebuilt, IntakeError> {
        commit.rebuilt = true;
        let record = commit.state.id;
        match tenant.commit(CommitBatch::of(vec![commit])).await {
            // Whoever wrote it meanwhile had a sound one.
            Ok(_) | Err(CommitError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.repo.watches().moved_on(&plan.tenant, std::iter::once(record));
        Ok(rebuilt)
    }
}

/// What becomes of an arrival whose record is damaged.
pub(super) fn strand(plan: &SyncPlan, arrival: &Arrival, record: RecordId, damage: &str) -> Stranded {
    let model = &plan.model.name;
    let reason = format!(
        "the document of record {record} is damaged ({damage}) and could not be rebuilt: see `syncline records rebuild {model} {record}`, then replay"
    );
    let own = |input: &Input| !matches!(input, Input::Edited(_) | Input::Replayed(_) | Input::StartOver);
    match arrival {
        Arrival::Observed { .. } | Arrival::Received { .. } => Stranded::Later(reason),
        Arrival::Known { input, .. } if own(input) => Stranded::Later(reason),
        _ => Stranded::Refused(IntakeError::Damaged { model: model.clone(), record, reason: damage.to_owned() }),
    }
}
