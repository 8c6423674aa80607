//! Commands on identity: which object is which record, and back.

use std::{sync::Arc, time::Duration};

use syncline_core::{
    identity::OperationId,
    ids::{ConnectionId, ExternalId, ModelName, RecordId},
    reconcile::{ReconcileError, identity::Refusal},
    replica::Observation,
};
use tokio::{
    sync::futures::Notified,
    time::{Instant, timeout_at},
};

use super::{
    Engine,
    commands::{CommandError, IdentityChange, Principal},
    desk::{refused, unavailable},
    intake::{Arrival, Batch, Decision, IntakeError, Taken},
    side::{Decided, RunningSide, RunningSync, StepError},
};
use crate::store::quarantine::QuarantineId;

/// How long a decision waits for a write that is under way: most end in a second, and a caller waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Carries out what a person decided about a record. `None` where it is so already.
    pub(super) async fn decide_identity(
        &self,
        who: &Principal,
        model: &ModelName,
        record: RecordId,
        change: IdentityChange,
    ) -> Result<Option<OperationId>, CommandError> {
        let sync = self.sync_of(&who.tenant, model)?;
        self.record(&who.tenant, model, record, None).await?;
        let decision = match change {
            IdentityChange::Link { connection, object } => {
                let side = self.side_of(&sync, &connection)?;
                let link = |observation| Decision::Link { record, connection: connection.clone(), observation };
                return Ok(newest(&decide(&side, &object, &who.name, link).await?));
            }
            IdentityChange::Unlink { connection } => {
                self.side_of(&sync, &connection)?;
                Decision::Unlink { record, connection }
            }
            IdentityChange::Merge { absorbed } => {
                self.record(&who.tenant, model, absorbed, None).await?;
                Decision::Merge { survivor: record, absorbed }
            }
            IdentityChange::Split { connection } => {
                let side = self.side_of(&sync, &connection)?;
                // The new record begins with what the object shows now.
                let state = self.record(&who.tenant, model, record, None).await?;
                let linked = state.replicas.get(&connection).and_then(|replica| replica.link.linked().cloned());
                side.look(linked.as_slice(), Vec::new()).await.map_err(failed)?;
                Decision::Split { record, connection }
            }
        };
        self.take_decision(&sync, &who.name, decision).await.map(|taken| newest(&taken))
    }

    /// Takes an operation back; nothing happens where that was done before.
    pub(super) async fn undo_operation(&self, who: &Principal, id: OperationId) -> Result<(), CommandError> {
        let operation = self.store.tenant(&who.tenant).operation(id).await.map_err(unavailable)?;
        let operation = operation.ok_or_else(|| CommandError::NotFound(format!("there is no operation {}", id.0)))?;
        if operation.undone.is_some() {
            return Ok(());
        }
        let sync = self.sync_of(&who.tenant, &operation.model)?;
        self.take_decision(&sync, &who.name, Decision::Undo(Box::new(operation))).await.map(drop)
    }

    /// Makes an object that is held for a person a record of its own.
    pub(super) async fn separate_held(&self, who: &Principal, id: i64) -> Result<RecordId, CommandError> {
        let row = self.store.tenant(&who.tenant).get_quarantined(QuarantineId(id)).await.map_err(unavailable)?;
        let row = row.ok_or_else(|| CommandError::NotFound(format!("there is no quarantined row {id}")))?.row;
        let side = self
            .sides
            .iter()
            .find(|side| {
                side.sync.name == row.sync && side.connection == row.connection && side.sync.plan.tenant == who.tenant
            })
            .ok_or_else(|| {
                CommandError::Conflict(format!("sync `{}` no longer reads `{}`", row.sync, row.connection))
            })?;
        let object = row.external_id.ok_or_else(|| {
            CommandError::Conflict(format!("not even the id of row {id} could be read: mend it at the provider"))
        })?;
        let connection = row.connection;
        let separate = |observation| Decision::Separate { connection: connection.clone(), observation };
        let taken = decide(side, &object, &who.name, separate).await?;
        taken
            .records
            .into_iter()
            .flatten()
            .next()
            .ok_or_else(|| CommandError::Conflict(format!("row {id} was settled meanwhile: look at the list again")))
    }

    fn side_of(&self, sync: &Arc<RunningSync>, connection: &ConnectionId) -> Result<Arc<RunningSide>, CommandError> {
        let side = self.sides.iter().find(|side| side.sync.name == sync.name && side.connection == *connection);
        side.cloned().ok_or_else(|| {
            let known: Vec<&str> = sync.plan.sides.keys().map(ConnectionId::as_str).collect();
            let (name, known) = (&sync.name, known.join(", "));
            CommandError::NotFound(format!(
                "connection `{connection}` takes no part in sync `{name}`; those that do are: {known}"
            ))
        })
    }

    async fn take_decision(&self, sync: &RunningSync, by: &str, decision: Decision) -> Result<Taken, CommandError> {
        let patience = Patience::begin();
        loop {
            let stirred = sync.stirred.notified();
            let arrival = Arrival::Decided { by: by.to_owned(), decision: decision.clone() };
            match self.take_in(sync, Batch::of(vec![arrival])).await {
                Ok(taken) => return Ok(taken),
                Err(error) => patience.wait(error.into(), stirred).await?,
            }
        }
    }
}

/// Reads an object by id and takes in what was decided about it.
async fn decide(
    side: &RunningSide,
    object: &ExternalId,
    by: &str,
    decision: impl Fn(Box<Observation>) -> Decision,
) -> Result<Taken, CommandError> {
    let patience = Patience::begin();
    loop {
        let stirred = side.sync.stirred.notified();
        match side.decide(object, by, &decision).await {
            Ok(Decided::Taken(taken)) => return Ok(*taken),
            Ok(Decided::Unreadable(reason)) => {
                let connection = &side.connection;
                return Err(CommandError::Conflict(format!(
                    "object {object} of connection `{connection}` cannot be taken in: {reason}"
                )));
            }
            Err(error) => patience.wait(error, stirred).await?,
        }
    }
}

/// Waits for a while, as long as a write of the record is under way.
struct Patience(Instant);

impl Patience {
    fn begin() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// Waits until it is worth trying again; an error where it is not.
    async fn wait(&self, error: StepError, stirred: Notified<'_>) -> Result<(), CommandError> {
        if !is_busy(&error) || Instant::now() >= self.0 {
            return Err(failed(error));
        }
        // A deadline that passes is noticed the next time.
        let _ = timeout_at(self.0, stirred).await;
        Ok(())
    }
}

fn is_busy(error: &StepError) -> bool {
    matches!(error, StepError::Intake(IntakeError::Reconcile(ReconcileError::Identity(Refusal::Busy { .. }))))
}

fn newest(taken: &Taken) -> Option<OperationId> {
    taken.operations.last().copied()
}

fn failed(error: StepError) -> CommandError {
    match error {
        StepError::Intake(error) => refused(error),
        error => CommandError::Unavailable(error.to_string()),
    }
}
