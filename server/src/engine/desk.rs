//! The desk: the engine's answers to what HTTP handlers ask of it.

use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::{
    identity::OperationId,
    ids::{ConnectionId, FieldName, ModelName, RecordId, TenantId},
    model::Model,
    reconcile::{ClientEdit, Input, ReconcileError, identity::Refusal},
    record::RecordState,
    remote::RemoteObject,
    replica::Source,
    value::{Fields, Value},
};

use super::{
    Engine,
    clock::Clock,
    commands::{
        Choice, CommandError, Commands, Edit, FieldFault, IdentityChange, IncomingWebhook, JsonFields, Principal,
        Steering, WebhookCounts,
    },
    intake::{Arrival, Batch, IntakeError, Rebuilt, Taken},
    side::{RunningSide, RunningSync},
};
use crate::{
    failpoint::{Point, reach},
    store::{
        CommitError, StoreError,
        conflicts::{Closed, Closing, ConflictId},
        erasures::{ErasureId, Receipt},
        held::{DeleteSource, Standing},
        quarantine::{QuarantineId, QuarantineRow},
        syncs::Phase,
    },
};

#[async_trait]
impl Commands for Engine {
    async fn create(
        &self,
        who: &Principal,
        model: &ModelName,
        fields: JsonFields,
        nonce: &str,
    ) -> Result<RecordId, CommandError> {
        let sync = self.sync_of(&who.tenant, model)?;
        let fields = canonical(&sync.plan.model, fields)?;
        let missing: Vec<FieldFault> = sync
            .plan
            .model
            .fields
            .iter()
            .filter(|(name, field)| field.required && fields.get(*name).is_none_or(Value::is_blank))
            .map(|(name, _)| FieldFault { field: name.to_string(), message: "is required: give it a value".into() })
            .collect();
        if !missing.is_empty() {
            return Err(CommandError::Invalid(missing));
        }
        let record = RecordId::created(&who.tenant, model, &format!("{}/{nonce}", who.name));
        let arrival = Arrival::Created { record, principal: who.name.clone(), fields };
        reach(Point::CommandBefore);
        self.take(&sync, Batch::of(vec![arrival])).await?;
        reach(Point::CommandAfter);
        Ok(record)
    }

    async fn edit(&self, who: &Principal, model: &ModelName, id: RecordId, edit: Edit) -> Result<(), CommandError> {
        let sync = self.sync_of(&who.tenant, model)?;
        let fields = canonical(&sync.plan.model, edit.fields)?;
        let state = self.record(&who.tenant, model, id, edit.if_version).await?;
        if let Some(into) = state.merged_into {
            return Err(CommandError::Conflict(Refusal::Merged { record: id, into }.to_string()));
        }
        if state.deleted.is_some() && !edit.restore {
            return Err(CommandError::Conflict(format!("record {id} is deleted: undelete it before editing it")));
        }
        let delete = edit.restore.then_some(false);
        let (if_version, principal) = (edit.if_version, who.name.clone());
        let edit = ClientEdit { principal, fields, delete, settles: false };
        self.apply(&sync, id, if_version, Input::Edited(edit)).await
    }

    async fn delete(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        if_version: Option<u64>,
    ) -> Result<(), CommandError> {
        let sync = self.sync_of(&who.tenant, model)?;
        self.record(&who.tenant, model, id, if_version).await?;
        let edit =
            ClientEdit { principal: who.name.clone(), fields: Fields::new(), delete: Some(true), settles: false };
        self.apply(&sync, id, if_version, Input::Edited(edit)).await
    }

    async fn resolve(&self, who: &Principal, conflict: i64, choice: Choice) -> Result<(), CommandError> {
        let id = ConflictId(conflict);
        let row = self.store.tenant(&who.tenant).get_conflict(id).await.map_err(unavailable)?;
        let row = row.ok_or_else(|| CommandError::NotFound(format!("there is no conflict {conflict}")))?;
        if let Some(closed) = &row.closed {
            return Err(CommandError::Conflict(format!("conflict {conflict} was settled by {} already", closed.by)));
        }
        let sync = self.sync_of(&who.tenant, &row.model)?;
        let name = row.conflict.field.clone();
        let (value, word) = match choice {
            Choice::Winner => (None, "winner".to_owned()),
            Choice::Loser => (Some(row.conflict.loser.value.clone()), "loser".to_owned()),
            Choice::Value(json) => {
                let fields = canonical(&sync.plan.model, JsonFields::from([(name.to_string(), json)]))?;
                (fields.get(&name).cloned(), "value".to_owned())
            }
        };
        let fields = value.map(|value| Fields::from([(name.clone(), value)])).unwrap_or_default();
        let fields = if fields.is_empty() { self.standing(&who.tenant, row.record, &name).await? } else { fields };
        // A value that lost to a delete comes back with its record.
        let delete = (word != "winner" && row.conflict.reason == "deleted").then_some(false);
        let edit = ClientEdit { principal: who.name.clone(), fields, delete, settles: true };
        let arrival = Arrival::Known { record: row.record, input: Box::new(Input::Edited(edit)) };
        let closed = Closed { at: Clock::wall(), by: who.name.clone(), choice: word };
        let batch =
            Batch { arrivals: vec![arrival], conflicts_closed: vec![Closing { id, closed }], ..Batch::default() };
        reach(Point::ResolveBefore);
        self.take(&sync, batch).await?;
        reach(Point::ResolveAfter);
        Ok(())
    }

    async fn steer(
        &self,
        tenant: &TenantId,
        sync: &str,
        connection: Option<&ConnectionId>,
        verb: Steering,
    ) -> Result<(), CommandError> {
        let sides: Vec<&Arc<RunningSide>> = self
            .sides
            .iter()
            .filter(|side| side.sync.name == sync && side.sync.plan.tenant == *tenant)
            .filter(|side| connection.is_none_or(|connection| side.connection == *connection))
            .collect();
        if sides.is_empty() {
            return Err(CommandError::NotFound(format!("there is no sync `{sync}` with such a side")));
        }
        for side in &sides {
            steer_side(side, verb).await.map_err(unavailable)?;
        }
        match verb {
            Steering::Approve => answer(&sides, connection, Standing::Approved).await.map(drop).map_err(refused),
            Steering::Reject if !answer(&sides, connection, Standing::Rejected).await.map_err(refused)? => Err(
                CommandError::Conflict(format!("no deletes of sync `{sync}` wait for a person: nothing was changed")),
            ),
            _ => Ok(()),
        }
    }

    async fn replay_delivery(
        &self,
        tenant: &TenantId,
        record: RecordId,
        connection: &ConnectionId,
    ) -> Result<(), CommandError> {
        let state = self.load(tenant, record).await?;
        let sync = self.sync_of(tenant, &state.model)?;
        if !state.replicas.contains_key(connection) {
            return Err(CommandError::NotFound(format!("record {record} has no replica in connection `{connection}`")));
        }
        self.apply(&sync, record, None, Input::Replay { connection: connection.clone() }).await
    }

    async fn rebuild(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        from_values: bool,
    ) -> Result<Rebuilt, CommandError> {
        let sync = self.sync_of(&who.tenant, model)?;
        let rebuilt = self.intake.rebuild(&sync.name, &sync.plan, id, from_values).await.map_err(refused)?;
        // What is owed of the record waited.
        self.sides.iter().filter(|side| side.sync.name == sync.name).for_each(|side| side.stir());
        tracing::info!(tenant = %who.tenant, record = %id, by = %who.name, ?rebuilt, "a record was rebuilt by a person");
        Ok(rebuilt)
    }

    async fn replay_quarantined(&self, tenant: &TenantId, id: i64) -> Result<(), CommandError> {
        let row = self.store.tenant(tenant).get_quarantined(QuarantineId(id)).await.map_err(unavailable)?;
        let QuarantineRow { row, attempts, .. } =
            row.ok_or_else(|| CommandError::NotFound(format!("there is no quarantined row {id}")))?;
        let side = self
            .sides
            .iter()
            .find(|side| {
                side.sync.name == row.sync && side.connection == row.connection && side.sync.plan.tenant == *tenant
            })
            .ok_or_else(|| {
                CommandError::Conflict(format!("sync `{}` no longer reads `{}`", row.sync, row.connection))
            })?;
        let released = vec![QuarantineId(id)];
        if let Some(external) = row.external_id {
            // The object may have been mended at the provider: read it as it is now.
            side.look(&[external], Vec::new()).await.map_err(|error| CommandError::Unavailable(error.to_string()))?;
            return match self.store.tenant(tenant).get_quarantined(QuarantineId(id)).await.map_err(unavailable)? {
                Some(again) if again.attempts > attempts => Err(CommandError::Conflict(format!(
                    "the row still cannot be taken in: {}; mend it at the provider or in the configuration",
                    again.row.reason
                ))),
                // The reading went well and has released the row, or the object is gone.
                _ => side.take(Batch { released, ..Batch::default() }).await.map(drop).map_err(refused),
            };
        }
        let object: RemoteObject = serde_json::from_value(row.raw).map_err(|error| {
            CommandError::Conflict(format!(
                "the row still cannot be read ({error}); mend it at the provider, it is then read again by itself"
            ))
        })?;
        let begun = self.clock.tick().await.map_err(unavailable)?;
        let (arrivals, quarantine) = side.arrivals(vec![object], Source::List, begun);
        side.take(Batch { arrivals, quarantine, released, ..Batch::default() }).await.map_err(refused)?;
        Ok(())
    }

    async fn erase(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        everywhere: bool,
    ) -> Result<(ErasureId, Receipt), CommandError> {
        self.eraser.erase(who, model, id, everywhere).await
    }

    async fn readmit(&self, who: &Principal, erasure: ErasureId) -> Result<Receipt, CommandError> {
        self.eraser.readmit(who, erasure).await
    }

    async fn change_identity(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        change: IdentityChange,
    ) -> Result<Option<OperationId>, CommandError> {
        self.decide_identity(who, model, id, change).await
    }

    async fn undo(&self, who: &Principal, operation: OperationId) -> Result<(), CommandError> {
        self.undo_operation(who, operation).await
    }

    async fn separate(&self, who: &Principal, id: i64) -> Result<RecordId, CommandError> {
        self.separate_held(who, id).await
    }

    async fn webhook(&self, connection: &ConnectionId, request: IncomingWebhook) -> Result<usize, CommandError> {
        self.take_webhook(connection, request).await
    }

    fn webhook_counts(&self, connection: &ConnectionId) -> Option<WebhookCounts> {
        Engine::webhook_counts(self, connection)
    }
}

impl Engine {
    pub(super) fn sync_of(&self, tenant: &TenantId, model: &ModelName) -> Result<Arc<RunningSync>, CommandError> {
        self.syncs
            .iter()
            .find(|sync| sync.plan.tenant == *tenant && sync.plan.model.name == *model)
            .cloned()
            .ok_or_else(|| CommandError::NotFound(format!("there is no model `{model}` in this tenant")))
    }

    async fn load(&self, tenant: &TenantId, id: RecordId) -> Result<RecordState, CommandError> {
        let mut states = self.store.tenant(tenant).load_surface(&[id]).await.map_err(unavailable)?;
        states.pop().ok_or_else(|| CommandError::NotFound(format!("there is no record {id}")))
    }

    pub(super) async fn record(
        &self,
        tenant: &TenantId,
        model: &ModelName,
        id: RecordId,
        if_version: Option<u64>,
    ) -> Result<RecordState, CommandError> {
        let state = self.load(tenant, id).await?;
        if state.model != *model {
            return Err(CommandError::NotFound(format!("there is no {model} {id}")));
        }
        match if_version {
            Some(expected) if expected != state.version => {
                Err(CommandError::VersionMismatch { expected, current: state.version })
            }
            _ => Ok(state),
        }
    }

    /// The field as it stands, so that an edit can confirm it.
    async fn standing(&self, tenant: &TenantId, record: RecordId, name: &FieldName) -> Result<Fields, CommandError> {
        let value = self.load(tenant, record).await?.fields.get(name).cloned();
        Ok(value.map(|value| Fields::from([(name.clone(), value)])).unwrap_or_default())
    }

    async fn apply(
        &self,
        sync: &RunningSync,
        record: RecordId,
        if_version: Option<u64>,
        input: Input,
    ) -> Result<(), CommandError> {
        let arrivals = vec![Arrival::Known { record, input: Box::new(input) }];
        // Looked at before as well, but only the intake can say that nobody came in between.
        let only_at = if_version.map(|version| (record, version));
        reach(Point::CommandBefore);
        self.take(sync, Batch { arrivals, only_at, ..Batch::default() }).await?;
        reach(Point::CommandAfter);
        Ok(())
    }

    async fn take(&self, sync: &RunningSync, batch: Batch) -> Result<(), CommandError> {
        self.take_in(sync, batch).await.map(drop).map_err(refused)
    }

    /// Takes a batch in and passes on what it calls for.
    pub(super) async fn take_in(&self, sync: &RunningSync, batch: Batch) -> Result<Taken, IntakeError> {
        let taken = self.intake.take(&sync.name, &sync.plan, batch).await?;
        if let Some(side) = self.sides.iter().find(|side| side.sync.name == sync.name) {
            side.follow(&taken.follow_ups);
            side.stir();
        }
        Ok(taken)
    }
}

/// Answers about the deletes that wait, of one side or of all and the clients. `false`: none wait.
async fn answer(
    sides: &[&Arc<RunningSide>],
    connection: Option<&ConnectionId>,
    answer: Standing,
) -> Result<bool, IntakeError> {
    let Some(sync) = sides.first().map(|side| side.sync.clone()) else { return Ok(false) };
    let of_sides = sides.iter().map(|side| DeleteSource::Connection(side.connection.clone()));
    let clients = connection.is_none().then_some(DeleteSource::Clients);
    let mut waited = false;
    for source in of_sides.chain(clients) {
        waited |= sides[0].intake.answer_deletes(&sync.name, &sync.plan, &source, answer).await?;
    }
    sync.answered.notify_one();
    Ok(waited)
}

async fn steer_side(side: &RunningSide, verb: Steering) -> Result<(), StoreError> {
    match verb {
        Steering::Pause => {
            side.paused.send_replace(true);
            side.update(|state| state.phase = Phase::Paused).await?;
        }
        Steering::Resume => {
            side.paused.send_replace(false);
            side.update(|state| {
                state.phase = if state.last_success_at.is_some() { Phase::Live } else { Phase::Backfilling };
            })
            .await?;
        }
        Steering::Trigger => side.inspect_soon(),
        Steering::Reset => {
            reach(Point::ResetBefore);
            side.tenant().forget_checkpoints(&side.sync.name, &side.connection).await?;
            reach(Point::ResetAfter);
            side.reset.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        Steering::Reject => {}
        Steering::Approve => {
            side.update(|state| {
                state.approved = true;
                if state.phase == Phase::WaitingApproval {
                    state.phase = Phase::Live;
                }
            })
            .await?;
        }
    }
    side.read_now.notify_one();
    side.stir();
    Ok(())
}

/// Plain JSON as canonical values; every field at fault is named.
fn canonical(model: &Model, fields: JsonFields) -> Result<Fields, CommandError> {
    let (mut values, mut faults) = (Fields::new(), Vec::new());
    for (field, json) in fields {
        let fault = |message: String| FieldFault { field: field.clone(), message };
        let name = FieldName::new(&field);
        match model.field(&name) {
            None => faults.push(fault(format!("the model `{}` has no such field", model.name))),
            Some(declared) if declared.computed => {
                faults.push(fault("is computed by the service: leave it out".into()))
            }
            Some(declared) => match declared.parse_json(&json) {
                Ok(value) if declared.required && value.is_blank() => {
                    faults.push(fault("is required: give it a value".into()))
                }
                Ok(value) => drop(values.insert(name, value)),
                Err(message) => faults.push(fault(message)),
            },
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(CommandError::Invalid(faults)) }
}

pub(super) fn unavailable(error: StoreError) -> CommandError {
    CommandError::Unavailable(error.to_string())
}

pub(super) fn refused(error: IntakeError) -> CommandError {
    match error {
        IntakeError::Commit(CommitError::Stale(_)) => {
            CommandError::Conflict("the record is being changed by others all the time: try again".into())
        }
        error @ (IntakeError::Damaged { .. } | IntakeError::Erased { .. } | IntakeError::ErasedObject { .. }) => {
            CommandError::Conflict(error.to_string())
        }
        IntakeError::Commit(CommitError::Taken { connection, object, id, holder }) => CommandError::Conflict(format!(
            "{object} {id} of connection `{connection}` belongs to record {holder} by now: two records cannot share one object, \
             so unlink it there, or merge the two records"
        )),
        IntakeError::Reconcile(ReconcileError::Identity(refusal)) => CommandError::Conflict(refusal.to_string()),
        IntakeError::VersionMismatch { expected, current } => CommandError::VersionMismatch { expected, current },
        error => CommandError::Unavailable(error.to_string()),
    }
}
