//! The looker: follows hints and doubts by reading objects by id.

use std::{sync::Arc, time::Duration};

use syncline_core::ids::ExternalId;

use super::side::{RunningSide, StepError};
use crate::store::inbox::HintId;

/// How many objects are looked at in one go.
const LOOKS_PER_ROUND: usize = 100;
/// How long to wait after a failed round.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Runs until the service stops.
pub(super) async fn run(side: Arc<RunningSide>) {
    while side.ready().await {
        match round(&side).await {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = side.look_asked() => {}
                () = side.stop.cancelled() => return,
            },
            Err(error) => {
                side.note_failure(&error).await;
                if !side.sleep(PAUSE_AFTER_FAILURE).await {
                    return;
                }
            }
        }
    }
}

/// One batch of looks; `false` where nothing waited.
async fn round(side: &RunningSide) -> Result<bool, StepError> {
    load_hints(side).await?;
    let next = side.next_looks(LOOKS_PER_ROUND);
    if next.is_empty() {
        return Ok(false);
    }
    let ids: Vec<ExternalId> = next.keys().cloned().collect();
    let hints: Vec<HintId> = next.values().flatten().copied().collect();
    match side.look(&ids, hints).await {
        Ok(_) => Ok(true),
        Err(error) => {
            for (id, hints) in next {
                side.ask_for(id.clone(), None);
                hints.into_iter().for_each(|hint| side.ask_for(id.clone(), Some(hint)));
            }
            Err(error)
        }
    }
}

/// Takes the oldest stored hints into the queue; several hints about one object become one look.
async fn load_hints(side: &RunningSide) -> Result<(), StepError> {
    if side.has_looks() {
        return Ok(());
    }
    let pending = side.tenant().pending_hints(&side.connection, LOOKS_PER_ROUND as u32).await?;
    let object = side.part().map(|part| part.object.clone());
    let (ours, others): (Vec<_>, Vec<_>) =
        pending.into_iter().partition(|hint| Some(&hint.hint.object) == object.as_ref());
    for pending in ours {
        side.ask_for(pending.hint.id, Some(pending.id));
    }
    // Hints about objects that this connection's syncs do not map.
    let strangers: Vec<HintId> =
        others.into_iter().filter(|hint| !mapped_elsewhere(side, &hint.hint.object)).map(|hint| hint.id).collect();
    if !strangers.is_empty() {
        side.tenant().finish_hints(&strangers).await?;
    }
    Ok(())
}

fn mapped_elsewhere(side: &RunningSide, object: &syncline_core::ids::ObjectName) -> bool {
    side.mapped_objects.get().is_some_and(|objects| objects.contains(object))
}
