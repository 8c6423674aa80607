//! The removal of a record, in turn with whatever else changes the tenant's records.

use syncline_core::{ids::RecordId, live::Cursor, plan::SyncPlan, repo::DocumentId, time::Millis};

use super::{Intake, IntakeError};
use crate::store::erasures::{EraseOrder, ErasureId, Receipt};

/// A record to be removed, with what was read of it before anybody had to wait.
#[derive(Debug)]
pub(in crate::engine) struct Erasing {
    /// The record.
    pub record: RecordId,
    /// The erasure.
    pub id: ErasureId,
    /// When.
    pub at: Millis,
    /// Its places in the feed, as far as `looked_to`.
    pub feed: Vec<Cursor>,
    /// How far the feed was read.
    pub looked_to: Cursor,
    /// Texts that name it.
    pub names: Vec<String>,
    /// The receipt so far.
    pub receipt: Receipt,
}

impl Intake {
    /// Removes a record, and tells subscribers; returns the receipt and the documents that it had. `None`: there is no such record.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::engine) async fn erase(
        &self,
        plan: &SyncPlan,
        erasing: Erasing,
    ) -> Result<Option<(Receipt, Vec<DocumentId>)>, IntakeError> {
        let gate = self.gate(&plan.tenant);
        let _one_at_a_time = gate.lock().await;
        let tenant = self.store.tenant(&plan.tenant);
        let Erasing { record, id, at, mut feed, looked_to, names, receipt } = erasing;
        let Some(kept) = tenant.kept_of(record).await? else { return Ok(None) };
        feed.extend(tenant.feed_places(record, looked_to).await?.0);
        let marks = self.barred.all(&plan.tenant, record, &kept.objects, &kept.documents);
        let (objects, documents) = (kept.objects, kept.documents.clone());
        let order = EraseOrder { record, objects, documents, feed, names, marks, at, erasure: id, receipt };
        let erased = tenant.erase(order).await?;
        self.barred.erased(&plan.tenant);
        self.warm.forget(&plan.tenant, record);
        self.guards.forget(&plan.tenant);
        self.feed.forget(&plan.tenant);
        self.feed.published(&plan.tenant, vec![erased.change]);
        Ok(Some((erased.receipt, kept.documents)))
    }
}
