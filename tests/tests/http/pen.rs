//! A stand-in for the engine: it writes records through the real store and announces them, without providers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use syncline_connectors::connector::WebhookRefused;
use syncline_core::{
    document::{Actor, Document, Put},
    identity::{Changes, Deed, Former, Operation, OperationId, Undone},
    ids::{ConnectionId, FieldName, ModelName, RecordId, TenantId},
    journal::{ChangeEntry, Hash, Op, Ops, Origin},
    live::{Action, ChangedField},
    model::Model,
    record::RecordState,
    replica::{Link, Replica},
    time::{Clock, Millis},
    value::{Fields, Value},
};
use syncline_server::{
    engine::{
        commands::{
            Choice, CommandError, Commands, Edit, FieldFault, IdentityChange, IncomingWebhook, JsonFields, Principal,
            Steering, WebhookCounts,
        },
        intake::Rebuilt,
    },
    live::FeedHub,
    store::{
        Announcement, CommitBatch, RecordCommit, Store,
        conflicts::{Closed, Closing, ConflictId},
        erasures::{ErasureId, Proof, Receipt},
    },
};

/// Writes records as the engine would for a tenant without connections.
pub(crate) struct Pen {
    store: Arc<dyn Store>,
    hub: Arc<FeedHub>,
    models: BTreeMap<ModelName, Model>,
    clock: AtomicI64,
    calls: Mutex<Vec<String>>,
    refusal: Mutex<Option<CommandError>>,
}

impl Pen {
    pub(crate) fn new(store: Arc<dyn Store>, hub: Arc<FeedHub>, models: BTreeMap<ModelName, Model>) -> Self {
        let clock = AtomicI64::new(1_767_225_600_000);
        Self { store, hub, models, clock, calls: Mutex::default(), refusal: Mutex::default() }
    }

    /// Makes the next command fail.
    pub(crate) fn refuse_next(&self, error: CommandError) {
        *self.refusal.lock().unwrap() = Some(error);
    }

    /// The commands that change no record, in words, since this was last asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// The pen's own time: every look at it is one millisecond later.
    pub(crate) fn now(&self) -> Millis {
        Millis(self.clock.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates many records, whose first field holds the text, in one transaction.
    pub(crate) async fn create_many(&self, who: &Principal, model: &str, number: usize, text: &str) {
        let field = self.models[model].fields.keys().next().unwrap();
        let fields = Fields::from([(field.clone(), Value::text(text))]);
        let drafts = (0..number).map(|_| {
            let nonce = format!("many {}", self.now().0);
            self.draft(who, model, RecordId::created(&who.tenant, &model.into(), &nonce), fields.clone())
        });
        let drafts = drafts.collect();
        self.commit(&who.tenant, CommitBatch::of(drafts)).await;
    }

    /// Commits a batch and announces it.
    pub(crate) async fn commit(&self, tenant: &TenantId, batch: CommitBatch) {
        let committed = self.store.tenant(tenant).commit(batch).await.unwrap();
        self.hub.published(tenant, committed.changes);
    }

    /// A new record, ready to be committed.
    pub(crate) fn draft(&self, who: &Principal, model: &str, id: RecordId, fields: Fields) -> RecordCommit {
        let model = &self.models[model];
        let at = self.now();
        let actor = Actor::principal(&who.tenant, &who.name, 0);
        let (document, hash) = Document::genesis(&actor, model, &fields, at).unwrap();
        let ops = Ops::genesis(Clock::exact(at), BTreeMap::new());
        let entry = ChangeEntry { hash, at, origin: Origin::Client(who.name.clone()), ops };
        let changed = fields.keys().map(|field| changed(who, field, &Value::Null)).collect();
        let state = RecordState {
            tenant: who.tenant.clone(),
            id,
            model: model.name.clone(),
            revision: 0,
            epoch: 0,
            version: 1,
            fields,
            deleted: None,
            merged_into: None,
            document,
            journal: vec![entry.clone()],
            replicas: BTreeMap::new(),
            first_seen_at: at,
            last_modified_at: at,
        };
        RecordCommit {
            entries: vec![entry],
            announcement: Some(Announcement { action: Action::Created, changed }),
            ..RecordCommit::new(state)
        }
    }

    fn note(&self, call: String) -> Result<(), CommandError> {
        match self.refusal.lock().unwrap().take() {
            Some(refusal) => Err(refusal),
            None => {
                self.calls.lock().unwrap().push(call);
                Ok(())
            }
        }
    }

    /// The receipt of an erasure that is over, or that waits for connected systems.
    fn receipt(&self, waits: bool) -> Receipt {
        let proof = Proof {
            texts: 7,
            too_short: 1,
            files: 2,
            bytes: 8_192,
            left: 0,
            shared: BTreeMap::from([("records".to_owned(), 1)]),
            rewritten: false,
        };
        Receipt {
            model: "contact".into(),
            asked_at: self.now(),
            asked_by: "backend".into(),
            everywhere: waits,
            erased_at: (!waits).then(|| self.now()),
            rows: BTreeMap::from([("records".to_owned(), 1), ("journal".to_owned(), 3)]),
            proof: (!waits).then_some(proof),
            readmitted: None,
        }
    }

    fn parse(&self, model: &Model, fields: &JsonFields) -> Result<Fields, CommandError> {
        let mut parsed = Fields::new();
        let mut faults = Vec::new();
        for (name, json) in fields {
            let value = match model.fields.get(name.as_str()) {
                Some(field) => field.parse_json(json),
                None => Err(format!("is no field of `{}`", model.name)),
            };
            match value {
                Ok(value) => drop(parsed.insert(FieldName::new(name), value)),
                Err(message) => faults.push(FieldFault { field: name.clone(), message }),
            }
        }
        if faults.is_empty() { Ok(parsed) } else { Err(CommandError::Invalid(faults)) }
    }

    async fn load(&self, who: &Principal, id: RecordId, if_version: Option<u64>) -> Result<RecordState, CommandError> {
        let state = self.store.tenant(&who.tenant).load(&[id]).await.unwrap().pop();
        let state = state.ok_or_else(|| CommandError::NotFound(format!("the record {id} does not exist")))?;
        match if_version {
            Some(expected) if expected != state.version => {
                Err(CommandError::VersionMismatch { expected, current: state.version })
            }
            _ => Ok(state),
        }
    }

    /// Journals a change that the document has just taken, and commits it.
    async fn write(
        &self,
        who: &Principal,
        mut state: RecordState,
        hash: Hash,
        ops: Ops,
        action: Action,
        changed: Vec<ChangedField>,
    ) {
        let at = self.now();
        let entry = ChangeEntry { hash, at, origin: Origin::Client(who.name.clone()), ops };
        state.journal.push(entry.clone());
        state.version += 1;
        state.last_modified_at = at;
        let commit = RecordCommit {
            entries: vec![entry],
            announcement: Some(Announcement { action, changed }),
            ..RecordCommit::new(state)
        };
        self.commit(&who.tenant, CommitBatch::of(vec![commit])).await;
    }

    async fn set_deleted(&self, who: &Principal, mut state: RecordState, deleted: bool) {
        let at = self.now();
        let actor = Actor::principal(&who.tenant, &who.name, 0);
        let Some(hash) = state.document.set_deleted(&actor, deleted.then_some(at), at).unwrap() else { return };
        state.deleted = deleted.then_some(at);
        let action = if deleted { Action::Deleted } else { Action::Restored };
        self.write(who, state, hash, Ops::Deleted(deleted), action, Vec::new()).await;
    }

    async fn set_fields(&self, who: &Principal, mut state: RecordState, fields: Fields) {
        let at = self.now();
        let model = &self.models[&state.model];
        let actor = Actor::principal(&who.tenant, &who.name, 0);
        let before = state.fields.clone();
        let old = |name: &FieldName| before.get(name).unwrap_or(&Value::Null);
        let puts = fields.iter().map(|(name, new)| Put {
            name,
            field: &model.fields[name],
            old: old(name),
            new,
            as_text_object: false,
        });
        let puts: Vec<_> = puts.collect();
        let heads = state.document.heads().clone();
        let Some(hash) = state.document.write_at(&actor, &heads, &puts, at).unwrap() else { return };
        let op = |value: &Value| Op {
            value: value.clone(),
            clock: Clock::exact(at),
            over: heads.clone(),
            repeats: None,
            inherited: None,
        };
        let ops = Ops::Edit(fields.iter().map(|(name, value)| (name.clone(), op(value))).collect());
        let changed = fields.keys().map(|name| changed(who, name, old(name))).collect();
        state.fields.extend(fields);
        self.write(who, state, hash, ops, Action::Updated, changed).await;
    }
}

fn changed(who: &Principal, field: &FieldName, before: &Value) -> ChangedField {
    ChangedField { field: field.clone(), origin: Origin::Client(who.name.clone()), before: before.to_json() }
}

/// A replica of which nothing is known.
fn blank_replica() -> Replica {
    let replica = serde_json::json!({
        "object": "Contact", "link": {"state": "unlinked"}, "baseline": {}, "reflected": {"common": []}, "version": null,
        "looked": 0, "settled": 0, "delivery": {"state": "clean"},
    });
    serde_json::from_value(replica).unwrap()
}

#[async_trait]
impl Commands for Pen {
    async fn create(
        &self,
        who: &Principal,
        model: &ModelName,
        fields: JsonFields,
        nonce: &str,
    ) -> Result<RecordId, CommandError> {
        self.note(format!("create {model}"))?;
        let id = RecordId::created(&who.tenant, model, nonce);
        let fields = self.parse(&self.models[model], &fields)?;
        if self.load(who, id, None).await.is_err() {
            self.commit(&who.tenant, CommitBatch::of(vec![self.draft(who, model.as_str(), id, fields)])).await;
        }
        Ok(id)
    }

    async fn edit(&self, who: &Principal, model: &ModelName, id: RecordId, edit: Edit) -> Result<(), CommandError> {
        self.note(format!("edit {model}"))?;
        let state = self.load(who, id, edit.if_version).await?;
        let fields = self.parse(&self.models[model], &edit.fields)?;
        match (state.deleted.is_some(), edit.restore) {
            (true, true) => self.set_deleted(who, state, false).await,
            (true, false) => {
                return Err(CommandError::Conflict(format!("the record {id} is deleted: undelete it first")));
            }
            (false, _) => self.set_fields(who, state, fields).await,
        }
        Ok(())
    }

    async fn delete(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        if_version: Option<u64>,
    ) -> Result<(), CommandError> {
        self.note(format!("delete {model}"))?;
        let state = self.load(who, id, if_version).await?;
        self.set_deleted(who, state, true).await;
        Ok(())
    }

    async fn resolve(&self, who: &Principal, conflict: i64, choice: Choice) -> Result<(), CommandError> {
        self.note(format!("resolve {conflict} {choice:?}"))?;
        let choice = match choice {
            Choice::Winner => "winner",
            Choice::Loser => "loser",
            Choice::Value(_) => "value",
        };
        let closed = Closed { at: self.now(), by: who.name.clone(), choice: choice.to_owned() };
        let closing = Closing { id: ConflictId(conflict), closed };
        self.commit(&who.tenant, CommitBatch { conflicts_closed: vec![closing], ..CommitBatch::default() }).await;
        Ok(())
    }

    async fn steer(
        &self,
        tenant: &TenantId,
        sync: &str,
        connection: Option<&ConnectionId>,
        verb: Steering,
    ) -> Result<(), CommandError> {
        self.note(format!("{verb:?} {tenant} {sync} {}", connection.map_or("*", ConnectionId::as_str)))
    }

    async fn replay_delivery(
        &self,
        tenant: &TenantId,
        record: RecordId,
        connection: &ConnectionId,
    ) -> Result<(), CommandError> {
        self.note(format!("replay {tenant} {record} {connection}"))
    }

    async fn rebuild(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        from_values: bool,
    ) -> Result<Rebuilt, CommandError> {
        self.note(format!("rebuild {} {model} {id} {from_values}", who.tenant))?;
        Ok(if from_values { Rebuilt::FromValues } else { Rebuilt::Sound })
    }

    async fn replay_quarantined(&self, tenant: &TenantId, id: i64) -> Result<(), CommandError> {
        self.note(format!("replay {tenant} {id}"))
    }

    async fn erase(
        &self,
        _: &Principal,
        model: &ModelName,
        id: RecordId,
        everywhere: bool,
    ) -> Result<(ErasureId, Receipt), CommandError> {
        self.note(format!("erase {model} {id} everywhere: {everywhere}"))?;
        Ok((ErasureId(1), self.receipt(everywhere)))
    }

    async fn readmit(&self, _: &Principal, erasure: ErasureId) -> Result<Receipt, CommandError> {
        self.note(format!("readmit {}", erasure.0))?;
        Ok(self.receipt(false))
    }

    async fn change_identity(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        change: IdentityChange,
    ) -> Result<Option<OperationId>, CommandError> {
        self.note(format!("identity {model} {change:?}"))?;
        let mut state = self.load(who, id, None).await?;
        let deed = match change {
            IdentityChange::Link { connection, object } => {
                let replica = state.replicas.entry(connection.clone()).or_insert_with(blank_replica);
                if replica.link.linked() == Some(&object) {
                    return Ok(None);
                }
                let former = Box::new(Former { epoch: 0, replica: replica.clone() });
                replica.link = Link::Linked { id: object.clone() };
                Deed::Link { connection, object, former, changed: Changes::new() }
            }
            IdentityChange::Unlink { connection } => {
                let replica = state.replicas.entry(connection.clone()).or_insert_with(blank_replica);
                let Some(object) = replica.link.linked().cloned() else { return Ok(None) };
                let former = Box::new(Former { epoch: 0, replica: replica.clone() });
                replica.link = Link::Detached { id: object.clone() };
                Deed::Unlink { connection, object, former }
            }
            IdentityChange::Merge { absorbed } => {
                let (moved, set_aside) = (BTreeMap::new(), BTreeMap::new());
                Deed::Merge { absorbed, moved, set_aside, epoch: 0, changed: Changes::new() }
            }
            IdentityChange::Split { connection } => {
                let replica = state.replicas.get(&connection).cloned().unwrap_or_else(blank_replica);
                let into = RecordId::created(&who.tenant, model, "split");
                let former = Box::new(Former { epoch: 0, replica });
                Deed::Split { into, connection, object: "003A".into(), former, fields: Fields::new() }
            }
        };
        let at = self.now();
        let operation = OperationId(at.0.unsigned_abs());
        let mut commit = RecordCommit::new(state);
        commit.touched = commit.state.replicas.keys().cloned().collect();
        let kept =
            Operation { id: operation, by: who.name.clone(), at, model: model.clone(), record: id, deed, undone: None };
        self.commit(
            &who.tenant,
            CommitBatch { records: vec![commit], operations: vec![kept], ..CommitBatch::default() },
        )
        .await;
        Ok(Some(operation))
    }

    async fn undo(&self, who: &Principal, operation: OperationId) -> Result<(), CommandError> {
        self.note(format!("undo {}", operation.0))?;
        let kept = self.store.tenant(&who.tenant).operation(operation).await.unwrap();
        let mut kept = kept.ok_or_else(|| CommandError::NotFound(format!("there is no operation {}", operation.0)))?;
        kept.undone = Some(Undone { by: who.name.clone(), at: self.now() });
        self.commit(&who.tenant, CommitBatch { operations: vec![kept], ..CommitBatch::default() }).await;
        Ok(())
    }

    async fn separate(&self, who: &Principal, id: i64) -> Result<RecordId, CommandError> {
        self.note(format!("separate {} {id}", who.tenant))?;
        Ok(RecordId::created(&who.tenant, &"contact".into(), "separated"))
    }

    async fn webhook(&self, connection: &ConnectionId, request: IncomingWebhook) -> Result<usize, CommandError> {
        let signature = request.headers.get("x-signature").cloned().unwrap_or_default();
        self.note(format!(
            "webhook {connection} {} {} {signature} {}",
            request.method,
            request.path_and_query,
            request.body.len()
        ))?;
        // A body of nothing brings nothing new.
        Ok(usize::from(!request.body.is_empty()))
    }

    fn webhook_counts(&self, connection: &ConnectionId) -> Option<WebhookCounts> {
        let mut counts = WebhookCounts::of_secrets(2);
        counts.verified_by(1, self.now());
        counts.refuse(WebhookRefused::Stale, self.now());
        (connection.as_str() == "acme-desk").then_some(counts)
    }
}
