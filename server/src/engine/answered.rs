//! Carries out what a person has answered about deletes that waited. Nothing is concluded from what was seen when they were
//! held back: every object is read by id once more, and the intake settles its delete by what that shows.

use std::{sync::Arc, time::Duration};

use syncline_core::{
    ids::{ExternalId, RecordId},
    reconcile::{ClientEdit, Input},
    value::Fields,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    intake::{Arrival, Batch},
    reader,
    side::{RunningSide, RunningSync, StepError},
};
use crate::store::held::{DeleteSource, HeldRow, Standing};

/// How many deletes are settled at once.
const PER_ROUND: u32 = 100;
/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// Who brings back the records whose deletes were rejected.
const PRINCIPAL: &str = "rejected-deletes";

/// Runs until the service stops.
pub(super) async fn run(sync: Arc<RunningSync>, sides: Vec<Arc<RunningSide>>, stop: CancellationToken) {
    loop {
        for side in &sides {
            tokio::select! {
                () = settle(side).instrument(side.span("answered")) => {}
                () = stop.cancelled() => return,
            }
        }
        tokio::select! {
            () = sync.answered.notified() => {}
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn settle(side: &RunningSide) {
    if *side.paused.borrow() {
        return;
    }
    let source = DeleteSource::Connection(side.connection.clone());
    let settled = async {
        settle_all(side, &source, Standing::Approved).await?;
        settle_all(side, &source, Standing::Rejected).await?;
        settle_all(side, &DeleteSource::Clients, Standing::Approved).await?;
        settle_all(side, &DeleteSource::Clients, Standing::Rejected).await
    };
    if let Err(error) = settled.await {
        side.note_failure(&error).await;
    }
}

async fn settle_all(side: &RunningSide, source: &DeleteSource, standing: Standing) -> Result<(), StepError> {
    let mut after = None;
    loop {
        let rows = side.tenant().list_held(&side.sync.name, source, standing, after, PER_ROUND).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.place);
        match (source, standing) {
            (DeleteSource::Connection(_), _) => look(side, source, rows).await?,
            (DeleteSource::Clients, Standing::Rejected) => bring_back(side, rows).await?,
            (DeleteSource::Clients, _) => {
                let records: Vec<RecordId> = rows.iter().map(|row| row.record).collect();
                side.intake.let_go(&side.sync.name, &side.sync.plan, source, &records).await?;
                side.stir();
            }
        }
    }
}

/// Reads the objects. What is linked and neither live nor deleted afterwards is in quarantine, with the reason; only where an
/// answer to a write is still awaited, the delete is settled later.
async fn look(side: &RunningSide, source: &DeleteSource, rows: Vec<HeldRow>) -> Result<(), StepError> {
    let ids: Vec<ExternalId> = rows.iter().filter_map(|row| row.object.clone()).collect();
    reader::look_at_linked(side, ids).await?;
    let records: Vec<RecordId> = rows.iter().map(|row| row.record).collect();
    let writing = |state: &syncline_core::record::RecordState| {
        state.replicas.get(&side.connection).is_some_and(|replica| replica.intent.is_some())
    };
    let waiting: Vec<RecordId> =
        side.tenant().load_surface(&records).await?.into_iter().filter(writing).map(|state| state.id).collect();
    let over: Vec<RecordId> = records.into_iter().filter(|record| !waiting.contains(record)).collect();
    side.intake.let_go(&side.sync.name, &side.sync.plan, source, &over).await?;
    side.stir();
    Ok(())
}

/// Undoes clients' deletes: the records come back, and nothing was deleted in the connected systems.
async fn bring_back(side: &RunningSide, rows: Vec<HeldRow>) -> Result<(), StepError> {
    let arrivals = rows.into_iter().map(|row| {
        let edit =
            ClientEdit { principal: PRINCIPAL.to_owned(), fields: Fields::new(), delete: Some(false), settles: false };
        Arrival::Known { record: row.record, input: Box::new(Input::Edited(edit)) }
    });
    side.take(Batch::of(arrivals.collect())).await?;
    Ok(())
}
