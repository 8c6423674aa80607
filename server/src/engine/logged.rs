//! A side whose provider keeps its own log of changes: where we are in it, and the looks that each part of it asks for. The position
//! is taken before the first list, so that nothing falls between the two; what both show is an echo.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use syncline_connectors::connector::{ChangeLog, Changes};
use syncline_core::{
    budget::{Call, CallKind},
    guard::Signal,
    remote::Remedy,
};

use super::{
    intake::Batch,
    reader::{self, Progress},
    side::{RunningSide, StepError},
    sweeper,
};
use crate::{
    failpoint::{Point, reach},
    store::syncs::CheckpointPut,
};

/// The stream under which the position is kept.
const LOG: &str = "log";
/// How many changes are read at once.
const CHANGES_MAX: u32 = 1_000;
/// How long to rest where waiting for changes has failed; reading them then tells why.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Where a side is in its provider's log: the checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Logged {
    /// The query that this is the checkpoint of, as with other reads: with more fields everything is listed again.
    query: u64,
    /// Everything up to here has been looked at, or is in the list that began later.
    after: String,
    /// Whether that list is complete.
    listed: bool,
}

/// Notes the log's end before a list begins. Without effect where the provider has no log.
pub(super) async fn begin(side: &RunningSide) -> Result<(), StepError> {
    let (Some(log), Some(part)) = (side.session.connector.change_log(), side.part()) else { return Ok(()) };
    let again = reader::read::<Logged>(side, LOG).await?.is_some();
    let after = side
        .session
        .call(Call::live(CallKind::Other), |credentials| async move { log.end(&credentials, &part.object).await })
        .await?;
    let logged = Logged { query: query(side), after, listed: false };
    let mut checkpoints = vec![reader::checkpoint(side, LOG, &logged, 0)?];
    if again || side.state().await?.last_success_at.is_some() {
        // What was deleted in the part of the log that was not read shows only as missing.
        checkpoints.push(sweeper::due_now(side)?);
    }
    side.take(Batch { checkpoints, ..Batch::default() }).await?;
    Ok(())
}

/// Whether the list that is under way may go on: the log's end was noted before it, or there is no log.
pub(super) async fn is_begun(side: &RunningSide) -> Result<bool, StepError> {
    Ok(side.session.connector.change_log().is_none() || load(side).await?.is_some())
}

/// The position from which a side that was listed completely goes on.
pub(super) async fn listed(side: &RunningSide) -> Result<Option<Logged>, StepError> {
    Ok(load(side).await?.filter(|logged| logged.listed))
}

/// The list is complete: the position from which the side goes on, and its checkpoint. `None` where the provider has no log.
pub(super) async fn ended(side: &RunningSide) -> Result<Option<(Logged, CheckpointPut)>, StepError> {
    let Some(logged) = load(side).await? else { return Ok(None) };
    let logged = Logged { listed: true, ..logged };
    let put = reader::checkpoint(side, LOG, &logged, 0)?;
    Ok(Some((logged, put)))
}

async fn load(side: &RunningSide) -> Result<Option<Logged>, StepError> {
    if side.session.connector.change_log().is_none() {
        return Ok(None);
    }
    let logged = reader::read::<Logged>(side, LOG).await?;
    Ok(logged.filter(|logged| logged.query == query(side)))
}

fn query(side: &RunningSide) -> u64 {
    reader::spec(side, false).fingerprint()
}

impl Logged {
    /// Reads the log to its present end.
    pub(super) async fn step(&mut self, side: &RunningSide) -> Result<Progress, StepError> {
        let rest = Ok(Progress::Wait(side.schedule.poll));
        let Some(log) = side.session.connector.change_log() else { return rest };
        loop {
            let changes = match self.read(side, log).await {
                Err(StepError::Provider(error)) if error.remedy == Remedy::Resync => {
                    tracing::warn!(event = "log_lost", %error, "everything is listed again");
                    return Ok(Progress::Resync);
                }
                other => other?,
            };
            let Changes { changed, deleted, next, more } = changes;
            if !changed.is_empty() {
                side.look(&changed, Vec::new()).await?;
            }
            if !deleted.is_empty() {
                let linked = reader::still_linked(side, deleted).await?;
                reader::look_at_named(side, linked, Signal::Named).await?;
            }
            if next != self.after {
                self.after = next;
                let checkpoints = vec![reader::checkpoint(side, LOG, self, 0)?];
                reach(Point::PageBefore);
                side.take(Batch { checkpoints, ..Batch::default() }).await?;
                reach(Point::PageAfter);
            }
            if !more {
                reader::note_success(side).await?;
                return rest;
            }
        }
    }

    async fn read(&self, side: &RunningSide, log: &dyn ChangeLog) -> Result<Changes, StepError> {
        let Some(part) = side.part() else { return Ok(Changes { next: self.after.clone(), ..Changes::default() }) };
        let after = self.after.as_str();
        let call = Call::live(CallKind::Search);
        Ok(side
            .session
            .call(call, |credentials| async move { log.read(&credentials, &part.object, after, CHANGES_MAX).await })
            .await?)
    }

    /// Waits until the log has grown, at most so long.
    pub(super) async fn wait(&self, side: &RunningSide, patience: Duration) {
        let (Some(log), Some(part)) = (side.session.connector.change_log(), side.part()) else {
            return tokio::time::sleep(patience).await;
        };
        let after = self.after.as_str();
        let waited = side
            .session
            .call(Call::live(CallKind::Other), |credentials| async move {
                log.wait(&credentials, &part.object, after, patience).await
            })
            .await;
        if waited.is_err() {
            tokio::time::sleep(patience.min(PAUSE_AFTER_FAILURE)).await;
        }
    }
}
