//! Keeps a document whose content moved into a record like that record, as long as somebody has it open: clients that do not
//! know of `moved_to` go on working in it.

use automerge::ReadDoc;
use syncline_core::{
    document::{Actor, Document},
    ids::TenantId,
    journal::{Hash, Heads},
    repo::{DocumentId, thread::Update},
};

use super::{DocumentsError, Held, Scribe, surviving};
use crate::{
    failpoint::{Point, reach},
    store::{
        CommitBatch,
        documents::{DocumentKind, DocumentWrite},
    },
};

impl Scribe {
    /// Writes into the moved document what its record says and it does not, and goes on watching that record. Where the record
    /// was merged into another one since, or is there again, that is another one than before.
    pub(super) async fn mirror(&self, tenant: &TenantId, document: DocumentId) -> Result<(), DocumentsError> {
        let store = self.store.tenant(tenant);
        let mut held = self.hold(tenant, document).await?;
        let Some(DocumentKind::Moved { record, .. }) = held.kind else { return Ok(()) };
        let Some(mut state) = surviving(store.as_ref(), record).await? else { return Ok(()) };
        self.hub.watches().watch(tenant, state.id, document);
        if let Some(again) = store.load_surface(&[state.id]).await?.pop() {
            // What was committed before the watch began is not told.
            state = again;
        }
        let Some(sync) = self.sync_of(tenant, &state.model) else { return Ok(()) };
        let before = held.document.get_heads();
        let mut copy = Document::of(std::mem::take(&mut held.document));
        let service = Actor::service(tenant, self.hands.writer.current);
        let moved_to = state.document_id().url();
        let written = copy.mirror(&service, &sync.plan.model, &state.fields, state.deleted, &moved_to, Self::now());
        held.document = copy.into_automerge();
        written?;
        // The next change of a client builds on it.
        let held = &mut *held;
        held.document.get_changes(&before).iter().for_each(|change| held.ledger.note(change));
        self.commit_own(tenant, document, held, before, Vec::new()).await.map(drop)
    }

    /// Makes a changed document durable, and then tells whoever has it open.
    pub(super) async fn commit_own(
        &self,
        tenant: &TenantId,
        document: DocumentId,
        held: &mut Held,
        mut before: syncline_core::repo::thread::Heads,
        claims: Vec<crate::store::documents::ActorClaim>,
    ) -> Result<bool, DocumentsError> {
        before.sort_unstable();
        let mut after = held.document.get_heads();
        after.sort_unstable();
        if before == after {
            return Ok(false);
        }
        let write = self.write_of(document, held, &before, &after);
        let batch = CommitBatch { documents: vec![write], actors: claims, ..CommitBatch::default() };
        reach(Point::DocumentBefore);
        if let Err(error) = self.store.tenant(tenant).commit(batch).await {
            held.stale = true;
            self.shelf.forget(tenant, document);
            return Err(super::IntakeError::from(error).into());
        }
        reach(Point::DocumentAfter);
        self.shelf.weigh(tenant, document, held);
        if self.hub.is_open(tenant, document) {
            let changes = held.document.get_changes(&before);
            let changes = changes.iter().map(|change| (change.hash(), change.raw_bytes().to_vec())).collect();
            self.hub.updated(tenant, document, Update { before, after, changes });
        }
        Ok(true)
    }

    /// What is to be stored of the document: what came since, or the whole where that is due.
    fn write_of(
        &self,
        id: DocumentId,
        held: &mut Held,
        before: &[automerge::ChangeHash],
        after: &[automerge::ChangeHash],
    ) -> DocumentWrite {
        let heads: Heads = after.iter().map(|hash| Hash(hash.0)).collect();
        let ops = held.document.stats().num_ops;
        if held.chunks > 0 && held.chunks < crate::store::documents::CHUNKS_MAX {
            let chunk = held.document.save_after(before);
            held.chunks += 1;
            held.bytes += chunk.len() as u64;
            return DocumentWrite::Append { id, heads, chunk, ops };
        }
        let saved = held.document.save();
        held.chunks = 1;
        held.bytes = saved.len() as u64;
        let kind = held.kind.clone().unwrap_or(DocumentKind::Free);
        DocumentWrite::Put { id, kind, principal: String::new(), heads, saved, ops }
    }
}
