//! Documents as clients hold them: changes are vetted, taken in, and told to everybody else who holds the document.
//!
//! # Layout
//!
//! * this file: what sockets ask, sorted by what the document is. A record's own go through [`super::intake`].
//! * [`own`]: documents that are no record's own: begun, free, drafts, and those that moved into a record.
//! * [`shelf`]: those of them that are in memory. [`mirror`]: keeps what moved like the record that it moved into.

mod mirror;
mod own;
mod shelf;

use std::{collections::HashMap, sync::Arc};

use self::shelf::Shelf;
pub use self::shelf::{Held, Lent};
use super::{
    clock::Clock,
    intake::{Arrival, Batch, ClientChanges, Heard, Intake, IntakeError, MERGES_MAX, OwnActors},
    side::{RunningSide, RunningSync},
};
use crate::{
    config::Repo,
    failpoint::{Point, reach},
    repo::{Holder, Offer, Reception, RepoHub},
    store::{
        Store, StoreError, TenantStore,
        documents::{DocumentKind, SavedDocument},
    },
};
use async_trait::async_trait;
use automerge::Change;
use syncline_core::{
    document::Actor,
    ids::{RecordId, TenantId},
    record::RecordState,
    repo::DocumentId,
    writer::WriterEpochs,
};

/// What sockets ask of the engine, beside what they read themselves.
#[async_trait]
pub trait Documents: Send + Sync {
    /// Takes clients' changes in; says of each offer, in order, what became of it.
    async fn take(&self, who: &Holder, offers: Vec<Offer>) -> Result<Vec<Reception>, DocumentsError>;

    /// The document as it is stored, for peers who begin with it; `None` where there is none, or it is damaged and could not be
    /// rebuilt.
    async fn saved(&self, tenant: &TenantId, document: DocumentId) -> Result<Option<SavedDocument>, DocumentsError>;

    /// The document itself, for peers who have diverged; `None` as for [`Documents::saved`].
    async fn lend(&self, tenant: &TenantId, document: DocumentId) -> Result<Option<Lent>, DocumentsError>;

    /// Brings a document whose content moved into a record up to date, because somebody opens it.
    async fn freshen(&self, tenant: &TenantId, document: DocumentId, record: RecordId) -> Result<(), DocumentsError>;
}

/// Why documents cannot be served now. Nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// The intake failed.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored document is damaged.
    #[error(transparent)]
    Document(#[from] syncline_core::document::DocumentError),
}

/// In whose names the service writes, beside its own and those of connections.
#[derive(Debug)]
pub(super) struct Hands {
    /// The names of principals whose edits the service makes for them.
    pub(super) principals: Vec<String>,
    /// In which lives of the store it has written.
    pub(super) writer: WriterEpochs,
}

/// The engine's part in serving documents.
pub struct Scribe {
    store: Arc<dyn Store>,
    intake: Arc<Intake>,
    hub: Arc<RepoHub>,
    syncs: Vec<Arc<RunningSync>>,
    sides: Vec<Arc<RunningSide>>,
    options: Repo,
    hands: Hands,
    shelf: Shelf,
}

/// The record that stands for this one: itself, or the one that it was merged into. Histories are left out.
async fn surviving(store: &dyn TenantStore, record: RecordId) -> Result<Option<RecordState>, StoreError> {
    let mut state = store.load_surface(&[record]).await?.pop();
    for _ in 0..MERGES_MAX {
        let Some(into) = state.as_ref().and_then(|state| state.merged_into) else { break };
        state = store.load_surface(&[into]).await?.pop();
    }
    Ok(state)
}

impl Scribe {
    pub(super) fn new(
        store: Arc<dyn Store>,
        intake: Arc<Intake>,
        hub: Arc<RepoHub>,
        syncs: Vec<Arc<RunningSync>>,
        sides: Vec<Arc<RunningSide>>,
        options: Repo,
        hands: Hands,
    ) -> Self {
        Self { store, intake, hub, syncs, sides, options, hands, shelf: Shelf::default() }
    }

    /// The service's own actors in the tenant.
    fn own_actors(&self, tenant: &TenantId) -> Arc<OwnActors> {
        let of = |epoch: u32| {
            let connections = self.syncs.iter().filter(|sync| sync.plan.tenant == *tenant).flat_map(move |sync| {
                sync.plan.sides.keys().map(move |connection| Actor::connection(tenant, connection, epoch))
            });
            let principals = self.hands.principals.iter().map(move |name| Actor::principal(tenant, name, epoch));
            connections.chain(principals).chain([Actor::service(tenant, epoch)])
        };
        let WriterEpochs { current, retired } = &self.hands.writer;
        Arc::new(OwnActors {
            current: of(*current).collect(),
            retired: retired.iter().flat_map(|epoch| of(*epoch)).collect(),
        })
    }

    fn sync_of(&self, tenant: &TenantId, model: &syncline_core::ids::ModelName) -> Option<Arc<RunningSync>> {
        let meant = |sync: &&Arc<RunningSync>| sync.plan.tenant == *tenant && sync.plan.model.name == *model;
        self.syncs.iter().find(meant).cloned()
    }

    /// The document in memory, for whoever asks alone; one that is not stored yet is begun.
    async fn hold(&self, tenant: &TenantId, document: DocumentId) -> Result<Lent, DocumentsError> {
        let load = async || match self.store.tenant(tenant).saved_document(document).await? {
            Some(saved) => Held::load(saved).await,
            None => Ok(Held::begun()),
        };
        self.shelf.lend(tenant, document, load).await
    }

    async fn take_into(&self, sync: &RunningSync, batch: Batch) -> Result<super::intake::Taken, IntakeError> {
        let taken = self.intake.take(&sync.name, &sync.plan, batch).await?;
        if let Some(side) = self.sides.iter().find(|side| side.sync.name == sync.name) {
            side.follow(&taken.follow_ups);
            side.stir();
        }
        Ok(taken)
    }

    /// Takes in changes of records' own documents, all of one sync as one commit.
    async fn take_records(
        &self,
        who: &Holder,
        sync: &RunningSync,
        offered: Vec<(usize, RecordId, Vec<Change>)>,
        receptions: &mut [Reception],
    ) -> Result<(), DocumentsError> {
        let own = self.own_actors(&who.principal.tenant);
        let mut places = Vec::with_capacity(offered.len());
        let mut arrivals = Vec::with_capacity(offered.len());
        for (place, record, changes) in offered {
            let principal = who.principal.name.clone();
            let changes = Arc::new(ClientChanges { principal, changes, own: own.clone() });
            places.push(place);
            arrivals.push(Arrival::Received { record, changes });
        }
        reach(Point::ReceivedBefore);
        let taken = self.take_into(sync, Batch::of(arrivals)).await?;
        reach(Point::ReceivedAfter);
        for (index, heard) in taken.heard {
            if let Some(reception) = places.get(index).and_then(|place| receptions.get_mut(*place)) {
                *reception = heard.into();
            }
        }
        Ok(())
    }
}

impl From<Heard> for Reception {
    fn from(heard: Heard) -> Self {
        let Heard { accepted, waiting, missing, refusal, heads } = heard;
        Self { heads, accepted, waiting, missing, refusal, draft: None }
    }
}

#[async_trait]
impl Documents for Scribe {
    async fn take(&self, who: &Holder, offers: Vec<Offer>) -> Result<Vec<Reception>, DocumentsError> {
        let tenant = self.store.tenant(&who.principal.tenant);
        let ids: Vec<DocumentId> = offers.iter().map(|offer| offer.document).collect();
        let mut found = tenant.find_documents(&ids).await?;
        let mut receptions = vec![Reception::default(); offers.len()];
        let mut records: HashMap<String, (Arc<RunningSync>, Vec<(usize, RecordId, Vec<Change>)>)> = HashMap::new();
        for (place, offer) in offers.into_iter().enumerate() {
            let Offer { document, changes } = offer;
            match found.remove(&document).map(|found| found.kind) {
                Some(DocumentKind::Record { record, model }) => match self.sync_of(&who.principal.tenant, &model) {
                    Some(sync) => {
                        records.entry(sync.name.clone()).or_insert((sync, Vec::new())).1.push((place, record, changes));
                    }
                    None => receptions[place].refusal = Some(format!("nothing syncs the model `{model}` any more")),
                },
                kind => {
                    receptions[place] = self.take_own(who, document, kind, changes).await?;
                }
            }
        }
        for (sync, offered) in records.into_values() {
            self.take_records(who, &sync, offered, &mut receptions).await?;
        }
        Ok(receptions)
    }

    async fn saved(&self, tenant: &TenantId, document: DocumentId) -> Result<Option<SavedDocument>, DocumentsError> {
        let store = self.store.tenant(tenant);
        match store.saved_document(document).await {
            Err(StoreError::Damaged { what, .. }) => {
                if self.mend(tenant, document).await? {
                    return Ok(store.saved_document(document).await?);
                }
                tracing::error!(%tenant, %document, damage = what, "a damaged document cannot be handed out");
                Ok(None)
            }
            found => Ok(found?),
        }
    }

    async fn lend(&self, tenant: &TenantId, document: DocumentId) -> Result<Option<Lent>, DocumentsError> {
        let Some(saved) = self.saved(tenant, document).await? else { return Ok(None) };
        if let DocumentKind::Record { .. } = saved.found.kind {
            // A record's document is small, and its commits do not pass here: each time it is read anew.
            return Ok(Some(Lent::of(Held::load(saved).await?).await));
        }
        self.hold(tenant, document).await.map(Some)
    }

    async fn freshen(&self, tenant: &TenantId, document: DocumentId, _: RecordId) -> Result<(), DocumentsError> {
        self.mirror(tenant, document).await
    }
}

impl Scribe {
    /// Keeps documents that moved like the records that they moved into, until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        while let Some((tenant, record, documents)) = tokio::select! {
            due = self.hub.watches().due() => Some(due),
            () = stop.cancelled() => None,
        } {
            for document in documents {
                if let Err(error) = self.mirror(&tenant, document).await {
                    tracing::warn!(%tenant, %record, %document, %error, "a moved document was not kept like its record");
                }
            }
        }
    }

    /// Rebuilds a damaged document, if it is a record's own and that can be proved to lose nothing.
    async fn mend(&self, tenant: &TenantId, document: DocumentId) -> Result<bool, DocumentsError> {
        let found = self.store.tenant(tenant).find_documents(&[document]).await?.remove(&document);
        let Some(DocumentKind::Record { record, model }) = found.map(|found| found.kind) else { return Ok(false) };
        let Some(sync) = self.sync_of(tenant, &model) else { return Ok(false) };
        match self.intake.rebuild(&sync.name, &sync.plan, record, false).await {
            Ok(_) => Ok(true),
            Err(IntakeError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a document out of memory that was erased, when whoever works with it is done.
    pub(in crate::engine) async fn forget(&self, tenant: &TenantId, document: DocumentId) {
        if let Ok(mut held) = self.hold(tenant, document).await {
            held.stale = true;
            self.shelf.forget(tenant, document);
        }
    }

    fn now() -> syncline_core::time::Millis {
        Clock::wall()
    }
}

impl std::fmt::Debug for Scribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scribe").field("options", &self.options).finish_non_exhaustive()
    }
}
