//! Documents that are no record's own: what clients begin, keep for themselves, or go on writing after it moved into a record.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use automerge::{ActorId, Automerge, Change, ChangeHash, ReadDoc};
use syncline_core::{
    document::{Document, DocumentError},
    ids::{FieldName, RecordId, TenantId},
    model::Model,
    reconcile::{Input, Replayed, written_at},
    repo::{self, DocumentId, Known, Limits},
    value::{Fields, Value},
};

use super::{ClientChanges, DocumentsError, Held, Scribe, surviving};
use crate::{
    engine::{
        intake::{Arrival, Batch, IntakeError, claims, missing, refuse_roots, use_of},
        side::RunningSync,
    },
    failpoint::{Point, reach},
    repo::{Holder, Reception, Right},
    store::{
        CommitError,
        documents::{ActorClaim, CHUNKS_MAX, DocumentKind, DocumentWrite},
    },
};

/// What a client is told that still has the document of an erased record.
const ERASED: &str =
    "this record was erased on request: drop your copy of it, and begin another document for a new record";

/// What a document of a client is good for.
enum Fitness {
    /// It is a record in all but name.
    Record(Arc<RunningSync>, Fields),
    /// It names a model but cannot be its record yet, for this reason.
    Draft(String),
    /// It is of no model.
    Free,
}

/// How far the changes of an offer got.
struct Taken {
    accepted: Vec<Change>,
    claims: Vec<ActorClaim>,
    reception: Reception,
}

impl Scribe {
    /// Takes in changes of a document that is no record's own.
    pub(super) async fn take_own(
        &self,
        who: &Holder,
        document: DocumentId,
        kind: Option<DocumentKind>,
        changes: Vec<Change>,
    ) -> Result<Reception, DocumentsError> {
        let tenant = &who.principal.tenant;
        let mut held = self.hold(tenant, document).await?;
        if let Some(DocumentKind::Record { .. }) = held.kind {
            // It became a record meanwhile; the peer comes back and finds it as one.
            held.stale = true;
            self.shelf.forget(tenant, document);
            return Ok(Reception { heads: sorted(&held), waiting: changes, ..Reception::default() });
        }
        if held.kind.is_none() && self.intake.barred().bars(self.store.tenant(tenant).as_ref(), document).await? {
            held.stale = true;
            self.shelf.forget(tenant, document);
            return Ok(Reception { refusal: Some(ERASED.to_owned()), ..Reception::default() });
        }
        if let (None, Some(DocumentKind::Moved { record, .. })) = (&held.kind, &kind) {
            held.stale = true;
            self.shelf.forget(tenant, document);
            let refusal = Some(self.moved_long_ago(tenant, *record).await?);
            return Ok(Reception { refusal, ..Reception::default() });
        }
        let before = held.document.get_heads();
        let taken = self.add(who, document, &mut held, changes).await?;
        if taken.accepted.is_empty() {
            return Ok(taken.reception);
        }
        let done = match held.kind.clone().or(kind) {
            Some(DocumentKind::Moved { record, .. }) => {
                self.replay(who, document, record, &mut held, before, taken).await
            }
            _ => self.settle(who, document, &mut held, before, taken).await,
        };
        if done.is_err() {
            held.stale = true;
            self.shelf.forget(tenant, document);
        }
        done
    }

    /// What a client is told whose document moved so long ago that what it held is not kept any more.
    async fn moved_long_ago(&self, tenant: &TenantId, record: RecordId) -> Result<String, DocumentsError> {
        let state = self.store.tenant(tenant).load_surface(&[record]).await?.pop();
        let there = state.map_or_else(|| "nowhere".to_owned(), |state| state.document_id().url());
        Ok(format!(
            "this document moved to {there} long ago, and what you saw of it is not kept any more, so your edits cannot be placed: \
             nothing of them was taken; keep your copy, open the other document, and make them there"
        ))
    }

    /// Vets the changes and adds those that pass to the document in memory; nothing is durable yet.
    async fn add(
        &self,
        who: &Holder,
        document: DocumentId,
        held: &mut Held,
        changes: Vec<Change>,
    ) -> Result<Taken, DocumentsError> {
        let tenant = &who.principal.tenant;
        let actors: BTreeSet<Vec<u8>> = changes.iter().map(|change| change.actor_id().to_bytes().to_vec()).collect();
        let actors: Vec<Vec<u8>> = actors.into_iter().collect();
        let owners = self.store.tenant(tenant).actor_owners(&actors).await?;
        let offered =
            ClientChanges { principal: who.principal.name.clone(), changes: Vec::new(), own: self.own_actors(tenant) };
        let may = |actor: &ActorId| use_of(actor, &offered, &owners);
        let known = Known { document: &held.document, ledger: &held.ledger };
        let mut verdict = repo::vet(changes, &known, may, &self.options.limits());
        if matches!(held.kind, Some(DocumentKind::Moved { .. })) {
            refuse_roots(&mut verdict);
        }
        let mut refusal = verdict.refused.map(|refused| refused.to_string());
        let mut accepted = verdict.accepted;
        if !accepted.is_empty() {
            let room = self.room_for(tenant, document, held, &accepted).await?;
            let entered = room.and_then(|()| self.enter(document, held, &accepted, verdict.marks));
            if let Err(reason) = entered {
                held.stale = true;
                self.shelf.forget(tenant, document);
                refusal = Some(reason);
                accepted.clear();
            }
        }
        let claims = claims(&accepted, &owners, &offered);
        let reception = Reception {
            heads: sorted(held),
            accepted: accepted.iter().map(Change::hash).collect(),
            missing: missing(&verdict.waiting),
            waiting: verdict.waiting,
            refusal,
            draft: None,
        };
        Ok(Taken { accepted, claims, reception })
    }

    /// Adds vetted changes to the document in memory. What it takes is what it would be saved as: many small changes are far
    /// longer on their way.
    fn enter(&self, document: DocumentId, held: &mut Held, changes: &[Change], marks: bool) -> Result<(), String> {
        held.apply(changes, marks).map_err(|reason| reason.to_string())?;
        let max = self.options.document_bytes_max;
        if held.bytes + raw_bytes(changes) <= max {
            return Ok(());
        }
        held.bytes = held.document.save().len() as u64;
        held.chunks = CHUNKS_MAX;
        if held.bytes > max {
            return Err(format!("document {document} would take more than {max} bytes: begin another one"));
        }
        Ok(())
    }

    /// Whether the document and the tenant have room for the changes.
    async fn room_for(
        &self,
        tenant: &TenantId,
        document: DocumentId,
        held: &Held,
        changes: &[Change],
    ) -> Result<Result<(), String>, DocumentsError> {
        let ops: u64 = changes.iter().map(|change| change.len() as u64).sum();
        let limits = &self.options;
        if held.document.stats().num_ops + ops > limits.document_ops_max {
            let max = limits.document_ops_max;
            return Ok(Err(format!("document {document} would hold more than {max} ops: begin another one")));
        }
        let usage = self.store.tenant(tenant).documents_usage().await?;
        let one_more = held.kind.is_none() && usage.documents >= limits.tenant_documents_max;
        if usage.bytes + raw_bytes(changes).min(limits.document_bytes_max) > limits.tenant_bytes_max || one_more {
            return Ok(Err("the tenant's documents take all the room that they may: raise `repo.tenant_bytes` or `repo.tenant_documents`, or delete some".into()));
        }
        Ok(Ok(()))
    }

    /// Decides what the document has become, and makes that durable.
    async fn settle(
        &self,
        who: &Holder,
        document: DocumentId,
        held: &mut Held,
        before: Vec<ChangeHash>,
        taken: Taken,
    ) -> Result<Reception, DocumentsError> {
        let tenant = &who.principal.tenant;
        let Taken { claims, mut reception, .. } = taken;
        match self.fitness(who, &held.document)? {
            Fitness::Record(sync, fields) => {
                self.become_record(who, document, &sync, fields, held).await?;
                // From here on it is found in the store.
                self.shelf.forget(tenant, document);
                held.stale = true;
                return Ok(reception);
            }
            Fitness::Draft(reason) => {
                tracing::debug!(%tenant, %document, reason, "a client's document is not a record yet");
                reception.draft = Some(format!("the document is kept, but is no record yet: {reason}"));
                held.kind = Some(DocumentKind::Draft);
            }
            Fitness::Free if self.options.free_documents => held.kind = Some(DocumentKind::Free),
            Fitness::Free => {
                // It may yet say what it is; until then nothing of it is kept, and nothing acknowledged.
                reception.waiting = held.document.get_changes(&[]);
                reception.accepted.clear();
                reception.heads.clear();
                self.shelf.forget(tenant, document);
                held.stale = true;
                return Ok(reception);
            }
        }
        self.commit_own(tenant, document, held, before, claims).await?;
        Ok(reception)
    }

    /// What the document is good for.
    fn fitness(&self, who: &Holder, document: &Automerge) -> Result<Fitness, DocumentsError> {
        let Some((name, has_fields)) = Document::says_type(document)? else { return Ok(Fitness::Free) };
        let Some(sync) = self.sync_of(&who.principal.tenant, &name) else { return Ok(Fitness::Free) };
        let mut copy = Document::of(document.clone());
        if !who.access.reaches(&name) || !who.access.may(Right::Create) {
            return Ok(Fitness::Draft(format!("{} may not create records of {name}", who.principal.name)));
        }
        if !has_fields {
            return Ok(Fitness::Draft("it has no map `fields`".into()));
        }
        let model = &sync.plan.model;
        let (ops, max) = (document.stats().num_ops, Limits::of(model).ops_max);
        if ops > max {
            return Ok(Fitness::Draft(format!("it holds {ops} ops and a record of {name} begins with at most {max}")));
        }
        let fields = fitting(model, copy.fields(model)?);
        let missing =
            model.fields.iter().find(|(name, field)| field.required && fields.get(*name).is_none_or(Value::is_blank));
        Ok(match missing {
            Some((name, _)) => Fitness::Draft(format!("it has no `{name}`, which is required")),
            None if fields.values().all(Value::is_blank) => Fitness::Draft("none of its fields says anything".into()),
            None => Fitness::Record(sync, fields),
        })
    }

    async fn become_record(
        &self,
        who: &Holder,
        document: DocumentId,
        sync: &RunningSync,
        fields: Fields,
        held: &Held,
    ) -> Result<(), DocumentsError> {
        let offered = Arc::new(ClientChanges {
            principal: who.principal.name.clone(),
            changes: held.document.get_changes(&[]),
            own: self.own_actors(&who.principal.tenant),
        });
        let elsewhere = RecordId::created(&who.principal.tenant, &sync.plan.model.name, &document.to_string());
        // Another tenant's record may bear this id; nobody is told, and the record gets another one.
        for record in [document.record(), elsewhere] {
            let arrival = Arrival::Begun { record, document, changes: offered.clone(), fields: fields.clone() };
            let documents = vec![DocumentWrite::Drop { id: document }];
            let batch = Batch { arrivals: vec![arrival], documents, ..Batch::default() };
            reach(Point::BegunBefore);
            match self.take_into(sync, batch).await {
                Err(IntakeError::Commit(CommitError::Stale(stale)))
                    if stale.contains(&record) && record != elsewhere => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    reach(Point::BegunAfter);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Makes what the client wrote into a moved document an edit of the record that it moved into.
    async fn replay(
        &self,
        who: &Holder,
        document: DocumentId,
        record: RecordId,
        held: &mut Held,
        before: Vec<ChangeHash>,
        taken: Taken,
    ) -> Result<Reception, DocumentsError> {
        let tenant = &who.principal.tenant;
        let Some(state) = surviving(self.store.tenant(tenant).as_ref(), record).await? else {
            return Ok(taken.reception);
        };
        let (record, model) = (state.id, state.model.clone());
        if let Some(sync) = self.sync_of(tenant, &model).filter(|_| who.access.reaches(&model)) {
            let replayed = difference(&held.document, &taken.accepted, &sync.plan.model, &who.principal.name)?;
            if !replayed.fields.is_empty() || replayed.delete.is_some() {
                let arrivals = vec![Arrival::Known { record, input: Box::new(Input::Replayed(replayed)) }];
                self.take_into(&sync, Batch::of(arrivals)).await?;
            }
        }
        self.commit_own(tenant, document, held, before, taken.claims).await?;
        self.hub.watches().watch(tenant, record, document);
        self.hub.watches().moved_on(tenant, std::iter::once(record));
        Ok(taken.reception)
    }
}

/// What a client's changes made of a moved document, as edits of its record: from what the client saw to what it left, whatever
/// others wrote into the document meanwhile.
fn difference(
    document: &Automerge,
    changes: &[Change],
    model: &Model,
    principal: &str,
) -> Result<Replayed, DocumentsError> {
    let own: BTreeSet<ChangeHash> = changes.iter().map(Change::hash).collect();
    let (seen, followed): (BTreeSet<ChangeHash>, BTreeSet<ChangeHash>) =
        changes.iter().flat_map(|change| change.deps().iter().copied()).partition(|hash| !own.contains(hash));
    let seen: Vec<ChangeHash> = seen.into_iter().collect();
    let left: Vec<ChangeHash> = own.difference(&followed).copied().chain(seen.iter().copied()).collect();
    let at = |heads: &[ChangeHash]| document.fork_at(heads).map(Document::of).map_err(DocumentError::from);
    let (mut earlier, mut now) = (at(&seen)?, at(&left)?);
    let (old, new) = (earlier.fields(model)?, now.fields(model)?);
    let blank = Value::Null;
    let fields: BTreeMap<FieldName, (Value, Value)> = model
        .fields
        .keys()
        .filter_map(|name| {
            let (old, new) = (old.get(name).unwrap_or(&blank), new.get(name).unwrap_or(&blank));
            (old != new).then(|| (name.clone(), (old.clone(), new.clone())))
        })
        .collect();
    let (was_deleted, is_deleted) = (earlier.says_deleted()?, now.says_deleted()?);
    let delete = (was_deleted != is_deleted).then_some(is_deleted);
    let written_at = changes.iter().filter_map(written_at).max();
    Ok(Replayed { principal: principal.to_owned(), fields, written_at, delete })
}

fn raw_bytes(changes: &[Change]) -> u64 {
    changes.iter().map(|change| change.raw_bytes().len() as u64).sum()
}

/// The values that fit their fields, in canonical form.
fn fitting(model: &Model, fields: Fields) -> Fields {
    let fit = |(name, value): (FieldName, Value)| {
        let field = model.field(&name).filter(|field| !field.computed)?;
        Some((name.clone(), field.admit(value).ok()?))
    };
    fields.into_iter().filter_map(fit).collect()
}

fn sorted(held: &Held) -> Vec<ChangeHash> {
    let mut heads = held.document.get_heads();
    heads.sort_unstable();
    heads
}
