//! Names of actors in a chunk.

use super::bytes::Bytes;
use crate::repo::{
    limits::{ACTOR_BYTES_MAX, Count},
    refusal::Refusal,
};

/// Reads so many names and counts them.
pub(super) fn count_actors(actors: u64, bytes: &mut Bytes<'_>, count: &mut Count<'_>) -> Result<(), Refusal> {
    count.actors(actors)?;
    for _ in 0..actors {
        if bytes.prefixed()?.len() > ACTOR_BYTES_MAX {
            return Err(Refusal::TooManyActors { max: count.limits.actors_max });
        }
    }
    Ok(())
}
