//! Changes that clients made themselves, and documents that they begin.

use std::collections::{BTreeSet, HashMap};

use automerge::ActorId;
use syncline_core::{
    document::{Actor, Document, DocumentError, Facts},
    ids::RecordId,
    journal::{Hash, Heads as JournalHeads, Origin},
    matching::Match,
    reconcile::{self, Input, Now, Received, ReconcileError, Replayed, WRITER_EPOCH},
    record::RecordState,
    repo::{
        DocumentId,
        thread::{Heads, Update},
    },
    value::{Fields, Value},
};

use super::{Arrival, ClientChanges, Heard, working::Working};
use crate::store::{
    StoreError, TenantStore,
    documents::{ActorClaim, DocumentKind, DocumentWrite},
};

/// Heads as the sync protocol names them.
pub(super) fn heads(heads: &JournalHeads) -> Heads {
    heads.iter().map(|hash| automerge::ChangeHash(hash.0)).collect()
}

/// What those who hold the document are told of what it holds since `before`.
pub(super) fn update(document: &mut Document, before: Heads) -> Result<Update, DocumentError> {
    let from: JournalHeads = before.iter().map(|hash| Hash(hash.0)).collect();
    let changes = document.changes_after(&from)?;
    let changes = changes.into_iter().map(|(hash, chunk)| (automerge::ChangeHash(hash.0), chunk)).collect();
    Ok(Update { before, after: heads(document.heads()), changes })
}

/// Who uses the actors that clients' changes name.
pub(super) async fn owners(
    tenant: &dyn TenantStore,
    arrivals: &[Arrival],
) -> Result<HashMap<Vec<u8>, String>, StoreError> {
    let actors: BTreeSet<Vec<u8>> = arrivals
        .iter()
        .filter_map(|arrival| match arrival {
            Arrival::Received { changes, .. } => Some(&changes.changes),
            _ => None,
        })
        .flatten()
        .map(|change| change.actor_id().to_bytes().to_vec())
        .collect();
    if actors.is_empty() {
        return Ok(HashMap::new());
    }
    tenant.actor_owners(&actors.into_iter().collect::<Vec<_>>()).await
}

impl Working<'_> {
    /// Vets a client's changes against the record's document and takes in those that pass.
    pub(super) fn received(
        &mut self,
        index: usize,
        record: RecordId,
        offered: &ClientChanges,
        now: Now,
    ) -> Result<(), ReconcileError> {
        let Some(work) = self.works.get_mut(&record) else { return Ok(()) };
        let state = &mut work.commit.state;
        let facts = state.document.facts()?;
        let vetted = {
            let owner = |actor: &ActorId| owner(actor, offered, &self.owners, Some((&facts, state)));
            super::super::vetting::vet(offered.changes.clone(), &facts, &owner)
        };
        let accepted: Vec<automerge::ChangeHash> = vetted.accepted.iter().map(automerge::Change::hash).collect();
        self.claim(&offered.principal, &vetted.accepted);
        if !vetted.accepted.is_empty() {
            let received = Received { principal: offered.principal.clone(), changes: vetted.accepted };
            self.known(record, Input::Received(received), now)?;
        }
        let heads = self.works.get(&record).map(|work| heads(work.commit.state.document.heads())).unwrap_or_default();
        let (waiting, missing, refusal) = (vetted.waiting, vetted.missing, vetted.refusal);
        self.taken.heard.push((index, Heard { accepted, waiting, missing, refusal, heads }));
        Ok(())
    }

    /// A document that a client began becomes a record, or goes into the one that it matches.
    pub(super) fn begun(
        &mut self,
        record: RecordId,
        document: DocumentId,
        offered: &ClientChanges,
        fields: &Fields,
        now: Now,
    ) -> Result<RecordId, ReconcileError> {
        let works = &self.works;
        let decided = self.routes.decide_begun(self.plan, fields, |id| works.get(id).map(|work| &work.commit.state));
        self.claim(&offered.principal, &offered.changes);
        let into = match decided {
            Match::Known(known) | Match::Link(known) => {
                let edits = fields
                    .iter()
                    .filter(|(_, value)| !value.is_blank())
                    .map(|(name, value)| (name.clone(), (Value::Null, value.clone())));
                let replayed = Replayed { principal: offered.principal.clone(), fields: edits.collect(), delete: None };
                self.known(known, Input::Replayed(replayed), now)?;
                known
            }
            // Several could be meant: a record of its own is put right more easily than a wrong merge.
            _ => {
                let received = Received { principal: offered.principal.clone(), changes: offered.changes.clone() };
                let (state, outcome) = reconcile::create_from_document(self.plan, record, &received, now)?;
                self.insert(state, false, outcome);
                record
            }
        };
        if DocumentId::from(into) != document {
            self.move_document(document, into, offered, now)?;
        }
        Ok(into)
    }

    /// Keeps the client's document beside the record that its content went into, and lets it say where that is.
    fn move_document(
        &mut self,
        document: DocumentId,
        into: RecordId,
        offered: &ClientChanges,
        now: Now,
    ) -> Result<(), ReconcileError> {
        let Some(work) = self.works.get(&into) else { return Ok(()) };
        let mut copy = Document::from_changes(&offered.changes)?;
        let before = Heads::new();
        let service = Actor::service(&self.plan.tenant, WRITER_EPOCH);
        let state = &work.commit.state;
        let moved_to = DocumentId::from(into).url();
        copy.mirror(&service, &self.plan.model, &state.fields, state.deleted, &moved_to, now.at)?;
        let update = update(&mut copy, before)?;
        let write = DocumentWrite::Put {
            id: document,
            kind: DocumentKind::Moved { record: into },
            principal: offered.principal.clone(),
            heads: copy.heads().clone(),
            saved: copy.save().to_vec(),
            ops: copy.facts()?.max_op,
        };
        self.moved.push((write, document, update));
        Ok(())
    }

    fn claim(&mut self, principal: &str, changes: &[automerge::Change]) {
        let actors: BTreeSet<&[u8]> = changes.iter().map(|change| change.actor_id().to_bytes()).collect();
        for actor in actors {
            if !self.owners.contains_key(actor) {
                self.owners.insert(actor.to_vec(), principal.to_owned());
                self.claims.push(ActorClaim { actor: actor.to_vec(), principal: principal.to_owned() });
            }
        }
    }
}

/// Whether a principal may write as an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Owner {
    /// It is the principal's own, or nobody's yet.
    Own,
    /// Another principal writes as it.
    Foreign,
    /// The service writes as it.
    Reserved,
}

/// Whose actor it is.
pub(in crate::engine) fn owner(
    actor: &ActorId,
    offered: &ClientChanges,
    owners: &HashMap<Vec<u8>, String>,
    document: Option<(&Facts, &RecordState)>,
) -> Owner {
    if offered.reserved.iter().any(|reserved| reserved.is_borrowed_by(actor)) {
        return Owner::Reserved;
    }
    match owners.get(actor.to_bytes()) {
        Some(principal) if *principal == offered.principal => return Owner::Own,
        Some(_) => return Owner::Foreign,
        None => {}
    }
    let earlier = document.and_then(|(facts, state)| Some((facts.actors.get(actor)?.first, state)));
    let origin = earlier.and_then(|(hash, state)| state.journal.iter().find(|entry| entry.hash.0 == hash.0));
    match (earlier, origin.map(|entry| &entry.origin)) {
        (None, _) => Owner::Own,
        (_, Some(Origin::Client(principal))) if *principal == offered.principal => Owner::Own,
        _ => Owner::Foreign,
    }
}
