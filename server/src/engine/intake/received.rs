//! Changes that clients made themselves, and documents that they begin.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use automerge::{ActorId, Change, ChangeHash, ReadDoc};
use syncline_core::{
    document::{Actor, Document, DocumentError, root_touched_by},
    ids::RecordId,
    journal::{Hash, Heads as JournalHeads, Origin},
    matching::Match,
    reconcile::{self, Input, Now, Received, ReconcileError, Replayed, Sealed},
    record::RecordState,
    repo::{
        self, DocumentId, Known, Ledger, Limits, Refusal, RefusedChange, Use,
        thread::{Heads, Update},
        vet::Verdict,
    },
    value::{Fields, Value},
};

use super::{Arrival, ClientChanges, Heard, working::Working};
use crate::{
    repo::RepoHub,
    store::{
        Renewed, StoreError, TenantStore,
        documents::{ActorClaim, DocumentKind, DocumentWrite},
    },
};

/// Heads as the sync protocol names them.
pub(super) fn heads(heads: &JournalHeads) -> Heads {
    heads.iter().map(|hash| ChangeHash(hash.0)).collect()
}

/// What those who hold the document are told of what it holds since `before`.
pub(super) fn update(document: &mut Document, before: Heads) -> Result<Update, DocumentError> {
    let from: JournalHeads = before.iter().map(|hash| Hash(hash.0)).collect();
    let changes = document.changes_after(&from)?;
    let changes = changes.into_iter().map(|(hash, chunk)| (ChangeHash(hash.0), chunk)).collect();
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
        self.at = Some(record);
        let Some(work) = self.works.get_mut(&record) else { return Ok(()) };
        if work.commit.state.merged_into.is_some() {
            // Its document is another one since; the peer comes back and finds it as one that moved.
            let (waiting, missing) = (offered.changes.clone(), missing(&offered.changes));
            self.taken.heard.push((index, Heard { waiting, missing, ..Heard::default() }));
            return Ok(());
        }
        let limits = Limits::of(&self.plan.model);
        let mut verdict = judge(offered, &self.owners, &mut work.commit.state, &limits)?;
        let accepted: Vec<ChangeHash> = verdict.accepted.iter().map(Change::hash).collect();
        self.claim(offered, &verdict.accepted);
        if !verdict.accepted.is_empty() {
            let changes = std::mem::take(&mut verdict.accepted);
            let received = Received { principal: offered.principal.clone(), changes };
            self.known(record, Input::Received(received), now)?;
        }
        let heads = self.works.get(&record).map(|work| heads(work.commit.state.document.heads())).unwrap_or_default();
        let missing = missing(&verdict.waiting);
        let refusal = verdict.refused.map(|refused| refused.to_string());
        self.taken.heard.push((index, Heard { accepted, waiting: verdict.waiting, missing, refusal, heads }));
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
        self.claim(offered, &offered.changes);
        // After a backup was restored, a client may bring the first document of a record that was found again since.
        let forgotten = record == document.record() && self.works.contains_key(&record);
        let decided = if forgotten { Match::Known(record) } else { decided };
        let into = match decided {
            Match::Known(known) | Match::Link(known) => {
                let edits = fields
                    .iter()
                    .filter(|(_, value)| !value.is_blank())
                    .map(|(name, value)| (name.clone(), (Value::Null, value.clone())));
                let replayed = Replayed {
                    principal: offered.principal.clone(),
                    fields: edits.collect(),
                    written_at: offered.changes.iter().filter_map(reconcile::written_at).max(),
                    delete: None,
                };
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
        if self.works.get(&into).is_some_and(|work| work.commit.state.document_id() != document) {
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
        let service = Actor::service(&self.plan.tenant, self.plan.writer.current);
        let state = &work.commit.state;
        let moved_to = state.document_id().url();
        copy.mirror(&service, &self.plan.model, &state.fields, state.deleted, &moved_to, now.at)?;
        let update = update(&mut copy, before)?;
        let write = DocumentWrite::Put {
            id: document,
            kind: DocumentKind::Moved { record: into, model: self.plan.model.name.clone() },
            principal: offered.principal.clone(),
            heads: copy.heads().clone(),
            saved: copy.save().to_vec(),
            ops: copy.automerge()?.stats().num_ops,
        };
        self.moved.push((write, document, update));
        Ok(())
    }

    /// Keeps the document that a record left behind when it began a new epoch, for those who still have it.
    pub(super) fn seal(&mut self, record: RecordId, sealed: Sealed, hub: &RepoHub) -> Result<(), ReconcileError> {
        let Some(work) = self.works.get_mut(&record) else { return Ok(()) };
        let Sealed { id, mut document, genesis } = sealed;
        work.commit.renewed = Some(Renewed { genesis });
        let update = update(&mut document, std::mem::take(&mut work.heads_before))?;
        let write = DocumentWrite::Put {
            id,
            kind: DocumentKind::Moved { record, model: self.plan.model.name.clone() },
            principal: String::new(),
            heads: document.heads().clone(),
            saved: document.save().to_vec(),
            ops: document.automerge()?.stats().num_ops,
        };
        if hub.is_open(&self.plan.tenant, id) {
            hub.watches().watch(&self.plan.tenant, record, id);
        }
        self.moved.push((write, id, update));
        Ok(())
    }

    fn claim(&mut self, offered: &ClientChanges, changes: &[Change]) {
        let claims = claims(changes, &self.owners, offered);
        for ActorClaim { actor, principal } in &claims {
            self.owners.insert(actor.clone(), principal.clone());
        }
        self.claims.extend(claims);
    }
}

/// The actors that the principal begins to use.
pub(in crate::engine) fn claims(
    changes: &[Change],
    owners: &HashMap<Vec<u8>, String>,
    offered: &ClientChanges,
) -> Vec<ActorClaim> {
    let actors: BTreeSet<&ActorId> = changes.iter().map(Change::actor_id).collect();
    actors
        .into_iter()
        .filter(|actor| !owners.contains_key(actor.to_bytes()) && !offered.own.is_retired(actor))
        .map(|actor| ActorClaim { actor: actor.to_bytes().to_vec(), principal: offered.principal.clone() })
        .collect()
}

/// Vets the changes against the record's document, and tries out those that pass: what Automerge itself would not hold is
/// refused here, before anything is touched.
fn judge(
    offered: &ClientChanges,
    owners: &HashMap<Vec<u8>, String>,
    state: &mut RecordState,
    limits: &Limits,
) -> Result<Verdict, DocumentError> {
    let mut strangers = BTreeMap::new();
    for change in &offered.changes {
        let actor = change.actor_id();
        let unknown = !owners.contains_key(actor.to_bytes()) && !offered.own.is_retired(actor);
        if unknown && !strangers.contains_key(actor) {
            strangers.insert(actor.clone(), earlier_use(actor, offered, state)?);
        }
    }
    let document = state.document.automerge()?;
    let ledger = Ledger::of(document);
    let may = |actor: &ActorId| match strangers.get(actor) {
        Some(Use::Foreign) => Use::Foreign,
        _ => use_of(actor, offered, owners),
    };
    let known = Known { document, ledger: &ledger };
    let mut verdict = repo::vet(offered.changes.clone(), &known, may, limits);
    refuse_roots(&mut verdict);
    if let Some(last) = verdict.accepted.last() {
        let (hash, actor) = (last.hash(), last.actor_id().clone());
        let mut trial = document.clone();
        if let Err(reason) = repo::apply::apply(&mut trial, verdict.accepted.clone(), verdict.marks) {
            verdict.accepted.clear();
            verdict.refused = Some(RefusedChange { hash, actor, reason });
        }
    }
    Ok(verdict)
}

/// Refuses the first change that touches what clients may not touch in a record's document, and with it all that follow.
pub(in crate::engine) fn refuse_roots(verdict: &mut Verdict) {
    let touched = verdict.accepted.iter().enumerate().find_map(|(at, change)| Some((at, root_touched_by(change)?)));
    if let Some((at, key)) = touched {
        let change = &verdict.accepted[at];
        let reason = Refusal::Root { key };
        verdict.refused = Some(RefusedChange { hash: change.hash(), actor: change.actor_id().clone(), reason });
        verdict.accepted.truncate(at);
    }
}

/// Whether an actor that is in nobody's name has written in this document for somebody else.
fn earlier_use(actor: &ActorId, offered: &ClientChanges, state: &mut RecordState) -> Result<Use, DocumentError> {
    let Some(hash) = state.document.any_change_of(actor)? else { return Ok(Use::Granted) };
    let origin = state.journal.iter().find(|entry| entry.hash == hash).map(|entry| &entry.origin);
    Ok(match origin {
        Some(Origin::Client(principal)) if *principal == offered.principal => Use::Granted,
        _ => Use::Foreign,
    })
}

/// Whether a principal may write as an actor.
pub(in crate::engine) fn use_of(actor: &ActorId, offered: &ClientChanges, owners: &HashMap<Vec<u8>, String>) -> Use {
    if offered.own.is_current(actor) {
        return Use::Reserved;
    }
    if offered.own.is_retired(actor) {
        // Nobody writes as it any more, so whoever brings its changes back can bring them.
        return Use::Granted;
    }
    match owners.get(actor.to_bytes()) {
        Some(principal) if *principal != offered.principal => Use::Foreign,
        _ => Use::Granted,
    }
}

/// What these changes wait for.
pub(in crate::engine) fn missing(waiting: &[Change]) -> Vec<ChangeHash> {
    let there: BTreeSet<ChangeHash> = waiting.iter().map(Change::hash).collect();
    let deps: BTreeSet<ChangeHash> = waiting.iter().flat_map(|change| change.deps().iter().copied()).collect();
    // Those that the document has are asked for as well; the peer sends them again, and they are duplicates.
    deps.difference(&there).copied().collect()
}
