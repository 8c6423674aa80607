//! The looker: follows hints and doubts by reading objects by id.

use syncline_core::ids::ExternalId;

use super::side::{Side, StepError};
use crate::executor::Signal;

/// How many objects are looked at in one go.
const LOOKS_PER_ROUND: usize = 4;
/// How long to wait after a failed round.
const PAUSE_AFTER_FAILURE_MS: i64 = 1_000;
/// The longest wait without looking again.
const IDLE_MAX_MS: i64 = 3_600_000;

/// Runs until the process ends.
pub(super) async fn run(side: Side) {
    loop {
        match round(&side).await {
            Ok(true) => {}
            Ok(false) => side.handle.idle(IDLE_MAX_MS, Signal::Look, side.system).await,
            Err(_) => side.handle.sleep(PAUSE_AFTER_FAILURE_MS).await,
        }
    }
}

/// One batch of looks; `false` where nothing waited.
async fn round(side: &Side) -> Result<bool, StepError> {
    let next = side.with(|world| {
        let process = world.process.as_mut()?;
        let looks = &mut process.sides[side.system].looks;
        if looks.is_empty() {
            let pending = world.store.tenants[side.tenant].pending_hints(&side.connection, LOOKS_PER_ROUND);
            for (hint, id) in pending {
                looks.entry(id).or_default().push(hint);
            }
        }
        let mut next = Vec::new();
        while next.len() < LOOKS_PER_ROUND {
            let Some(look) = looks.pop_first() else { break };
            next.push(look);
        }
        Some(next)
    });
    let next = next.unwrap_or_default();
    if next.is_empty() {
        return Ok(false);
    }
    let ids: Vec<ExternalId> = next.iter().map(|(id, _)| id.clone()).collect();
    let hints: Vec<u64> = next.iter().flat_map(|(_, hints)| hints.iter().copied()).collect();
    match side.look(&ids, hints).await {
        Ok(_) => Ok(true),
        Err(error) => {
            side.with(|world| {
                for (id, hints) in next {
                    world.ask_for(side.system, id.clone(), None);
                    hints.into_iter().for_each(|hint| world.ask_for(side.system, id.clone(), Some(hint)));
                }
            });
            Err(error)
        }
    }
}
